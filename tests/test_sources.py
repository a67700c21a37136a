"""Pictures are read as they are, or refused with the file, what was found, and the remedy."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from record_data import GOLDEN, noise, pictures

from stylegan_tf.sources import DatasetError, ImageFolder, image_paths, read_image


def save(path, size=(8, 8), mode="RGB", **options):
    """A picture of noise; returns its path."""
    depth = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.RandomState(0).randint(0, 256, [size[1], size[0], depth], np.uint8)
    Image.frombytes(mode, size, pixels.tobytes()).save(path, **options)
    return path


def save_png16(path, colour, channels):
    """PNG of 16 bits a channel, which Pillow cannot write in colour: 8x8 noise."""
    rows = b"".join(b"\0" + np.random.RandomState(y).bytes(8 * 2 * channels) for y in range(8))
    header = struct.pack(">IIBBBBB", 8, 8, 16, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    data = b"".join(struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)


# ---------------------------------------------------------------------------------------------------------------------
# One picture


@pytest.mark.parametrize(("suffix", "channels"), [("png", 3), ("png", 1), ("bmp", 3), ("tif", 3), ("webp", 3)])
def test_pixels_are_read_as_they_are(tmp_path, suffix, channels):
    pixels = noise(1, 16, channels)[0]
    Image.fromarray(pixels if channels == 3 else pixels[:, :, 0]).save(tmp_path / f"x.{suffix}", lossless=True)
    image = read_image(tmp_path / f"x.{suffix}")
    assert (image.dtype, image.shape) == (np.uint8, (16, 16, channels))
    np.testing.assert_array_equal(image, pixels)


def test_jpeg_is_read(tmp_path):
    path = save(tmp_path / "x.jpg", (16, 16))
    np.testing.assert_array_equal(read_image(path), np.array(Image.open(path)))


def test_palette_becomes_rgb(tmp_path):
    colours = Image.fromarray(noise(1, 16)[0]).quantize(32)
    colours.save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), np.array(colours.convert("RGB")))


def test_black_and_white_becomes_grayscale(tmp_path):
    bits = Image.fromarray(noise(1, 8, 1)[0, :, :, 0]).convert("1")
    bits.save(tmp_path / "x.png")
    image = read_image(tmp_path / "x.png")
    assert image.shape == (8, 8, 1)
    assert set(image.flat) == {0, 255}


@pytest.mark.parametrize(
    ("mode", "options", "message"),
    [
        ("RGBA", {}, r"has transparency \(RGBA\).*-alpha off"),
        ("LA", {}, r"has transparency \(LA\).*-alpha off"),
        ("RGB", {"transparency": (1, 2, 3)}, r"has transparency \(RGB\)"),
        ("P", {"transparency": 0}, r"has transparency \(P\)"),
        ("I;16", {}, r"has more than 8 bits a channel \(I;16\).*-depth 8"),
    ],
)
def test_png_that_would_lose_something_is_refused(tmp_path, mode, options, message):
    if mode == "I;16":
        Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000).save(tmp_path / "x.png")
    elif mode == "P":
        Image.fromarray(noise(1)[0]).quantize(16).save(tmp_path / "x.png", **options)
    else:
        save(tmp_path / "x.png", mode=mode, **options)
    with pytest.raises(DatasetError, match=rf"x\.png {message}"):
        read_image(tmp_path / "x.png")


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3)], ids=["gray", "RGB"])
def test_png_of_16_bits_is_refused(tmp_path, colour, channels):
    save_png16(tmp_path / "x.png", colour, channels)
    with pytest.raises(DatasetError, match=r"x\.png has more than 8 bits a channel"):
        read_image(tmp_path / "x.png")


def test_png_of_16_bits_with_transparency_is_refused(tmp_path):
    save_png16(tmp_path / "x.png", 6, 4)
    with pytest.raises(DatasetError, match=r"x\.png has transparency"):
        read_image(tmp_path / "x.png")


def test_floats_are_refused(tmp_path):
    Image.fromarray(np.zeros([8, 8], np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(DatasetError, match=r"x\.tif has more than 8 bits a channel \(F\)"):
        read_image(tmp_path / "x.tif")


def test_print_colours_are_refused(tmp_path):
    save(tmp_path / "x.jpg", mode="CMYK")
    with pytest.raises(DatasetError, match=r"x\.jpg has CMYK colours; convert .*-colorspace sRGB"):
        read_image(tmp_path / "x.jpg")


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp", "gif"])
@pytest.mark.parametrize("share", [0.03, 0.5, 0.97])
def test_picture_that_is_cut_off_is_refused(tmp_path, suffix, share):
    path = save(tmp_path / f"x.{suffix}", (64, 64))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DatasetError, match=rf"x\.{suffix} is .*damaged.*remove it from the folder or replace it"):
        read_image(path)


def test_every_flipped_byte_of_a_png_is_found_or_harmless(tmp_path):
    path = save(tmp_path / "x.png", (16, 16))
    data, image = path.read_bytes(), read_image(path)
    refused = 0
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        try:
            np.testing.assert_array_equal(read_image(path), image)
        except DatasetError:
            refused += 1
    assert refused > 0.95 * len(data)


@pytest.mark.parametrize("content", [b"", b"remember the milk", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_what_is_no_picture_is_refused(tmp_path, content):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(DatasetError, match=r"x\.png is (no picture|damaged).*remove it from the folder or replace it"):
        read_image(tmp_path / "x.png")


@pytest.mark.parametrize("limit", [70, 40], ids=["warning", "error"])
def test_decompression_bomb_is_refused(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    save(tmp_path / "x.png", (10, 10))
    with pytest.raises(DatasetError, match=rf"x\.png claims to have more than {limit} pixels; .*scale it down"):
        read_image(tmp_path / "x.png")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"x\.png cannot be read: No such file"):
        read_image(tmp_path / "x.png")


# ---------------------------------------------------------------------------------------------------------------------
# A folder


def test_paths_are_sorted_and_hidden_files_ignored(tmp_path):
    for name in ("b.png", "a.PNG", "c.jpg", "10.png", "9.png"):
        save(tmp_path / name)
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    (tmp_path / ".thumbnails").mkdir()
    assert [path.name for path in image_paths(tmp_path)] == ["10.png", "9.png", "a.PNG", "b.png", "c.jpg"]


def test_folder_is_a_sequence_of_its_pictures():
    folder = ImageFolder(GOLDEN / "png_gray")
    np.testing.assert_array_equal([folder[index] for index in range(len(folder))], pictures("png_gray"))
    assert folder.names == ["img00.png", "img01.png", "img02.png"]
    assert (folder.shape, folder.labels.shape, folder.label_names) == ((32, 32, 1), (3, 0), [])


def test_picture_with_a_strange_suffix_is_read(tmp_path):
    save(tmp_path / "photo.backup", format="png")
    assert len(ImageFolder(tmp_path)) == 1


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(DatasetError, match="missing: No such file or directory; IMAGE_DIR must be a folder"):
        image_paths(tmp_path / "missing")


def test_file_instead_of_a_folder_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"x\.png: Not a directory; IMAGE_DIR must be a folder"):
        image_paths(save(tmp_path / "x.png"))


def test_empty_folder_is_named(tmp_path):
    (tmp_path / ".hidden").touch()
    with pytest.raises(DatasetError, match="holds no pictures; put PNG or JPEG files directly into it"):
        image_paths(tmp_path)


def test_other_file_is_found_before_anything_is_read(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("remember the milk")
    with pytest.raises(DatasetError, match=r"notes\.txt is no picture .* remove it from the folder"):
        image_paths(tmp_path)


def test_nested_folder_is_named(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "cats").mkdir()
    with pytest.raises(DatasetError, match="cats is a folder; nested folders are not read, only the files directly in"):
        image_paths(tmp_path)


def test_link_to_nowhere_is_named(tmp_path):
    (tmp_path / "x.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(DatasetError, match=r"x\.png cannot be read"):
        ImageFolder(tmp_path)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((16, 8), r"a\.png is 16x8 pixels, not square; crop"),
        ((12, 12), r"a\.png is 12x12 pixels; scale all pictures to a power of two"),
        ((4, 4), r"a\.png is 4x4 pixels; scale all pictures to a power of two: 8,"),
    ],
)
def test_first_picture_must_be_a_square_of_a_power_of_two(tmp_path, size, message):
    save(tmp_path / "a.png", size)
    with pytest.raises(DatasetError, match=message):
        ImageFolder(tmp_path)


@pytest.mark.parametrize(
    ("size", "mode", "found"),
    [((16, 16), "RGB", "16x16 RGB"), ((9, 8), "RGB", "9x8 RGB"), ((8, 8), "L", "8x8 grayscale")],
)
def test_picture_unlike_the_first_is_named(tmp_path, size, mode, found):
    save(tmp_path / "a.png")
    save(tmp_path / "b.png", size, mode)
    folder = ImageFolder(tmp_path)
    with pytest.raises(DatasetError, match=rf"b\.png is {found}, but the first picture, a\.png, is 8x8 RGB; make all"):
        folder[1]
