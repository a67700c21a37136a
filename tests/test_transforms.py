"""Where the pixels of a transformed picture come from, by hand; and that nothing else is random or changed."""

import numpy as np
import pytest
from PIL import Image

from dataset_tools.transforms import FILTERS, TRANSFORMS, Transform, transform_picture


def columns(width, height):
    """uint8 [height, width, 1]: each pixel holds the number of its column."""
    return np.broadcast_to(np.arange(width, dtype=np.uint8)[:, np.newaxis], [height, width, 1]).copy()


def rows(width, height):
    return columns(height, width).transpose(1, 0, 2).copy()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name != "center-crop-wide"])
def test_square_of_the_right_size_is_unchanged(name, channels):
    pixels = np.random.RandomState(0).randint(0, 256, [16, 16, channels], np.uint8)
    np.testing.assert_array_equal(transform_picture(pixels, Transform(16, name)), pixels)


@pytest.mark.parametrize(("width", "first"), [(10, 1), (11, 1), (12, 2), (13, 2)])
def test_center_crop_takes_the_middle_square(width, first):
    result = transform_picture(columns(width, 8), Transform(8))
    assert list(result[0, :, 0]) == list(range(first, first + 8))
    np.testing.assert_array_equal(transform_picture(rows(8, width), Transform(8)), result.transpose(1, 0, 2))


def test_box_averages_exactly():
    pixels = np.random.RandomState(0).randint(0, 256, [32, 48, 3], np.uint8)
    mean = pixels[:, 8:40].reshape(16, 2, 16, 2, 3).mean((1, 3))
    np.testing.assert_allclose(
        transform_picture(pixels, Transform(16, resize_filter="box")), mean, atol=1
    )  # rows and columns are rounded one after the other


def test_filters_are_those_of_pillow():
    image = Image.fromarray(np.random.RandomState(0).randint(0, 256, [40, 40, 3], np.uint8))
    results = {name: np.array(Transform(16, resize_filter=name)(image)) for name in FILTERS}
    for name, code in {"lanczos": 1, "box": 4, "bicubic": 3}.items():
        np.testing.assert_array_equal(results[name], np.array(image.resize((16, 16), code)))
    assert len({result.tobytes() for result in results.values()}) == 3


def test_center_crop_is_that_of_the_original_bit_for_bit():
    image = Image.fromarray(np.random.RandomState(0).randint(0, 256, [41, 64, 3], np.uint8))
    expected = image.crop((11, 0, 52, 41)).resize((16, 16), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(np.array(Transform(16)(image)), np.array(expected))


def test_cropping_and_scaling_sees_nothing_outside_the_crop():
    pixels = np.full([32, 64, 1], 255, np.uint8)
    pixels[:, 16:48] = 7
    assert set(transform_picture(pixels, Transform(8)).flat) == {7}


def test_stretch_uses_every_column():
    result = transform_picture(columns(32, 8), Transform(8, "stretch", "box"))
    np.testing.assert_allclose(result[0, :, 0], np.arange(8) * 4 + 1.5, atol=0.5)


def test_letterbox_has_bars_on_both_sides():
    tall = transform_picture(rows(8, 16) + np.uint8(1), Transform(16, "letterbox"))
    assert (tall[:, :4] == 0).all()
    assert (tall[:, 12:] == 0).all()
    np.testing.assert_array_equal(tall[:, 4:12], rows(8, 16) + 1)
    wide = transform_picture(np.full([1, 100, 3], 9, np.uint8), Transform(16, "letterbox"))
    assert (wide.sum((1, 2)) > 0).sum() == 1  # 0.16 rows high, but not invisible


def test_bars_are_transparent_where_there_is_a_fourth_channel():
    result = transform_picture(np.full([8, 16, 4], 255, np.uint8), Transform(16, "letterbox"))
    assert set(result[:, :, 3].flat) == {0, 255}


def test_wide_crop_has_black_bars_above_and_below():
    result = transform_picture(columns(24, 12) + np.uint8(1), Transform((16, 12), "center-crop-wide"))
    assert result.shape == (16, 16, 1)
    assert (result[:2] == 0).all()
    assert (result[14:] == 0).all()
    assert list(result[2, :, 0]) == list(range(5, 21))


def test_wide_crop_is_three_quarters_high_by_default():
    assert Transform(512, "center-crop-wide").size == (512, 384)
    result = transform_picture(np.ones([100, 100, 3], np.uint8), Transform(64, "center-crop-wide"))
    assert (result[:, :, 0].sum(1) > 0).sum() == 48


def test_wide_crop_keeps_circles_round():
    pixels = np.zeros([300, 800, 1], np.uint8)
    y, x = np.mgrid[:300, :800]
    pixels[(y - 150) ** 2 + (x - 400) ** 2 < 80**2] = 255
    result = transform_picture(pixels, Transform(64, "center-crop-wide"))[:, :, 0] > 127
    height, width = result.any(1).sum(), result.any(0).sum()
    assert abs(int(height) - int(width)) <= 1


def test_random_crop_is_a_function_of_seed_and_index():
    pixels = columns(200, 8)
    first = [transform_picture(pixels, Transform(8, "random-crop"), index)[0, 0, 0] for index in range(300)]
    again = [transform_picture(pixels, Transform(8, "random-crop"), index)[0, 0, 0] for index in range(300)]
    other = [transform_picture(pixels, Transform(8, "random-crop", seed=1), index)[0, 0, 0] for index in range(300)]
    assert first == again
    assert first != other
    assert first[:5] == [180, 109, 144, 61, 42]  # of today: the same input must give the same bytes for ever
    assert min(first) < 5
    assert max(first) > 187
    assert abs(np.mean(first) - 96) < 10


def test_random_crop_reaches_both_ends():
    found = {int(transform_picture(rows(8, 10), Transform(8, "random-crop"), index)[0, 0, 0]) for index in range(100)}
    assert found == {0, 1, 2}


@pytest.mark.parametrize(
    ("name", "size", "enlarges"),
    [
        ("center-crop", (16, 100), False),
        ("center-crop", (15, 100), True),
        ("random-crop", (100, 15), True),
        ("stretch", (100, 15), True),
        ("letterbox", (100, 15), False),
        ("letterbox", (15, 15), True),
        ("center-crop-wide", (16, 12), False),
        ("center-crop-wide", (16, 11), True),
    ],
)
def test_enlarging_is_known(name, size, enlarges):
    assert Transform(16, name).enlarges(Image.new("L", size)) == enlarges


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 2)])
def test_any_size_works(name, size):
    result = Transform(16, name)(Image.new("RGB", size, (9, 9, 9)))
    assert result.size == (16, 16)
    assert np.array(result).max() == 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((16, "crop"), "--transform must be one of center-crop, .*, not 'crop'"),
        ((16, "stretch", "nearest"), "--resize-filter must be one of lanczos, box, bicubic, not 'nearest'"),
        ((12,), "--resolution must be a power of two from 8 to 1024, not 12"),
        ((2048,), "not 2048"),
        ((16.0,), "not 16.0"),
        (((16, 12),), "--resolution 16x12 goes only with --transform center-crop-wide"),
        (((16, 24), "center-crop-wide"), "--resolution 16x24 is higher than wide"),
        (((16, 0), "center-crop-wide"), "--resolution 16x0 "),
    ],
)
def test_wrong_options_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Transform(*arguments)
