"""Writes one PNG a seed with a trained generator."""

import argparse
import math
from pathlib import Path

from stylegan_tf.console import friendly_errors, quiet_tensorflow

EXAMPLES = """\
Examples:
  # 36 pictures and an overview, from the newest snapshot of a run
  python generate_images.py --network runs/00000-portraits-demo --seeds 0-35 --outdir results/images --grid

  # without truncation: more varied, less clean
  python generate_images.py --network runs/00000-portraits-demo --seeds 0-35 --trunc 1 --outdir results/varied

  # one class of a network that was trained with labels
  python generate_images.py --network network-snapshot-000120.safetensors --seeds 7,12-15 --class 2 \\
      --outdir results/class2
"""


def parse_seeds(text: str) -> list[int]:
    """Reads "0-35,40" as [0, 1, ..., 35, 40]."""
    seeds = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise argparse.ArgumentTypeError(f"{text!r} is no list of seeds; write it as 0-35 or 3,8,20-25")
        part = range(int(first), int(last or first) + 1)
        if not part or part[-1] >= 2**32:
            raise argparse.ArgumentTypeError(f"{text!r}: seeds go upwards, from 0 to {2**32 - 1}")
        seeds += part
    return seeds


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


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--network", required=True, help="run directory (its newest snapshot) or a snapshot file")
    parser.add_argument("--seeds", required=True, type=parse_seeds, help="as 0-35 or 3,8,20-25; one picture each")
    parser.add_argument("--outdir", required=True, type=Path, help="where the pictures go; created if missing")
    parser.add_argument(
        "--trunc",
        type=parse_truncation,
        default=0.7,
        metavar="PSI",
        help="truncation: 1 none, 0 the mean (default: 0.7)",
    )
    parser.add_argument("--grid", action="store_true", help="also write all pictures into one, grid.png")
    label = parser.add_mutually_exclusive_group()
    label.add_argument("--class", type=int, dest="class_index", metavar="N", help="class, from 0 (default: no class)")
    label.add_argument(
        "--label",
        type=parse_label,
        metavar="X,Y,...",
        help="the whole label vector, for labels that are no single class",
    )
    parser.add_argument(
        "--noise-mode",
        choices=("random", "const"),
        default="random",
        help="noise of its own for each seed, or the same stored noise for all (default: random)",
    )
    parser.add_argument("--batch", type=int, default=8, help="pictures computed at a time (default: 8)")
    options = parser.parse_args(arguments)
    if options.batch < 1:
        parser.error(f"--batch must be at least 1, not {options.batch}")
    return options


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


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    with friendly_errors():
        with quiet_tensorflow():
            import numpy as np

            from stylegan_tf.arrays import writing
            from stylegan_tf.figures import images_from_seeds
            from stylegan_tf.images import image_grid, save_png
            from stylegan_tf.snapshot import find_snapshot, load_generator

        path = find_snapshot(options.network)
        generator, metadata = load_generator(path)
        with writing(options.outdir):
            options.outdir.mkdir(parents=True, exist_ok=True)
        level, fade = metadata.get("level", 0), metadata.get("fade", 0.0)
        size = generator.resolution >> level
        print(f"{path}: {size}x{size} pixels, {len(options.seeds)} pictures ...", flush=True)
        pictures = images_from_seeds(
            generator,
            options.seeds,
            labels=choose_label(generator.label_size, options.class_index, options.label),
            psi=options.trunc,
            random_noise=options.noise_mode == "random",
            level=level,
            fade=fade,
            batch_size=options.batch,
        )
        kept = []
        for seed, picture in zip(options.seeds, pictures, strict=True):
            file = options.outdir / f"seed{seed:04d}.png"
            save_png(file, picture)
            if options.grid:
                kept.append(picture)
        print(f"Pictures: {options.outdir}/seed{options.seeds[0]:04d}.png to {file.name}")
        if options.grid:
            save_png(options.outdir / "grid.png", image_grid(np.stack(kept)))
            print(f"Overview: {options.outdir / 'grid.png'}")


if __name__ == "__main__":
    main()
