"""How far the work on a data set is."""

from stylegan_tf.progress_line import ProgressLine


class Progress(ProgressLine):
    """A line of how many pictures are done.

    Args:
        total: Pictures that will come.
        done: Pictures that an earlier call has made; they do not count for the rate.
    """

    def __init__(self, total, done=0):
        super().__init__("", total, "pictures", done)

    def text(self, count, rate):
        left = clock((self.total - count) / rate) if rate else "unknown time"
        return f"{count} of {self.total} pictures, {rate:.{0 if rate >= 10 else 1}f} a second, {left} left"


def clock(seconds):
    """Seconds as 4:09, or 2:03:04 from an hour on."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
