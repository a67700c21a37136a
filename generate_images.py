"""Writes one PNG a seed with a trained generator."""

import argparse
import collections
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stylegan_tf.choices import add_network_options, choose_label, choose_truncation
from stylegan_tf.console import argument_parser, friendly_errors, positive, quiet_tensorflow

EXAMPLES = """\
Examples:
  # 36 pictures and an overview, from the newest snapshot of a run
  python generate_images.py --network runs/00000-portraits-demo --seeds 0-35 --outdir results/images --grid

  # without truncation: more varied, less clean
  python generate_images.py --network runs/00000-portraits-demo --seeds 0-35 --trunc 1 --outdir results/varied

  # many pictures of a large network, on a processor with bfloat16
  python generate_images.py --network networks/ffhq --seeds 0-999 --dtype bfloat16 --outdir results/many

  # one class of a network that was trained with labels
  python generate_images.py --network network-snapshot-000120.safetensors --seeds 7,12-15 --class 2 \\
      --outdir results/class2
"""


def parse_seeds(text: str) -> list[int]:
    """Reads "0-35,40" as [0, 1, ..., 35, 40]; a seed that is named twice counts once."""
    seeds = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise argparse.ArgumentTypeError(f"{text!r} is no list of seeds; write it as 0-35 or 3,8,20-25")
        part = range(int(first), int(last or first) + 1)
        if not part or part[-1] >= 2**32:
            raise argparse.ArgumentTypeError(f"{text!r}: seeds go upwards, from 0 to {2**32 - 1}")
        seeds += part
    return list(dict.fromkeys(seeds))


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argument_parser(__doc__, EXAMPLES)
    add_network_options(parser)
    parser.add_argument("--seeds", required=True, type=parse_seeds, help="as 0-35 or 3,8,20-25; one picture each")
    parser.add_argument("--outdir", required=True, type=Path, help="where the pictures go; created if missing")
    parser.add_argument("--grid", action="store_true", help="also write all pictures into one, grid.png")
    parser.add_argument(
        "--noise-mode",
        choices=("random", "const"),
        default="random",
        help="noise of its own for each seed, or the same stored noise for all (default: random)",
    )
    parser.add_argument("--batch", type=positive, default=8, metavar="N", help="pictures at a time (default: 8)")
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        help="type of the computation; bfloat16 is fast where the processor has it (default: as it was trained)",
    )
    parser.add_argument(
        "--jobs", type=positive, default=2, metavar="N", help="files written while the next are computed (default: 2)"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    with friendly_errors():
        with quiet_tensorflow():
            import numpy as np

            from stylegan_tf.arrays import writing
            from stylegan_tf.figures import images_from_seeds
            from stylegan_tf.images import image_grid, save_png
            from stylegan_tf.network import in_dtype
            from stylegan_tf.snapshot import find_snapshot, load_generator

        path = find_snapshot(options.network)
        generator, metadata = load_generator(path)
        generator = in_dtype(generator, options.dtype or generator.compute_dtype)
        label = choose_label(generator.label_size, options.class_index, options.label)
        psi = choose_truncation(hasattr(generator, "truncate"), options.trunc)
        with writing(options.outdir):
            options.outdir.mkdir(parents=True, exist_ok=True)
        level, fade = metadata.get("level", 0), metadata.get("fade", 0.0)
        size = generator.resolution >> level
        print(f"{path}: {size}x{size} pixels, {len(options.seeds)} pictures ...", flush=True)
        pictures = images_from_seeds(
            generator,
            options.seeds,
            labels=label,
            psi=psi,
            random_noise=options.noise_mode == "random",
            level=level,
            fade=fade,
            batch_size=options.batch,
        )
        files = [options.outdir / f"seed{seed:04d}.png" for seed in options.seeds]
        kept, waiting = [], collections.deque()
        with ThreadPoolExecutor(options.jobs) as writers:
            for file, picture in zip(files, pictures, strict=True):
                waiting.append(writers.submit(save_png, file, picture))
                if len(waiting) > 2 * options.batch:  # no more pictures in memory than these
                    waiting.popleft().result()
                if options.grid:
                    kept.append(picture)
            for written in waiting:
                written.result()
        print(f"Pictures: {files[0]} to {files[-1].name}")
        if options.grid:
            save_png(options.outdir / "grid.png", image_grid(np.stack(kept)))
            print(f"Overview: {options.outdir / 'grid.png'}")


if __name__ == "__main__":
    main()
