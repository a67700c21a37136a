"""How far a long task is: a live line on a terminal, else a line every ten seconds."""

import sys
import time


class ProgressLine:
    """Silent while there is nothing to wait for.

    Args:
        what: What is being done, at the start of the line.
        total: How many there will be.
        unit: Of what, in the plural.
        done: How many were done before; they do not count for the rate.
    """

    def __init__(self, what, total, unit="images", done=0):
        self.what, self.total, self.unit, self.done = what, total, unit, done
        self.live = sys.stdout.isatty()
        self.started = self.shown_at = time.monotonic()

    def show(self, count):
        """Say that `count` of all are done, at which rate, and how long the rest will take."""
        if self._is_due():
            self._print(self.text(count, (count - self.done) / (self.shown_at - self.started)))

    def say(self, line):
        """Show a line in place of the one before, unless that came just now."""
        if self._is_due():
            self._print(line)

    def text(self, count, rate):
        """The line for `count` done, at `rate` a second."""
        left = clock((self.total - count) / rate) if rate else "unknown time"
        return f"{self.what}: {count:,} of {self.total:,} {self.unit}, {rate:.3g} a second, {left} left"

    def clear(self):
        """Take the live line away."""
        if self.live:
            print("\r\033[K", end="", flush=True)

    def _is_due(self):
        now = time.monotonic()
        if now - self.shown_at < (0.2 if self.live else 10):
            return False
        self.shown_at = now
        return True

    def _print(self, line):
        print(f"\r\033[K{line}" if self.live else line, end="" if self.live else "\n", flush=True)


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
