"""Measures training steps: their rate beside that of a bare convolution, their memory, and the original's algorithm."""

import sys

from benchmarks.choices import parse_choices
from benchmarks.table import measure
from stylegan_tf.console import friendly_errors

EXAMPLES = """\
Examples:
  python -m benchmarks training                     # the paper's networks at 32, 64 and 128 pixels; half an hour
  python -m benchmarks training --sizes 32 --contenders float32,bfloat16,plain --repeats 9
  python -m benchmarks training --sizes 8,16,32,64 --contenders float32,within-1024
  python -m benchmarks training --sizes 32 --batches 4,8,16 --contenders float32,replicas --plot cost.png
  python -m benchmarks training --quick             # shows that it works, the numbers mean nothing

Contenders:
  float32, bfloat16    the paper's network of that size
  direct-float32, direct-bfloat16     the same without Winograd's convolutions
  within-1024          the same level of a network of 1024 pixels, float32
  replicas             two replicas that share the batch, float32
  demo-float32, demo-bfloat16     the network of make demo, up to 64 pixels
  plain                the paper's network and the original's algorithm, written plainly (benchmarks/plain.py), float32

Operations are those that the layers need, convolutions (computed directly) and matrix products only; "of conv" is the
share of the rate that a bare convolution of the same type, 3x3 with 512 feature maps at 32 pixels, reaches in the same
run. Winograd's convolutions need fewer operations, so they can exceed it.
"""
CONTENDERS = {
    "float32": {},
    "bfloat16": {"dtype": "bfloat16"},
    "direct-float32": {"direct": True},
    "direct-bfloat16": {"dtype": "bfloat16", "direct": True},
    "within-1024": {"resolution": 1024},
    "replicas": {"replicas": 2},
    "demo-float32": {"config": "demo"},
    "demo-bfloat16": {"config": "demo", "dtype": "bfloat16"},
    "plain": {"plain": True},
}
LARGEST_DEMO = 64  # pixels


USUAL = [32, 64, 128], [8], 5, [name for name in CONTENDERS if name not in ("within-1024", "direct-bfloat16")]
QUICK = [8], [4], 1, USUAL[-1]


def parse_arguments(arguments=None):
    prog = "python -m benchmarks training"
    options = parse_choices(arguments, __doc__, EXAMPLES, prog, CONTENDERS, USUAL, QUICK)
    large = [size for size in options.sizes if size > LARGEST_DEMO]
    if large and all(name.startswith("demo") for name in options.contenders):
        raise SystemExit(f"Error: --sizes {large[0]}: the demo network has up to {LARGEST_DEMO} pixels; name another")
    return options


def training_step(
    size,
    batch,
    config="F",
    resolution=None,
    dtype="float32",
    replicas=1,
    plain=False,
    direct=False,
    feature_maps=None,
):
    """A function that trains one step on made-up images, and what it does: for a `Contender`.

    Args:
        size: Pixels of the images.
        batch: Images of a step.
        config: Preset of the networks.
        resolution: Of the networks; None for `size`.
        dtype: "float32" or "bfloat16".
        replicas: Logical processors that share the batch.
        plain: The original's algorithm instead.
        direct: Without Winograd's convolutions.
        feature_maps: Of every layer at most; None for what the preset says.
    """
    from unittest import mock

    import numpy as np
    import tensorflow as tf

    from benchmarks import operations
    from stylegan_tf import winograd
    from training.config import TrainingConfig, with_values
    from training.presets import DTYPES, PRESETS
    from training.replicas import Replicas, mirrored
    from training.schedule import SchedulePoint
    from training.state import TrainState
    from training.step import TrainingStep

    config = with_values(with_values(TrainingConfig(), PRESETS[config]), DTYPES[dtype])
    if feature_maps:
        config = with_values(config, {part: {"fmap_max": feature_maps} for part in ("generator", "discriminator")})
    devices = Replicas(mirrored("CPU", replicas) if replicas > 1 else None)
    with devices.scope():
        state = TrainState.create(config, resolution or size, 3, 0)
    level = ((resolution or size) // size).bit_length() - 1
    images = np.random.default_rng(0).integers(0, 256, [batch, size, size, 3], np.uint8)
    needed = operations.training_step(state.generator, state.discriminator, level) * batch
    facts = {"images": batch, "operations": needed}
    if plain:
        from benchmarks.plain import training_step as plain_step

        step, reals = plain_step(state, batch), tf.constant(images / 127.5 - 1, tf.float32)
        return lambda: [float(value) for value in step(reals, tf.constant([1, 2]))], facts
    step, labels = TrainingStep(state, np.zeros([batch, 0], np.float32), devices), np.zeros([batch, 0], np.float32)
    point = SchedulePoint(float(level), level, 0.0, size, batch, 0.001, 0.001, 2.0)

    def run():
        with mock.patch.dict(winograd.TILES, clear=direct):  # it is the first turn that decides
            return [float(value) for value in step.run(lambda: (images, labels), point).values()]

    return run, facts


def convolution(dtype, quick=False):
    """A function that computes a bare convolution, 3x3 with 512 feature maps at 32 pixels: for a `Contender`."""
    import tensorflow as tf

    size, features = (8, 16) if quick else (32, 512)
    x = tf.cast(tf.random.normal([8, size, size, features]), dtype)
    kernel = tf.cast(tf.random.normal([3, 3, features, features]), dtype)

    @tf.function
    def convolve():
        return tf.reduce_sum(tf.nn.conv2d(x, kernel, 1, "SAME")[:, 0])

    return lambda: float(convolve()), {"images": 8, "operations": 2 * 9 * 8 * size**2 * features**2}


def tasks_of(options, size, batch):
    """{name: task} of one group, for `take_turns`."""
    tasks, dtypes = {}, []
    for name in options.contenders:
        chosen = dict(CONTENDERS[name])
        if name.startswith("demo") and size > LARGEST_DEMO:
            continue
        if options.quick:
            chosen["feature_maps"] = 4
            chosen["resolution"] = 2 * size if "resolution" in chosen else None
        tasks[name] = (training_step, dict(size=size, batch=batch, **chosen), chosen.get("replicas", 1))
        dtypes.append(chosen.get("dtype", "float32"))
    for dtype in dict.fromkeys(dtypes):
        tasks[f"convolution, {dtype}"] = (convolution, dict(dtype=dtype, quick=options.quick), 1)
    return tasks


def main(arguments=None):
    options = parse_arguments(arguments)
    with friendly_errors():
        measure(options, "A training step: {size} pixels, {batch} images", "training step", tasks_of)


if __name__ == "__main__":
    sys.exit(main())
