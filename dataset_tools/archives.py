"""Zip and tar archives, read where they are: nothing is unpacked under a name that the archive chooses."""

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import tempfile
import weakref
import zipfile
from pathlib import PurePosixPath

from dataset_tools.errors import DatasetError, printable

MAX_FILE_BYTES = 2**29  # of one picture, more than `Image.MAX_IMAGE_PIXELS` of them need
MAX_EXPANSION = 100, 2**30  # a compressed tar may grow this many times, plus so many bytes
COMPRESSIONS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
BLOCK = 512  # bytes; tar files consist of such


class ZipReader:
    """The files in a zip archive.

    Attributes:
        entries: {path inside: entry for `read` and `identity`, None for a link}. Of two with one name the last counts.

    Raises:
        DatasetError: The archive is damaged, or a name in it leads outside.
    """

    linked = frozenset()

    def __init__(self, path):
        try:
            self._archive = zipfile.ZipFile(path)  # reads from several threads under a lock of its own
        except Exception as error:  # damaged archives raise almost anything
            raise _damaged(path, error) from error
        self.entries = {
            _inside(path, info.filename): None if stat.S_ISLNK(info.external_attr >> 16) else info
            for info in self._archive.infolist()
            if not info.is_dir()
        }

    def read(self, entry):
        if entry.file_size > MAX_FILE_BYTES:
            raise ValueError(f"it unpacks to {entry.file_size:,} bytes, more than any picture")
        return self._archive.read(entry)

    def identity(self, entry):
        return entry.file_size, entry.CRC


class TarReader:
    """The files in a tar archive, see `ZipReader`. One that is compressed is unpacked to a temporary file first."""

    linked = frozenset()

    def __init__(self, path, head):
        try:
            self._file = _open_tar(path, head)
            weakref.finalize(self, self._file.close)
            self.entries = self._index(path)
        except DatasetError:
            raise
        except Exception as error:
            raise _damaged(path, error) from error

    def _index(self, path):
        entries, end = {}, 0
        with tarfile.open(fileobj=self._file, mode="r:") as archive:
            while (member := archive.next()) is not None:
                if member.offset < end or member.size < 0:
                    raise ValueError(f"a header at byte {member.offset} leads backwards")
                end = member.offset + BLOCK
                if not member.isdir():
                    plain = member.isreg() and not member.issparse()
                    entries[_inside(path, member.name)] = (
                        (member.offset_data, member.size, member.mtime) if plain else None
                    )
                archive.members.clear()  # it would keep them all
            # a damaged header ends the list like the end of the archive does, which is a block of zeros
            if os.pread(self._file.fileno(), BLOCK, archive.offset) != bytes(BLOCK):
                raise ValueError(f"no file and no end at byte {archive.offset}")
        return entries

    def read(self, entry):
        offset, size, _ = entry
        if size > MAX_FILE_BYTES:
            raise ValueError(f"it has {size:,} bytes, more than any picture")
        data = os.pread(self._file.fileno(), size, offset)
        if len(data) != size:
            raise ValueError(f"the archive ends {size - len(data):,} bytes too early")
        return data

    def identity(self, entry):
        return entry


def is_tar(path, head):
    """Whether a file is a tar archive, judged by its first 512 bytes and, where those say little, by its name."""
    known = head[257:262] == b"ustar" or any(head.startswith(magic) for magic in COMPRESSIONS)
    return known or ".tar" in path.name.lower()


def _open_tar(path, head):
    """The archive itself; what is compressed as a temporary file without a name."""
    open_compressed = next((COMPRESSIONS[magic] for magic in COMPRESSIONS if head.startswith(magic)), None)
    if open_compressed is None:
        return path.open("rb")
    spool = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        with open_compressed(path) as file:
            _unpack(path, file, spool)
        spool.seek(0)
    except BaseException:
        spool.close()
        raise
    return spool


def _unpack(path, file, spool):
    times, plus = MAX_EXPANSION
    limit = times * path.stat().st_size + plus
    while chunk := file.read(2**20):
        if spool.tell() + len(chunk) > limit:
            raise DatasetError(
                f"{printable(path)} unpacks to more than {limit:,} bytes; if you trust it, unpack it yourself and give "
                "the folder"
            )
        try:
            spool.write(chunk)
            spool.flush()
        except OSError as error:
            raise DatasetError(
                f"{printable(path)} cannot be unpacked in {tempfile.gettempdir()} ({error.strerror}); make room, set "
                "TMPDIR to another directory, or unpack it yourself and give the folder"
            ) from error


def _inside(path, name):
    """Path of a member without "./"."""
    member = PurePosixPath(name)
    if member.is_absolute() or ".." in member.parts:
        raise DatasetError(
            f"{printable(path)} is not to be trusted: its file {printable(name)} would lie outside; make it anew"
        )
    return str(member)


def _damaged(path, error):
    reason = str(error) or type(error).__name__
    return DatasetError(f"{printable(path)} is damaged ({printable(reason)}); get it again, or give an unpacked folder")
