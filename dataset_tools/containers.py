"""Where pictures lie: a folder with everything below it, a zip or a tar archive."""

import hashlib
import os
import stat
from collections import deque
from pathlib import Path

from dataset_tools.archives import MAX_FILE_BYTES, TarReader, ZipReader, is_tar
from dataset_tools.decoding import SUFFIXES
from dataset_tools.errors import DatasetError, printable

REMEDY = "give a folder of pictures, a zip or a tar archive"


def open_container(path):
    """The pictures in a folder, .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz, told by content rather than by name.

    Raises:
        DatasetError: There is nothing of that kind, it is damaged, or it holds no pictures.
    """
    path = Path(path)
    shown = printable(path)
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            return Container(path, FolderReader(path))
        if not stat.S_ISREG(kind):
            raise DatasetError(f"{shown} is neither a file nor a folder; {REMEDY}")
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise DatasetError(f"{shown}: {error.strerror}; {REMEDY}") from error
    if head.startswith(b"PK"):
        return Container(path, ZipReader(path))
    if is_tar(path, head):
        return Container(path, TarReader(path, head))
    if path.suffix.lower() in SUFFIXES:
        raise DatasetError(f"{shown} is a single file; give the folder that it lies in")
    raise DatasetError(f"{shown} is no folder, zip or tar archive, or it is damaged; {REMEDY}")


class Container:
    """Pictures by number, whatever they lie in; reading is safe from several threads.

    Args:
        path: Of the folder or archive.
        reader: Has `entries`, {path inside: what it needs to read that, None for a link that it does not follow};
            `linked`, the paths that it reached through links; `read(entry)` → bytes; `identity(entry)`, which changes
            when the file does.

    Attributes:
        names: Paths of the pictures inside, "/" between the parts; sorted. Hidden ones are left out.
        ignored: Paths of what else is there: no pictures by their suffix, or links in an archive.
    """

    def __init__(self, path, reader):
        self.path = path
        self._reader = reader
        entries = {name: entry for name, entry in sorted(reader.entries.items()) if not _is_hidden(name)}
        self._entries = entries
        self.names = [name for name, entry in entries.items() if entry is not None and _suffix(name) in SUFFIXES]
        self.ignored = [name for name, entry in entries.items() if entry is None or _suffix(name) not in SUFFIXES]
        if not self.names:
            others = f", only {self._summary()}" if self.ignored else ""
            raise DatasetError(f"{printable(path)} holds no pictures{others}; put PNG or JPEG files into it")

    @property
    def stamp(self):
        """Identity of the pictures without reading them: a hash of names, sizes, and times or checksums."""
        digest = hashlib.sha256()
        for name in self.names:
            identity = self._reader.identity(self._entries[name])
            digest.update(f"{name}\0{identity}\0".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def __len__(self):
        return len(self.names)

    def read(self, index):
        """Bytes of one picture.

        Raises:
            DatasetError: It cannot be read, or is larger than any picture.
        """
        return self.read_file(self.names[index])

    def read_file(self, name):
        """Bytes of a file by its path inside, also of one that is no picture; None if there is none."""
        if self._entries.get(name) is None:
            return None
        try:
            return self._reader.read(self._entries[name])
        except Exception as error:  # damaged archives raise almost anything
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            shown = f"{self.full_name(name)} cannot be read: {printable(reason)}"
            raise DatasetError(f"{shown}; remove it or replace it") from error

    def full_name(self, name):
        """How messages name a file inside."""
        return printable(os.path.join(self.path, name))

    def notes(self):
        """Lines on what was left out, and on what is somewhere else."""
        lines = [f"{self._summary()} left out"] if self.ignored else []
        if linked := sum(name in self._reader.linked for name in self.names):
            lines.append(f"{linked:,} picture{'s' * (linked > 1)} reached through links")
        return lines

    def _summary(self):
        kinds = sorted({_suffix(name) or "no suffix" for name in self.ignored})
        shown = ", ".join(kinds[:5]) + (", …" if len(kinds) > 5 else "")
        files = "files that are" if len(self.ignored) > 1 else "file that is"
        link = " or a link" if any(self._entries[name] is None for name in self.ignored) else ""
        return f"{len(self.ignored)} {files} no picture{link} ({printable(shown)})"


class FolderReader:
    """All files below a folder. Links are followed, but no folder is read twice, so a circle of links has an end."""

    def __init__(self, path):
        self.path = path
        self.entries = {}
        self.linked = set()
        try:
            self._walk()
        except OSError as error:
            raise DatasetError(
                f"{printable(error.filename)} cannot be read: {error.strerror}; make it readable"
            ) from error

    def _walk(self):
        folders, links, seen = deque([""]), deque(), set()  # links last: what they lead to keeps its own name
        through_link = False
        while folders or links:
            through_link = through_link or not folders  # from the first link on, all is behind one
            inside = folders.popleft() if folders else links.popleft()
            directory = os.path.join(self.path, inside)
            status = os.stat(directory)
            if (status.st_dev, status.st_ino) in seen:
                self.entries[inside] = None
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(directory) as entries:
                for entry in entries:
                    name = f"{inside}/{entry.name}" if inside else entry.name
                    if _is_hidden(entry.name):
                        continue
                    if not _is_folder(entry):
                        self.entries[name] = name
                        if through_link or entry.is_symlink():
                            self.linked.add(name)
                    elif entry.is_symlink():
                        links.append(name)
                    else:
                        folders.append(name)
            links = deque(sorted(links))

    def read(self, entry):
        path = os.path.join(self.path, entry)
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
            raise ValueError("it is a pipe or a device, no file")
        if status.st_size > MAX_FILE_BYTES:
            raise ValueError(f"it has {status.st_size:,} bytes, more than any picture")
        with open(path, "rb") as file:
            return file.read()

    def identity(self, entry):
        try:
            status = os.stat(os.path.join(self.path, entry))
        except OSError:
            return "unreadable"
        return status.st_size, status.st_mtime_ns


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_hidden(name):
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _suffix(name):
    return os.path.splitext(name)[1].lower()
