"""Draws the figures of the paper with a trained generator: uncurated grid, truncation sweep, style mixing."""

import argparse
from pathlib import Path

from stylegan_tf.choices import add_network_options, choose_label, choose_truncation
from stylegan_tf.console import argument_parser, friendly_errors, quiet_tensorflow

EXAMPLES = """\
Examples:
  # all figures of a run, its curves included
  python generate_figures.py --network runs/00000-portraits-demo --outdir results/figures

  # of one class of a network that was trained with labels
  python generate_figures.py --network runs/00001-portraits-demo --class 2 --outdir results/class2

  # of one snapshot, with other latents
  python generate_figures.py --network network-snapshot-000120.safetensors --seed 100 --outdir results/figures
"""


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argument_parser(__doc__, EXAMPLES)
    add_network_options(parser)
    parser.add_argument("--outdir", required=True, type=Path, help="where the figures go; created if missing")
    parser.add_argument("--seed", type=int, default=0, help="first of the consecutive seeds used (default: 0)")
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
        has_styles = hasattr(generator, "truncate")  # a Progressive GAN has neither w nor its mean
        psi = choose_truncation(has_styles, options.trunc)
        labels = choose_label(generator.label_size, options.class_index, options.label)
        with writing(options.outdir):
            options.outdir.mkdir(parents=True, exist_ok=True)
        print(f"{path}: drawing ...", flush=True)
        seed = options.seed
        common = {"labels": labels, "level": metadata.get("level", 0), "fade": metadata.get("fade", 0.0)}
        figures = {"uncurated": lambda: uncurated_grid(generator, range(seed, seed + 48), 8, psi, **common)}
        if has_styles:
            figures["truncation"] = lambda: truncation_sweep(generator, range(seed, seed + 4), **common)
        if has_styles and generator.synthesis.use_styles:
            figures["style-mixing"] = lambda: style_mixing(
                generator, range(seed, seed + 6), range(seed + 6, seed + 12), psi=psi, **common
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
