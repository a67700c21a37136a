"""Looking into data sets: their facts, pictures as files again, two data sets compared, one picture after the other."""

import itertools
import json
import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from dataset_tools.progress import Progress
from dataset_tools.space import readable
from stylegan_tf.images import enlarge, image_grid, save_png, viewing_factor
from stylegan_tf.record_manifest import read_manifest
from stylegan_tf.records import load_labels, open_levels

BLOCK = 64 * 2**20  # bytes of pictures that are in memory at once
LISTED = 20  # differences that `compare` names one by one


def blocks(level, progress=None):
    """Walks through a level in order.

    Args:
        level: One of those that `open_levels` returns.
        progress: Shown the number of pictures that have been read.

    Yields:
        (index of the first, uint8 [N, H, W, C]) with N as large as `BLOCK` allows.
    """
    count = max(1, BLOCK // int(np.prod(level.shape)))
    for start in range(0, len(level), count):
        stop = min(start + count, len(level))
        yield start, level.read(np.arange(start, stop))
        if progress:
            progress.show(stop)


def info(tfrecord_dir):
    """Prints what a data set holds: pictures, levels, files, labels, and where it came from."""
    levels, facts = open_levels(tfrecord_dir), read_manifest(tfrecord_dir)
    channels, height, width = levels[0].shape
    colours = {1: "grayscale", 3: "RGB", 4: "RGBA"}[channels]
    print(f"{tfrecord_dir}: {len(levels[0]):,} {colours} pictures of {width}x{height}")
    files = sorted(Path(tfrecord_dir).iterdir())
    print(f"files     {len(files)}, {readable(sum(path.stat().st_size for path in files))}")
    print(f"encoding  {facts.get('encoding', 'raw')}, lower levels {facts.get('levels', 'stored')}")
    print(f"levels    {', '.join(str(level.resolution) for level in levels)} pixels")
    labels = load_labels(tfrecord_dir, len(levels[0]))
    print(f"labels    {labels.shape[1] or 'none'}{' components each' if labels.shape[1] else ''}")
    names = facts.get("label_names") or [f"component {index}" for index in range(labels.shape[1])]
    if np.isin(labels, (0, 1)).all():
        for name, total in zip(names, labels.sum(axis=0), strict=False):
            print(f"          {total:9,.0f}  {name}")
    if "source" in facts:
        options = {key: value for key, value in facts.get("options", {}).items() if value not in (None, False)}
        print(f"made by   {facts['source']}")
        for key, value in options.items():
            print(f"          {key}: {value}")
    if facts.get("skipped"):
        print(f"skipped   {facts['skipped']:,} pictures, see skipped.jsonl")


def extract(tfrecord_dir, output_dir):
    """Writes every picture as `img00000000.png`, ... at the full resolution.

    Labels, which the original leaves behind, go into a `dataset.json` that `create_from_images --labels` takes.

    Args:
        tfrecord_dir: Data set.
        output_dir: Folder to make; it appears when it is complete.

    Raises:
        ValueError: The folder exists already, or the data set is damaged.
    """
    level = open_levels(tfrecord_dir)[0]
    labels = load_labels(tfrecord_dir, len(level))
    output = Path(os.path.abspath(output_dir))
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(f"{output_dir} exists already; remove it or choose another folder")
    partial = output.with_name(f".{output.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of an interrupted extraction
    partial.mkdir(parents=True)
    names = [f"img{index:08d}.png" for index in range(len(level))]
    progress = Progress(len(level))
    try:
        for start, images in blocks(level, progress):
            for name, image in zip(names[start:], images, strict=False):
                Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(partial / name)
    finally:
        progress.clear()
    if labels.shape[1]:
        rows = [[name, row] for name, row in zip(names, labels.tolist(), strict=True)]
        (partial / "dataset.json").write_text(json.dumps({"labels": rows}), encoding="utf-8")
    if output.is_dir():
        output.rmdir()
    partial.rename(output)
    print(f"Complete: {output_dir}, {len(names):,} pictures{', labels in dataset.json' if labels.shape[1] else ''}")


def compare(tfrecord_dir_a, tfrecord_dir_b, ignore_labels=False):
    """Compares two data sets picture by picture, in order, and prints where they differ.

    Args:
        tfrecord_dir_a, tfrecord_dir_b: Data sets; they may be encoded differently.
        ignore_labels: Leave labels aside.

    Returns:
        Whether they are the same.
    """
    levels = [open_levels(path)[0] for path in (tfrecord_dir_a, tfrecord_dir_b)]
    if levels[0].shape != levels[1].shape:
        shapes = " and ".join(str(list(level.shape)) for level in levels)
        print(f"The pictures differ in shape: {shapes} (channels, height, width)")
        return False
    count = min(map(len, levels))
    progress = Progress(count)
    try:
        pairs = zip(blocks(levels[0], progress), blocks(levels[1]), strict=False)
        different = list(itertools.chain.from_iterable(_differences(*pair) for pair in pairs))
    finally:
        progress.clear()
    _report("images", different, count)
    same = not different
    if not ignore_labels:
        a, b = (
            load_labels(path, len(level)) for path, level in zip((tfrecord_dir_a, tfrecord_dir_b), levels, strict=True)
        )
        if a.shape[1] != b.shape[1]:
            print(f"The labels differ in size: {a.shape[1]} and {b.shape[1]} components")
            return False
        different = np.flatnonzero((a[:count] != b[:count]).any(axis=1)).tolist()
        _report("labels", different, count)
        same &= not different
    if len(levels[0]) != len(levels[1]):
        print(f"The numbers of pictures differ: {len(levels[0])} and {len(levels[1])}")
        return False
    return same


def display(tfrecord_dir, out=None):
    """Shows the pictures one by one in a window: SPACE or ENTER for the next, ESC to end.

    Args:
        tfrecord_dir: Data set.
        out: PNG file for a contact sheet instead; without a screen `NAME-sheet.png` in the current folder.
    """
    level = open_levels(tfrecord_dir)[0]
    labels = load_labels(tfrecord_dir, len(level))
    window = None if out else _open_window(Path(tfrecord_dir).name)
    if window is None:
        path = Path(out or f"{Path(tfrecord_dir).resolve().name}-sheet.png")
        save_png(path, contact_sheet(level))
        print(f"{'' if out else 'No screen here. '}Contact sheet: {path}")
        return
    for index in range(len(level)):
        (image,) = level.read([index])
        print(f"{index}: label {labels[index].tolist()}" if labels.shape[1] else f"{index}", flush=True)
        if not window.show(enlarge(image, viewing_factor(level.resolution))):
            break
    window.close()


def contact_sheet(level, width=1920, height=1080):
    """Pictures from all over a level, as many as fit: uint8 [H, W, C]."""
    factor = 1 if level.resolution >= 64 else viewing_factor(level.resolution)
    side = level.resolution * factor
    columns, rows = max(1, width // side), max(1, height // side)
    count = min(columns * rows, len(level))
    chosen = np.linspace(0, len(level) - 1, count).round().astype(int)
    return enlarge(image_grid(level.read(chosen), min(columns, count)), factor)


class _Window:
    """A Tk window that shows one picture until a key is pressed."""

    def __init__(self, tkinter, title):
        self.tkinter, self.root, self.pressed = tkinter, tkinter.Tk(), None
        self.root.title(title)
        self.picture = tkinter.Label(self.root)
        self.picture.pack()
        self.key = tkinter.StringVar(self.root)
        self.root.bind("<Key>", lambda event: self.key.set(event.keysym))
        self.root.protocol("WM_DELETE_WINDOW", lambda: self.key.set("Escape"))

    def show(self, image):
        """Returns whether the next picture is wanted."""
        header = f"P{5 if image.shape[2] == 1 else 6} {image.shape[1]} {image.shape[0]} 255 ".encode()
        visible = np.ascontiguousarray(image[..., :3])  # Tk's own format has no transparency
        self.shown = self.tkinter.PhotoImage(master=self.root, data=header + visible.tobytes(), format="PPM")
        self.picture.configure(image=self.shown)
        while True:
            self.root.wait_variable(self.key)
            if self.key.get() in ("space", "Return", "Escape"):
                return self.key.get() != "Escape"

    def close(self):
        self.root.destroy()


def _open_window(title):
    """A window, or None where there is no screen or no Tk."""
    try:
        import tkinter

        return _Window(tkinter, title)
    except ImportError:
        return None
    except tkinter.TclError:
        return None


def _differences(block_a, block_b):
    """Indices of the pictures in which two blocks from the same place differ."""
    (start, a), (_, b) = block_a, block_b
    count = min(len(a), len(b))
    return (start + np.flatnonzero((a[:count] != b[:count]).any(axis=(1, 2, 3)))).tolist()


def _report(what, different, count):
    for index in different[:LISTED]:
        print(f"Different {what}: {index}")
    if len(different) > LISTED:
        print(f"... and {len(different) - LISTED} more")
    print(f"Identical {what}: {count - len(different)} of {count}")
