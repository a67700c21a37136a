"""The options of measurements whose contenders take turns at several sizes and batches."""

import argparse
from pathlib import Path

from stylegan_tf.console import argument_parser, positive

SIZES = [8 << power for power in range(8)]  # pixels that networks have


def parse_choices(arguments, doc, examples, prog, contenders, usual, quick):
    """Read a command line.

    Args:
        arguments: What was typed; None for what the process was started with.
        doc, examples, prog: As for `argument_parser`.
        contenders: Names that there are.
        usual, quick: Values without and with `--quick`: (sizes, batches, repeats, contenders).
    """
    parser = argument_parser(doc, examples, prog=prog)
    parser.add_argument("--sizes", type=_numbers, metavar="R,...", help=f"pixels (default: {_text(usual[0])})")
    parser.add_argument("--batches", type=_numbers, metavar="N,...", help=f"images a turn (default: {_text(usual[1])})")
    parser.add_argument("--repeats", type=positive, metavar="N", help=f"turns of each (default: {usual[2]})")
    parser.add_argument("--contenders", metavar="NAME,...", help=f"see below (default: {_text(usual[3])})")
    parser.add_argument("--quick", action="store_true", help="tiny networks, one turn")
    parser.add_argument("--out", type=output_file, metavar="FILE", help="JSON file for all values")
    parser.add_argument("--plot", type=output_file, metavar="FILE", help="PNG of cost against size and batch")
    options = parser.parse_args(arguments)
    sizes, batches, repeats, names = quick if options.quick else usual
    options.sizes = options.sizes or sizes
    options.batches = options.batches or batches
    options.repeats = options.repeats or repeats
    options.contenders = options.contenders.split(",") if options.contenders else names
    for name in options.contenders:
        if name not in contenders:
            parser.error(f"--contenders: there is no {name!r}; there are {', '.join(contenders)}")
    for size in options.sizes:
        if size not in SIZES:
            parser.error(f"--sizes: networks have {_text(SIZES)} pixels, not {size}")
    return options


def output_file(text):
    """Reads the name of a file whose directory exists, so that nothing is measured in vain."""
    path = Path(text)
    if not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{path.parent} is no directory; make it first")
    return path


def _numbers(text):
    parts = text.split(",")
    if not all(part.isdecimal() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of whole numbers from 1 on, as 32,64")
    return [int(part) for part in parts]


def _text(values):
    return ",".join(map(str, values))
