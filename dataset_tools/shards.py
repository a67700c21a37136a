"""One shard of a data set, made without the others: what a worker on some machine does.

A worker opens the same pictures as the launcher, makes the records of its shard, writes its files under names that no
other attempt has, and at last a report. What it has not reported does not count, so it may fail and try again.
"""

import contextlib
import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dataset_tools.encoding import Encoder
from dataset_tools.making import order_of, usable
from stylegan_tf.record_levels import RecordFormat
from stylegan_tf.record_manifest import records_name
from stylegan_tf.record_partial import GrowingFile, write_file
from stylegan_tf.record_writer import LENGTHS


class Shard(NamedTuple):
    """One element: pictures `start` to `stop` of the order until `images` of them are written."""

    number: int
    start: int
    stop: int
    images: int


@dataclass(frozen=True)
class Plan:
    """What every worker has to know.

    Attributes:
        command, arguments, options: The pictures, see `open_source`.
        stamp: Their identity on the launcher.
        directory: Where the files go; all machines see it.
        prefix: First part of the names of the files.
        run: Part of the names of reports, so that workers of another run are not heard.
        shape: (H, W, C) of the first picture, and so of all.
        format: `RecordFormat`.
        shuffle, on_error, workers: See `make_dataset`; the threads are those of one worker.
    """

    command: str
    arguments: list
    options: dict
    stamp: str
    directory: str
    prefix: str
    run: str
    shape: tuple
    format: RecordFormat
    shuffle: bool
    on_error: str
    workers: int

    def report(self, number):
        """Where a worker says that a shard is made."""
        return Path(self.directory) / f"shard-{number:05d}.{self.run}.json"

    @property
    def failure(self):
        """Where a worker says that the data set cannot be made: then the others need not begin."""
        return Path(self.directory) / f"failure.{self.run}.json"


def make_shard(source, plan, shard):
    """Write the files of one shard, under temporary names: the report on it, JSON-able."""
    order = order_of(len(source), plan.shuffle)[shard.start : shard.stop]
    skipped = []
    with ShardFiles(plan, shard) as files:
        for index, _, records, error in usable(Encoder(source, plan.format, plan.workers), order, files, plan.on_error):
            if error:
                skipped.append([index, str(error)])
            else:
                files.add(records)
    entries = {name: [file.size, file.crc] for name, file in files.files.items()}
    facts = {"shard": list(shard), "attempt": files.attempt, "count": files.count}
    return facts | {"skipped": skipped, "files": entries}


class ShardFiles:
    """The files of one shard while they grow: one for each level, none without images; none stays after an error."""

    def __init__(self, plan, shard):
        self.shape, self.count, self.expected_images = plan.shape, 0, shard.images
        self.directory, self.compressed = Path(plan.directory), plan.format.encoding != "raw"
        sizes = plan.format.resolutions(plan.shape[0])
        self.levels = [records_name(plan.prefix, size, shard.number, plan.format.shards) for size in sizes]
        self.attempt, self.files = uuid.uuid4().hex, {}

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        complete = False
        try:
            for file in self.files.values() if kind is None else ():
                file.to_disk()
            complete = kind is None
        finally:
            for name, file in self.files.items():
                with contextlib.suppress(OSError):  # a full disk: what is not written yet cannot be
                    file.close()
                if not complete:
                    self._path(name).unlink()

    def add(self, records):
        """Append one image as `encode_levels` made it."""
        for level, record in zip(self.levels, records, strict=True):
            self._file(level).append(record)
            if self.compressed:
                self._file(level + LENGTHS).append(np.int64(len(record)).tobytes())
        self.count += 1

    def _file(self, name):
        if name not in self.files:
            self.files[name] = GrowingFile(self._path(name))
        return self.files[name]

    def _path(self, name):
        return self.directory / f"{name}.{self.attempt}"


def write_whole(path, facts):
    """Write a JSON file that is either there as a whole or not at all."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    write_file(temporary, json.dumps(facts).encode())
    os.replace(temporary, path)
