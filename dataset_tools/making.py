"""From a source of pictures to a data set: on all cores, in order, with bounded memory, and able to go on.

A source is what the other files here make:

    len(source), source.names[i]    pictures, each with a name of its own
    source[i]                       uint8 [H, W, C]; from several threads at once; raises `DatasetError`
    source.labels                   float32 [pictures, label_size]; label_size may be 0
    source.label_names              what the columns are, or []
    source.stamp                    optional: changes when the pictures change
    source.notes()                  optional: lines to say at the end
"""

import contextlib
import dataclasses
import hashlib
import json
import time
from pathlib import Path

import numpy as np

from dataset_tools.encoding import Encoder
from dataset_tools.errors import DatasetError, Unsuitable
from dataset_tools.progress import Progress
from dataset_tools.skipping import SkipReport
from dataset_tools.space import SAMPLES, check_space
from stylegan_tf.record_levels import ORIGINAL, RecordFormat, encode_levels
from stylegan_tf.record_writer import RecordWriter

SHUFFLE_SEED = 123  # the original's
TRIALS = 16  # pictures that are looked at to learn their size
WORTH_KEEPING = 2  # seconds of work; an error or an interruption before that leaves nothing


@dataclasses.dataclass(frozen=True)
class Made:
    """What `make_dataset` has made."""

    images: int
    shape: tuple  # H, W, C
    label_size: int
    skipped: list  # lines of a table: how many pictures were left out, and why
    notes: list  # lines on what was done to the pictures


def make_dataset(
    source,
    tfrecord_dir,
    *,
    shuffle=True,
    format=ORIGINAL,
    max_images=None,
    on_error="fail",
    resume=None,
    workers=None,
    description=None,
    write=None,
):
    """Write the pictures and labels of a source.

    The same source and options give the same bytes, for any number of workers and any number of interruptions.

    Args:
        source: See above.
        tfrecord_dir: Directory to make.
        shuffle: Whether the records get a random order, always the same one (the original's), or the source's.
        format: How images are stored.
        max_images: Stop after that many were written: the first ones of the order.
        on_error: "fail": a picture that cannot be used is an error. "skip": it is left out, `skipped.jsonl` says why.
            Pictures that the source calls `Unsuitable` are always left out.
        resume: "continue" what an interrupted call has begun, if one has; "restart": begin anew; None: such a beginning
            is an error.
        workers: Number of threads; None for one a core.
        description: {"source": command, "options": {...}} for `dataset.json`; a call can only go on with what another
            began if these are the same.
        write: What has the records made elsewhere, a `beam.Pipeline`; None makes them here.

    Returns:
        A `Made`.

    Raises:
        DatasetError: A picture, or the source, cannot be used.
        ValueError: The directory exists, or cannot be continued as wished, or there is too little space on the disk.
        OSError: The directory cannot be written.
    """
    options = (description or {}).get("options", {}) | {"shuffle": int(shuffle), "max_images": max_images}
    description = (description or {}) | {"options": options, "label_names": list(source.label_names)}
    identity = _identity(source, description, format) | ({"made by": write.name} if write else {})
    journal = resumable(tfrecord_dir, resume)
    if journal:
        _check_same(tfrecord_dir, journal.state.get("identity", {}), identity)
    expected = min(len(source), max_images or len(source))
    if not expected:
        raise DatasetError("there are no pictures, so there is no data set")
    order = order_of(len(source), shuffle)
    encoder = Encoder(source, format, workers)
    _check_space(tfrecord_dir, encoder, order, expected, journal)
    with RecordWriter(tfrecord_dir, expected, description, format, journal) as writer:
        skipped = SkipReport(writer, len(source))
        (write or _write_pictures)(writer, encoder, order, skipped, on_error, {"identity": identity})
        if writer.count == 0:
            raise DatasetError("\n".join([f"none of the {len(source):,} pictures can be used:", *skipped.table()]))
        used = order[: writer.count + len(skipped)]
        if source.labels.shape[1]:
            writer.add_labels(source.labels[used[~skipped.out[used]]])
        writer.description["skipped"] = len(skipped)
    notes = source.notes() if hasattr(source, "notes") and not write else []  # it did not see the pictures
    if journal:
        notes = [f"{note} (in this call, which went on after {journal.count:,} pictures)" for note in notes]
    return Made(writer.count, writer.shape, writer.label_size, skipped.table(), notes)


def order_of(count, shuffle):
    """In which order pictures become records: numbers [count]. Random means the original's order, always the same."""
    order = np.arange(count)
    if shuffle:
        np.random.RandomState(SHUFFLE_SEED).shuffle(order)
    return order


def resumable(tfrecord_dir, resume=None):
    """The `Journal` of what an interrupted call has begun and this one shall continue, or None.

    Raises:
        ValueError: A data set of that name exists, or was begun and `resume` says nothing about it.
    """
    directory = Path(tfrecord_dir)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ValueError(f"{tfrecord_dir} exists already; remove it or choose another name")
    if resume == "restart":
        return None
    journal = RecordWriter.resumable(tfrecord_dir)
    if journal and resume != "continue":
        raise ValueError(
            f"{tfrecord_dir} was begun and not finished: {journal.count:,} of {journal.expected_images:,} pictures are "
            "there; add --continue to go on, or --restart to begin anew"
        )
    return journal


def _write_pictures(writer, encoder, order, skipped, on_error, state):
    """Write records until all expected pictures are there or none is left."""
    worth_keeping_at = time.monotonic() + (0 if writer.count else WORTH_KEEPING)
    progress = Progress(writer.expected_images, writer.count)
    try:
        for index, shape, records, error in usable(encoder, order[writer.count + len(skipped) :], writer, on_error):
            if error:
                skipped.add(index, encoder.source.names[index], error)
            else:
                writer.add_records(shape, records, position=writer.count + len(skipped))
            if time.monotonic() >= worth_keeping_at:
                writer.checkpoint(state)
            progress.show(writer.count)
    finally:
        progress.clear()


def usable(encoder, indices, written, on_error):
    """Generator of an `Encoded` for each picture in turn; with an error if it is to be left out.

    Args:
        encoder: `Encoder`.
        indices: Numbers of pictures.
        written: What the caller puts them into: `count` of `expected_images` are there already, all of one `shape`.
        on_error: See `make_dataset`.

    Raises:
        DatasetError: A picture cannot be used, and shall not be left out.
    """
    with contextlib.closing(encoder.all(indices)) as pictures:
        for encoded in pictures:
            if written.count == written.expected_images:
                return
            name = encoder.source.names[encoded.index]
            error = encoded.error or _unlike(name, encoded.shape, written.shape)
            if error and on_error != "skip" and not isinstance(error, Unsuitable):
                raise error
            yield encoded._replace(error=error)


def _unlike(name, shape, first):
    """What to say about a picture that is unlike the first one written; None if it is alike."""
    if first is None or tuple(shape) == tuple(first):
        return None
    found, expected = ("x".join(map(str, [shape[1], shape[0], shape[2]])) for shape in (shape, first))
    return DatasetError(
        f"{name} is {found} (width, height, channels), but the first picture was {expected}; make all alike, or leave "
        "such pictures out with --on-error skip"
    )


def _identity(source, description, format):
    """All that decides the bytes of the data set, JSON-able and flat: {what: value}."""
    identity = {"command": description.get("source")} | description["options"] | dataclasses.asdict(format)
    identity |= {"number of pictures": len(source), "stamp": stamp_of(source)}
    return json.loads(json.dumps(identity))  # as it comes back from a journal


def stamp_of(source):
    """A text that changes when the pictures of a source change."""
    if stamp := getattr(source, "stamp", None):
        return stamp
    digest = hashlib.sha256(source.labels.tobytes())
    for name in source.names:
        digest.update(f"{name}\0".encode())
    return digest.hexdigest()


def _check_same(tfrecord_dir, then, now):
    """Refuse to go on with another source or other options."""
    changes = [
        f"{what} was {then.get(what)}, now {now.get(what)}"
        for what in then | now
        if what != "stamp" and then.get(what) != now.get(what)
    ]
    if not changes and then.get("stamp") != now.get("stamp"):
        changes = ["the pictures have changed (other names, sizes, times or labels)"]
    if changes:
        raise ValueError(
            f"{tfrecord_dir} cannot be continued: {'; '.join(changes)}. Use what it was begun with, or add --restart "
            "to begin anew"
        )


def _check_space(tfrecord_dir, encoder, order, expected, journal):
    """See `check_space`; without a usable picture at the beginning nothing is known, and nothing checked."""
    first = next((tried for tried in map(encoder.try_one, order[:TRIALS]) if not tried.error), None)
    if first is None:
        return
    raw = encode_levels(np.zeros(first.shape, np.uint8), RecordFormat(levels=encoder.format.levels))
    spread = order[np.linspace(0, len(order) - 1, min(SAMPLES, len(order))).astype(int)]
    sizes = [first.size] if encoder.format.encoding == "raw" else (encoder.try_one(index).size for index in spread)
    written = sum(size for size, _ in journal.files.values()) if journal else 0
    check_space(tfrecord_dir, filter(None, sizes), expected, sum(map(len, raw)), written)
