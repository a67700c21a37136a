"""Pictures of any size become squares of one size; nothing is random but what a seed and an index decide."""

import hashlib
from dataclasses import dataclass

from PIL import Image

from dataset_tools.decoding import pixels_of

FILTERS = {
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
}


@dataclass(frozen=True)
class Transform:
    """What happens to every picture.

    Args:
        resolution: Width and height of the result, R, in pixels; for "center-crop-wide" also (R, height) of the picture
            between the black bars, 3/4 R by default.
        name: A key of `TRANSFORMS`.
        resize_filter: A key of `FILTERS`. All of them average over what they shrink.
        seed: Of "random-crop".

    Raises:
        ValueError: There is no such transform or filter, or the size does not go with it.
    """

    resolution: int | tuple[int, int]
    name: str = "center-crop"
    resize_filter: str = "lanczos"
    seed: int = 123

    def __post_init__(self):
        if self.name not in TRANSFORMS:
            raise ValueError(f"--transform must be one of {', '.join(TRANSFORMS)}, not {self.name!r}")
        if self.resize_filter not in FILTERS:
            raise ValueError(f"--resize-filter must be one of {', '.join(FILTERS)}, not {self.resize_filter!r}")
        width, height = self.size
        if not isinstance(width, int) or not 8 <= width <= 1024 or width & (width - 1):
            raise ValueError(f"--resolution must be a power of two from 8 to 1024, not {width}")
        if self.name != "center-crop-wide" and height != width:
            raise ValueError(
                f"--resolution {width}x{height} goes only with --transform center-crop-wide; give a number"
            )
        if not isinstance(height, int) or not 1 <= height <= width:
            raise ValueError(f"--resolution {width}x{height} is higher than wide, or has no height; give WIDTHxHEIGHT")

    @property
    def size(self):
        """(width, height) in pixels of what is seen of a picture at most."""
        if isinstance(self.resolution, tuple):
            return self.resolution
        return self.resolution, self.resolution * 3 // 4 if self.name == "center-crop-wide" else self.resolution

    def __call__(self, image, index=0):
        """Pillow image of mode L, RGB or RGBA → the same mode, R x R. `index`: which picture it is."""
        return TRANSFORMS[self.name](image, self, index)

    def enlarges(self, image):
        """Whether a picture has too few pixels for its size in the result."""
        width, height = self.size
        if self.name == "stretch":
            return image.width < width or image.height < height
        scales = image.width / width, image.height / height
        return (max(scales) if self.name == "letterbox" else min(scales)) < 1


def center_crop(image, transform, index):
    """The largest square in the middle (the original's create_lsun, section 15 of the reference)."""
    side = min(image.size)
    return _scaled(image, transform, ((image.width - side) // 2, (image.height - side) // 2, side, side))


def center_crop_wide(image, transform, index):
    """The largest box of the wanted shape in the middle, between black bars above and below.

    The original's create_lsun_wide takes fewer rows at the full width and so squeezes large pictures (trap 51); here
    circles stay round.
    """
    width, height = transform.size
    box_width = min(image.width, max(1, round(image.height * width / height)))
    box_height = min(image.height, max(1, round(image.width * height / width)))
    corner = (image.width - box_width) // 2, (image.height - box_height) // 2
    return _on_black(_scaled(image, transform, (*corner, box_width, box_height)), width)


def letterbox(image, transform, index):
    """The whole picture between bars: black, or transparent where there is a fourth channel."""
    side, _ = transform.size
    scale = side / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return _on_black(_scaled(image, transform, (0, 0, *image.size), size), side)


def stretch(image, transform, index):
    """The whole picture, whatever becomes of its proportions."""
    return _scaled(image, transform, (0, 0, *image.size))


def random_crop(image, transform, index):
    """A square of the shorter side, anywhere along the longer one: a function of seed and index only."""
    side = min(image.size)
    digest = hashlib.sha256(f"{transform.seed} {index}".encode()).digest()
    places = max(image.size) - side + 1
    offset = int.from_bytes(digest[:8]) * places >> 64
    corner = (offset, 0) if image.width > image.height else (0, offset)
    return _scaled(image, transform, (*corner, side, side))


TRANSFORMS = {
    "center-crop": center_crop,
    "center-crop-wide": center_crop_wide,
    "letterbox": letterbox,
    "stretch": stretch,
    "random-crop": random_crop,
}


def transform_picture(pixels, transform, index=0):
    """uint8 [H, W, C] with C 1, 3 or 4 → uint8 [R, R, C]."""
    image = Image.fromarray(pixels if pixels.shape[2] > 1 else pixels[:, :, 0])
    return pixels_of(transform(image, index))


def _scaled(image, transform, box, size=None):
    """A part of a picture, (left, top, width, height), brought to (width, height)."""
    left, top, width, height = box
    if (width, height) != image.size:  # resize() can crop, too, but its filters then look beyond the edges
        image = image.crop((left, top, left + width, top + height))
    size = size or transform.size
    return image if image.size == size else image.resize(size, FILTERS[transform.resize_filter])


def _on_black(image, side):
    """In the middle of a square; 0 everywhere else."""
    if image.size == (side, side):
        return image
    canvas = Image.new(image.mode, (side, side))
    canvas.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return canvas
