"""Trains classifiers of attributes, for the metric ls (linear separability), on a data set with labels."""

import argparse
import math
import sys
from pathlib import Path

from stylegan_tf.console import argument_parser, friendly_errors, positive, quiet_tensorflow
from training.stopping import StopRequest

EXAMPLES = """\
Examples:
  # as in the paper: a network for each of CelebA's 40 attributes; for a GPU and a night
  python train_attributes.py --data datasets/celebahq --out classifiers.safetensors

  # three of them
  python train_attributes.py --data datasets/celebahq --attributes Male,Smiling,Young --out classifiers.safetensors

  # the 14 labels of the portraits, in one small network: minutes on a processor
  python train_attributes.py --data datasets/portraits --networks shared --fmap-base 1024 --fmap-max 64 --kimg 60 \\
      --out classifiers.safetensors

Each binary column of the labels (0 and 1, or -1 and 1) is an attribute. A share of the images is held out and tells how
good the classifiers are; the balanced accuracy counts images with and without the attribute alike, so 0.5 is a guess.
Ctrl-C saves; the same command continues.

Exit status: 0 complete, 3 asked to stop, the same command continues, 1 something is wrong, 2 the command line is.
"""
STOPPED = 3


def positive_float(text):
    """Reads a positive number."""
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return value


def share(text):
    """Reads a share, a number from 0 to below 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; give a number from 0 to below 1, as 0.1")
    return value


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argument_parser(__doc__, EXAMPLES)
    add = parser.add_argument
    add("--data", required=True, type=Path, help="data set made by dataset_tool.py, with labels")
    add("--out", required=True, type=Path, metavar="FILE", help="file to write, ending in .safetensors")
    add("--attributes", metavar="NAME,...", help="names of columns, or their numbers from 0 (default: all binary ones)")
    add(
        "--networks",
        choices=("separate", "shared"),
        default="separate",
        help="one network an attribute, as in the paper, or one for all, many times faster (default: separate)",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--kimg", type=positive_float, help="thousand images for each network (default: 200)")
    length.add_argument("--minutes", type=positive_float, help="train for so long, all networks together")
    add("--resolution", type=positive, help="of the networks (default: that of the images, 256 at most)")
    add("--batch", type=positive, default=32, help="images for one update (default: 32)")
    add(
        "--lr",
        type=positive_float,
        default=0.001,
        help="learning rate, which falls in the second half (default: 0.001)",
    )
    add("--held-out", type=share, default=0.1, help="share of the images to judge by (default: 0.1)")
    add(
        "--no-mirror",
        action="store_true",
        help="do not flip images at random: for attributes that know left from right",
    )
    add("--fmap-base", type=positive, default=8192, help="feature maps, as the discriminator's (default: 8192)")
    add("--fmap-max", type=positive, default=512, help="most feature maps of a layer (default: 512)")
    add("--dtype", choices=("float32", "bfloat16"), default="float32", help="to train in (default: float32)")
    add("--seed", type=int, default=0, help="decides all random choices (default: 0)")
    options = parser.parse_args(arguments)
    if options.out.suffix != ".safetensors":
        parser.error(f"--out {options.out}: the name must end in .safetensors")
    return options


def chosen(wanted, available, others):
    """The attributes that --attributes asks for.

    Args:
        wanted: Text of the option, None for all.
        available: {name: column}, in the order of the columns.
        others: {name of a column that is not binary: why}.

    Raises:
        ValueError: There is no such column, or it is not binary.
    """
    if wanted is None:
        return available
    names, taken = [*available, *others], {}
    for text in wanted.split(","):
        if text in others:
            raise ValueError(f"--attributes {text}: {others[text]}; choose among {', '.join(available)}")
        if text not in available:
            raise ValueError(f"--attributes {text}: there is no such column; there are {', '.join(names)}")
        taken[text] = available[text]
    return taken


def named(wanted, names):
    """--attributes with numbers of columns replaced by their names."""
    numbers = {str(number): name for number, name in enumerate(names)}
    return wanted and ",".join(text if text in names else numbers.get(text, text) for text in wanted.split(","))


def resolution_of(dataset, asked):
    """Resolution of the networks.

    Raises:
        ValueError: The data set has no images of the size that was asked for, or only tiny ones.
    """
    sizes = [level.resolution for level in dataset.levels if level.resolution >= 8]
    if not sizes:
        raise ValueError("the images of this data set are smaller than 8 pixels: nothing can be seen in them")
    if asked and asked not in sizes:
        raise ValueError(f"--resolution {asked}: this data set has {', '.join(map(str, sizes))}")
    return asked or min(sizes[0], 256)


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    with friendly_errors(), StopRequest() as stop:
        if options.out.exists():
            raise ValueError(f"--out {options.out} exists already; remove it, or choose another name")
        with quiet_tensorflow():
            from metrics.attribute_labels import binary_attributes
            from metrics.attribute_training import Recipe, train_classifiers
            from stylegan_tf.record_manifest import read_manifest
            from training.dataset import RecordDataset
        dataset = RecordDataset(options.data)
        if not dataset.label_size:
            raise ValueError(f"--data {options.data} has no labels; make it with labels, see dataset_tool.py --help")
        names = read_manifest(options.data).get("label_names") or []
        if len(names) != dataset.label_size:
            names = [f"label {number}" for number in range(dataset.label_size)]
        available, others = binary_attributes(dataset.labels, names)
        attributes = chosen(named(options.attributes, names), available, others)
        for name, reason in others.items():
            print(f"Left out: {name}, {reason}")
        if not attributes:
            raise ValueError(f"--data {options.data}: no column of its labels is binary")
        recipe = Recipe(
            kimg=None if options.minutes else options.kimg or Recipe.kimg,
            minutes=options.minutes,
            minibatch=options.batch,
            learning_rate=options.lr,
            held_out=options.held_out,
            mirror=not options.no_mirror,
            seed=options.seed,
            shared=options.networks == "shared",
            resolution=resolution_of(dataset, options.resolution),
            network={
                "fmap_base": options.fmap_base,
                "fmap_max": options.fmap_max,
                "mbstd_group_size": 0,
                "dtype": options.dtype,
            },
        )
        found = train_classifiers(dataset, attributes, recipe, options.out, stop)
        if found is None:
            print("Stopped; the same command continues")
            return STOPPED
        balanced = [result["balanced"] for result in found.values() if result["balanced"] is not None]
        mean = f", balanced accuracy {sum(balanced) / len(balanced):.3f} on average" if balanced else ""
        print(f"Complete: {options.out}, {len(found)} attributes{mean}")
        print(
            f"Next: python run_metrics.py --network RUN --data {options.data} --metrics ls --attributes {options.out}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
