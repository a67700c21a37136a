"""How far a long task is: images, rate and time left."""

import sys
import time


class Progress:
    """A live line on a terminal, else a line every ten seconds; silent while there is nothing to wait for.

    Args:
        total: Pictures that will come.
        done: Pictures that an earlier call has made; they do not count for the rate.
    """

    def __init__(self, total, done=0):
        self.total, self.done = total, done
        self.live = sys.stdout.isatty()
        self.started = self.shown_at = time.monotonic()

    def show(self, count):
        """Say that `count` pictures of the total are done, unless something was said just now."""
        now = time.monotonic()
        if now - self.shown_at < (0.2 if self.live else 10):
            return
        self.shown_at = now
        rate = (count - self.done) / (now - self.started)
        left = clock((self.total - count) / rate) if rate else "unknown time"
        line = f"{count} of {self.total} pictures, {rate:.{0 if rate >= 10 else 1}f} a second, {left} left"
        print(f"\r\033[K{line}" if self.live else line, end="" if self.live else "\n", flush=True)

    def clear(self):
        """Take the live line away."""
        if self.live:
            print("\r\033[K", end="", flush=True)


def clock(seconds):
    """Seconds as 4:09, or 2:03:04 from an hour on."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
