import io

import numpy as np
import PIL.Image
import pytest
from golden_data import read

from stylegan_tf.images import (
    adjust_dynamic_range,
    enlarge,
    image_grid,
    preview,
    round_to_uint8,
    save_png,
    to_uint8,
    viewing_factor,
)

GOLDEN = read("images_misc.npz")
GIVEN, EXPECTED = GOLDEN.group("in"), GOLDEN.group("out")


def nhwc(images):
    return np.moveaxis(images, -3, -1)


def test_to_uint8_is_the_originals():
    GOLDEN.assert_close(to_uint8(GIVEN["nchw"]), EXPECTED["to_uint8_default"])
    GOLDEN.assert_close(to_uint8(nhwc(GIVEN["nchw"])), EXPECTED["to_uint8_nhwc"])
    GOLDEN.assert_close(to_uint8(GIVEN["nchw"], drange=(0, 1)), EXPECTED["to_uint8_drange01"])
    GOLDEN.assert_close(to_uint8(nhwc(GIVEN["nchw"]), shrink=2), nhwc(EXPECTED["to_uint8_shrink2"]))


@pytest.mark.parametrize("drange", [(-1, 1), (0, 1), (0, 255)])
def test_round_to_uint8_is_the_originals(drange):
    rounded = round_to_uint8(nhwc(GIVEN["image_rgb"]), drange)
    GOLDEN.assert_close(rounded, EXPECTED[f"pil_{drange[0]}_{drange[1]}"])


def test_dynamic_range_is_the_originals():
    for low, high in ((-1, 1), (0, 1), (0, 255)):
        adjusted = adjust_dynamic_range(GIVEN["image_rgb"], (low, high), (0, 255))
        GOLDEN.assert_close(adjusted, EXPECTED[f"adjust_{low}_{high}_to_0_255"])
    GOLDEN.assert_close(adjust_dynamic_range(GIVEN["grid_images"], (0, 255), (-1, 1)), EXPECTED["adjust_0_255_to_-1_1"])


def test_two_roundings_by_hand():
    values = np.asarray([-5, -1, -0.999, 0, 1, 7, np.nan], np.float32)
    np.testing.assert_array_equal(to_uint8(values), [0, 0, 0, 128, 255, 255, 0])
    np.testing.assert_array_equal(round_to_uint8(values), [0, 0, 0, 128, 255, 255, 0])  # 127.5 goes to even
    halves = np.asarray([0.5, 1.5, 2.5], np.float32)
    np.testing.assert_array_equal(round_to_uint8(halves, (0, 255)), [0, 2, 2])


@pytest.mark.parametrize(("name", "columns"), [("auto", None), ("4x2", 4), ("2x4", 2)])
def test_grid_is_the_originals(name, columns):
    GOLDEN.assert_close(image_grid(nhwc(GIVEN["grid_images"]), columns), nhwc(EXPECTED[f"grid_{name}"]))


def test_gray_grid_is_the_originals():
    GOLDEN.assert_close(image_grid(GIVEN["grid_images_gray"][..., None])[..., 0], EXPECTED["grid_gray"])


def test_empty_cells_take_the_fill_value():
    grid = image_grid(np.zeros([3, 2, 2, 1], np.uint8), columns=2, fill=255)
    assert grid.dtype == np.uint8
    assert (grid[2:, 2:] == 255).all()
    assert grid.sum() == 4 * 255


@pytest.mark.parametrize("shape", [(0, 4, 4, 3), (4, 4, 3)])
def test_grid_of_nothing_is_refused(shape):
    with pytest.raises(ValueError, match="a grid needs images"):
        image_grid(np.zeros(shape))


def test_grid_without_columns_is_refused():
    with pytest.raises(ValueError, match="columns must be positive, got 0"):
        image_grid(np.zeros([1, 2, 2, 3]), columns=0)


def test_enlarge_repeats_pixels():
    image = np.arange(4).reshape(2, 2, 1)
    by_hand = [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    np.testing.assert_array_equal(enlarge(image, 2)[..., 0], by_hand)
    assert enlarge(np.zeros([5, 2, 3, 3]), 3).shape == (5, 6, 9, 3)


@pytest.mark.parametrize(("size", "factor"), [(8, 12), (32, 3), (64, 2), (95, 2), (96, 1), (1024, 1)])
def test_viewing_factor_reaches_96_pixels(size, factor):
    assert viewing_factor(size) == factor


@pytest.mark.parametrize(("shape", "mode"), [((4, 6), "L"), ((4, 6, 1), "L"), ((4, 6, 3), "RGB"), ((4, 6, 4), "RGBA")])
def test_png_round_trip(tmp_path, shape, mode):
    image = np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)
    save_png(tmp_path / "image.png", image)
    with PIL.Image.open(tmp_path / "image.png") as saved:
        assert (saved.format, saved.mode) == ("PNG", mode)
        np.testing.assert_array_equal(np.asarray(saved), image.reshape(np.shape(saved)))
    assert [file.name for file in tmp_path.iterdir()] == ["image.png"]


@pytest.mark.parametrize("image", [np.zeros([4, 4, 3]), np.zeros([4, 4, 2], np.uint8), np.zeros([4], np.uint8)])
def test_png_of_something_else_is_refused(tmp_path, image):
    with pytest.raises(ValueError, match=r"image.png: a PNG needs uint8"):
        save_png(tmp_path / "image.png", image)


@pytest.mark.parametrize(("shape", "size"), [((30, 60, 3), (40, 20)), ((30, 60, 1), (40, 20)), ((20, 10, 4), (10, 20))])
def test_preview_is_a_small_jpeg(tmp_path, shape, size):
    image = np.full(shape, 200, np.uint8)
    save_png(tmp_path / "image.png", image)
    for source in (image, tmp_path / "image.png"):
        encoded, found = preview(source, 40)
        with PIL.Image.open(io.BytesIO(encoded)) as small:
            assert (small.format, small.size, found) == ("JPEG", size, size)
            assert np.abs(np.asarray(small).astype(int) - 200).max() <= 2
