"""How many bytes a data set will need, and whether the disk has them: asked before the work, not after an hour."""

import math
import shutil
from pathlib import Path

SAMPLES = 8  # pictures that are encoded to learn how small they become
UNITS = ("kB", "MB", "GB", "TB")
HEADER = 1000  # bytes, more than all levels of a picture have besides its pixels


def check_space(directory, sizes, images, raw_size, written=0):
    """Refuse to start what cannot be finished.

    Args:
        directory: Where the data set will be.
        sizes: Iterable of the bytes of some pictures, all levels; only looked at if space may be scarce.
        images: Number of pictures that will come.
        raw_size: Bytes of one picture without compression, all levels.
        written: Bytes of the data set that are on the disk already.

    Raises:
        ValueError: There is not enough space; need, what is free, and remedies are named.
    """
    place = next(path for path in Path(directory).absolute().parents if path.is_dir())
    free = shutil.disk_usage(place).free
    if images * (raw_size * 1.1 + HEADER) - written < free:  # noise compresses to a little more than itself
        return
    sizes = list(sizes)
    need = images * sum(sizes) / len(sizes) if sizes else images * raw_size
    if need - written >= free:
        raise ValueError(
            f"{directory} needs about {readable(need - written)}, but only {readable(free)} are free in {place}; free "
            "some, choose another directory, or make it smaller: --encoding png (exact), --encoding webp or jpeg "
            "(much smaller), --levels computed (a quarter less), --max-images N, --resolution R"
        )


def readable(size):
    """Bytes as "12.3 GB"."""
    if size < 1000:
        return f"{size:.0f} bytes"
    power = min(int(math.log10(size) / 3), len(UNITS))
    return f"{size / 1000**power:.3g} {UNITS[power - 1]}"
