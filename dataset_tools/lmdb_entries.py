"""Entries of an LMDB database by their number: LSUN's pictures, millions of them in one file."""

import threading
from collections.abc import Sequence

from dataset_tools.errors import DatasetError, printable

try:
    import lmdb
except ModuleNotFoundError:  # only create_lsun and create_lsun_wide need it
    lmdb = None

LANDMARK = 256  # every so many keys, one is kept in memory
REMEDY = "give the unzipped folder of one category, with data.mdb in it; https://www.yf.io/p/lsun has the categories"


class LmdbEntries:
    """Entries of an LMDB database by their number, in the order of the keys.

    LMDB finds an entry by its key only. Every 256th key is remembered once it has been passed, and the others are
    reached by stepping on from there: millions of entries take a few megabytes and no time to open.

    Args:
        directory: Folder with data.mdb.

    Attributes:
        names: The keys as text, a sequence.

    Raises:
        DatasetError: There is no database, or it is damaged.
        ValueError: The package lmdb is not installed.
    """

    def __init__(self, directory):
        self.directory = directory
        self._environment = _open(directory)
        self._count = self._environment.stat()["entries"]
        if not self._count:
            raise DatasetError(f"{printable(directory)} is an empty database; {REMEDY}")
        self._landmarks = []
        self._extending = threading.Lock()
        self.names = LmdbNames(self)

    def __len__(self):
        return self._count

    def __getitem__(self, index):
        """(key as text, value as bytes)."""
        key, value = self._at(index, lambda cursor: cursor.item())
        return _shown(key), value

    def name(self, index):
        """Key as text; the value is not read."""
        return _shown(self._at(index, lambda cursor: cursor.key()))

    def _at(self, index, read):
        index = range(self._count)[index]
        number, steps = divmod(int(index), LANDMARK)
        try:
            with self._environment.begin() as transaction, transaction.cursor() as cursor:
                cursor.set_key(self._landmark(cursor, number))
                for _ in range(steps):
                    cursor.next()
                return read(cursor)
        except lmdb.Error as error:
            raise DatasetError(
                f"{printable(self.directory)}: entry {index} is damaged ({error}); unzip or copy data.mdb again"
            ) from error

    def _landmark(self, cursor, number):
        """Key of entry number * LANDMARK."""
        with self._extending:
            if not self._landmarks:
                cursor.first()
                self._landmarks.append(cursor.key())
            if number >= len(self._landmarks):
                cursor.set_key(self._landmarks[-1])
            while number >= len(self._landmarks):
                for _ in range(LANDMARK):
                    cursor.next()
                self._landmarks.append(cursor.key())
            return self._landmarks[number]


class LmdbNames(Sequence):
    """The keys of `LmdbEntries` as text, read when asked for."""

    def __init__(self, entries):
        self._entries = entries

    def __len__(self):
        return len(self._entries)

    def __getitem__(self, index):
        return self._entries.name(index)


def _open(directory):
    if lmdb is None:
        raise ValueError("LSUN is read with a package that is not installed: pip install lmdb")
    shown = printable(directory)
    if not (directory / "data.mdb").is_file():
        raise DatasetError(f"{shown} does not hold data.mdb; {REMEDY}")
    try:
        environment = lmdb.open(str(directory), readonly=True, lock=False, create=False, readahead=False)
    except lmdb.Error as error:
        raise DatasetError(f"{shown} is no LMDB database that can be read ({error}); {REMEDY}") from error
    needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    found = (directory / "data.mdb").stat().st_size
    if found < needed:  # reading what is missing would end the process
        raise DatasetError(f"{shown}: data.mdb has {found:,} of {needed:,} bytes; unzip or copy it again")
    return environment


def _shown(key):
    return printable(key.decode("utf-8", "backslashreplace"))
