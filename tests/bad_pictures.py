"""More than 200 files that are no good pictures: what people's folders hold, and what an attacker sends."""

import contextlib
import pickle
import struct
import zlib

import numpy as np
from picture_data import encoded, png, random_image
from PIL import Image

FORMATS = {
    "png": ("PNG", {}),
    "jpg": ("JPEG", {"quality": 90}),
    "jpeg": ("JPEG", {"progressive": True}),
    "webp": ("WEBP", {"quality": 80}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "tif": ("TIFF", {}),
    "tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "ppm": ("PPM", {}),
    "avif": ("AVIF", {}),
}
GOOD = {suffix: encoded(random_image((32, 32)), format, **options) for suffix, (format, options) in FORMATS.items()}


def cut_off():
    """Pictures without their end."""
    for suffix, data in GOOD.items():
        for share in range(14):
            yield f"cut at {share} of 14.{suffix}", data[: (len(data) - 2) * share // 14]


def flipped():
    """PNGs with one changed bit."""
    data = GOOD["png"]
    for position in [*range(8, 33, 3), *range(41, len(data) - 12, len(data) // 20)]:
        yield f"flipped at {position}.png", data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :]


def something_else():
    """Files that are called like pictures."""
    contents = {
        "empty": b"",
        "zeros": bytes(10_000),
        "text": b"remember the milk",
        "page": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "drawing": b"<svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'/>",
        "archive": b"PK\x03\x04" + bytes(100),
        "program": b"\x7fELF" + bytes(100),
        "pickle": pickle.dumps({"pixels": np.zeros([8, 8])}),
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n",
        "link": b"../../etc/passwd",
    }
    for name, data in contents.items():
        for suffix in ("png", "jpg", "tif"):
            yield f"{name} as.{suffix}", data


def too_large():
    """Small files that claim, or unpack to, far too much."""
    for width, height in ((60_000, 60_000), (2**31 - 1, 2**31 - 1), (10_000, 9_000), (1, 2**30)):
        yield f"bomb {width}x{height}.png", png(2, 8, b"", width, height)
    yield "bomb.gif", b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + GOOD["gif"][13:]
    yield "bomb.bmp", GOOD["bmp"][:18] + struct.pack("<ii", 100_000, 100_000) + GOOD["bmp"][26:]
    yield "bomb.ppm", b"P6 100000 100000 255\n" + bytes(100)
    yield "bomb.pgm", b"P5 " + b"9" * 1000 + b" 1 255\n" + bytes(100)
    text = zlib.compress(bytes(5_000_000))
    yield "bomb of text.png", png(2, 8, bytes(192), chunks=[(b"zTXt", b"Comment\0\0" + text)])
    yield "bomb of a profile.png", png(2, 8, bytes(192), chunks=[(b"iCCP", b"x\0\0" + text)])
    width = struct.pack("<HHI", 256, 4, 1)  # TIFF's tag, its type and count; the value follows
    tiff = encoded(random_image((8, 8)), "TIFF", tiffinfo={256: 8})
    yield "bomb.tif", tiff.replace(width + struct.pack("<I", 8), width + struct.pack("<I", 2**31 - 1))


def unknown_values():
    """Pixels of which nothing says what white is, and PNGs that no rule allows."""
    for mode, dtype in (("F", np.float32), ("I", np.int32)):
        yield f"mode {mode}.tif", encoded(Image.fromarray(np.zeros([8, 8], dtype)), "TIFF")
    yield "mode LAB.tif", encoded(Image.new("LAB", (8, 8)), "TIFF")
    for bits in (2, 4, 16):
        yield f"key in {bits} bits.png", png(0, bits, bytes(8 * bits), chunks=[(b"tRNS", b"\0\0")])
    yield "key in 16 bits.png", png(2, 16, bytes(8 * 48), chunks=[(b"tRNS", bytes(6))])
    yield "no palette.png", png(3, 8, bytes(64))
    yield "no pixels.png", png(2, 8, b"")
    yield "no width.png", png(2, 8, b"", 0, 8)
    yield "too few rows.png", png(2, 8, bytes(24 * 4), height=8)
    yield "odd depth.png", png(2, 5, bytes(192))
    yield "odd colour.png", png(5, 8, bytes(192))
    yield "unknown critical chunk.png", png(2, 8, bytes(192), chunks=[(b"ABCD", b"")]).replace(b"IDAT", b"IDAX")


def strange_names():
    """The same text under names that break careless messages."""
    names = [
        "two words",
        "tab\there",
        "line\nbreak",
        "bell\a",
        "esc\x1b[31m",
        "ünï cödé",
        "图片",
        "😀",
        "a'b\"c",
        "-rf",
        "%s{0}",
    ]
    for name in [
        *names,
        "right\u202eleft",
        "nul␀",
        "x" * 200,
        "CON",
        "$(reboot)",
        "`x`",
        "a;b",
        "~",
        "#1",
        "?",
        "\udcff",
    ]:
        yield f"{name}.png", b"milk"


BAD = dict(
    entry for group in (cut_off, flipped, something_else, too_large, unknown_values, strange_names) for entry in group()
)


def strange_modes():
    """Pictures of one colour, in every mode that a format can hold: (name, bytes, colour)."""
    for mode in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"):
        colour = (255, 255, 255) if mode in ("1", "L", "LA", "La") else (255, 0, 51)
        image = Image.new("RGBA", (16, 16), (*colour, 255))
        image = image.convert("LA").convert("La") if mode == "La" else image.convert(mode)
        for format in ("PNG", "TIFF", "JPEG", "WEBP", "GIF", "BMP", "PPM", "AVIF"):
            with contextlib.suppress(OSError, KeyError, ValueError):  # it cannot
                yield f"{mode} in {format}", encoded(image, format, quality=95), colour


STRANGE = {name: (data, colour) for name, data, colour in strange_modes()}
