"""The long run: schedule, step, report, save, until the images are used up."""

import math
import signal
import time

from training.reporting import RunReporter
from training.schedule import schedule_at
from training.step import TrainingStep

KEPT_CHECKPOINTS = 2


def training_loop(state, dataset, run_dir, step=None, rates=None):
    """Train until `total_kimg`, or until asked to stop.

    Ctrl-C and SIGTERM let the iteration finish, write a checkpoint and return; a second Ctrl-C stops at once.

    Args:
        state: A `TrainState`, new or restored by `resume`.
        dataset: A `RecordDataset` of the networks' resolution.
        run_dir: Directory for everything that the run writes, a `Path`.
        step: A `TrainingStep` on `state` that is compiled already; None for a new one.
        rates: Seconds per image by level where they are known, for the time left.

    Returns:
        True if the run is complete, False if it was stopped.
    """
    config = state.config
    total = config.total_kimg * 1000
    step = step or TrainingStep(state, dataset.labels)
    reporter = RunReporter(run_dir, state, dataset)
    reporter.rates.update(rates or {})
    point = schedule_at(state.images_seen, config.schedule, dataset.resolution)
    if state.images_seen == 0:
        reporter.real_grid()
        reporter.fake_grid(point)
    with StopRequest() as stop, BatchStream(dataset) as batches:
        while state.images_seen < total and not stop.requested:
            point = schedule_at(state.images_seen, config.schedule, dataset.resolution)
            if config.reset_opt_for_new_lod and state.lod_span != lod_span(point.lod):
                state.G_optimizer.reset()
                state.D_optimizer.reset()
            state.lod_span = lod_span(point.lod)
            batches.move_to(point.level, point.minibatch, state.images_seen)
            for _ in range(config.minibatch_repeats):
                started = time.monotonic()
                logs = step.run(batches.next, point)
                reporter.add(logs, time.monotonic() - started, point)
            finished = state.images_seen >= total
            if finished or state.images_seen >= state.tick_start + point.tick_kimg * 1000:
                state.tick += 1
                state.tick_start = state.images_seen
                reporter.tick(point)
                if finished or state.tick % config.image_snapshot_ticks == 0:
                    reporter.fake_grid(point)
                if finished or state.tick == 1 or state.tick % config.network_snapshot_ticks == 0:
                    reporter.snapshot(point)
                if finished or state.tick % config.checkpoint_ticks == 0:
                    save_checkpoint(state, run_dir)
    if stop.requested and state.images_seen < total:
        save_checkpoint(state, run_dir)
        reporter.snapshot(point)
    return state.images_seen >= total


def lod_span(lod):
    """What must stay the same for the optimizers to keep their moments: [floor, ceiling] of the lod (trap 26)."""
    return [math.floor(lod), math.ceil(lod)]


def save_checkpoint(state, run_dir):
    """Write `checkpoint-<images>.safetensors` and remove all but the newest few.

    Raises:
        OSError: It could not be written; the ones before are still there.
    """
    state.save(run_dir / f"checkpoint-{state.images_seen:09d}.safetensors")
    for path in checkpoints(run_dir)[:-KEPT_CHECKPOINTS]:
        path.unlink()


def checkpoints(run_dir):
    """Checkpoint files of a run, oldest first."""
    return sorted(run_dir.glob("checkpoint-*.safetensors"))


def resume(state, run_dir):
    """Restore the newest checkpoint that is intact; a damaged one is reported and the one before is used.

    Returns:
        The file restored, or None if the run has none: then it starts at the beginning.

    Raises:
        ValueError: There are checkpoints, and all are damaged; the last complaint is passed on.
    """
    complaint = None
    for path in reversed(checkpoints(run_dir)):
        try:
            state.restore(path)
            return path
        except ValueError as error:
            print(f"Warning: {error}", flush=True)
            complaint = error
    if complaint:
        raise complaint
    return None


class BatchStream:
    """The reader of batches at the current level, replaced when level or minibatch change."""

    def __init__(self, dataset):
        self.dataset, self.key, self.batches = dataset, None, None

    def move_to(self, level, minibatch, position):
        """Read batches of `minibatch` images at `level`, the first one at `position` if the reader is new."""
        if self.key != (level, minibatch):
            self.close()
            self.key, self.batches = (level, minibatch), self.dataset.batches(level, minibatch, position)

    def next(self):
        """Images uint8 [N, H, W, C] and labels [N, label_size]."""
        return next(self.batches)

    def close(self):
        if self.batches is not None:
            self.batches.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


class StopRequest:
    """Turns SIGINT and SIGTERM into a wish to stop; a second SIGINT raises KeyboardInterrupt as usual."""

    def __init__(self):
        self.requested = False
        self.previous = {}

    def __enter__(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            self.previous[number] = signal.signal(number, self._request)
        return self

    def _request(self, number, frame):
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
        print("\nStopping after this iteration; a checkpoint will be written.", flush=True)

    def __exit__(self, *exception):
        for number, handler in self.previous.items():
            signal.signal(number, handler)
