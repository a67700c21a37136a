"""A data set at a glance: mean picture, spread, histograms of the channels, and a sheet of pictures, in one PNG."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from dataset_tools.inspection import blocks, contact_sheet
from dataset_tools.progress import Progress
from stylegan_tf.arrays import atomic_file
from stylegan_tf.records import open_levels

COLOURS = {1: ["#555555"], 3: ["#dc3912", "#109618", "#3366cc"], 4: ["#dc3912", "#109618", "#3366cc", "#555555"]}
NAMES = {1: ["gray"], 3: ["red", "green", "blue"], 4: ["red", "green", "blue", "alpha"]}


def pixel_statistics(level):
    """What all images of a level have in common.

    Returns:
        (mean image, standard deviation of every pixel, both float64 [H, W, C]; number of pixels that have each value,
        int64 [C, 256]).
    """
    channels, height, width = level.shape
    total, squares = np.zeros([2, height, width, channels])
    histogram = np.zeros([channels, 256], np.int64)
    progress = Progress(len(level))
    try:
        for _, images in blocks(level, progress):
            total += images.sum(axis=0, dtype=np.int64)
            for image in images:
                wide = image.astype(np.uint32)
                squares += wide * wide
            for channel in range(channels):
                histogram[channel] += np.bincount(images[..., channel].reshape(-1), minlength=256)
    finally:
        progress.clear()
    mean = total / len(level)
    return mean, np.sqrt(np.maximum(squares / len(level) - mean * mean, 0)), histogram


def stats(tfrecord_dir, out=None):
    """Draws the overview and prints mean and standard deviation of each channel.

    Args:
        tfrecord_dir: Data set.
        out: PNG file; None for `NAME-stats.png` in the current folder.
    """
    level = open_levels(tfrecord_dir)[0]
    name = Path(tfrecord_dir).resolve().name
    out = Path(out or f"{name}-stats.png")
    mean, spread, histogram = pixel_statistics(level)
    channels = NAMES[level.shape[0]]
    values = np.arange(256)
    for channel, counts in zip(channels, histogram, strict=True):
        average = (counts * values).sum() / counts.sum()
        deviation = np.sqrt((counts * (values - average) ** 2).sum() / counts.sum())
        print(f"{channel:6} mean {average:6.2f}   standard deviation {deviation:6.2f}   of 0 to 255")
    figure = Figure(figsize=(16, 13), layout="constrained")
    figure.suptitle(f"{name}: {len(level):,} pictures of {level.resolution}x{level.resolution}")
    grid = figure.add_gridspec(2, 3, height_ratios=[1, 1.7])
    first, second, third = (figure.add_subplot(grid[0, column]) for column in range(3))
    _picture(first, mean, "mean picture")
    _picture(second, spread, "standard deviation of each pixel (black: 0, white: 128)", 2)
    for channel, counts, colour in zip(channels, histogram, COLOURS[level.shape[0]], strict=True):
        third.plot(values, 100 * counts / counts.sum(), label=channel, color=colour)
    third.set(
        title="histogram", xlabel="value of a pixel", ylabel="share of the pixels, %", xlim=(0, 255), yscale="log"
    )
    third.legend()
    _picture(figure.add_subplot(grid[1, :]), contact_sheet(level), "pictures from all over the set")
    with atomic_file(out) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
    print(f"Picture: {out}")


def _picture(axes, image, title, factor=1):
    visible = np.clip(np.asarray(image) * factor, 0, 255).astype(np.uint8)[..., :3]
    axes.imshow(visible[..., 0] if visible.shape[-1] == 1 else visible, cmap="gray", vmin=0, vmax=255)
    axes.set_title(title)
    axes.set_axis_off()
