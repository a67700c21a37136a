"""Resolutions, levels of detail and feature-map counts, as plain numbers (Karras et al. 2018, section 2)."""

import math

MIN_RESOLUTION = 8
MAX_RESOLUTION = 1024


def num_stages(resolution):
    """Number of resolutions from 4x4 up to `resolution`: 9 for 1024.

    Raises:
        ValueError: `resolution` is not a power of two from 8 to 1024.
    """
    if resolution == 4:
        raise ValueError(
            "resolution 4 leaves nothing to grow: the networks start at 4x4 and need one block above it; use 8 or more"
        )
    if resolution not in [2**r for r in range(3, 11)]:
        raise ValueError(
            f"resolution must be a power of two from {MIN_RESOLUTION} to {MAX_RESOLUTION}, not {resolution}"
        )
    return int(math.log2(resolution)) - 1


def num_features(stage, fmap_base=8192, fmap_decay=1.0, fmap_max=512):
    """Feature maps of stage s, min(fmap_base / 2^(s * fmap_decay), fmap_max); a block at 2^r pixels has s = r - 1."""
    return min(int(fmap_base / 2.0 ** (stage * fmap_decay)), fmap_max)


def split_lod(lod):
    """Level of detail to (level, fade): 2.25 to (2, 0.25). Level is structure, fade is data."""
    level = math.floor(lod)
    return level, lod - level


def check_level(level, stages):
    """Raise ValueError unless a network of `stages` resolutions can run at `level`."""
    if not 0 <= level < stages:
        raise ValueError(f"level must be from 0 (full resolution) to {stages - 1} (4x4), not {level}")
