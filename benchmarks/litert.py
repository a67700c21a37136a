"""Measures what the types of LiteRT files cost and save: size, likeness to float32, speed, memory.

Networks without --network have random weights: good for size, speed and memory, and a hint only for the likeness.
Speed and memory are those of ai-edge-litert in a process of its own.
"""

import dataclasses
import json
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.choices import output_file
from benchmarks.measuring import machine
from stylegan_tf.console import argument_parser, friendly_errors, positive, quiet_tensorflow

EXAMPLES = """\
Examples:
  python -m benchmarks litert --network runs/00000-portraits-demo    # the table of docs/litert.md, half an hour
  python -m benchmarks litert --quick                                # shows that it works, the numbers mean nothing
"""
TITLES = ("network", "type", "MB", "PSNR", "features", "pictures/s, 1 core", "2 cores", "peak MB")


@dataclasses.dataclass
class Row:
    """One file.

    Attributes:
        network, quantize: What was converted to what.
        megabytes: Size of the file.
        psnr: Decibels against the float32 file, of all pixels of all pictures, values clipped to [-1, 1].
        features: Mean distance of MobileNetV2's features from those of the float32 picture, relative to the mean
            distance of two pictures of different seeds; None without these weights.
        seconds: {threads: [seconds of one picture]}.
        peak: Memory of the process with one thread, in MB.
        convert: Seconds of the conversion, with its check.
    """

    network: str
    quantize: str
    megabytes: float
    psnr: float | None
    features: float | None
    seconds: dict
    peak: float
    convert: float


def parse_arguments(arguments=None):
    parser = argument_parser(__doc__, EXAMPLES, prog="python -m benchmarks litert")
    parser.add_argument("--quick", action="store_true", help="one tiny network, few pictures")
    parser.add_argument("--network", help="run directory or snapshot of a trained network, to be measured too")
    parser.add_argument("--pictures", type=positive, help="for the likeness (default: 16)", metavar="N")
    parser.add_argument("--repeats", type=positive, help="pictures that are timed (default: 10)", metavar="N")
    parser.add_argument("--out", type=output_file, help="JSON file for all values", metavar="FILE")
    options = parser.parse_args(arguments)
    options.pictures = options.pictures or (2 if options.quick else 16)
    options.repeats = options.repeats or (2 if options.quick else 10)
    return options


def networks(options):
    """Yields (name, generator, how far it has grown)."""
    from stylegan_tf.generator import Generator
    from stylegan_tf.snapshot import load_generator

    if options.network:
        generator, metadata = load_generator(options.network)
        level, fade = metadata.get("level", 0), metadata.get("fade", 0.0)
        yield f"{generator.resolution >> level}, trained", generator, dict(level=level, fade=fade)
    for resolution in (8,) if options.quick else (256, 1024):
        generator = Generator(resolution=resolution, **({"fmap_max": 8} if options.quick else {}))
        randomize(generator)
        yield f"{resolution}, random", generator, {}


def randomize(generator):
    """Give the weights that start at zero or one the spread that they have after a training."""
    import numpy as np

    random = np.random.RandomState(0)
    for variable in generator.variables:
        if variable.name == "const":
            variable.assign(random.randn(*variable.shape))
        elif len(variable.shape) == 1 and variable.path.startswith(generator.synthesis.path):
            variable.assign(0.1 * random.randn(*variable.shape))


def run_alone(path, inputs, threads, repeats):
    """In this process, the results of a file: (array a batch, [seconds of each], peak memory in MB)."""
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_path=str(path), num_threads=threads).get_signature_runner()
    results = [run(**values)["images"].copy() for values in inputs]
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        run(**inputs[0])
        seconds.append(time.perf_counter() - started)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return results, seconds, int(status["VmHWM"].split()[0]) / 1024


def in_own_process(*arguments):
    """What `run_alone` returns, from a process that has not loaded TensorFlow."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(run_alone, arguments)


def measure(name, generator, growth, options, folder, distance):
    """Yields a `Row` for each type."""
    import numpy as np

    from stylegan_tf import litert
    from stylegan_tf.parts import part_of

    inputs = [part_of(generator, **growth).sample([seed], psi=0.7) for seed in range(options.pictures)]
    reference = None
    for quantize in litert.BOUNDS:
        started = time.perf_counter()
        path = folder / f"{quantize}.tflite"
        try:
            path.write_bytes(litert.convert(generator, quantize=quantize, calibration=options.pictures, **growth))
        except ValueError as error:  # too far from Keras, as untrained networks may be in 8 bits
            print(f"{name}: no row for {quantize}, as {error}", flush=True)
            continue
        convert = time.perf_counter() - started
        images, one, peak = in_own_process(path, inputs, 1, options.repeats)
        _, two, _ = in_own_process(path, inputs[:1], 2, options.repeats)
        images = np.clip(np.concatenate(images), -1, 1)
        reference = images if reference is None else reference
        error = np.mean(np.square(images - reference))
        psnr = float(10 * np.log10(4 / error)) if error else None
        features = (
            distance(images, reference) / distance(reference, np.roll(reference, 1, axis=0)) if distance else None
        )
        size = path.stat().st_size / 1e6
        yield Row(name, quantize, size, psnr, features, {1: one, 2: two}, peak, convert)


def feature_distance():
    """Mean distance of MobileNetV2's features of pictures [N, H, W, 3] in [-1, 1]; None without its weights."""
    import numpy as np

    try:
        from metrics.features import load_feature_network

        network = load_feature_network("mobilenet_v2")
    except (ImportError, FileNotFoundError):
        return None

    def features(images):
        return np.concatenate([network.model(127.5 * image[None] + 127.5) for image in images])

    return lambda a, b: float(np.mean(np.linalg.norm(features(a) - features(b), axis=-1)))


def line(row):
    """A row of a Markdown table."""
    rates = [f"{1 / statistics.median(row.seconds[threads]):.3g}" for threads in (1, 2)]
    likeness = ["–" if row.psnr is None else f"{row.psnr:.1f}", "–" if row.features is None else f"{row.features:.3f}"]
    return (
        "| "
        + " | ".join([row.network, row.quantize, f"{row.megabytes:.1f}", *likeness, *rates, f"{row.peak:.0f}"])
        + " |"
    )


def main(arguments=None):
    options = parse_arguments(arguments)
    with friendly_errors():
        with quiet_tensorflow():
            import tensorflow  # noqa: F401 (its first import is no part of any measurement)

        facts, rows, distance = machine(), [], feature_distance()
        print(f"{facts['processor']}, {facts['cores']} cores; {options.pictures} pictures, {options.repeats} repeats\n")
        print("| " + " | ".join(TITLES) + " |\n" + "| --- " * len(TITLES) + "|", flush=True)
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            for name, generator, growth in networks(options):
                for row in measure(name, generator, growth, options, Path(folder), distance):
                    print(line(row), flush=True)
                    rows.append(row)
        if options.out:
            facts["load_after"] = machine()["load"]
            values = {"machine": facts, "rows": [dataclasses.asdict(row) for row in rows]}
            options.out.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
