"""Tells how near pictures computed in bfloat16 are to those in float32: same network, same seeds, same noise."""

import json
import sys
from pathlib import Path

from benchmarks.choices import output_file
from benchmarks.measuring import machine
from stylegan_tf.console import argument_parser, friendly_errors, positive, quiet_tensorflow

EXAMPLES = """\
Examples:
  python -m benchmarks likeness --network runs/demo/00000-portraits-demo
  python -m benchmarks likeness --network networks/ffhq --pictures 500 --out likeness.json

PSNR is the peak signal-to-noise ratio of 8-bit pictures, in decibels. The distances are Fréchet distances by the
features of MobileNetV2, from the float32 pictures: the bfloat16 ones, and as a measure the float32 ones of other seeds.
"""


def parse_arguments(arguments=None):
    parser = argument_parser(__doc__, EXAMPLES, prog="python -m benchmarks likeness")
    parser.add_argument("--network", type=Path, metavar="PATH", help="run directory or snapshot (default: none, a toy)")
    parser.add_argument("--pictures", type=positive, metavar="N", help="seeds of each kind (default: 912)")
    parser.add_argument("--quick", action="store_true", help="two pictures; the numbers mean nothing")
    parser.add_argument("--out", type=output_file, metavar="FILE", help="JSON file for all values")
    options = parser.parse_args(arguments)
    if not (options.network or options.quick):
        parser.error("--network is needed: a run directory or a snapshot file")
    options.pictures = options.pictures or (2 if options.quick else 912)
    return options


def psnr(pictures, others):
    """Peak signal-to-noise ratio of each pair of uint8 pictures [N, H, W, C], in decibels: [N]; inf where equal."""
    import numpy as np

    error = np.mean(np.square(np.float64(pictures) - others), axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255**2 / error)


def compare(generator, count, level=0, fade=0.0):
    """{"psnr": [count], "bfloat16": distance, "other seeds": distance} of a generator."""
    import numpy as np

    from metrics.features import load_feature_network
    from metrics.fid import frechet_distance
    from stylegan_tf.figures import images_from_seeds
    from stylegan_tf.network import in_dtype
    from stylegan_tf.xla import compiled

    kinds = {"float32": ("float32", 0), "bfloat16": ("bfloat16", 0), "other seeds": ("float32", count)}
    model, pictures, statistics = compiled(load_feature_network("mobilenet_v2").model), {}, {}
    for name, (dtype, first) in kinds.items():
        network, seeds = in_dtype(generator, dtype), range(first, first + count)
        pictures[name] = np.stack(list(images_from_seeds(network, seeds, psi=None, level=level, fade=fade)))
        channels = [0, 1, 2] if generator.num_channels > 2 else [0, 0, 0]
        images = np.float32(pictures[name][..., channels])
        rows = np.concatenate([model(images[start : start + 16]) for start in range(0, count, 16)])
        statistics[name] = rows.mean(axis=0), np.cov(rows, rowvar=False)
    distances = {name: float(frechet_distance(*statistics["float32"], *statistics[name])) for name in list(kinds)[1:]}
    return {"psnr": psnr(pictures["float32"], pictures["bfloat16"]).tolist(), **distances}


def main(arguments=None):
    options = parse_arguments(arguments)
    with friendly_errors():
        with quiet_tensorflow():
            import numpy as np

            from stylegan_tf.generator import Generator
            from stylegan_tf.snapshot import load_generator

        if options.network:
            generator, metadata = load_generator(options.network)
        else:
            generator, metadata = Generator(resolution=8, fmap_max=4), {}
        values = compare(generator, options.pictures, metadata.get("level", 0), metadata.get("fade", 0.0))
        ratios = values["psnr"]
        print(f"{options.pictures} pictures of {generator.resolution >> metadata.get('level', 0)} pixels")
        print(f"  PSNR of bfloat16, dB        median {np.median(ratios):.1f}, lowest {min(ratios):.1f}")
        print(
            f"  Fréchet distance            bfloat16 {values['bfloat16']:.3f}, other seeds {values['other seeds']:.3f}"
        )
        if options.out:
            options.out.write_text(json.dumps({**values, "machine": machine()}, indent=2))


if __name__ == "__main__":
    sys.exit(main())
