"""The metrics: what each is called, needs and computes.

Formulas are imported when they are computed: command lines only want the names, at once.
"""

from collections.abc import Callable
from dataclasses import dataclass

FEATURES = ("inception", "mobilenet_v2")
# what stands in for the networks of the published metrics with --features mobilenet_v2
OFFLINE = {
    "inception": "mobilenet_v2",
    "inception_softmax": "mobilenet_v2_softmax",
    "vgg16": "mobilenet_v2",
    "lpips": "mobilenet_v2",
    "classifiers": "classifiers",
}


@dataclass(frozen=True)
class Metric:
    """One row of the table.

    Attributes:
        name: What results are called, with {n} for the number of images, or {_n} where the published one is silent.
        offline_name: The same with other networks than the published ones, whose name is {features}.
        measures: What it tells, in a few words.
        images: Number of images, or of paths, that are published.
        minibatch: Images at a time on a device in the original.
        network: Which network looks at the images; "classifiers" for those of --attributes.
        cost: Images that pass through networks, in a few words.
        compute: Function of a `Gatherer`, the network's name, number of images and minibatch to {end of the result's
            name: `Estimate`}.
        reals: Real images that it needs: "" for none; "sample" for as many as are generated, repeated if there are
            fewer; "distinct" for as many, none twice; "all" for the whole data set, each once.
    """

    name: str
    offline_name: str
    measures: str
    images: int
    minibatch: int
    network: str
    cost: str
    compute: Callable
    reals: str = ""

    def result_name(self, features, count):
        """fid50k, fid912, fd_mobilenet_v2_50k, pr912_3, ppl_wend, ppl_wend_2k, ..."""
        n = f"{count // 1000}k" if count % 1000 == 0 else str(count)
        name = self.name if features == "inception" else self.offline_name
        if not n.endswith("k"):
            name = name.replace("{n}3", "{n}_3")
        return name.format(n=n, _n="" if count == self.images else f"_{n}", features=features)

    def network_with(self, features):
        """Name of the network that looks at the images, for one of `FEATURES`."""
        return self.network if features == "inception" else OFFLINE[self.network]


def frechet(gather, network, count, minibatch):
    from metrics.fid import frechet_estimate

    reals = gather.reals(network, count, minibatch)
    return {"": frechet_estimate(reals, gather.fakes(network, count, minibatch))}


def frechet_full(gather, network, count, minibatch):
    from metrics.fid import frechet_estimate

    reals = gather.reals(network, gather.data.count, minibatch)
    return {"": frechet_estimate(reals, gather.fakes(network, count, minibatch))}


def kernel(gather, network, count, minibatch):
    from metrics.kid import kernel_estimate

    reals = gather.reals(network, count, minibatch)
    return {"": kernel_estimate(reals, gather.fakes(network, count, minibatch), seed=gather.seed)}


def precision_recall(gather, network, count, minibatch):
    from metrics.precision_recall import precision_and_recall_estimates

    reals = gather.reals(network, count, minibatch)
    precision, recall = precision_and_recall_estimates(reals, gather.fakes(network, count, minibatch), k=3)
    return {"_precision": precision, "_recall": recall}


def inception_score(gather, network, count, minibatch):
    from metrics.inception_score import inception_score_estimate

    return {"": inception_score_estimate(gather.fakes(network, count, minibatch))}


def path_length(space, sampling):
    def compute(gather, network, count, minibatch):
        from metrics.ppl import path_length_estimate

        return {"": path_length_estimate(*gather.path_lengths(space, sampling, network, count, minibatch))}

    return compute


def separability(gather, _, count, minibatch):
    from metrics.linear_separability import separability_estimate

    z, w, logits = gather.attributes(count, minibatch)
    return {
        suffix: separability_estimate(points, logits, count // 2, seed=gather.seed)
        for suffix, points in (("_z", z), ("_w", w))
    }


def path_length_metric(space, sampling):
    where = "anywhere on a path" if sampling == "full" else "at its start"
    return Metric(
        name=f"ppl_{space}{sampling}{{_n}}",
        offline_name=f"pl_{{features}}_{space}{sampling}{{_n}}",
        measures=f"perceptual path length in {space.upper()}, {where}; less is smoother",
        images=100000,
        minibatch=16,
        network="lpips",
        cost="200k generated, 200k VGG16",
        compute=path_length(space, sampling),
    )


METRICS = {
    "fid50k": Metric(
        name="fid{n}",
        offline_name="fd_{features}_{n}",
        measures="Fréchet distance to the real images; less is better",
        images=50000,
        minibatch=8,
        network="inception",
        cost="50k generated, 100k Inception",
        compute=frechet,
        reals="sample",
    ),
    "fid50k_full": Metric(
        name="fid{n}_full",
        offline_name="fd_{features}_{n}_full",
        measures="Fréchet distance to the whole data set, each image once",
        images=50000,
        minibatch=8,
        network="inception",
        cost="50k generated, 50k + data set Inception",
        compute=frechet_full,
        reals="all",
    ),
    "kid50k": Metric(
        name="kid{n}",
        offline_name="kd_{features}_{n}",
        measures="kernel distance to the real images, unbiased; less is better",
        images=50000,
        minibatch=8,
        network="inception",
        cost="50k generated, 100k Inception",
        compute=kernel,
        reals="distinct",
    ),
    "pr50k3": Metric(
        name="pr{n}3",
        offline_name="pr_{features}_{n}3",
        measures="precision: fakes look real; recall: reals are covered; 1 is best",
        images=50000,
        minibatch=8,
        network="vgg16",
        cost="50k generated, 100k VGG16",
        compute=precision_recall,
        reals="distinct",
    ),
    "is50k": Metric(
        name="is{n}",
        offline_name="is_{features}_{n}",
        measures="Inception score, for objects of many classes; more is better",
        images=50000,
        minibatch=8,
        network="inception_softmax",
        cost="50k generated, 50k Inception",
        compute=inception_score,
    ),
    **{f"ppl_{space}{sampling}": path_length_metric(space, sampling) for sampling in ("full", "end") for space in "zw"},
    "ls": Metric(
        name="ls{_n}",
        offline_name="ls{_n}",
        measures="linear separability of attributes, in Z and in W; 1 is best",
        images=200000,
        minibatch=4,
        network="classifiers",
        cost="200k generated, 200k of each classifier",
        compute=separability,
    ),
}
