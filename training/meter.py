"""The numbers of a run, tick by tick: averages of what the steps log, speed, time left."""

import math
import time
from collections import defaultdict

import tensorflow as tf

from stylegan_tf.progress_line import clock
from training.progress import seconds_between, stretches


class Meter:
    """Counts and times the iterations of a `TrainState`.

    Args:
        state: The state.
        resolution: Full resolution of the networks.

    Attributes:
        rates: Seconds per image by level, as measured; without first iterations, which include a compilation.
        metrics: Last results of metrics by name; every tick tells them until they are replaced, as in the original.
    """

    def __init__(self, state, resolution):
        self.state, self.rates, self.metrics = state, {}, {}
        self.parts = stretches(state.config.schedule, resolution, state.config.total_kimg)
        self.averages, self._compiled = Averages(), set()
        self.begin_tick()

    def begin_tick(self):
        """Forget the averages and times of the tick before."""
        self.averages.clear()
        self._images = self._steady_images = 0
        self._seconds = self._steady_seconds = 0.0
        self._started = time.monotonic()

    def add(self, logs, seconds, point):
        """Account for one iteration.

        Args:
            logs: Scalars by name.
            seconds: How long the iteration took.
            point: The `SchedulePoint` that it ran at.
        """
        for name, value in logs.items():
            self.averages.add(name, float(value))
        images = point.minibatch * self.state.config.D_repeats
        self._images += images
        self._seconds += seconds
        self.state.seconds += seconds
        if point.level in self._compiled:
            rate = seconds / images
            self.rates[point.level] = 0.95 * self.rates.get(point.level, rate) + 0.05 * rate
            self._steady_images += images
            self._steady_seconds += seconds
        self._compiled.add(point.level)

    def row(self, point):
        """The numbers of the tick that ends, as `stats.jsonl` has them.

        Means are over the finite values of its iterations. `sec_per_kimg` counts all training; `images_per_second`
        leaves compilation out. `maintenance_sec` is what passed besides, mostly for pictures and checkpoints after the
        tick before, as in the original.
        """
        state, steady = self.state, self._steady_seconds
        scales = {"loss_scale_log2_g": state.G_optimizer, "loss_scale_log2_d": state.D_optimizer}
        return {
            "tick": state.tick,
            "images_seen": state.images_seen,
            "kimg": state.images_seen / 1000,
            "lod": point.lod,
            "level": point.level,
            "fade": point.fade,
            "resolution": point.resolution,
            "minibatch": point.minibatch,
            "G_lrate": point.G_lrate,
            "D_lrate": point.D_lrate,
            "minutes": state.seconds / 60,
            "sec_per_tick": self._seconds,
            "sec_per_kimg": 1000 * self._seconds / max(self._images, 1),
            "compile_sec": self._seconds - steady,
            "maintenance_sec": max(time.monotonic() - self._started - self._seconds, 0.0),
            "peak_gpu_mem_gb": peak_gpu_mem_gb(),
            **({"images_per_second": self._steady_images / steady} if steady else {}),
            "skipped_d_total": state.skipped[0],
            "skipped_g_total": state.skipped[1],
            **{name: float(adam.slots["loss_scale_log2"]) for name, adam in scales.items() if adam.loss_scaling},
            **self.averages.means(),
            **{f"metric_{name}": value for name, value in self.metrics.items()},
        }

    def line(self, point):
        """The state of the run in one line."""
        means, size = self.averages.means(), f"{point.resolution}x{point.resolution}"
        losses = [f"{means[name]:5.2f}" if name in means else "    -" for name in ("loss_g", "loss_d")]
        growth = f"{size} fading in {100 * (1 - point.fade):.0f} %" if point.fade else size
        kimg, total = self.state.images_seen / 1000, self.state.config.total_kimg
        return (
            f"kimg {kimg:7.{1 if total >= 10 else 3}f} of {total:g}  {growth:<23}  "
            f"loss G {losses[0]} D {losses[1]}{self._skipped()}  {self.speed(point)}  "
            f"{clock(self.state.seconds)} trained, {self._left(point)}"
        )

    def speed(self, point):
        """Images per second at this level."""
        return f"{1 / self.rates[point.level]:6.1f} img/s" if point.level in self.rates else "compiling"

    def time_left(self, end=math.inf):
        """Seconds until `end` kimg or the end of the run, at the rates measured so far."""
        return seconds_between(self.state.images_seen / 1000, end, self.parts, self.rates)

    def _skipped(self):
        """How many updates were left out since the run began, if any were."""
        of_D, of_G = self.state.skipped
        return f", {of_G} of G and {of_D} of D skipped" if of_D or of_G else ""

    def _left(self, point):
        """Time left for the tick and the level, where they end before what comes next, and for the run."""
        now, end = self.state.images_seen / 1000, self.parts[-1].end
        level_end = max((part.end for part in self.parts if part.level == point.level), default=end)
        tick_end = self.state.tick_start / 1000 + point.tick_kimg
        words = [f"run {clock(self.time_left())}"]
        if now < level_end < end:
            words.insert(0, f"level {clock(self.time_left(level_end))}")
        if now < tick_end < level_end:
            words.insert(0, f"tick {clock(self.time_left(tick_end))}")
        return f"left: {', '.join(words)}"


class Averages:
    """Mean and standard deviation of scalars, from their finite values (section 19.3 of the reference)."""

    def __init__(self):
        self._sums = defaultdict(lambda: (0, 0.0, 0.0))  # name -> count, sum, sum of squares

    def add(self, name, value):
        """Take in one value; one that is not finite is left out."""
        if math.isfinite(value):
            count, total, squares = self._sums[name]
            self._sums[name] = count + 1, total + value, squares + value**2

    def means(self):
        """Name -> mean; a name without a finite value is missing."""
        return {name: total / count for name, (count, total, _) in self._sums.items()}

    def deviations(self):
        """Name -> standard deviation."""
        return {
            name: math.sqrt(max(squares / count - (total / count) ** 2, 0.0))
            for name, (count, total, squares) in self._sums.items()
        }

    def clear(self):
        """Forget all."""
        self._sums.clear()


def peak_gpu_mem_gb():
    """Most memory that this process ever had in use on one of its GPUs, in GiB; 0 without a GPU."""
    devices = [device.name.rpartition("/device:")[2] for device in tf.config.list_logical_devices("GPU")]
    return max((tf.config.experimental.get_memory_info(name)["peak"] for name in devices), default=0) / 2**30
