"""Measures a training step against the hardware: its rate, and what a bare convolution reaches in the same run."""

import json
import statistics
import sys
import time
from pathlib import Path

from benchmarks.measuring import machine
from stylegan_tf.console import argument_parser, friendly_errors, positive, quiet_tensorflow

EXAMPLES = """\
Examples:
  python -m benchmarks.steps                          # the paper's network at 32 pixels, float32 and bfloat16; minutes
  python -m benchmarks.steps --config demo --resolution 64 --batch 16
  python -m benchmarks.steps --resolution 1024 --level 5    # the level of 32 pixels inside a network of 1024
  python -m benchmarks.steps --quick                  # shows that it works, the numbers mean nothing
"""


def parse_arguments(arguments=None):
    parser = argument_parser(__doc__, EXAMPLES, prog="python -m benchmarks.steps")
    parser.add_argument("--config", choices=("F", "demo"), default="F", help="preset of the networks (default: F)")
    parser.add_argument("--resolution", type=positive, default=32, metavar="R", help="of the networks (default: 32)")
    parser.add_argument("--level", type=int, default=0, metavar="L", help="train at R / 2^L pixels (default: 0)")
    parser.add_argument("--batch", type=positive, default=8, metavar="N", help="images of a step (default: 8)")
    parser.add_argument("--repeats", type=positive, metavar="N", help="steps of each type (default: 8)")
    parser.add_argument("--quick", action="store_true", help="a tiny network, few repeats")
    parser.add_argument("--out", type=Path, help="JSON file for all values", metavar="FILE")
    options = parser.parse_args(arguments)
    if not 0 <= options.level <= 8:
        parser.error(f"--level must be from 0 to 8, not {options.level}")
    options.repeats = options.repeats or (2 if options.quick else 8)
    return options


def training_step(options, dtype):
    """A function that trains one step, and the operations that it needs."""
    import numpy as np

    from benchmarks.operations import training_step as operations_of
    from training.config import TrainingConfig, with_values
    from training.presets import DTYPES, PRESETS
    from training.schedule import SchedulePoint
    from training.state import TrainState
    from training.step import TrainingStep

    config = with_values(with_values(TrainingConfig(), PRESETS[options.config]), DTYPES[dtype])
    if options.quick:
        config = with_values(config, {"generator": {"fmap_max": 8}, "discriminator": {"fmap_max": 8}})
    state = TrainState.create(config, options.resolution, 3, 0)
    size = options.resolution >> options.level
    point = SchedulePoint(float(options.level), options.level, 0.0, size, options.batch, 0.001, 0.001, 2.0)
    images = np.random.default_rng(0).integers(0, 256, [options.batch, size, size, 3], np.uint8)
    batch = images, np.zeros([options.batch, 0], np.float32)
    step = TrainingStep(state, batch[1])

    def run():
        for value in step.run(lambda: batch, point).values():
            float(value)

    return run, operations_of(state.generator, state.discriminator, options.level) * options.batch


def convolution(options, dtype):
    """A function that computes one bare convolution, 3x3 with 512 feature maps at 32 pixels, and its operations."""
    import tensorflow as tf

    size, features = (8, 16) if options.quick else (32, 512)
    x = tf.cast(tf.random.normal([8, size, size, features]), dtype)
    kernel = tf.cast(tf.random.normal([3, 3, features, features]), dtype)

    @tf.function
    def convolve():
        return tf.reduce_sum(tf.nn.conv2d(x, kernel, 1, "SAME")[:, 0])

    return lambda: float(convolve()), 2 * 9 * 8 * size**2 * features**2


def measure(tasks, repeats):
    """Seconds of each task, which take turns: {name: [seconds]}; the first turn, which compiles, is left out."""
    seconds = {name: [] for name in tasks}
    for repeat in range(repeats + 1):
        for name, (run, _) in tasks.items():
            started = time.perf_counter()
            run()
            if repeat:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def main(arguments=None):
    options = parse_arguments(arguments)
    with friendly_errors():
        with quiet_tensorflow():
            import tensorflow  # noqa: F401  said nothing while it was imported

        tasks = {}
        for dtype in ("float32", "bfloat16"):
            tasks[f"convolution, {dtype}"] = convolution(options, dtype)
            tasks[f"step, {dtype}"] = training_step(options, dtype)
        seconds = measure(tasks, options.repeats)
        rates = {name: tasks[name][1] / statistics.median(values) / 1e9 for name, values in seconds.items()}
        size = options.resolution >> options.level
        print(f"{options.config}, {size} of {options.resolution} pixels, {options.batch} images")
        print(f"{'':24}{'ms':>9} {'(min to max)':>18} {'G operations':>13} {'G/s':>7} {'of the convolution':>19}")
        for name, values in seconds.items():
            share = rates[name] / rates[name.replace("step", "convolution")]
            low, median, high = (1000 * f(values) for f in (min, statistics.median, max))
            spread = f"({low:.0f} to {high:.0f})"
            print(f"{name:24}{median:9.1f} {spread:>18} {tasks[name][1] / 1e9:13.1f} {rates[name]:7.0f} {share:19.0%}")
        ratio = statistics.median(
            a / b for a, b in zip(seconds["step, float32"], seconds["step, bfloat16"], strict=True)
        )
        print(f"bfloat16 is {ratio:.2f} times as fast as float32")
        if options.out:
            options.out.write_text(json.dumps({"seconds": seconds, "rates": rates, "machine": machine()}, indent=2))


if __name__ == "__main__":
    sys.exit(main())
