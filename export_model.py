"""Exports a trained generator: for TensorFlow Serving, for phones (LiteRT), as ONNX, or as a web page."""

import argparse
import shlex
from pathlib import Path

from stylegan_tf.console import argument_parser, friendly_errors, positive, quiet_tensorflow

EXAMPLES = """\
Examples:
  # exports/portraits/1, then exports/portraits/2, ..., for TensorFlow Serving (docs/serving.md)
  python export_model.py --network runs/00000-portraits-demo --format savedmodel --out exports --name portraits

  # one small file for a phone (docs/litert.md)
  python export_model.py --network runs/00000-portraits-demo --format litert --quantize float16 --out exports/phone

  # a page that generates pictures in the browser (docs/web.md)
  python export_model.py --network network-snapshot-000120.safetensors --format web --out exports/page \\
      --licence "CC BY-SA 4.0"
"""

# format: {its option: the values that it may have, None for any}
OPTIONS = {
    "savedmodel": {"name": None, "noise": ("random", "stored"), "max_batch": None},
    "litert": {
        "part": None,
        "quantize": ("float32", "float16", "dynamic_int8", "int8"),
        "batch": None,
        "noise": ("stored", "input", "none"),
    },
    "onnx": {"part": None, "noise": ("stored", "input", "none")},
    "web": {"quantize": ("float32", "float16", "dynamic_int8")},
}


def parse_arguments(arguments: list[str] | None) -> tuple[argparse.Namespace, dict]:
    """The options of all formats, and those of the chosen one that were given."""
    parser = argument_parser(__doc__, EXAMPLES)
    parser.add_argument("--network", required=True, help="run directory (its newest snapshot) or a snapshot file")
    parser.add_argument("--format", required=True, choices=OPTIONS, help="what to make of it")
    parser.add_argument(
        "--out", required=True, type=Path, help="new directory; for savedmodel, where models are kept: OUT/NAME/VERSION"
    )
    parser.add_argument("--licence", metavar="TEXT", help="licence of the weights, for the model card (else: unknown)")
    own = parser.add_argument_group("options of the formats")
    own.add_argument("--name", help="savedmodel: name of the model on the server (default: stylegan)")
    own.add_argument(
        "--noise",
        choices=("random", "stored", "input", "none"),
        help="savedmodel: random (default), noise of its own for each seed, or stored in the network; "
        "litert and onnx: stored (default), an input, or none",
    )
    own.add_argument(
        "--max-batch",
        type=positive,
        metavar="N",
        help="savedmodel: pictures in a request at most (default: what holds 4 megapixels, 4 to 64)",
    )
    own.add_argument(
        "--part",
        choices=("generator", "mapping", "synthesis", "both"),
        help="litert, onnx: what goes into a file; both: mapping and synthesis, a file each (default: generator)",
    )
    own.add_argument(
        "--quantize",
        choices=("float32", "float16", "dynamic_int8", "int8"),
        help="how weights are stored; litert: any (default: float32), web: not int8 (default: float16)",
    )
    own.add_argument("--batch", type=positive, metavar="N", help="litert: pictures at a time (default: 1)")
    options = parser.parse_args(arguments)
    chosen = {}
    for name in sorted({name for table in OPTIONS.values() for name in table}):
        if (value := getattr(options, name)) is None:
            continue
        option, allowed = f"--{name.replace('_', '-')}", OPTIONS[options.format]
        if name not in allowed:
            formats = " and ".join(format for format, table in OPTIONS.items() if name in table)
            parser.error(f"{option} is an option of --format {formats}, not of {options.format}")
        if allowed[name] and value not in allowed[name]:
            parser.error(f"{option} {value}: with --format {options.format} it is one of {', '.join(allowed[name])}")
        chosen[name] = value
    return options, chosen


def main(arguments: list[str] | None = None) -> None:
    options, chosen = parse_arguments(arguments)
    with friendly_errors():
        with quiet_tensorflow():
            from stylegan_tf.export import FORMATS
            from stylegan_tf.model_card import describe
            from stylegan_tf.snapshot import find_snapshot, load_generator

        path = find_snapshot(options.network)
        generator, metadata = load_generator(path)
        card = describe(path, generator, metadata, options.licence)
        print(f"{path}: {card['resolution']}x{card['resolution']} pixels, {card['parameters']:,} parameters ...")
        target = FORMATS[options.format](generator, card, options.out, **chosen)
        size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
        print(f"Export: {target}, {size / 1e6:.1f} MB")
        print(f"Model card: {target / 'MODEL_CARD.md'}")
        if options.format == "savedmodel":
            base = shlex.quote(f"{target.parent.resolve()}:/models/{target.parent.name}")
            print(f"Next: docker run -p 8501:8501 -v {base} -e MODEL_NAME={target.parent.name} tensorflow/serving")


if __name__ == "__main__":
    main()
