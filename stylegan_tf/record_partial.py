"""A data set in the making: a hidden directory that one process owns, files that grow, and a journal to go on from."""

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

import google_crc32c

from stylegan_tf.record_levels import RecordFormat

try:
    import fcntl
except ImportError:  # there is none on Windows
    fcntl = None

JOURNAL = "journal.json"
LOCK = ".lock"
BUFFER = 2**17  # bytes; small records are written together


@dataclass(frozen=True)
class Journal:
    """How far an interrupted writer got.

    Attributes:
        expected_images, format: What the writer was made with.
        shape: (H, W, C) of the images, None before the first.
        count: Number of images written.
        files: {name: (bytes, CRC-32C of them)} of every file so far.
        state: What the caller gave to `RecordWriter.checkpoint`.
    """

    expected_images: int
    format: RecordFormat
    shape: tuple | None = None
    count: int = 0
    files: dict = field(default_factory=dict)
    state: dict = field(default_factory=dict)


class GrowingFile:
    """A file that is appended to; size and checksum of what it has are known at any moment."""

    def __init__(self, path, size=0, crc=0):
        self.size, self.crc = size, crc
        self.file = open(path, "r+b" if size else "wb", BUFFER)  # noqa: SIM115 (closed in `close`)
        self.file.seek(size)

    def append(self, data):
        self.file.write(data)
        self.crc = google_crc32c.extend(self.crc, data)
        self.size += len(data)

    def to_disk(self):
        """Return when everything is on the disk itself."""
        self.file.flush()
        os.fsync(self.file.fileno())

    def close(self):
        self.file.close()


class PartialDirectory:
    """`.NAME.partial` beside NAME, which it becomes.

    Args:
        directory: NAME, a path.
    """

    def __init__(self, directory):
        self.directory = Path(os.path.abspath(directory))  # without a trailing slash (trap 49)
        self.path = self.directory.with_name(f".{self.directory.name}.partial")
        self.lock = None

    def journal(self):
        """The `Journal` that an interrupted writer left, or None.

        Raises:
            ValueError: It cannot be read.
        """
        path = self.path / JOURNAL
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            files = {name: (int(size), int(crc)) for name, (size, crc) in facts.pop("files").items()}
            if outside := [name for name in files if Path(name).name != name]:
                raise ValueError(f"{outside[0]} is no file in it")
            shape = facts.pop("shape")
            return Journal(
                **facts | {"format": RecordFormat(**facts["format"])}, shape=shape and tuple(shape), files=files
            )
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path} is damaged ({error}); remove {self.path} and start again") from error

    def claim(self):
        """Make the directory and keep other processes out; the system lets go of it however this process ends.

        Raises:
            ValueError: The data set exists already, or another process is writing it.
        """
        self._refuse_existing()
        self.path.mkdir(parents=True, exist_ok=True)
        if fcntl is None:
            return
        self.lock = open(self.path / LOCK, "a", encoding="utf-8")  # noqa: SIM115 (closed in `release`)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = os.path.samestat(os.fstat(self.lock.fileno()), os.stat(self.path / LOCK))  # not removed in between
        except (BlockingIOError, FileNotFoundError):
            mine = False
        if not mine:
            self.release()
            self._refuse_existing()  # the other process has finished just now
            raise ValueError(f"{self.directory} is being written by another process; wait, or stop that one")

    def _refuse_existing(self):
        if self.directory.exists() and (not self.directory.is_dir() or any(self.directory.iterdir())):
            raise ValueError(f"{self.directory} exists already; remove it or choose another name")

    def clear(self, keep=()):
        """Remove all files but those in `keep`."""
        for path in self.path.iterdir():
            if path.name not in (LOCK, *keep):
                path.unlink()

    def rewind(self, journal):
        """Put all files back to where a journal says.

        Raises:
            ValueError: They are shorter than that, or missing.
        """
        for name, (size, _) in journal.files.items():
            path = self.path / name
            if not path.is_file() or path.stat().st_size < size:
                raise ValueError(f"{path} is not as its journal says; remove {self.path} and start again")
            os.truncate(path, size)
        self.clear(keep=[JOURNAL, *journal.files])

    def write_journal(self, journal):
        """Replace the journal; it is always the old one or the new one, never a part of it."""
        temporary = self.path / f"{JOURNAL}.new"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(asdict(journal), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.path / JOURNAL)

    def has_journal(self):
        return (self.path / JOURNAL).exists()

    def publish(self, obsolete=()):
        """Give the directory its name; its files are on the disk already. Only then remove what no data set needs."""
        sync_directory(self.path)
        if self.directory.is_dir():
            self.directory.rmdir()  # empty, or it would have been refused
        self.path.rename(self.directory)
        for name in (JOURNAL, LOCK, *obsolete):
            (self.directory / name).unlink(missing_ok=True)
        sync_directory(self.directory.parent)

    def remove(self):
        """Leave nothing."""
        shutil.rmtree(self.path, ignore_errors=True)

    def release(self):
        """Let other processes in."""
        if self.lock is not None:
            self.lock.close()
            self.lock = None


def sync_directory(path):
    """Return when the names in a directory are on the disk."""
    if os.name != "posix":  # elsewhere a directory cannot be opened
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path, data):
    """Write a whole file, to the disk: {"bytes", "crc32c"}."""
    file = GrowingFile(path)
    try:
        file.append(data)
        file.to_disk()
    finally:
        file.close()
    return {"bytes": file.size, "crc32c": file.crc}
