"""One image, all its levels: the pyramid in integers, compression, and which of that a data set stores."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from stylegan_tf.record_format import ENCODINGS, RecordError, encode

CHANNELS = {1: "L", 3: "RGB", 4: "RGBA"}  # number: Pillow's name
EXACT_SHIFT = 16  # sums over 4**8 pixels of 8 bits fill the 24 bits that a float32 holds
SAVE = {  # options of Pillow: nearly the smallest files in a third of the time that the smallest would take
    "png": {"compress_type": 3},  # run lengths (Z_RLE): filtered photographs have no longer repetitions
    "webp": {"lossless": True, "exact": True, "quality": 20, "method": 1},  # here quality is effort
}
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning)


@dataclass(frozen=True)
class RecordFormat:
    """How images are stored. The default is the original's format, byte for byte.

    Args:
        encoding: "raw", or a compression: "png" and "webp" lossless, "jpeg" lossy.
        quality: 1 to 100 for "jpeg" (None: 95) and "webp" (None: lossless).
        levels: "stored": every level of detail has its own file. "computed": only the full resolution is stored, and
            whoever reads a lower one computes it.
        shards: Number of files for each level.

    Raises:
        ValueError: Something that cannot be.
    """

    encoding: str = "raw"
    quality: int | None = None
    levels: str = "stored"
    shards: int = 1

    def __post_init__(self):
        if self.encoding not in ENCODINGS:
            raise ValueError(f"encoding {self.encoding!r} is none of {', '.join(ENCODINGS)}")
        if self.quality is not None and self.encoding not in ("webp", "jpeg"):
            raise ValueError(f"quality {self.quality!r} does not go with encoding {self.encoding}, which is lossless")
        if self.quality is not None and not (type(self.quality) is int and 1 <= self.quality <= 100):
            raise ValueError(f"quality {self.quality!r} is no integer from 1 to 100")
        if self.levels not in ("stored", "computed"):
            raise ValueError(f"levels {self.levels!r} is neither 'stored' nor 'computed'")
        if type(self.shards) is not int or not 1 <= self.shards <= 99999:
            raise ValueError(f"shards {self.shards!r} is no integer from 1 to 99999")

    def resolutions(self, resolution):
        """Resolutions of the levels that are stored for images of `resolution` pixels, largest first."""
        if self.levels == "computed":
            return [resolution]
        return [2**log2 for log2 in range(resolution.bit_length() - 1, 1, -1)]


ORIGINAL = RecordFormat()


def encode_levels(image, format=ORIGINAL, name="image"):
    """One image as records: all levels that the format stores, full resolution first.

    Each lower level is the mean of 2x2 cells of the one above before rounding (trap 48). A pure function, safe to call
    from several threads at once.

    Args:
        image: uint8 [R, R, C], R a power of two from 4 up, C 1, 3 or 4 (the original reads 1 and 3 only).
        format: A `RecordFormat`.
        name: What to call the image in an error.

    Returns:
        List of bytes, one record a level.

    Raises:
        ValueError: The image is of another kind.
    """
    image = np.asarray(image)
    check_image(image, format, name)
    planes = np.ascontiguousarray(image.transpose(2, 0, 1))
    records = [_encode_level(planes, format)]
    if format.levels == "stored":
        records += [_encode_level(level, format) for level in lower_levels(planes)]
    return records


def check_image(image, format, name):
    """Refuse an image that `encode_levels` cannot store."""
    if image.ndim != 3 or image.dtype != np.uint8 or image.shape[2] not in CHANNELS:
        raise ValueError(f"{name} is {image.dtype} {list(image.shape)}; expected 8 bits and 1, 3 or 4 channels")
    height, width, channels = image.shape
    if height != width or height < 4 or height & (height - 1):
        raise ValueError(f"{name} is {describe(image.shape)}; expected a square whose side is a power of two")
    if channels == 4 and format.encoding == "jpeg":
        raise ValueError(f"{name} has 4 channels, which JPEG cannot hold; choose another encoding")


def describe(shape):
    """[H, W, C] in words."""
    return f"{shape[1]}x{shape[0]} with {shape[2]} channel{'s' if shape[2] > 1 else ''}"


# ---------------------------------------------------------------------------------------------------------------------
# Lower levels


def lower_levels(planes):
    """uint8 [..., R, R], rows without gaps → yields uint8 [..., R/2, R/2], ... [..., 4, 4].

    The original averages in float32. Up to 8 levels that is exact, and sums of integers give the same in a fraction of
    the time; beyond, the original's rounding is reproduced.
    """
    sums, shift = planes, 0  # a mean is sums / 2**shift
    while planes.shape[-1] >> shift // 2 > 4:
        if shift < EXACT_SHIFT:
            sums = _sums_of_cells(sums)
        else:
            sums = _means_of_cells(sums if shift > EXACT_SHIFT else np.ldexp(sums.astype(np.float32), -shift))
        shift += 2
        yield _round(sums, shift) if shift <= EXACT_SHIFT else np.rint(sums).astype(np.uint8)


def level_of(planes, level):
    """uint8 [..., R, R] → uint8 [..., R >> level, R >> level]"""
    for _, smaller in zip(range(level), lower_levels(planes), strict=False):
        planes = smaller
    return planes


def _sums_of_cells(sums):
    """Sums over 2x2 cells, in wider integers."""
    if sums.dtype == np.uint32:
        sums = sums[..., 0::2] + sums[..., 1::2]
    else:  # neighbours in a row as the halves of one wider integer: whole rows are added at once
        wide, bits = (np.uint16, 8) if sums.dtype == np.uint8 else (np.uint32, 16)
        pairs = sums.view(wide)
        sums = pairs >> bits
        sums += pairs & wide(2**bits - 1)
    return sums[..., 0::2, :] + sums[..., 1::2, :]


def _means_of_cells(means):
    *rest, height, width = means.shape
    return means.reshape(*rest, height // 2, 2, width // 2, 2).mean(axis=(-3, -1), dtype=np.float32)


def _round(sums, shift):
    """sums / 2**shift, halves to even: uint8."""
    kind = sums.dtype.type
    rounded = sums >> kind(shift)
    rounded &= kind(1)
    rounded += kind(2 ** (shift - 1) - 1)
    rounded += sums
    rounded >>= kind(shift)
    return rounded.astype(np.uint8)


# ---------------------------------------------------------------------------------------------------------------------
# Compression


def _encode_level(planes, format):
    """uint8 [C, H, W] to one record."""
    data = planes.reshape(-1) if format.encoding == "raw" else _compress(planes, format)
    return encode(planes.shape, data, format.encoding)


def _compress(planes, format):
    """uint8 [C, H, W] to the bytes of a picture."""
    channels = len(planes)
    pixels = np.ascontiguousarray(planes.transpose(1, 2, 0))
    picture = Image.fromarray(pixels[..., 0] if channels == 1 else pixels, CHANNELS[channels])
    file = io.BytesIO()
    if format.encoding == "jpeg":
        options = {"quality": format.quality or 95, "subsampling": 0}
    else:
        options = SAVE[format.encoding] if format.quality is None else {"quality": format.quality}
    picture.save(file, format.encoding, **options)
    return file.getvalue()


def decompress(data, shape, encoding):
    """Bytes of a picture to uint8 [H, W, C].

    Raises:
        RecordError: They are damaged, or not a picture of `shape` [C, H, W].
    """
    channels, height, width = shape
    try:
        with Image.open(io.BytesIO(data), formats=[encoding]) as picture:
            if picture.size != (width, height):  # before decoding: nobody's record fills the memory
                raise RecordError(f"a picture of {picture.width}x{picture.height} in a record of {width}x{height}")
            pixels = np.asarray(picture.convert(CHANNELS.get(channels)))
    except RecordError:
        raise
    except UNREADABLE as error:
        raise RecordError(f"no readable {encoding} picture ({error})") from error
    return pixels.reshape(height, width, channels)
