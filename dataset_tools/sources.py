"""Pictures on their way into a data set: from a folder or an archive, made alike, with labels."""

import contextlib
import hashlib
import json
import os
from dataclasses import asdict

import numpy as np
from PIL import Image, ImageColor

from dataset_tools.containers import open_container
from dataset_tools.decoding import CHANNELS, decode_image, is_colour, pixels_of
from dataset_tools.errors import DatasetError, Unsuitable, printable
from dataset_tools.labels import Labels, read_labels
from dataset_tools.transforms import Transform

__all__ = ["DatasetError", "PictureSource", "Unsuitable"]

MODES = {channels: mode for mode, channels in CHANNELS.items()}
LOOKED_AT = 100  # pictures, if the first one is gray and those unlike it would be left out
COLOURS = {"L": "grayscale", "RGB": "RGB", "RGBA": "RGB with transparency"}


class PictureSource:
    """A sequence of pictures of one shape; any item from any thread, the same pixels every time.

    Args:
        path: Folder (all below it is read), zip or tar archive, see `open_container`; or what is like a `Container`.
        resolution: Width of the result in pixels, R; or (R, height) for "center-crop-wide". None: pictures are taken
            as they are, all squares of one size, a power of two.
        transform: How a picture becomes R x R, a key of `transforms.TRANSFORMS`.
        resize_filter: A key of `transforms.FILTERS`.
        background: Colour onto which transparent pictures are put, as "white" or "#ff8800"; "keep": a fourth channel.
        channels: 1, 3, 4, or "auto": as the first picture, but 3 if that is gray, one of the first 100 is not, and
            `on_error` is "skip", which would leave out all that have colours. 4 keeps transparency, whatever
            `background`.
        labels: "folders", or a .json or .csv file, see `read_labels`; or `Labels`; None for none.
        mirror: Every picture a second time, left and right exchanged, after all others.
        seed: Of the transform "random-crop".
        on_error: "fail": every picture must have a label, and every label a picture. "skip": a picture without a label
            raises when it is read, and the first picture that can be read is the one that decides.

    Attributes:
        names: Name of each picture, its path inside.
        labels: float32 [n, k], k = 0 without labels.
        label_names: k names, or [].
        shape: (R, R, C) of every picture.

    Raises:
        DatasetError: The folder, archive, labels, or the first picture is not usable.
        ValueError: An option has no such value.
    """

    def __init__(
        self,
        path,
        resolution=None,
        transform="center-crop",
        resize_filter="lanczos",
        background="white",
        channels="auto",
        labels=None,
        mirror=False,
        seed=123,
        on_error="fail",
    ):
        if channels not in ("auto", *MODES):
            raise ValueError(f"--channels must be auto, 1, 3 or 4, not {channels!r}")
        if on_error not in ("fail", "skip"):
            raise ValueError(f"--on-error must be fail or skip, not {on_error!r}")
        if channels in (1, 3) and background == "keep":
            raise ValueError(f"--background keep makes a fourth channel, --channels {channels} forbids it; choose one")
        if resolution is None and (transform, resize_filter) != ("center-crop", "lanczos"):
            raise ValueError("--transform and --resize-filter need --resolution, for instance --resolution 256")
        self.background = "keep" if channels == 4 else background_colour(background)
        self.transform = None if resolution is None else Transform(resolution, transform, resize_filter, seed)
        self.container = open_container(path) if isinstance(path, str | os.PathLike) else path
        found = self._read_labels(labels, on_error)
        self._unlabelled = frozenset(found.missing)
        self._surplus = found.surplus
        self.mirror = bool(mirror)
        copies = 1 + self.mirror
        self.labels, self.label_names = np.tile(found.rows, (copies, 1)), found.names
        shown = [printable(name) for name in self.container.names]
        self.names = shown + [f"{name} (mirrored)" for name in shown] * self.mirror
        self._changes = {}  # what was changed: bool [pictures], which
        self.shape = self._decide_by_first(channels, on_error)

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        """Picture uint8 [R, R, C].

        Raises:
            DatasetError: It cannot be read, has no label, or cannot be made like the first.
        """
        if not 0 <= index < len(self.names):
            raise IndexError(index)
        second, picture = divmod(index, len(self.container))
        if picture in self._unlabelled:
            raise DatasetError(f"{self._full_name(picture)} has no label; give it one, or remove the picture")
        image = self._with_channels(self._decode(picture), picture)
        if self.transform:
            if self.transform.enlarges(image):
                self._note("smaller than --resolution, scaled up", picture)
            image = self.transform(image, picture)
        elif image.size != self.shape[:2]:
            raise DatasetError(
                f"{self._full_name(picture)} is {_pixels(image)}, the first picture, {self._first}, is "
                f"{self.shape[1]}x{self.shape[0]}; make all alike with {_advice(image)}"
            )
        return pixels_of(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if second else image)

    @property
    def stamp(self):
        """Identity of the input: changes with the files, the options, or the labels."""
        options = [self.transform and asdict(self.transform), self.background, self.shape, self.mirror]
        digest = hashlib.sha256(json.dumps([self.container.stamp, options, self.label_names]).encode())
        digest.update(self.labels)
        return digest.hexdigest()

    def notes(self):
        """What was changed or left out so far, as lines for the end of a report."""
        count = len(self.container)
        changes = sorted(self._changes.items())
        lines = [f"{changed.sum():,} of {count:,} pictures: {change}" for change, changed in changes]
        if self._surplus:
            lines.append(f"labels of no picture, left out: {len(self._surplus):,}, as {printable(self._surplus[0])}")
        return self.container.notes() + lines

    def _read_labels(self, what, on_error):
        names = self.container.names
        if what is None:
            return Labels(np.zeros([len(names), 0], np.float32), [])
        if isinstance(what, Labels):
            return what
        found = read_labels(what, names, self.container)
        remedy = "mend it, or leave them out with --on-error skip"
        if found.missing and on_error == "fail":
            example, count = self._full_name(found.missing[0]), f"{len(found.missing):,} such pictures"
            raise DatasetError(f"{example} has no label in {what} ({count}); {remedy}")
        if found.surplus and on_error == "fail":
            example, count = printable(found.surplus[0]), f"{len(found.surplus):,} such labels"
            raise DatasetError(f"{what} has a label for {example}, which is not among the pictures ({count}); {remedy}")
        return found

    def _decide_by_first(self, channels, on_error):
        """Number of channels and `shape`, from the first picture that can be read."""
        for picture in range(len(self.container)):
            try:
                image = self._decode(picture)
                break
            except DatasetError as error:
                if on_error == "fail":
                    raise
                last = error
        else:
            raise DatasetError(f"{printable(self.container.path)}: no picture can be used; the last one: {last}")
        self._first = self.names[picture]
        self._explicit = channels != "auto"
        if not self._explicit:
            gray = image.mode == "L" and not (on_error == "skip" and self._has_colours(picture + 1))
            channels = 1 if gray else max(3, CHANNELS[image.mode])
        if self.transform:
            side, _ = self.transform.size
        else:
            side = image.width
            if image.width != image.height or not 8 <= side <= 1024 or side & (side - 1):
                raise DatasetError(
                    f"{self._full_name(picture)} is {_pixels(image)}, no square of 8, 16, 32, 64, 128, 256, 512 or "
                    f"1024; make all pictures one with {_advice(image)}"
                )
        return side, side, channels

    def _has_colours(self, start):
        """Whether there are colours among the first pictures, from number `start` on."""
        for picture in range(start, min(len(self.container), LOOKED_AT)):
            with contextlib.suppress(DatasetError):  # told when it is read again
                if is_colour(self.container.read(picture), self._full_name(picture)):
                    return True
        return False

    def _decode(self, picture):
        """Pillow image of mode L, RGB or RGBA."""
        image, changes = decode_image(self.container.read(picture), self._full_name(picture), self.background)
        for change in changes:
            self._note(change, picture)
        return image

    def _with_channels(self, image, picture):
        """Converts to gray, RGB or RGBA; on "auto" only what loses nothing."""
        mode = MODES[self.shape[2]]
        if image.mode == mode:
            return image
        if CHANNELS[image.mode] > self.shape[2] and not self._explicit:
            raise DatasetError(
                f"{self._full_name(picture)} is {COLOURS[image.mode]}, the first picture, {self._first}, is "
                f"{COLOURS[mode]}; make all alike with --channels {CHANNELS[image.mode]}"
            )
        self._note(f"{COLOURS[image.mode]}, made {COLOURS[mode]}", picture)
        return image.convert(mode)

    def _note(self, change, picture):
        if change not in self._changes:
            self._changes.setdefault(change, np.zeros(len(self.container), bool))  # one thread wins
        self._changes[change][picture] = True

    def _full_name(self, picture):
        return self.container.full_name(self.container.names[picture])


def background_colour(text):
    """A colour by name or as "#ff8800" → (red, green, blue); that and "keep" stay.

    Raises:
        ValueError: There is no such colour.
    """
    if text == "keep" or isinstance(text, tuple):
        return text
    try:
        return ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise ValueError(f'--background {text!r} is no colour; give a name, "#rrggbb", or keep') from error


def _pixels(image):
    return f"{image.width}x{image.height} pixels"


def _advice(image):
    """The option that makes pictures alike, for instance this one."""
    side = 8
    while side < 1024 and 2 * side <= min(image.size):
        side *= 2
    return f"--resolution {side}"
