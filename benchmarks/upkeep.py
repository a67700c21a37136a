"""Measures what distribution, checkpoints and reporting add to the training step of the demo network."""

import dataclasses
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.choices import SIZES, output_file
from benchmarks.material import data_set
from stylegan_tf.console import argument_parser, friendly_errors, positive, quiet_tensorflow

EXAMPLES = """\
Examples:
  python -m benchmarks upkeep                    # minutes on two cores
  python -m benchmarks upkeep --quick            # shows that it works, the numbers mean nothing
  python -m benchmarks upkeep --resolution 128 --repeats 40 --out cost.json
"""


def parse_arguments(arguments=None):
    parser = argument_parser(__doc__, EXAMPLES, prog="python -m benchmarks upkeep")
    parser.add_argument("--quick", action="store_true", help="a tiny network, few repeats")
    parser.add_argument("--resolution", type=int, help="of the images (default: 64)", metavar="R")
    parser.add_argument("--repeats", type=positive, help="steps of every contender (default: 20)", metavar="N")
    parser.add_argument("--out", type=output_file, help="JSON file for all values", metavar="FILE")
    options = parser.parse_args(arguments)
    options.repeats = options.repeats or (2 if options.quick else 20)
    options.resolution = options.resolution or (8 if options.quick else 64)
    if options.resolution not in SIZES:
        parser.error(f"--resolution: networks have {', '.join(map(str, SIZES))} pixels, not {options.resolution}")
    return options


def contender(options, dataset, strategy):
    """A state and a function that trains one step at the full resolution and returns its seconds."""
    from training.config import TrainingConfig, with_values
    from training.presets import PRESETS
    from training.replicas import Replicas
    from training.schedule import SchedulePoint
    from training.state import TrainState
    from training.step import TrainingStep

    config = with_values(TrainingConfig(), PRESETS["demo"])
    if options.quick:
        config = dataclasses.replace(config, generator={"fmap_max": 4}, discriminator={"fmap_max": 4})
    config = dataclasses.replace(config, dtype="float32")
    replicas = Replicas(strategy)
    with replicas.scope():
        state = TrainState.create(config, options.resolution, 3, 0)
    batches = dataset.batches(0, 8)
    step, batch = TrainingStep(state, dataset.labels, replicas), next(batches)
    batches.close()
    point = SchedulePoint(0.0, 0, 0.0, options.resolution, 8, 0.001, 0.001, 2.0)

    def run():
        started = time.perf_counter()
        for value in step.run(lambda: batch, point).values():
            float(value)
        return time.perf_counter() - started

    return state, point, run


def upkeep(state, dataset, point, repeats):
    """Seconds of each thing that happens at the end of a tick: {name: [seconds]}."""
    from training.checkpoints import save_checkpoint
    from training.config import to_json
    from training.reporting import RunReporter

    seconds = {"checkpoint": [], "grid and report": [], "snapshot": [], "line, statistics, TensorBoard": []}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        facts = {"images": dataset.num_images, "resolution": dataset.resolution}
        facts |= {"channels": dataset.num_channels, "label_size": dataset.label_size}
        record = {"config": json.loads(to_json(state.config)), "dataset": facts}
        (folder / "run.json").write_text(json.dumps(record))
        reporter = RunReporter(folder, state, dataset)
        tasks = {
            "checkpoint": lambda: save_checkpoint(state, folder),
            "grid and report": lambda: reporter.fake_grid(point),
            "snapshot": lambda: reporter.snapshot(point),
            "line, statistics, TensorBoard": lambda: reporter.tick(point),
        }
        for repeat in range(repeats):
            for name, task in tasks.items():
                started = time.perf_counter()
                task()
                if repeat:
                    seconds[name].append(time.perf_counter() - started)
            state.images_seen += 1000
        reporter.close()
    return seconds


def main(arguments=None):
    options = parse_arguments(arguments)
    with friendly_errors(), tempfile.TemporaryDirectory() as folder:
        with quiet_tensorflow():
            import tensorflow as tf

            from stylegan_tf.record_levels import RecordFormat
            from training.dataset import RecordDataset
            from training.replicas import mirrored
        dataset = RecordDataset(data_set(Path(folder) / "noise", options.resolution, 100, RecordFormat()))
        state, point, plain = contender(options, dataset, None)
        runs = {"no strategy": plain, "MirroredStrategy of one": contender(options, dataset, mirrored("CPU", 1))[-1]}
        seconds = {name: [] for name in runs}
        for repeat in range(options.repeats + 1):
            for name, run in runs.items():
                value = run()
                if repeat:
                    seconds[name].append(value)
        costs = upkeep(state, dataset, point, max(2, options.repeats // 4))
        step = statistics.median(seconds["no strategy"])
        config = state.config
        ticks = {"snapshot": config.network_snapshot_ticks, "checkpoint": config.checkpoint_ticks}
        tick = config.schedule.tick_kimg_base * 1000 / point.minibatch * step
        print(f"demo network, {options.resolution}x{options.resolution}, minibatch {point.minibatch}, float32")
        for name, values in seconds.items():
            median = statistics.median(values)
            spread = f"({min(values) * 1000:.0f} to {max(values) * 1000:.0f})"
            print(f"  step, {name:26} {median * 1000:7.1f} ms {spread:>16}   {median / step:5.3f} of the first")
        print(f"at the end of a tick of {config.schedule.tick_kimg_base:g} kimg, {tick:.0f} s of steps:")
        for name, values in costs.items():
            median, every = statistics.median(values), ticks.get(name, config.image_snapshot_ticks)
            print(f"  {name:32} {median:7.3f} s every {every:2d} ticks   {median / every / tick:7.2%} of the steps")
        total = sum(statistics.median(costs[name]) / ticks.get(name, 1) for name in costs) / tick
        print(f"  together                                                {total:7.2%}")
        if options.out:
            options.out.write_text(json.dumps({"step": seconds, "tick": costs, "tensorflow": tf.__version__}, indent=2))


if __name__ == "__main__":
    sys.exit(main())
