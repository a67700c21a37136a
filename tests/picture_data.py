"""What the tests of pictures share: small files of every kind."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def random_image(size=(8, 8), mode="RGB", seed=0):
    """A Pillow image of noise."""
    depth = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.RandomState(seed).randint(0, 256, [size[1], size[0], depth], np.uint8)
    return Image.frombytes(mode, size, pixels.tobytes())


def encoded(image, format="PNG", **options):
    """Bytes of a picture file."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def save(path, size=(8, 8), mode="RGB", seed=0, **options):
    """Writes a picture of noise, with the folders above it; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random_image(size, mode, seed).save(path, **options)
    return path


def png(colour, bits, rows, width=8, height=8, chunks=(), split=0):
    """PNG by hand, for what Pillow cannot write.

    `rows` are the bytes of all rows; `chunks` go before the pixels, whose last `split` bytes get their own chunk.
    """
    stride = len(rows) // height if height else 0
    lines = b"".join(b"\0" + rows[start : start + stride] for start in range(0, len(rows), stride or 1))
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    data = zlib.compress(lines)
    pixels = [(b"IDAT", part) for part in (data[: len(data) - split], data[len(data) - split :]) if part]
    parts = [(b"IHDR", header), *chunks, *pixels, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
