"""Measures how fast data sets are written and read, beside the original's algorithms in the same run."""

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path

from benchmarks.choices import output_file
from stylegan_tf.console import argument_parser, friendly_errors, positive, quiet_tensorflow

EXAMPLES = """\
Examples:
  python -m benchmarks dataset                            # ten minutes on two cores
  python -m benchmarks dataset --quick                    # seconds; shows that it works, the numbers mean nothing
  python -m benchmarks dataset --repeats 9 --out speed.json --dir /data/scratch
"""
BATCH_BYTES = 6 * 2**20  # of a batch that is read; but 4 to 64 images


@dataclasses.dataclass(frozen=True)
class Amounts:
    """How much is done: {resolution: number of images}, seconds for each reading, images of the large data set."""

    write: dict
    read: dict
    encoded: dict
    seconds: float
    large: int


FULL = Amounts(
    write={1024: 24, 256: 300},
    read={8: 20000, 16: 20000, 32: 20000, 64: 20000, 128: 5000, 256: 1500, 512: 500, 1024: 200},
    encoded={64: 5000, 1024: 100},
    seconds=1.0,
    large=1_000_000,
)
QUICK = Amounts(write={32: 12}, read={16: 40, 32: 40}, encoded={16: 20}, seconds=0.02, large=2000)


def parse_arguments(arguments=None):
    parser = argument_parser(__doc__, EXAMPLES, prog="python -m benchmarks dataset")
    parser.add_argument("--quick", action="store_true", help="tiny amounts, one repeat")
    parser.add_argument("--repeats", type=positive, help="turns of every contender (default: 5)", metavar="N")
    parser.add_argument("--out", type=output_file, help="JSON file for all values", metavar="FILE")
    parser.add_argument("--dir", type=Path, help="where 2 GB of scratch files may be for a while", metavar="DIR")
    options = parser.parse_args(arguments)
    options.repeats = options.repeats or (1 if options.quick else 5)
    return options


# ---------------------------------------------------------------------------------------------------------------------
# Writing


def writing(scratch, amounts, repeats):
    """Rows for making data sets of folders of pictures, task by task."""
    from benchmarks.material import picture_folder
    from benchmarks.measuring import compare
    from dataset_tools.encoding import available_cores

    for size, images in amounts.write.items():
        for format in ("png", "jpeg"):
            folder = picture_folder(scratch / f"{size}-{format}", size, images, format)
            contenders = {"original": lambda folder=folder: write_original(folder, scratch)}
            for workers in sorted({1, available_cores()}):
                name = f"ours, {workers} thread{'s' * (workers > 1)}"
                contenders[name] = lambda folder=folder, workers=workers: write_ours(folder, scratch, workers)
            yield compare(f"write {size} pixels from {format.upper()}", contenders, repeats, 3 * size**2 / 1e6)
            shutil.rmtree(folder)


def write_original(folder, scratch):
    from benchmarks.measuring import stopwatch
    from benchmarks.original import write

    elapsed = stopwatch()
    images = write(folder, scratch / "made")
    return images, *end(elapsed, scratch / "made")


def write_ours(folder, scratch, workers):
    from benchmarks.measuring import stopwatch
    from dataset_tools.making import make_dataset
    from dataset_tools.sources import PictureSource

    elapsed = stopwatch()
    made = make_dataset(PictureSource(folder), scratch / "made", workers=workers)
    return made.images, *end(elapsed, scratch / "made")


def end(elapsed, directory):
    """Seconds, wall clock and CPU; then the directory is removed."""
    seconds = elapsed()
    shutil.rmtree(directory)
    return seconds


# ---------------------------------------------------------------------------------------------------------------------
# Reading


def reading(scratch, amounts, repeats):
    """Rows for reading shuffled batches at full resolution, task by task; the files are in memory already."""
    from benchmarks.material import data_set
    from benchmarks.measuring import compare
    from stylegan_tf.record_levels import RecordFormat
    from training.dataset import RecordDataset

    for size, images in sorted(amounts.read.items()):
        dataset = RecordDataset(data_set(scratch / f"raw{size}", size, images, RecordFormat()))
        contenders = {
            "original, tf.data": lambda dataset=dataset: read_original(dataset, amounts.seconds),
            "ours": lambda dataset=dataset: read_ours(dataset, amounts.seconds),
        }
        yield compare(f"read {size} pixels, raw", contenders, repeats, 3 * size**2 / 1e6)
        shutil.rmtree(scratch / f"raw{size}")
    for size, images in sorted(amounts.encoded.items()):
        contenders = {}
        for encoding in ("raw", "png", "webp", "jpeg"):
            directory = data_set(scratch / f"{encoding}{size}", size, images, RecordFormat(encoding))
            dataset = RecordDataset(directory)
            contenders[encoding] = lambda dataset=dataset: read_ours(dataset, amounts.seconds)
        yield compare(f"read {size} pixels, compressed", contenders, repeats, 3 * size**2 / 1e6)
        for encoding in contenders:
            shutil.rmtree(scratch / f"{encoding}{size}")


def batch_size(dataset):
    return max(4, min(64, BATCH_BYTES // (3 * dataset.resolution**2)))


def read_original(dataset, seconds):
    from benchmarks.original import batches

    level = dataset.levels[0]
    megabytes = 3 * level.resolution**2 * len(level) / 2**20
    buffers = {"shuffle_mb": megabytes / 4, "prefetch_mb": megabytes / 16}  # else all would come out of full buffers
    return read(batches(level.name, level.shape, batch_size(dataset), **buffers), seconds)


def read_ours(dataset, seconds):
    return read(dataset.batches(0, batch_size(dataset)), seconds)


def read(batches, seconds):
    """Take batches for some time, after the first one: (images, seconds, seconds of CPU time)."""
    from benchmarks.measuring import stopwatch

    next(batches)
    elapsed, images = stopwatch(), 0
    while elapsed()[0] < seconds or not images:
        batch = next(batches)
        images += len(batch[0])
    taken = elapsed()
    getattr(batches, "close", lambda: None)()  # ours is a generator with threads
    return images, *taken


def opening(scratch, amounts, repeats):
    """Rows for the time from opening a large data set until its first batch is there, shuffled over all of it.

    The original has to fill its shuffle buffer first, 4 GB or all images: minutes, at the rates of `reading`.
    """
    from benchmarks.material import large_data_set
    from benchmarks.measuring import Row, stopwatch
    from training.dataset import RecordDataset

    directory = large_data_set(scratch / "large", amounts.large)
    row = Row(f"first batch of {amounts.large:,} images", "ours")
    for turn in range(repeats + 1):
        elapsed, batches = stopwatch(), RecordDataset(directory).batches(0, 64)
        next(batches)
        if turn:
            row.seconds.append(elapsed()[0])
        batches.close()
    yield [row]


# ---------------------------------------------------------------------------------------------------------------------


def main(arguments=None):
    options = parse_arguments(arguments)
    with friendly_errors():
        with quiet_tensorflow():
            import tensorflow  # noqa: F401 (its first import is no part of any measurement)

        from benchmarks.measuring import lines, machine, titles

        facts, rows = machine(), []
        print(f"{facts['processor']}, {facts['cores']} cores; {options.repeats} repeats\n\n{titles()}", flush=True)
        with tempfile.TemporaryDirectory(prefix="benchmark-", dir=options.dir) as scratch:
            for part in (writing, reading, opening):
                for task in part(Path(scratch), QUICK if options.quick else FULL, options.repeats):
                    print(lines(task), flush=True)
                    rows += task
        if options.out:
            facts["load_after"] = machine()["load"]
            values = {"machine": facts, "repeats": options.repeats, "rows": [dataclasses.asdict(row) for row in rows]}
            options.out.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
