"""Pictures: from the networks' floats to 8 bits, into grids, onto the disk. NumPy and Pillow only.

Images are NHWC, or HWC for one; a network's values lie mostly, but not always, in [-1, 1]. There are two
roundings, as in 2019: metrics and figures use `to_uint8`, image grids of a training run `round_to_uint8`.
"""

import io
import os

import numpy as np
import PIL.Image

from stylegan_tf.arrays import atomic_file

COMPRESSION = 3  # of PNG files, from 1 to 9: an eighth larger than with 6, the usual, in two fifths of the time


def to_uint8(images, drange: tuple[float, float] = (-1, 1), shrink: int = 1) -> np.ndarray:
    """Maps `drange` to 8 bits, for [-1, 1] by floor(127.5 x + 128), saturating; NaN becomes 0.

    Args:
        images: Floats of any shape; [..., H, W, C] if they are to shrink.
        drange: The values that become 0 and 255.
        shrink: Width of the square cells of pixels that are averaged first.

    Returns:
        uint8 array of the same shape, H and W divided by `shrink`.
    """
    images = np.asarray(images, np.float32)
    if shrink > 1:
        *rest, height, width, channels = images.shape
        cells = images.reshape(*rest, height // shrink, shrink, width // shrink, shrink, channels)
        images = cells.mean(axis=(-4, -2), dtype=np.float32)
    low, high = np.float32(drange)
    scale = np.float32(255) / (high - low)
    images = np.floor(images * scale + (np.float32(0.5) - low * scale))
    return np.nan_to_num(np.clip(images, 0, 255), nan=0).astype(np.uint8)


def round_to_uint8(images, drange: tuple[float, float] = (-1, 1)) -> np.ndarray:
    """Maps `drange` linearly to [0, 255] and rounds to the nearest integer, halves to even; NaN becomes 0.

    Args:
        images: Numbers of any shape.
        drange: The values that become 0 and 255; what lies outside saturates.

    Returns:
        uint8 array of the same shape.
    """
    images = np.rint(adjust_dynamic_range(images, drange, (0, 255)))
    return np.nan_to_num(np.clip(images, 0, 255), nan=0).astype(np.uint8)


def adjust_dynamic_range(images, drange_in: tuple[float, float], drange_out: tuple[float, float]) -> np.ndarray:
    """Maps one range of values linearly to another: float32 of the same shape."""
    (low_in, high_in), (low_out, high_out) = np.float32(drange_in), np.float32(drange_out)
    scale = (high_out - low_out) / (high_in - low_in)
    return np.asarray(images, np.float32) * scale + (low_out - low_in * scale)


def image_grid(images, columns: int | None = None, fill: float = 0) -> np.ndarray:
    """Arranges images row by row.

    Args:
        images: [N, H, W, C], N > 0.
        columns: Images in a row; None makes the grid as square as it can be, wider rather than higher.
        fill: Value of the cells that remain empty in the last row.

    Returns:
        [rows * H, columns * W, C], of the dtype of `images`.

    Raises:
        ValueError: There is no image, or `columns` is no positive number.
    """
    images = np.asarray(images)
    if images.ndim != 4 or not len(images):
        raise ValueError(f"a grid needs images [N, H, W, C] with N > 0, got shape {list(images.shape)}")
    count, height, width, channels = images.shape
    if columns is None:
        columns = int(np.ceil(np.sqrt(count)))
    if columns < 1:
        raise ValueError(f"columns must be positive, got {columns}")
    rows = -(-count // columns)
    cells = np.full([rows * columns, height, width, channels], fill, images.dtype)
    cells[:count] = images
    cells = cells.reshape(rows, columns, height, width, channels).swapaxes(1, 2)  # [rows, H, columns, W, C]
    return cells.reshape(rows * height, columns * width, channels)


def enlarge(images, factor: int) -> np.ndarray:
    """Repeats every pixel `factor` times in both directions; images [..., H, W, C]."""
    return np.asarray(images).repeat(factor, axis=-3).repeat(factor, axis=-2)


def viewing_factor(size: int) -> int:
    """Integer factor that brings pictures of `size` pixels to at least 96, large enough to look at."""
    return max(1, -(-96 // size))


def save_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes a PNG file, atomically.

    Args:
        path: File name; its directory exists.
        image: uint8 [H, W] or [H, W, C] with C = 1 (gray), 3 (RGB) or 4 (RGBA).

    Raises:
        ValueError: The image has another dtype or shape.
        OSError: The file cannot be written.
    """
    image = np.asarray(image)
    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[-1] in (3, 4))):
        raise ValueError(
            f"{path}: a PNG needs uint8 [H, W] or [H, W, 1, 3 or 4], got {image.dtype} {list(image.shape)}"
        )
    with atomic_file(path) as temporary:
        PIL.Image.fromarray(image).save(temporary, format="png", compress_level=COMPRESSION)


def preview(image, longest: int) -> tuple[bytes, tuple[int, int]]:
    """Encodes a small copy of a picture as JPEG, to be looked at and not to be computed with.

    Args:
        image: Name of an image file, or uint8 [H, W, C] with C = 1, 3 or 4; transparency is left out.
        longest: Longest side in pixels; a smaller picture keeps its size.

    Returns:
        The bytes of the file, and its (width, height).

    Raises:
        OSError: The image file cannot be read.
    """
    if isinstance(image, np.ndarray):
        image = PIL.Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    else:
        image = PIL.Image.open(image)
    with image:
        small = image.convert("RGB")
    small.thumbnail((longest, longest), PIL.Image.Resampling.BOX)
    encoded = io.BytesIO()
    small.save(encoded, "jpeg", quality=85)
    return encoded.getvalue(), small.size
