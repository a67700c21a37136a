"""Measures what a metric takes: the networks that look at pictures, and the formulas on what they saw.

The networks have made-up weights, for their speed is that of the published ones; the features are random too.
"""

import dataclasses
import json
import math
import statistics
import sys

import numpy as np

from benchmarks.choices import output_file
from benchmarks.contenders import take_turns
from benchmarks.measuring import machine
from stylegan_tf.console import argument_parser, friendly_errors, positive

EXAMPLES = """\
Examples:
  python -m benchmarks metrics                       # half an hour on two cores
  python -m benchmarks metrics --contenders inception,fid --resolution 1024 --out metrics.json
  python -m benchmarks metrics --quick               # shows that it works, the numbers mean nothing

Contenders:
  mobilenet_v2, inception, vgg16, lpips    pictures through the network, compiled; of lpips pairs
  fid                  the distance of two means and covariances of 2048 features
  fid-interval         the same from 50,000 images, and its interval
  kid                  of 50,000 images on each side, in 100 subsets of 1000, and its interval
  precision-recall     of 10,000 images on each side, 4096 features; the time grows with their square
  inception-score      of 50,000 images, 1008 classes
  separability         a support vector machine for one attribute, 100,000 latents of 512 components
"""
NETWORKS = ("mobilenet_v2", "inception", "vgg16", "lpips")
SMALLEST = 16  # pixels: what LPIPS takes


@dataclasses.dataclass(frozen=True)
class Amounts:
    """How much is done.

    Attributes:
        batch: Pictures that a network gets at a time.
        images: Whose features FID, KID and the inception score are of.
        neighbours: Images of precision and recall.
        points: Latents of the support vector machine.
        inception, vgg, classes, latent: Numbers an image.
    """

    batch: int = 8
    images: int = 50_000
    neighbours: int = 10_000
    points: int = 100_000
    inception: int = 2048
    vgg: int = 4096
    classes: int = 1008
    latent: int = 512


QUICK = Amounts(batch=2, images=300, neighbours=50, points=200, inception=16, vgg=32, classes=10, latent=8)


def parse_arguments(arguments=None):
    parser = argument_parser(__doc__, EXAMPLES, prog="python -m benchmarks metrics")
    parser.add_argument("--contenders", help="see below (default: all)", metavar="NAME,...")
    parser.add_argument("--resolution", type=positive, help="pixels of the pictures (default: 256)", metavar="R")
    parser.add_argument("--repeats", type=positive, help="turns of each (default: 3)", metavar="N")
    parser.add_argument("--quick", action="store_true", help="tiny amounts, one turn, one network and one formula")
    parser.add_argument("--out", type=output_file, help="JSON file for all values", metavar="FILE")
    options = parser.parse_args(arguments)
    options.repeats = options.repeats or (1 if options.quick else 3)
    options.resolution = options.resolution or (32 if options.quick else 256)
    everything = ["mobilenet_v2", "fid"] if options.quick else [*NETWORKS, *FORMULAS]
    options.contenders = options.contenders.split(",") if options.contenders else everything
    for name in options.contenders:
        if name not in (*NETWORKS, *FORMULAS):
            parser.error(f"--contenders: there is no {name!r}; there are {', '.join([*NETWORKS, *FORMULAS])}")
    if options.resolution < SMALLEST:
        parser.error(f"--resolution: pictures have at least {SMALLEST} pixels, not {options.resolution}")
    return options


# ---------------------------------------------------------------------------------------------------------------------
# Contenders: each returns (a function without arguments, its facts)


def pictures(name, resolution, amounts):
    """A batch of pictures through a network."""
    import tensorflow as tf

    function = tf.function(network(name), autograph=False)
    images = tf.random.stateless_uniform([amounts.batch, resolution, resolution, 3], [0, 0], 0, 255)
    inputs = [images, tf.reverse(images, [0])] if name == "lpips" else images
    return lambda: function(inputs).numpy(), {"images": amounts.batch}


def network(name):
    """A network with made-up weights of the right shapes."""
    from metrics import inception, lpips, mobilenet, vgg16

    if name == "mobilenet_v2":
        return mobilenet.build_mobilenet_v2(made_up(mobilenet.array_shapes()))
    if name == "inception":
        return inception.build_inception(made_up(inception.array_shapes()))
    if name == "vgg16":
        return vgg16.build_vgg16(made_up(vgg16.convolution_shapes() | vgg16.classifier_shapes()))
    return lpips.build_lpips(made_up(vgg16.convolution_shapes()), made_up(lpips.head_shapes()))


def made_up(shapes):
    """Weights such that activations neither vanish, which would be slow, nor grow without bounds: {name: array}."""
    random = np.random.default_rng(0)
    arrays = {}
    for name, shape in shapes.items():
        if len(shape) == 1:
            arrays[name] = random.uniform(0.5, 1.5, shape).astype(np.float32)
        else:
            inputs = math.prod(shape) / max(shape[0], shape[-1])
            arrays[name] = random.standard_normal(shape, np.float32) / np.float32(math.sqrt(inputs))
    return arrays


def formula(name, amounts):
    """What is left to compute when all features have been gathered."""
    function, images = FORMULAS[name](amounts)
    return function, {"images": images}


def fid(amounts):
    from metrics.fid import frechet_distance

    reals, fakes = statistics_of(0, amounts), statistics_of(1, amounts)
    moments = reals.mean, reals.covariance, fakes.mean, fakes.covariance
    return lambda: frechet_distance(*moments), amounts.images


def fid_interval(amounts):
    from metrics.fid import frechet_estimate

    reals, fakes = statistics_of(0, amounts), features(1, amounts.images, amounts.inception)
    return lambda: frechet_estimate(reals, fakes), amounts.images


def kid(amounts):
    from metrics.kid import kernel_estimate

    pair = [features(seed, amounts.images, amounts.inception) for seed in (0, 1)]
    return lambda: kernel_estimate(*pair), amounts.images


def precision_recall(amounts):
    from metrics.precision_recall import precision_and_recall_estimates

    pair = [features(seed, amounts.neighbours, amounts.vgg) for seed in (0, 1)]
    return lambda: precision_and_recall_estimates(*pair), amounts.neighbours


def inception_score(amounts):
    from metrics.inception_score import inception_score_estimate

    probabilities = np.exp(features(0, amounts.images, amounts.classes))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return lambda: inception_score_estimate(probabilities), amounts.images


def separability(amounts):
    from metrics.linear_separability import svm_predictions

    points = features(0, amounts.points, amounts.latent)
    targets = (points[:, 0] + features(1, amounts.points, 1)[:, 0] > 0).astype(int)
    return lambda: svm_predictions(points, targets), amounts.points


FORMULAS = {
    "fid": fid,
    "fid-interval": fid_interval,
    "kid": kid,
    "precision-recall": precision_recall,
    "inception-score": inception_score,
    "separability": separability,
}


def features(seed, count, width):
    """Random features, some of them more varied than others: float32 [count, width]."""
    values = np.random.default_rng(seed).standard_normal([count, width], np.float32)
    return values * np.linspace(0.1, 1, width, dtype=np.float32)


def statistics_of(seed, amounts):
    from metrics.statistics import FeatureStatistics

    return FeatureStatistics.of(features(seed, amounts.images, amounts.inception))


# ---------------------------------------------------------------------------------------------------------------------


def line(name, result):
    """A row of the table."""
    median, images = statistics.median(result.seconds), result.facts["images"]
    spread = f"({min(result.seconds):.3f} to {max(result.seconds):.3f})"
    rate = f"{images / median:.1f}" if name in NETWORKS else ""
    return (
        f"{name:20}{images:>8} {median:9.3f} {spread:>22} {rate:>9} {result.memory / 2**20:9.0f} {result.first:13.1f}"
    )


def main(arguments=None):
    options = parse_arguments(arguments)
    with friendly_errors():
        amounts, facts, rows = QUICK if options.quick else Amounts(), machine(), []
        print(f"{facts['processor']}, {facts['cores']} cores; pictures of {options.resolution} pixels\n")
        print(
            f"{'':20}{'images':>8} {'seconds':>9} {'(min to max)':>22} {'images/s':>9} {'MiB':>9} {'first turn, s':>13}"
        )
        common = {"amounts": amounts}
        for build, names, more in ((pictures, NETWORKS, {"resolution": options.resolution}), (formula, FORMULAS, {})):
            tasks = {name: (build, {"name": name} | common | more) for name in names if name in options.contenders}
            for name, result in take_turns(tasks, options.repeats).items():
                print(line(name, result), flush=True)
                rows.append({"contender": name, **dataclasses.asdict(result)})
        if options.out:
            facts["load_after"] = machine()["load"]
            values = {"machine": facts, "resolution": options.resolution, "amounts": dataclasses.asdict(amounts)}
            options.out.write_text(json.dumps(values | {"rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
