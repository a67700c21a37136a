"""What the command lines that draw pictures share: which network, which label, how much truncation."""

import argparse
import math


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """Adds --network, --trunc, --class and --label."""
    parser.add_argument("--network", required=True, help="run directory (its newest snapshot) or a snapshot file")
    parser.add_argument(
        "--trunc",
        type=parse_truncation,
        metavar="PSI",
        help="truncation: 1 none, 0 the mean (default: 0.7; none for a Progressive GAN, which has no mean)",
    )
    label = parser.add_mutually_exclusive_group()
    label.add_argument("--class", type=int, dest="class_index", metavar="N", help="class, from 0 (default: no class)")
    label.add_argument(
        "--label",
        type=parse_label,
        metavar="X,Y,...",
        help="the whole label vector, for labels that are no single class",
    )


def parse_label(text: str) -> list[float]:
    """Reads "0,1,0" as [0.0, 1.0, 0.0]."""
    try:
        return [float(value) for value in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers; write it as 0,1,0") from None


def parse_truncation(text: str) -> float:
    """Reads a finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is no number; 0.7 is usual, 1 truncates nothing")
    return value


def choose_label(label_size: int, class_index: int | None, label: list[float] | None) -> list[float] | None:
    """The label vector that --class or --label asks for; None for neither.

    Raises:
        ValueError: The network has no labels, or others.
    """
    if class_index is None and label is None:
        return None
    option = f"--label {label}" if class_index is None else f"--class {class_index}"
    if not label_size:
        raise ValueError(f"{option}: this network was trained without labels; leave the option out")
    if class_index is not None:
        if not 0 <= class_index < label_size:
            raise ValueError(f"{option}: this network has the classes 0 to {label_size - 1}")
        return [float(index == class_index) for index in range(label_size)]
    if len(label) != label_size:
        raise ValueError(f"{option}: this network's labels have {label_size} components, not {len(label)}")
    return label


def choose_truncation(can_truncate: bool, psi: float | None) -> float | None:
    """The truncation that --trunc asks for, 0.7 by default; None for a network that has none.

    Raises:
        ValueError: The network has no truncation, and some was asked for.
    """
    if can_truncate:
        return 0.7 if psi is None else psi
    if psi not in (None, 1):
        raise ValueError(f"--trunc {psi:g}: this network, a Progressive GAN, has no truncation; leave the option out")
    return None
