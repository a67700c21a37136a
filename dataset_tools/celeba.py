"""CelebA: 202599 aligned faces of 178x218 pixels, cropped to 128x128."""

from pathlib import Path, PurePosixPath

import numpy as np

from dataset_tools.containers import open_container
from dataset_tools.decoding import decode_image, pixels_of
from dataset_tools.errors import DatasetError, printable
from dataset_tools.published import count_notes, stamp_of

WIDTH, HEIGHT = 178, 218  # pixels, as published
HALF = 64  # half of the crop's side, in pixels
PUBLISHED = 202599
ATTRIBUTES = 40
PNG, JPEG = "img_align_celeba_png", "img_align_celeba"
REMEDY = "get the aligned and cropped pictures from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"


def celeba(celeba_dir, cx=89, cy=121, attributes=None):
    """The faces, uint8 [128, 128, 3], cut out around a point; see `CelebaSource`.

    The original reads the PNG files and wants exactly 202599 of them; so does this. The JPEG files, which are what is
    published now, give slightly other pixels; another number of them is noted.

    Args:
        celeba_dir: Folder that holds img_align_celeba_png, img_align_celeba or img_align_celeba.zip, in that order.
        cx: Column of the middle, in pixels.
        cy: Row of the middle, in pixels.
        attributes: Path of list_attr_celeba.txt; None for no labels, as in the original.

    Raises:
        DatasetError: There are no pictures, or not as many as there should be, or the attributes do not go with them.
        ValueError: The crop does not lie within the pictures.
    """
    for option, middle, length in (("--cx", cx, WIDTH), ("--cy", cy, HEIGHT)):
        if not HALF <= middle <= length - HALF:
            raise ValueError(f"{option} must be from {HALF} to {length - HALF}, not {middle}")
    for name in (PNG, JPEG, f"{JPEG}.zip"):
        path = Path(celeba_dir) / name
        if path.exists():
            return CelebaSource(path, cx, cy, attributes)
    raise DatasetError(f"{printable(celeba_dir)} holds neither {PNG} nor {JPEG}; {REMEDY}")


class CelebaSource:
    """Pictures of a folder or archive, sorted by name and cropped when asked for.

    Attributes:
        names: As "000001.png".
        labels: float32 [pictures, 40], 1 for an attribute that the face has, else 0; [pictures, 0] without attributes.
        label_names: As "Wavy_Hair".
        stamp: Identity of the input.
    """

    def __init__(self, path, cx, cy, attributes):
        self._container = open_container(path)
        self.names = self._container.names
        if path.name == PNG and len(self.names) != PUBLISHED:
            raise DatasetError(
                f"{printable(path)}: Expected to find {PUBLISHED} images, found {len(self.names)}; {REMEDY}"
            )
        self._corners = (cx - HALF, cy - HALF, cx + HALF, cy + HALF)
        self.label_names, self.labels = [], np.zeros([len(self.names), 0], np.float32)
        self.stamp = self._container.stamp
        if attributes is not None:
            self.label_names, self.labels = read_attributes(attributes, self.names)
            self.stamp += stamp_of([attributes])

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        """uint8 [128, 128, 3].

        Raises:
            DatasetError: The picture is damaged, or not one of CelebA's.
        """
        name = self._container.full_name(self.names[index])
        image, _ = decode_image(self._container.read(index), name)
        if image.size != (WIDTH, HEIGHT) or image.mode != "RGB":
            raise DatasetError(
                f"{name} is {image.width}x{image.height} {image.mode}, not {WIDTH}x{HEIGHT} RGB as CelebA's aligned "
                "pictures are; remove it or replace it"
            )
        return pixels_of(image.crop(self._corners))

    def notes(self):
        return [*count_notes(len(self.names), PUBLISHED, "CelebA"), *self._container.notes()]


def read_attributes(path, names):
    """Names and values of the 40 attributes, from list_attr_celeba.txt.

    Its first line is a number of pictures, its second the names; then a line each of a file name and 1 or -1.

    Args:
        path: The file.
        names: Pictures; they count without folder and suffix, since the PNG files are listed as .jpg.

    Returns:
        (40 names, float32 [len(names), 40] of 1 and 0).

    Raises:
        DatasetError: The file is not of that form, or lacks a picture.
    """
    shown = printable(path)
    try:
        lines = Path(path).read_text("ascii").splitlines()
    except OSError as error:
        raise DatasetError(f"--attributes {shown}: {error.strerror}; give CelebA's list_attr_celeba.txt") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"--attributes {shown} is no plain text; give CelebA's list_attr_celeba.txt") from error
    columns = lines[1].split() if len(lines) > 1 else []
    if len(columns) != ATTRIBUTES:
        raise DatasetError(
            f"--attributes {shown} names {len(columns)} attributes in its second line, not {ATTRIBUTES}; "
            "give CelebA's list_attr_celeba.txt"
        )
    rows = {}
    for number, line in enumerate(lines[2:], 3):
        name, *values = line.split() or [""]
        if len(values) != ATTRIBUTES or not set(values) <= {"1", "-1"}:
            raise DatasetError(f"--attributes {shown}, line {number}: not a file name and {ATTRIBUTES} times 1 or -1")
        rows[PurePosixPath(name).stem] = np.array([value == "1" for value in values])
    missing = [name for name in names if PurePosixPath(name).stem not in rows]
    if missing:
        raise DatasetError(f"--attributes {shown} says nothing about {printable(missing[0])}; get the whole list")
    return columns, np.array([rows[PurePosixPath(name).stem] for name in names], np.float32)
