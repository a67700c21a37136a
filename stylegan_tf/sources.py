"""Pictures on their way into a data set: read strictly, so that nothing is silently cropped, blended or converted."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {1: "grayscale", 3: "RGB"}


class DatasetError(ValueError):
    """A picture or folder that no data set can be made of; the message names it, what was found and the remedy."""


class ImageFolder:
    """The pictures of one folder, sorted by name. The first decides size and channels for all.

    Args:
        image_dir: Folder that holds pictures and nothing else; hidden files are ignored.

    Attributes:
        names: File names.
        labels: float32 [n, 0], a folder has none.
        label_names: [].
        shape: [H, W, C] of every picture.

    Raises:
        DatasetError: The folder or its first picture is not usable.
    """

    def __init__(self, image_dir):
        self.paths = image_paths(image_dir)
        self.names = [path.name for path in self.paths]
        self.labels = np.zeros([len(self.paths), 0], np.float32)
        self.label_names = []
        self.shape = read_image(self.paths[0]).shape
        height, width, _ = self.shape
        if height != width:
            raise DatasetError(f"{self.paths[0]} is {width}x{height} pixels, not square; crop all pictures to a square")
        if not 8 <= height <= 1024 or height & (height - 1):
            raise DatasetError(
                f"{self.paths[0]} is {width}x{height} pixels; scale all pictures to a power of two: "
                "8, 16, 32, 64, 128, 256, 512 or 1024"
            )

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        """Picture uint8 [H, W, C].

        Raises:
            DatasetError: It cannot be read, or is unlike the first.
        """
        image = read_image(self.paths[index])
        if image.shape != self.shape:
            raise DatasetError(
                f"{self.paths[index]} is {_describe(image.shape)}, but the first picture, {self.names[0]}, is "
                f"{_describe(self.shape)}; make all alike, or move it out of the folder"
            )
        return image


def image_paths(image_dir):
    """Files of a folder, sorted; each is a picture by its suffix or its contents.

    Raises:
        DatasetError: The folder is missing or empty, or something else is in it.
    """
    directory = Path(image_dir)
    try:
        paths = sorted(Path(entry) for entry in os.scandir(directory) if not entry.name.startswith("."))
    except OSError as error:
        raise DatasetError(f"{directory}: {error.strerror}; IMAGE_DIR must be a folder of pictures") from error
    if not paths:
        raise DatasetError(f"{directory} holds no pictures; put PNG or JPEG files directly into it")
    known = Image.registered_extensions()
    for path in paths:
        if path.is_dir():
            raise DatasetError(
                f"{path} is a folder; nested folders are not read, only the files directly in {directory}. "
                "Move it elsewhere, or its pictures one up"
            )
        if path.suffix.lower() not in known:
            read_image(path)  # now, not after an hour of writing
    return paths


def read_image(path):
    """One picture as it is, uint8 [H, W, C] with C = 1 or 3.

    Only what loses nothing is converted: a palette to RGB, black and white to grayscale.

    Raises:
        DatasetError: It is no picture, damaged, too large, or has transparency, more than 8 bits or other colours.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}; check the file and its permissions") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                image.verify()  # checksums, which decoding skips
            with Image.open(io.BytesIO(data)) as image:
                _refuse_what_would_be_lost(path, image)
                image.load()
                if image.mode in ("P", "1"):
                    image = image.convert("RGB" if image.mode == "P" else "L")
                pixels = np.array(image)
    except DatasetError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DatasetError(
            f"{path} claims to have more than {Image.MAX_IMAGE_PIXELS} pixels; remove it or scale it down"
        ) from error
    except Image.UnidentifiedImageError as error:
        raise DatasetError(
            f"{path} is no picture in a format known here, or is damaged; remove it from the folder or replace it"
        ) from error
    except Exception as error:  # damaged files make the decoders raise almost anything
        raise DatasetError(f"{path} is damaged ({error}); remove it from the folder or replace it") from error
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]


def _refuse_what_would_be_lost(path, image):
    """Raise for transparency, more than 8 bits a channel, and colours other than RGB or gray."""
    if image.has_transparency_data:
        raise DatasetError(
            f"{path} has transparency ({image.mode}); put all pictures on a background, for instance with "
            "magick IN.png -background white -alpha remove -alpha off OUT.png"
        )
    deep = image.mode.startswith(("I", "F")) or any(";16" in str(tile[3]) for tile in image.tile)
    if deep:
        raise DatasetError(
            f"{path} has more than 8 bits a channel ({image.mode}); convert all pictures, for instance with "
            "magick IN.png -depth 8 OUT.png"
        )
    if image.mode not in ("RGB", "L", "P", "1"):
        raise DatasetError(
            f"{path} has {image.mode} colours; convert all pictures to RGB or grayscale, for instance with "
            "magick IN.jpg -colorspace sRGB OUT.png"
        )


def _describe(shape):
    return f"{shape[1]}x{shape[0]} {COLOURS[shape[2]]}"
