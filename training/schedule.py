"""Images seen to everything that varies over time: a pure function, no state, no TensorFlow."""

import math
from dataclasses import dataclass
from itertools import pairwise

from stylegan_tf.growth import split_lod


@dataclass(frozen=True)
class SchedulePoint:
    """What holds at one moment of a training run.

    Attributes:
        lod: Level of detail, real; 0 is the full resolution.
        level, fade: Its integer part and the rest.
        resolution: Size of the training images, in pixels; while one fades in, the new and higher resolution.
        minibatch: Images of one step, over all devices.
        G_lrate, D_lrate: Learning rates.
        tick_kimg: Length of a tick, in thousand images.
    """

    lod: float
    level: int
    fade: float
    resolution: int
    minibatch: int
    G_lrate: float
    D_lrate: float
    tick_kimg: float


def schedule_at(images_seen, schedule, resolution, num_devices=1):
    """The schedule of the original, `training_schedule`, at one moment.

    Args:
        images_seen: Real images shown to the discriminator so far.
        schedule: A `ScheduleConfig`.
        resolution: Full resolution of the networks.
        num_devices: Devices that share a minibatch.

    Raises:
        ValueError: The minibatch of a resolution is smaller than the number of devices.
    """
    kimg = images_seen / 1000
    lod = _lod_at(kimg, schedule, resolution)
    level, fade = split_lod(lod)
    size = resolution >> level
    ramp = min(kimg / schedule.lrate_rampup_kimg, 1.0) if schedule.lrate_rampup_kimg > 0 else 1.0
    return SchedulePoint(
        lod=lod,
        level=level,
        fade=fade,
        resolution=size,
        minibatch=minibatch_at(size, schedule, num_devices),
        G_lrate=schedule.G_lrate_dict.get(size, schedule.G_lrate_base) * ramp,
        D_lrate=schedule.D_lrate_dict.get(size, schedule.D_lrate_base) * ramp,
        tick_kimg=schedule.tick_kimg_dict.get(size, schedule.tick_kimg_base),
    )


def minibatch_at(size, schedule, num_devices=1):
    """Images of one step at `size` pixels, over all devices; errors as `schedule_at`."""
    minibatch = schedule.minibatch_dict.get(size, schedule.minibatch_base)
    minibatch -= minibatch % num_devices
    if size in schedule.max_minibatch_per_gpu:
        minibatch = min(minibatch, schedule.max_minibatch_per_gpu[size] * num_devices)
    if minibatch < 1:
        raise ValueError(f"the minibatch at {size} pixels is smaller than the number of devices, {num_devices}")
    return minibatch


def phases(schedule, resolution):
    """The growth of a run as [(resolution, transition kimg, training kimg)], lowest resolution first.

    The last phase trains until the run ends; its training kimg is infinite.
    """
    size = min(schedule.lod_initial_resolution, resolution)
    rows = [(size, 0.0, schedule.lod_training_kimg_dict.get(size, schedule.lod_training_kimg))]
    while size < resolution:
        size *= 2
        transition = schedule.lod_transition_kimg_dict.get(size, schedule.lod_transition_kimg)
        rows.append((size, transition, schedule.lod_training_kimg_dict.get(size, schedule.lod_training_kimg)))
    return [*rows[:-1], (*rows[-1][:2], math.inf)]


def _lod_at(kimg, schedule, resolution):
    rows = phases(schedule, resolution)
    lod, start = float(len(rows) - 1), 0.0
    for (_, _, training), (_, transition, _) in pairwise(rows):
        if kimg < start + training + transition:
            past = max(kimg - start - training, 0.0)
            return lod - past / transition if transition > 0 else lod
        lod, start = lod - 1, start + training + transition
    return 0.0
