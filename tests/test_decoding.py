"""Every kind of picture becomes the right 8-bit pixels, or is refused with its name, what was found and the remedy."""

import sys
import threading
import warnings

import numpy as np
import pytest
from picture_data import encoded, png, random_image
from PIL import Image, ImageCms
from record_data import noise

from dataset_tools.decoding import decode_picture
from dataset_tools.errors import DatasetError

RED = (255, 0, 0)


def pixels(data, *arguments):
    return decode_picture(data, "x.png", *arguments)[0]


def changes(data, *arguments):
    return decode_picture(data, "x.png", *arguments)[1]


# ---------------------------------------------------------------------------------------------------------------------
# Pixels


@pytest.mark.parametrize(
    ("format", "channels"),
    [(format, channels) for format in ("PNG", "BMP", "TIFF", "PPM") for channels in (1, 3)] + [("WEBP", 3)],
)
def test_pixels_are_read_as_they_are(format, channels):
    image = noise(1, 16, channels)[0]
    stored = Image.fromarray(image if channels == 3 else image[:, :, 0])
    result, notes = decode_picture(encoded(stored, format, lossless=True), "x")
    assert (result.dtype, result.shape, notes) == (np.uint8, (16, 16, channels), [])
    np.testing.assert_array_equal(result, image)


def test_jpeg_is_read():
    image = random_image((16, 16))
    np.testing.assert_allclose(pixels(encoded(image, "JPEG", quality=100, subsampling=0)), np.array(image), atol=4)


@pytest.mark.parametrize("format", ["PNG", "GIF", "BMP", "TIFF"])
def test_palette_becomes_rgb(format):
    image = random_image((16, 16)).quantize(32)
    np.testing.assert_array_equal(pixels(encoded(image, format)), np.array(image.convert("RGB")))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "GIF"])
def test_black_and_white_becomes_grayscale(format):
    image = random_image((16, 16), "L").convert("1")
    result = pixels(encoded(image, format))
    assert set(result.flat) == {0, 255}
    np.testing.assert_array_equal(result[:, :, 0], np.array(image) * 255)


def test_upper_half_of_16_bits_is_kept():
    values = np.random.RandomState(0).randint(0, 2**16, [8, 8], np.uint16)
    for data in (
        encoded(Image.fromarray(values)),
        encoded(Image.fromarray(values), "TIFF"),
        png(0, 16, values.astype(">u2").tobytes()),
        b"P5 8 8 65535\n" + values.astype(">u2").tobytes(),
    ):
        np.testing.assert_array_equal(pixels(data)[:, :, 0], values >> 8)
        assert changes(data) == ["16 bits a channel, reduced to 8"]


def test_colours_of_16_bits_are_reduced_like_gray():
    values = np.random.RandomState(0).randint(0, 2**16, [8, 8, 3], np.uint16)
    data = png(2, 16, values.astype(">u2").tobytes())
    np.testing.assert_array_equal(pixels(data), values >> 8)
    assert changes(data) == ["16 bits a channel, reduced to 8"]


def test_8_bits_stored_as_16_come_back():
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 4
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(values * 257)))[:, :, 0], values)


def test_tiff_of_16_bits_in_which_white_is_zero_is_turned_round():
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    data = encoded(Image.fromarray(values), "TIFF", tiffinfo={262: 0})
    np.testing.assert_array_equal(pixels(data)[:, :, 0], (65535 - values) >> 8)


def test_print_colours_become_rgb():
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # magenta and yellow: red
    for format in ("TIFF", "JPEG"):
        result, notes = decode_picture(encoded(image, format), "x")
        np.testing.assert_allclose(result, np.broadcast_to(RED, (8, 8, 3)), atol=3)
        assert notes == ["CMYK colours, converted to RGB without a profile"]


def test_ycbcr_becomes_rgb():
    image = Image.new("RGB", (8, 8), RED).convert("YCbCr")
    np.testing.assert_allclose(pixels(encoded(image, "TIFF")), np.broadcast_to(RED, (8, 8, 3)), atol=2)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_exif_orientation_is_applied_once(format, orientation):
    upright = np.repeat(np.repeat(np.arange(2 * 3, dtype=np.uint8).reshape(2, 3) * 40, 8, 0), 8, 1)
    stored = {  # what a camera stores, so that the orientation makes it upright
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(np.ascontiguousarray(stored)).convert("RGB"), format, exif=exif, quality=95)
    result, notes = decode_picture(data, "x")
    np.testing.assert_allclose(result[:, :, 0], upright, atol=3)
    assert bool(notes) == (orientation > 1 and format != "TIFF")  # Pillow turns a TIFF without a word


def test_unreadable_exif_data_is_noted_and_harmless():
    image = random_image()
    result, notes = decode_picture(encoded(image, exif=b"Exif\0\0milk"), "x")
    np.testing.assert_array_equal(result, np.array(image))
    assert notes == ["unreadable EXIF data, left as stored"]


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_frame_of_several_is_taken(format):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, (0, 255, 0), (0, 0, 255))]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], lossless=True)
    result, notes = decode_picture(data, "x")
    np.testing.assert_array_equal(result, np.broadcast_to(RED, (8, 8, 3)))
    assert notes == ["several frames or pages, only the first is used"]


def test_only_a_profile_other_than_srgb_is_noted():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert changes(encoded(random_image(), icc_profile=srgb)) == []
    other = srgb.replace(b"sRGB", b"Wide").replace(b"s\0R\0G\0B", b"W\0i\0d\0e")
    assert changes(encoded(random_image(), icc_profile=other)) == ["a colour profile other than sRGB, ignored"]


# ---------------------------------------------------------------------------------------------------------------------
# Transparency


def test_transparency_is_put_onto_the_background():
    image = random_image((16, 16), "RGBA")
    colours, alpha = np.split(np.array(image).astype(float), [3], 2)
    expected = (colours * alpha + np.array(RED) * (255 - alpha)) / 255
    result, notes = decode_picture(encoded(image), "x", RED)
    np.testing.assert_allclose(result, expected, atol=0.51)
    assert notes == ["transparency, put onto #ff0000"]


def test_gray_with_transparency_stays_gray_on_a_gray_background():
    data = encoded(random_image((8, 8), "LA"))
    assert pixels(data).shape == (8, 8, 1)
    assert pixels(data, RED).shape == (8, 8, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_opaque_alpha_is_dropped_without_a_word(mode):
    image = random_image((8, 8), mode)
    image.putalpha(255)
    result, notes = decode_picture(encoded(image), "x")
    np.testing.assert_array_equal(result, np.array(image)[:, :, :-1])
    assert notes == []


def test_transparency_can_be_kept():
    image = random_image((8, 8), "RGBA")
    result, notes = decode_picture(encoded(image), "x", "keep")
    np.testing.assert_array_equal(result, np.array(image))
    assert notes == []
    assert pixels(encoded(random_image()), "keep").shape == (8, 8, 3)


@pytest.mark.parametrize(
    "data",
    [
        png(2, 8, bytes(RED) * 64, chunks=[(b"tRNS", bytes([0, 255, 0, 0, 0, 0]))]),
        png(0, 8, bytes(64), chunks=[(b"tRNS", b"\0\0")]),
        png(0, 1, bytes(8), chunks=[(b"tRNS", b"\0\0")]),
        png(3, 8, bytes(64), chunks=[(b"PLTE", bytes(RED)), (b"tRNS", b"\0")]),
        encoded(Image.new("P", (8, 8)), "GIF", transparency=0),
        encoded(Image.new("PA", (8, 8)), "TIFF"),
    ],
    ids=["RGB", "gray", "1 bit", "palette", "GIF", "PA"],
)
def test_one_transparent_colour_becomes_background(data):
    result, notes = decode_picture(data, "x")
    assert (result == 255).all()
    assert notes == ["transparency, put onto #ffffff"]


# ---------------------------------------------------------------------------------------------------------------------
# What is refused


@pytest.mark.parametrize("bits", [2, 4, 16])
def test_transparent_colour_in_a_depth_that_is_rescaled_is_refused(bits):
    data = png(0, bits, bytes(bits * 8), chunks=[(b"tRNS", b"\0\0")])
    with pytest.raises(
        DatasetError, match=r"x\.png has a transparent colour together with other than 8 bits.*-depth 8"
    ):
        pixels(data)


def test_16_bits_with_an_alpha_channel_are_read():
    values = np.random.RandomState(0).randint(0, 2**16, [8, 8, 4], np.uint16)
    np.testing.assert_array_equal(pixels(png(6, 16, values.astype(">u2").tobytes()), "keep"), values >> 8)


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (Image.fromarray(np.zeros([8, 8], np.float32)), "F pixels"),
        (Image.fromarray(np.zeros([8, 8], np.int32)), "integers of an unknown range"),
        (Image.new("LAB", (8, 8)), "LAB pixels"),
    ],
)
def test_values_without_a_known_range_are_refused(image, found):
    with pytest.raises(DatasetError, match=rf"x\.png has {found}.*cannot be converted safely; save it as 8-bit RGB"):
        pixels(encoded(image, "TIFF"))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM", "AVIF"])
def test_picture_without_its_end_is_refused(format):
    data = encoded(random_image((32, 32)), format)
    for length in range(0, len(data) - 2, max(1, len(data) // 50)):
        with pytest.raises(DatasetError, match=r"x\.png is .*damaged.*; remove it or replace it"):
            pixels(data[:length])


@pytest.mark.parametrize("split", [0, 4], ids=["one chunk", "zlib's checksum in another"])
def test_every_flipped_byte_of_a_png_is_found_or_harmless(split):
    data = png(2, 8, random_image((16, 16)).tobytes(), 16, 16, split=split)
    image, refused = pixels(data), 0
    for position in range(len(data)):
        try:
            changed = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
            np.testing.assert_array_equal(pixels(changed), image)
        except DatasetError:
            refused += 1
    assert refused > 0.95 * len(data)


@pytest.mark.parametrize(
    "data", [b"", b"remember the milk", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"%!PS-Adobe-3.0 EPSF"]
)
def test_what_is_no_picture_is_refused(data):
    with pytest.raises(DatasetError, match=r"x\.png is (no picture|damaged).*; remove it or replace it"):
        pixels(data)


@pytest.mark.parametrize("limit", [70, 40], ids=["warning", "error"])
def test_decompression_bomb_is_refused(monkeypatch, limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(DatasetError, match=rf"x\.png claims to have more than {limit} pixels; .*scale it down"):
        pixels(encoded(random_image((10, 10))))


def test_several_threads_decode_at_once_without_touching_the_warnings():
    before = list(warnings.filters)
    good, bad = encoded(random_image((64, 64))), encoded(random_image((64, 64)))[:500]
    expected, failures = pixels(good), []

    def work():
        for _ in range(30):
            if not np.array_equal(pixels(good), expected):
                failures.append("pixels")
            try:
                pixels(bad)
                failures.append("bad")
            except DatasetError:
                pass

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    assert failures == []
    assert list(warnings.filters) == before
