"""What the judges look at: the middle of a picture, and pictures no larger than their networks were made for."""

import numpy as np

NETWORK_SIZE = 256  # pixels; VGG16 was made for 224, the attribute classifiers for 256


def crop_face(images):
    """The face of an aligned portrait: rows 3/8 to 7/8, columns 2/8 to 6/8.

    The original cuts this window from every data set, faces or not (trap 58).

    Args:
        images: [N, H, W, C], H = W ≥ 8.

    Returns:
        [N, 4c, 4c, C], c = H div 8.

    Raises:
        ValueError: The images are not square, or smaller than 8 pixels.
    """
    images = _checked(images)
    unit = images.shape[1] // 8
    if not unit or images.shape[1] != images.shape[2]:
        raise ValueError(f"images {list(images.shape)} have no face window: they must be square, of 8 or more pixels")
    return images[:, 3 * unit : 7 * unit, 2 * unit : 6 * unit]


def shrink(images, size=NETWORK_SIZE):
    """Box average of images larger than `size`, by the factor H div `size`; others stay as they are.

    Args:
        images: [N, H, W, C], floats.
        size: Largest height that is left alone, in pixels.

    Returns:
        [N, H / factor, W / factor, C].

    Raises:
        ValueError: The factor does not divide height and width.
    """
    images = _checked(images)
    n, height, width, channels = images.shape
    if height <= size:
        return images
    factor = height // size
    if height % factor or width % factor:
        raise ValueError(f"images {list(images.shape)} cannot be averaged {factor} by {factor}: use a power of two")
    boxes = images.reshape(n, height // factor, factor, width // factor, factor, channels)
    return boxes.mean(axis=(2, 4))


def _checked(images):
    images = np.asarray(images)
    if images.ndim != 4:
        raise ValueError(f"images have shape {list(images.shape)}: give [N, H, W, C]")
    return images
