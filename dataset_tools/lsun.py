"""LSUN: one category of scenes or objects, pictures of many sizes in an LMDB database, as its authors publish it."""

from pathlib import Path

import numpy as np
from PIL import Image

from dataset_tools.decoding import decode_image
from dataset_tools.errors import Unsuitable, printable
from dataset_tools.lmdb_entries import LmdbEntries
from dataset_tools.published import stamp_of

LANCZOS = Image.Resampling.LANCZOS


def lsun(lmdb_dir, resolution=256):
    """The middle of each picture, the whole of its shorter side: uint8 [R, R, 3], in the order of the keys.

    The original decodes with OpenCV and falls back on Pillow; here Pillow decodes everything.

    Args:
        lmdb_dir: Folder with data.mdb.
        resolution: R, in pixels, a power of two.

    Raises:
        DatasetError: There is no database, or it is damaged.
        ValueError: An option is out of range, or the package lmdb is not installed.
    """
    _check_width("--resolution", resolution)
    return LsunSource(lmdb_dir, lambda image, name: crop_square(image, resolution), (resolution, resolution))


def lsun_wide(lmdb_dir, width=512, height=384):
    """Wide pictures in the middle of black squares: uint8 [width, width, 3], in the order of the keys.

    Args:
        lmdb_dir: Folder with data.mdb.
        width: Of the square and the picture in it, in pixels, a power of two.
        height: Of the picture, in pixels, at most the width.

    Raises:
        DatasetError: There is no database, or it is damaged.
        ValueError: An option is out of range, or the package lmdb is not installed.
    """
    _check_width("--width", width)
    if not 1 <= height <= width:
        raise ValueError(f"--height must be from 1 to the width, {width}, not {height}")
    return LsunSource(lmdb_dir, lambda image, name: crop_wide(image, name, width, height), (width, height))


def crop_square(image, resolution):
    """The largest square in the middle of a Pillow image, R x R.

    It is cut out and then resized, as in the original, so that pixels beyond its edges have no influence.
    """
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side)).resize((resolution, resolution), LANCZOS)


def crop_wide(image, name, width, height):
    """The middle rows of a Pillow image, `width` x `height`, on a black square.

    As in the original, the number of rows is the height that the picture would have at the wanted width, but they are
    taken at the picture's own width: one wider than wanted is squeezed from the sides (trap 51).

    Raises:
        Unsuitable: It is narrower than `width`, or would be lower than `height` at that width.
    """
    rows = int(np.round(width * image.height / image.width))
    if image.width < width or rows < height:
        raise Unsuitable(
            f"{name} is too narrow or too low for {width}x{height}; it has {image.width}x{image.height} pixels"
        )
    top, bottom = (image.height - rows) // 2, (image.height + rows) // 2
    scene = image.crop((0, top, image.width, bottom)).resize((width, height), LANCZOS)
    square = Image.new("RGB", (width, width))
    square.paste(scene, (0, (width - height) // 2))
    return square


class LsunSource:
    """The pictures of a database, decoded and fitted when asked for.

    Args:
        lmdb_dir: Folder with data.mdb.
        fit: (RGB image, name) → square image.
        size: (width, height) in pixels below which a picture has to be enlarged.

    Attributes:
        names: The keys, a sequence that is not held in memory.
        labels: float32 [pictures, 0].
        label_names: [].
        stamp: Identity of the database.
    """

    def __init__(self, lmdb_dir, fit, size):
        self.directory, self.fit, self.size = Path(lmdb_dir), fit, size
        self.entries = LmdbEntries(self.directory)
        self.names = self.entries.names
        self.labels = np.zeros([len(self), 0], np.float32)
        self.label_names = []
        self.stamp = stamp_of([self.directory / "data.mdb"])
        self._enlarged = np.zeros(len(self), bool)

    def __len__(self):
        return len(self.entries)

    def __getitem__(self, index):
        """uint8 [R, R, 3].

        Raises:
            DatasetError: The entry is no picture, or is damaged.
            Unsuitable: The picture is too small for `create_lsun_wide`.
        """
        key, data = self.entries[index]
        name = f"{printable(self.directory)}: {key}"
        image = decode_image(data, name)[0].convert("RGB")
        square = np.asarray(self.fit(image, name))
        if image.width < self.size[0] or image.height < self.size[1]:
            self._enlarged[index] = True
        return square

    def notes(self):
        width, height = self.size
        count = self._enlarged.sum()
        return [f"{count} pictures were smaller than {width}x{height} pixels and were enlarged"] if count else []


def _check_width(option, width):
    if not 8 <= width <= 1024 or width & (width - 1):
        raise ValueError(f"{option} must be a power of two from 8 to 1024, not {width}")
