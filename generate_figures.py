"""Draws the figures of the paper with a trained generator: uncurated grid, truncation sweep, style mixing."""

import argparse
from pathlib import Path

from stylegan_tf.console import friendly_errors, quiet_tensorflow

EXAMPLES = """\
Examples:
  # all figures of a run, its curves included
  python generate_figures.py --network runs/00000-portraits-demo --outdir results/figures

  # of one snapshot, with other latents
  python generate_figures.py --network network-snapshot-000120.safetensors --seed 100 --outdir results/figures
"""


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--network", required=True, help="run directory (its newest snapshot) or a snapshot file")
    parser.add_argument("--outdir", required=True, type=Path, help="where the figures go; created if missing")
    parser.add_argument("--seed", type=int, default=0, help="first of the consecutive seeds used (default: 0)")
    parser.add_argument(
        "--trunc",
        type=float,
        default=0.7,
        metavar="PSI",
        help="truncation of the uncurated grid and of style mixing: 1 none, 0 the mean (default: 0.7)",
    )
    options = parser.parse_args(arguments)
    if not 0 <= options.seed < 2**32 - 100:
        parser.error(f"--seed must be from 0 to {2**32 - 101}, not {options.seed}")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    with friendly_errors():
        with quiet_tensorflow():
            from stylegan_tf.arrays import writing
            from stylegan_tf.curves import read_stats, training_curves
            from stylegan_tf.figures import style_mixing, truncation_sweep, uncurated_grid
            from stylegan_tf.images import save_png
            from stylegan_tf.snapshot import find_snapshot, load_generator

        path = find_snapshot(options.network)
        generator, metadata = load_generator(path)
        with writing(options.outdir):
            options.outdir.mkdir(parents=True, exist_ok=True)
        print(f"{path}: drawing ...", flush=True)
        growth = {"level": metadata.get("level", 0), "fade": metadata.get("fade", 0.0)}
        seed, psi = options.seed, options.trunc
        figures = {
            "uncurated": lambda: uncurated_grid(generator, range(seed, seed + 48), 8, psi, **growth),
            "truncation": lambda: truncation_sweep(generator, range(seed, seed + 4), **growth),
        }
        if generator.synthesis.use_styles:
            figures["style-mixing"] = lambda: style_mixing(
                generator, range(seed, seed + 6), range(seed + 6, seed + 12), psi=psi, **growth
            )
        for name, draw in figures.items():
            save_png(options.outdir / f"{name}.png", draw())
            print(options.outdir / f"{name}.png", flush=True)
        stats = path.parent / "stats.jsonl"
        if stats.exists() and (rows := read_stats(stats)):
            training_curves(rows, options.outdir / "curves.png", generator.resolution)
            print(options.outdir / "curves.png")


if __name__ == "__main__":
    main()
