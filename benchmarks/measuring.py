"""Fair comparisons: everything in one run, taking turns, as medians with their spread."""

import dataclasses
import os
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("numpy", "pillow", "tensorflow", "google-crc32c")


@dataclasses.dataclass
class Row:
    """What one contender did, one value for each repeat.

    Attributes:
        task: What was to be done.
        contender: Who did it.
        rates: Images per second of wall-clock time; empty if only seconds count.
        cpu: Seconds of CPU time for each image, all threads together: hardly depends on who else uses the machine.
        seconds: Wall-clock time of the whole; empty if rates count.
        megabytes: Of one image at full resolution, without compression; 0 for what has no size.
    """

    task: str
    contender: str
    rates: list = dataclasses.field(default_factory=list)
    cpu: list = dataclasses.field(default_factory=list)
    seconds: list = dataclasses.field(default_factory=list)
    megabytes: float = 0.0


def compare(task, contenders, repeats, megabytes=0.0):
    """Let contenders take turns: a `Row` for each.

    Args:
        task: What they do.
        contenders: {name: function that does it and returns (images, wall-clock seconds, seconds of CPU time)}. The
            first one is what the others are compared with.
        repeats: Number of turns; one more, the first, is not counted.
        megabytes: Of one image.
    """
    rows = {name: Row(task, name, megabytes=megabytes) for name in contenders}
    for turn in range(repeats + 1):
        for name, function in contenders.items():
            images, seconds, cpu = function()
            if turn:
                rows[name].rates.append(images / seconds)
                rows[name].cpu.append(cpu / images)
    return list(rows.values())


def stopwatch():
    """Function that returns the seconds since now, (wall clock, CPU)."""
    wall, cpu = time.perf_counter(), time.process_time()
    return lambda: (time.perf_counter() - wall, time.process_time() - cpu)


def ratio(row, other, what="rates"):
    """Median over the turns of how many times faster `row` was than `other`."""
    pairs = zip(getattr(row, what), getattr(other, what), strict=True)
    return statistics.median(mine / theirs if what == "rates" else theirs / mine for mine, theirs in pairs)


def titles():
    """The first line of a table."""
    columns = f"{'images/s':>9} {'(min to max)':>19} {'MB/s':>6} {'CPU ms':>8} {'x faster':>9} {'x less CPU':>11}"
    return f"{'':34}{columns}"


def lines(rows):
    """The rows of one task as text, compared with the first one."""
    return "\n".join(["", rows[0].task, *(f"  {row.contender:32}{_numbers(row, rows[0])}" for row in rows)])


def _numbers(row, first):
    if row.seconds:
        text = f"{statistics.median(row.seconds):.3f} s ({min(row.seconds):.3f} to {max(row.seconds):.3f})"
        return f"{text:>29}{'':16}{ratio(row, first, 'seconds'):>9.2f}"
    rate = statistics.median(row.rates)
    spread = f"({_short(min(row.rates))} to {_short(max(row.rates))})"
    volume = f"{rate * row.megabytes:.0f}" if row.megabytes else ""
    cpu = 1000 * statistics.median(row.cpu)
    text = f"{_short(rate):>9} {spread:>19} {volume:>6} {cpu:>8.3f}"
    return text + f" {ratio(row, first):>9.2f} {ratio(row, first, 'cpu'):>11.2f}"


def _short(rate):
    return f"{rate:.1f}" if rate < 100 else f"{rate:.0f}"


def machine():
    """What it was measured on: JSON-able."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,  # of the last 1, 5, 15 minutes
        "system": platform.platform(),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }
