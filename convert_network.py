"""Converts an original network pickle into a snapshot, without TensorFlow 1 and without executing anything in it."""

import argparse
import re
import shlex
from pathlib import Path

from stylegan_tf.console import argument_parser, friendly_errors, quiet_tensorflow

EXAMPLES = """\
Examples:
  # a released network, then pictures from it
  python convert_network.py karras2019stylegan-ffhq-1024x1024.pkl networks/ffhq
  python generate_images.py --network networks/ffhq --seeds 0-35 --outdir results --grid

  # a snapshot of a training run with the original; its kimg are kept in the name
  python convert_network.py results/00000-sgan-ffhq-8gpu/network-snapshot-011500.pkl networks/mine
"""


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argument_parser(__doc__, EXAMPLES)
    parser.add_argument("pickle", type=Path, metavar="NETWORK.pkl", help="one network, or G, D and Gs of a run")
    parser.add_argument("outdir", type=Path, metavar="OUT_DIR", help="where the snapshot goes; created if missing")
    parser.add_argument("--overwrite", action="store_true", help="replace a snapshot of the same name")
    return parser.parse_args(arguments)


def kimg_of(path: Path) -> int:
    """Thousands of images that the network was trained with, from the name that the original gives; else 0."""
    match = re.fullmatch(r"network-snapshot-([0-9]{1,9})\.pkl", path.name)
    return int(match[1]) if match else 0


def table(networks: dict) -> str:
    """One line a network: what it is called, its build function in the original, trainable parameters, size, lod."""
    from stylegan_tf.official import NETWORKS

    names = {network_class: name for name, network_class in NETWORKS.items()}
    rows = [("network", "function", "parameters", "pixels", "lod")]
    for key, network in networks.items():
        parameters = sum(variable.shape.num_elements() for variable in network.trainable_variables)
        pixels = f"{network.resolution}x{network.resolution}"
        rows.append((key, names[type(network)], f"{parameters:,}", pixels, f"{network.lod:g}"))
    return "\n".join(f"{a:8} {b:9} {c:>11}  {d:10} {e}" for a, b, c, d, e in rows)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    path = options.outdir / f"network-snapshot-{kimg_of(options.pickle):06d}.safetensors"
    with friendly_errors():
        if path.exists() and not options.overwrite:
            raise ValueError(f"{path} exists; choose another OUT_DIR, or replace it with --overwrite")
        with quiet_tensorflow():
            from stylegan_tf.arrays import writing
            from stylegan_tf.growth import split_lod
            from stylegan_tf.official_pickle import load_official_pickle
            from stylegan_tf.snapshot import CLASSES, find_snapshot, save_snapshot

        print(f"{options.pickle}: reading ...", flush=True)
        loaded = zip(("G", "D", "Gs"), load_official_pickle(options.pickle), strict=True)
        networks = {key: network for key, network in loaded if network is not None}
        for network in networks.values():
            if type(network) not in CLASSES.values():
                raise ValueError(f"{options.pickle} holds a part of a network, {network.name}; convert the whole one")
        print(table(networks), flush=True)
        level, fade = split_lod((networks.get("Gs") or networks["D"]).lod)
        with writing(options.outdir):
            options.outdir.mkdir(parents=True, exist_ok=True)
        facts = {"images_seen": 1000 * kimg_of(options.pickle), "level": level, "fade": fade}
        save_snapshot(path, networks, facts | {"source": options.pickle.name})
        print(f"Snapshot: {path}")
        if "Gs" in networks:
            found = options.outdir if find_snapshot(options.outdir) == path else path
            target = shlex.quote(str(found))
            print(f"Next: python generate_images.py --network {target} --seeds 0-35 --outdir results --grid")


if __name__ == "__main__":
    main()
