"""One image, all levels: the original's arithmetic in integers, and the encodings."""

import io
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from record_data import noise

from stylegan_tf.record_format import HEAD, TAIL, RecordError, decode
from stylegan_tf.record_levels import RecordFormat, decompress, encode_levels, level_of, lower_levels


def float_chain(planes):
    """The original's lower levels (section 14.2 of the reference): float32 means of the float level before."""
    means, levels = planes.astype(np.float32), []
    while means.shape[-1] > 4:
        *rest, size, _ = means.shape
        means = means.reshape(*rest, size // 2, 2, size // 2, 2).mean(axis=(-3, -1), dtype=np.float32)
        levels.append(np.rint(means).clip(0, 255).astype(np.uint8))
    return levels


def assert_like_the_original(planes):
    ours = list(lower_levels(planes))
    theirs = float_chain(planes)
    assert [level.shape for level in ours] == [level.shape for level in theirs]
    for mine, original in zip(ours, theirs, strict=True):
        assert mine.dtype == np.uint8
        np.testing.assert_array_equal(mine, original)
    for level, original in enumerate([planes, *theirs]):
        np.testing.assert_array_equal(level_of(planes, level), original)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [4, 8, 32, 128, 1024])
def test_lower_levels_are_the_float_chain_of_the_original(size, channels):
    assert_like_the_original(noise(1, size, channels, seed=size)[0].transpose(2, 0, 1).copy())


def test_every_sum_of_four_is_rounded_like_the_original():
    sums = np.arange(4 * 255 + 1)
    cells = np.stack([np.clip(sums - 255 * part, 0, 255) for part in range(4)], axis=-1).astype(np.uint8)
    cells = np.concatenate([cells, np.zeros([1024 - len(cells), 4], np.uint8)])
    planes = cells.reshape(32, 32, 2, 2).transpose(0, 2, 1, 3).reshape(1, 64, 64)
    assert_like_the_original(planes)
    np.testing.assert_array_equal(next(lower_levels(planes)).ravel()[:1021], np.rint(sums / 4))


@pytest.mark.parametrize("size", [8, 64, 1024])
def test_halves_are_rounded_to_even_at_every_level(size):
    """Half of the pixels of every cell are one brighter: each mean is n + 1/2, at every level."""
    planes = np.arange(0, 255, 16 if size == 1024 else 1, np.uint8)[:, None, None].repeat(size, 1).repeat(size, 2)
    planes[:, 0::2, 0::2] += 1
    planes[:, 1::2, 1::2] += 1
    assert_like_the_original(planes)


@pytest.mark.parametrize("value", [0, 127, 255])
def test_plain_images_stay_as_they_are(value):
    for level in lower_levels(np.full([1, 2048, 2048], value, np.uint8)):
        assert (level == value).all()


def test_beyond_the_precision_of_float32_the_original_is_reproduced_too():
    assert_like_the_original(noise(1, 4096, 1)[0].transpose(2, 0, 1).copy())


# ---------------------------------------------------------------------------------------------------------------------
# Records


def parse(record):
    """(shape, encoding, bytes of the image)"""
    payload = record[HEAD:-TAIL]
    span = decode(payload)
    return span.shape, span.encoding, payload[span.start : span.start + span.size]


@pytest.mark.parametrize("encoding", ["raw", "png", "webp", "jpeg"])
@pytest.mark.parametrize("levels", ["stored", "computed"])
def test_records_are_those_of_the_levels_that_are_stored(encoding, levels):
    records = encode_levels(noise(1, 32)[0], RecordFormat(encoding, levels=levels))
    sizes = [32, 16, 8, 4] if levels == "stored" else [32]
    assert [parse(record)[:2] for record in records] == [((3, size, size), encoding) for size in sizes]


@pytest.mark.parametrize("encoding", ["png", "webp"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_lossless_encodings_keep_every_value(encoding, channels):
    image = noise(1, 32, channels)[0]
    image[:8, :8, -1] = 0  # transparent where there are 4: the colours below stay
    raw = [parse(record)[2] for record in encode_levels(image)]
    for record, expected in zip(encode_levels(image, RecordFormat(encoding)), raw, strict=True):
        shape, _, data = parse(record)
        assert decompress(data, shape, encoding).transpose(2, 0, 1).tobytes() == expected


@pytest.mark.parametrize("encoding", ["jpeg", "webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_quality_decides_size_and_loss(encoding, channels):
    ramp = np.add.outer(np.arange(64), 2 * np.arange(64))[..., None] + 10 * np.arange(channels)
    image = (ramp + noise(1, 64, channels)[0] % 16).astype(np.uint8)
    sizes, losses = [], []
    for quality in (20, 60, 95):
        shape, _, data = parse(encode_levels(image, RecordFormat(encoding, quality))[0])
        sizes.append(len(data))
        losses.append(np.abs(decompress(data, shape, encoding).astype(int) - image).mean())
    assert sizes == sorted(sizes)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 4  # the noise of 16 gray levels alone has a mean of 4 around its own mean


def test_threads_make_the_same_records():
    images = list(noise(16, 64))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(encode_levels, images)) == [encode_levels(image) for image in images]


def test_the_image_itself_is_not_changed():
    image = noise(1, 64)[0]
    image.flags.writeable = False
    before = image.copy()
    encode_levels(image)
    np.testing.assert_array_equal(image, before)


def test_images_may_lie_in_memory_in_any_way():
    image = noise(1, 32)[0]
    for other in (np.asfortranarray(image), image[::-1][::-1], noise(1, 64)[0][:32, :32]):
        expected = [level.tobytes() for level in [other.transpose(2, 0, 1), *float_chain(other.transpose(2, 0, 1))]]
        assert [parse(record)[2] for record in encode_levels(other)] == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoding": "gif"}, "encoding 'gif' is none of raw, png, webp, jpeg"),
        ({"quality": 90}, "quality 90 does not go with encoding raw"),
        ({"encoding": "png", "quality": 9}, "quality 9 does not go with encoding png"),
        ({"encoding": "jpeg", "quality": 0}, "quality 0 is no integer from 1 to 100"),
        ({"encoding": "webp", "quality": 101}, "quality 101 is no"),
        ({"encoding": "jpeg", "quality": 90.5}, "quality 90.5 is no"),
        ({"encoding": "jpeg", "quality": True}, "quality True is no"),
        ({"levels": "none"}, "levels 'none' is neither 'stored' nor 'computed'"),
        ({"shards": 0}, "shards 0 is no integer from 1 to 99999"),
        ({"shards": 2.0}, "shards 2.0 is no"),
    ],
)
def test_a_format_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RecordFormat(**options)


def test_jpeg_cannot_hold_transparency():
    with pytest.raises(ValueError, match=r"cat\.png has 4 channels, which JPEG cannot hold; choose another encoding"):
        encode_levels(noise(1, 8, 4)[0], RecordFormat("jpeg"), "cat.png")


# ---------------------------------------------------------------------------------------------------------------------
# Pictures in records that are not what they should be


def picture(size=(16, 16), kind="PNG"):
    file = io.BytesIO()
    Image.new("RGB", size).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no readable png picture"),
        (b"hello", "no readable png picture"),
        (picture()[:-30], "no readable png picture"),
        (picture(kind="JPEG"), "no readable png picture"),
        (picture((8, 16)), "a picture of 8x16 in a record of 16x16"),
    ],
    ids=["empty", "text", "cut-off", "jpeg", "smaller"],
)
def test_damaged_pictures_are_refused(data, message):
    with pytest.raises(RecordError, match=message):
        decompress(data, (3, 16, 16), "png")


@pytest.mark.parametrize("side", [10_000, 100_000])
def test_a_picture_that_announces_a_giant_size_is_refused_before_it_is_decoded(side):
    bomb = bytearray(picture())
    bomb[16:24] = side.to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    with pytest.raises(RecordError, match="picture"):
        decompress(bytes(bomb), (3, 16, 16), "png")
