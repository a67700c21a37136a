"""Measures what there is to wait for: help, imports, the first pictures, the first training step.

Everything is run in fresh processes, which take turns.
"""

import concurrent.futures
import dataclasses
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from benchmarks.choices import output_file
from benchmarks.measuring import machine
from stylegan_tf.console import argument_parser, friendly_errors, positive, quiet_tensorflow
from stylegan_tf.growth import num_stages

EXAMPLES = """\
Examples:
  python -m benchmarks startup                     # minutes
  python -m benchmarks startup --quick             # shows that it works, the numbers mean nothing
  python -m benchmarks startup --resolution 256 --repeats 9 --out startup.json
"""
REPOSITORY = Path(__file__).parent.parent
PICTURES = 8  # computed at a time, as generate_images.py does
MINIBATCH = 8


class Laps:
    """Seconds of what comes one after the other: {part: seconds}."""

    def __init__(self):
        self.seconds, self._last = {}, time.perf_counter()

    def end(self, part):
        now = time.perf_counter()
        self.seconds[part], self._last = now - self._last, now


def parse_arguments(arguments=None):
    parser = argument_parser(__doc__, EXAMPLES, prog="python -m benchmarks startup")
    parser.add_argument("--quick", action="store_true", help="tiny networks, one repeat")
    parser.add_argument("--resolution", type=positive, help="of the networks (default: 64)", metavar="R")
    parser.add_argument("--repeats", type=positive, help="processes of each kind (default: 5)", metavar="N")
    parser.add_argument("--out", type=output_file, help="JSON file for all values", metavar="FILE")
    options = parser.parse_args(arguments)
    options.repeats = options.repeats or (1 if options.quick else 5)
    options.resolution = options.resolution or (8 if options.quick else 64)
    try:
        num_stages(options.resolution)
    except ValueError as error:
        parser.error(f"argument --resolution: {error}")
    return options


def demo_config(quick):
    """Configuration of the demo network, or of a tiny one."""
    from training.config import TrainingConfig, with_values
    from training.presets import PRESETS

    config = with_values(TrainingConfig(), PRESETS["demo"])
    if quick:
        config = dataclasses.replace(config, generator={"fmap_max": 4}, discriminator={"fmap_max": 4})
    return dataclasses.replace(config, dtype="float32")


# ---------------------------------------------------------------------------------------------------------------------
# In a process of its own


def help_of_doors():
    """Seconds from the start of Python to its end: of every script's `--help`, and of Python without any script."""
    laps = Laps()
    for door in [None, *sorted(path.name for path in REPOSITORY.glob("*.py"))]:
        command = [sys.executable, *([door, "--help"] if door else ["-c", ""])]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
        if done.returncode:
            raise ValueError(f"{' '.join(command)} failed: {done.stderr.strip()}")
        laps.end(door or "Python itself")
    return {"seconds": laps.seconds}


def first_pictures(snapshot):
    """Seconds on the way to the pictures of a snapshot, as generate_images.py makes them, eight at a time."""
    laps = Laps()
    import_tensorflow(laps)
    import stylegan_tf.generator  # noqa: F401  to be measured apart from what comes next

    laps.end("import the generator")
    from stylegan_tf.figures import images_from_seeds
    from stylegan_tf.snapshot import load_generator

    generator, _ = load_generator(snapshot)
    laps.end("load the snapshot")
    pictures = images_from_seeds(generator, range(2 * PICTURES), batch_size=PICTURES)
    for turn in ("first", "second"):
        for _ in range(PICTURES):
            next(pictures)
        laps.end(f"{turn} {PICTURES} pictures")
    return {"seconds": laps.seconds}


def first_steps(resolution, quick, snapshot):
    """Seconds on the way to the second training step, and what was traced until then; leaves a snapshot behind."""
    laps = Laps()
    import_tensorflow(laps)
    import numpy as np

    from stylegan_tf.snapshot import save_snapshot
    from training.replicas import Replicas
    from training.schedule import SchedulePoint
    from training.state import TrainState
    from training.step import TrainingStep

    laps.end("import the training")
    state = TrainState.create(demo_config(quick), resolution, 3, 0)
    laps.end("build the networks")
    replicas, traces = Replicas(), []
    note_traces(replicas, traces)
    images = np.random.default_rng(0).integers(0, 256, [MINIBATCH, resolution, resolution, 3], np.uint8)
    batch = images, np.zeros([MINIBATCH, 0], np.float32)
    step = TrainingStep(state, batch[1], replicas)
    point = SchedulePoint(0.0, 0, 0.0, resolution, MINIBATCH, 0.001, 0.001, 2.0)
    for turn in ("first", "second"):
        for value in step.run(lambda: batch, point).values():
            float(value)
        laps.end(f"{turn} step")
        if turn == "first":
            laps.seconds["  of which tracing"] = sum(seconds for _, seconds in traces)
    save_snapshot(snapshot, {"Gs": state.generator_ema}, {})
    return {"seconds": laps.seconds, "traces": [name for name, _ in traces]}


def import_tensorflow(laps):
    with quiet_tensorflow():
        import tensorflow  # noqa: F401
    laps.end("import tensorflow")


def note_traces(replicas, traces):
    """From now on what a `Replicas` compiles appends (its name, seconds) to `traces` whenever it is traced."""
    compile_function = replicas.compile

    def compile_noted(function):
        def noted(*arguments, **static):
            started = time.perf_counter()
            result = function(*arguments, **static)
            traces.append((function.__name__, time.perf_counter() - started))
            return result

        return compile_function(noted)

    replicas.compile = compile_noted


# ---------------------------------------------------------------------------------------------------------------------


def in_own_process(function, *arguments):
    """What a function of a module returns, called in a fresh process; ValueError if that was killed."""
    context = multiprocessing.get_context("spawn")
    try:
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            return pool.submit(function, *arguments).result()
    except BrokenProcessPool as error:
        raise ValueError("a process was killed; is there enough memory? Try a smaller --resolution") from error


def lines(task, results):
    """The rows of one task as text."""
    yield f"\n{task}"
    for part in results[0]["seconds"]:
        values = [result["seconds"][part] for result in results]
        spread = f"({min(values):.2f} to {max(values):.2f})"
        yield f"  {part:32}{statistics.median(values):9.2f} {spread:>20}"
    if "traces" in results[0]:
        yield f"  {'traces in two steps':32}{max(len(result['traces']) for result in results):9}"


def main(arguments=None):
    options = parse_arguments(arguments)
    with friendly_errors(), tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        facts, snapshot = machine(), Path(folder) / "network-snapshot-000000.safetensors"
        what = f"demo network, {options.resolution} pixels" + ", made tiny" * options.quick
        tasks = {
            "--help, the whole process": help_of_doors,
            f"training, {what}": lambda: in_own_process(first_steps, options.resolution, options.quick, snapshot),
            f"pictures, {what}": lambda: in_own_process(first_pictures, snapshot),
        }
        results = {task: [] for task in tasks}
        for turn in range(options.repeats + (not options.quick)):
            for task, run in tasks.items():
                result = run()
                if turn or options.quick:  # the first one, which has to read all files from the disk, does not count
                    results[task].append(result)
        print(f"{facts['processor']}, {facts['cores']} cores; {options.repeats} processes of each kind")
        print(f"\n{'':34}{'seconds':>9} {'(min to max)':>20}")
        for task, found in results.items():
            print("\n".join(lines(task, found)))
        if options.out:
            facts["load_after"] = machine()["load"]
            values = {"machine": facts, "repeats": options.repeats, "results": results}
            options.out.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
