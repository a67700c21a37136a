"""What a run shows and leaves behind: a live line, ticks, pictures, statistics, snapshots."""

import json
import sys
import time
from collections import defaultdict

import numpy as np

from stylegan_tf.arrays import atomic_file, writing
from stylegan_tf.images import enlarge, image_grid, round_to_uint8, save_png
from stylegan_tf.snapshot import save_snapshot
from training.schedule import phases

CLEAR_LINE = "\r\033[K"


class RunReporter:
    """Writes into one run directory.

    Args:
        run_dir: The directory, a `Path`.
        state: The `TrainState` to report on.
        dataset: The data set, for the grid of real images.
        minibatch: Images generated at a time for a grid.
    """

    def __init__(self, run_dir, state, dataset, minibatch=16):
        self.run_dir, self.state, self.dataset, self.minibatch = run_dir, state, dataset, minibatch
        self.columns, self.rows = grid_size(state.config.image_grid, dataset.resolution)
        self.latents, self.labels = self._grid_inputs()
        self.rates = {}  # level -> seconds per image, as measured
        self.compiled = set()
        self.sums, self.iterations, self.images, self.started = defaultdict(float), 0, 0, time.monotonic()
        self._live_at = 0.0
        self._forget_the_future()

    def real_grid(self):
        """Write `reals.png`, images of the data set at full resolution, in the data's own order."""
        images, _ = next(self.dataset.batches(0, self.columns * self.rows))
        save_png(self.run_dir / "reals.png", image_grid(images, self.columns))

    def fake_grid(self, point):
        """Write `fakes<kimg>.png`, with decimals if ticks are shorter than that.

        It shows the averaged generator on latents that stay the same for the whole run.

        As in the original nothing is truncated, and noise is new in each grid.
        """
        fakes = []
        for start in range(0, len(self.latents), self.minibatch):
            part = slice(start, start + self.minibatch)
            seed = np.array([self.state.images_seen, start], np.int32)
            fakes.append(
                self.state.generator_ema(
                    self.latents[part], self.labels[part], point.level, point.fade, seed=seed, validation=True
                )
            )
        grid = image_grid(round_to_uint8(np.concatenate(fakes)), self.columns)
        kimg = self.state.images_seen / 1000
        path = self.run_dir / (f"fakes{int(kimg):06d}.png" if point.tick_kimg >= 1 else f"fakes{kimg:010.3f}.png")
        save_png(path, enlarge(grid, 2**point.level))
        return path

    def snapshot(self, point):
        """Write `network-snapshot-<kimg>.safetensors` with G, D and Gs."""
        state = self.state
        path = self.run_dir / f"network-snapshot-{state.images_seen // 1000:06d}.safetensors"
        networks = {"G": state.generator, "D": state.discriminator, "Gs": state.generator_ema}
        description = {"images_seen": state.images_seen, "level": point.level, "fade": point.fade}
        save_snapshot(path, networks, description | {"dataset": str(self.dataset.name)})
        return path

    def add(self, logs, seconds, point):
        """Account for one iteration and refresh the live line."""
        for key, value in logs.items():
            self.sums[key] += float(value)
        self.iterations += 1
        images = point.minibatch * self.state.config.D_repeats
        self.images += images
        self.state.seconds += seconds
        if point.level in self.compiled:
            rate = seconds / images
            self.rates[point.level] = 0.95 * self.rates.get(point.level, rate) + 0.05 * rate
        self.compiled.add(point.level)  # the first iteration of a level includes its compilation
        if sys.stdout.isatty() and time.monotonic() - self._live_at > 0.5:
            self._live_at = time.monotonic()
            print(f"{CLEAR_LINE}{self.line(point)}", end="", flush=True)

    def line(self, point):
        """The state of the run in one line."""
        count, size = max(self.iterations, 1), f"{point.resolution}x{point.resolution}"
        growth = f"{size} fading in {100 * (1 - point.fade):3.0f} %" if point.fade else f"{size}"
        return (
            f"kimg {self.state.images_seen / 1000:7.1f}  {growth:<20}  "
            f"loss G {self.sums['loss_g'] / count:5.2f} D {self.sums['loss_d'] / count:5.2f}  "
            f"{self.speed(point)}  {clock(self.state.seconds)} trained  {clock(self.time_left())} left"
        )

    def speed(self, point):
        """Images per second at this level."""
        return f"{1 / self.rates[point.level]:6.1f} img/s" if point.level in self.rates else "compiling"

    def tick(self, point):
        """Print the line for good, append a row to `stats.jsonl`, begin the next tick."""
        clear = CLEAR_LINE if sys.stdout.isatty() else ""
        print(f"{clear}tick {self.state.tick:<4d} {self.line(point)}", flush=True)
        elapsed = time.monotonic() - self.started
        row = {
            "tick": self.state.tick,
            "images_seen": self.state.images_seen,
            "kimg": self.state.images_seen / 1000,
            "level": point.level,
            "fade": point.fade,
            "resolution": point.resolution,
            "minibatch": point.minibatch,
            "minutes": self.state.seconds / 60,
            "images_per_second": self.images / elapsed if elapsed else 0.0,
            **{key: value / max(self.iterations, 1) for key, value in self.sums.items()},
        }
        path = self.run_dir / "stats.jsonl"
        with writing(path), open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self.sums.clear()
        self.iterations, self.images, self.started = 0, 0, time.monotonic()

    def time_left(self):
        """Seconds until the end, at the rates measured so far; an unseen level takes twice its coarser one."""
        config, left, start = self.state.config, 0.0, 0.0
        rows = phases(config.schedule, self.dataset.resolution)
        for index, (_, transition, training) in enumerate(rows):
            level = len(rows) - 1 - index
            end = min(start + transition + training, config.total_kimg)
            images = max(end * 1000 - max(start * 1000, self.state.images_seen), 0)
            known = min((other for other in self.rates if other >= level), default=max(self.rates, default=level))
            left += images * self.rates.get(known, 0.01) * 2.0 ** (known - level)
            start = end
        return left

    def _grid_inputs(self):
        count = self.columns * self.rows
        random = np.random.RandomState(self.state.config.seed)
        latents = random.randn(count, self.state.generator.latent_size).astype(np.float32)
        labels = self.dataset.labels[random.randint(len(self.dataset.labels), size=count)]
        return latents, labels

    def _forget_the_future(self):
        """Drop statistics of ticks that a killed run reported but did not live to save."""
        path = self.run_dir / "stats.jsonl"
        if path.exists():
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
            kept = [row for row in rows if row["images_seen"] <= self.state.images_seen]
            with atomic_file(path) as temporary:
                temporary.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")


def grid_size(size, resolution):
    """Columns and rows of an image grid: "1080p" or "4k" as in the original, or "COLUMNSxROWS"."""
    if size == "1080p":
        return int(np.clip(1920 // resolution, 3, 32)), int(np.clip(1080 // resolution, 2, 32))
    if size == "4k":
        return int(np.clip(3840 // resolution, 7, 32)), int(np.clip(2160 // resolution, 4, 32))
    parts = size.split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) for part in parts):
        raise ValueError(f'image_grid must be "1080p", "4k" or like "8x4" (columns x rows), not {size!r}')
    return int(parts[0]), int(parts[1])


def clock(seconds):
    """Seconds as people say them: 59s, 12m 05s, 3h 07m, 2d 04h."""
    seconds = int(seconds)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m {seconds % 60:02d}s"
    if seconds < 86400:
        return f"{seconds // 3600}h {seconds % 3600 // 60:02d}m"
    return f"{seconds // 86400}d {seconds % 86400 // 3600:02d}h"
