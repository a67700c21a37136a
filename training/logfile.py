"""What a run prints, kept in its directory."""

import contextlib
import io
import sys
import traceback


@contextlib.contextmanager
def output_mirrored(path):
    """Lets what is printed in the block appear in a file too, and an exception that ends the block.

    The file is appended to, so a run that was resumed has one log. A line that overwrites itself on the terminal
    is kept as it was last. A file that cannot be written is told once and stops nothing.

    Args:
        path: File name.
    """
    log = _Log(path)
    with contextlib.redirect_stdout(_Mirror(sys.stdout, log)), contextlib.redirect_stderr(_Mirror(sys.stderr, log)):
        try:
            yield
        except BaseException:
            log.write(traceback.format_exc())
            raise
        finally:
            log.close()


class _Log:
    """A text file whose failures are told once, on the terminal. It has no buffer: nothing waits for room on a disk."""

    def __init__(self, path):
        self.path, self.file, self.failed, self.terminal = path, None, False, sys.stdout
        with self._told_once():
            self.file = open(path, "ab", buffering=0)  # noqa: SIM115 (closed below)

    def write(self, text):
        if self.file:
            with self._told_once():
                self.file.write(text.encode(errors="backslashreplace"))

    def close(self):
        if self.file:
            self.file.close()

    @contextlib.contextmanager
    def _told_once(self):
        try:
            yield
        except OSError as error:
            if not self.failed:
                print(f"Warning: {self.path} is not complete ({error.strerror})", file=self.terminal, flush=True)
            self.failed = True


class _Mirror(io.TextIOBase):
    """A stream that hands on to a terminal and writes finished lines to a log."""

    def __init__(self, terminal, log):
        self.terminal, self.log, self.line = terminal, log, ""

    def write(self, text):
        with contextlib.suppress(OSError):  # a full disk, or a terminal that is gone, does not end a run
            self.terminal.write(text)
        *lines, self.line = (self.line + text).split("\n")
        for line in lines:
            self.log.write(_as_last_seen(line) + "\n")
        self.line = _as_last_seen(self.line)
        return len(text)

    def flush(self):
        with contextlib.suppress(OSError):
            self.terminal.flush()

    def isatty(self):
        return self.terminal.isatty()

    def fileno(self):
        return self.terminal.fileno()

    @property
    def encoding(self):
        return self.terminal.encoding


def _as_last_seen(line):
    """A line without what a carriage return made the terminal overwrite, and without the code that erases."""
    return line.rstrip("\r").rpartition("\r")[2].removeprefix("\033[K")
