"""Measures how fast this is, beside the original's algorithms and the hardware's limit.

Commands; each has its own --help, and --quick to see that it works:
  training     a training step: networks of several sizes, types, replicas; plain TensorFlow
  generation   pictures: sizes, batches, types; plain TensorFlow
  likeness     how near pictures in bfloat16 are to those in float32
  dataset      making and reading data sets, beside the original's way
  metrics      feature networks and formulas
  startup      import, --help, first picture, first training step
  upkeep       what distribution, checkpoints and reporting add to a training step
  litert       exported networks on a phone's runtime
"""

import importlib
import sys

from stylegan_tf.console import argument_parser

COMMANDS = ("training", "generation", "likeness", "dataset", "metrics", "startup", "upkeep", "litert")
EXAMPLES = """\
Examples:
  python -m benchmarks training                     # the paper's networks at 32, 64 and 128 pixels
  python -m benchmarks generation --sizes 1024 --batches 1
  python -m benchmarks startup --quick
"""


def main(arguments=None):
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argument_parser(__doc__, EXAMPLES, prog="python -m benchmarks")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=", ".join(COMMANDS))
    command = parser.parse_args(arguments[:1]).command
    return importlib.import_module(f"benchmarks.{command}").main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
