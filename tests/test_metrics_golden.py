"""The metric formulas agree with the original implementation: all outputs of `metrics.npz`."""

import functools

import numpy as np
import pytest
from fidelity import assert_close
from golden_data import read

from metrics.fid import frechet_distance
from metrics.linear_separability import (
    conditional_entropy,
    entropy,
    joint_distribution,
    mutual_information,
    separability_score,
)
from metrics.ppl import lerp, mean_path_length, normalize, path_distances, slerp, without_outliers
from metrics.statistics import FeatureStatistics

FILE = read("metrics.npz")
IN, OUT = FILE.group("in"), FILE.group("out")
PATHS = ("z_full", "z_end", "w_full", "w_end")
PATH_OUTPUTS = ("all_distances", "filtered", "result")
TABLES = {
    "entropy": entropy,
    "mutual_information": mutual_information,
    "conditional_entropy": conditional_entropy,
}


def compare(component, actual, output):
    assert_close(component, FILE.name, actual, OUT[output], output)


@functools.cache
def generator():
    from stylegan_tf.generator import Generator
    from stylegan_tf.official import load_variables

    network = Generator(**FILE.meta["networks"]["ppl_Gs"]["static_kwargs"])
    load_variables(network, FILE.group("var/ppl_Gs"))
    return network


def mapping(latents):
    return generator().mapping(latents).numpy()


def synthesis(dlatents):
    return generator().synthesis(dlatents).numpy()


def statistics(name):
    """Mean and covariance of the features of this name, taken in as five batches."""
    result = FeatureStatistics()
    for batch in np.array_split(IN[f"fid/{name}"], 5):
        result.add(batch)
    return result.mean, result.covariance


def stub_distance(a, b):
    return np.square(a - b).mean(axis=(1, 2, 3))


def table(index):
    return joint_distribution(IN[f"ls/svm_outputs_{index}"], IN[f"ls/svm_targets_{index}"])


def test_every_output_is_compared():
    names = {"fid/fake", "fid/fake_lowrank", "fid/identical", "fid/mu_real", "fid/sigma_real"}
    names |= {"ppl/normalize_a", "ppl/slerp", "ppl/slerp_t_plus_1e-4", "ppl/lerp", "ppl/filter_mean"}
    names |= {f"ppl/{path}/{output}" for path in PATHS for output in PATH_OUTPUTS}
    names |= {f"ls/{kind}_{index}" for kind in ("p", *TABLES) for index in range(6)}
    names |= {"ls/score", "ls/class_result_z", "ls/class_result_w"}
    assert len(names) == 49
    assert names == OUT.keys() == FILE.meta["outputs"].keys()


def test_mean_and_covariance():
    mean, covariance = statistics("real_features")
    compare("fid_mean", mean, "fid/mu_real")
    compare("fid_covariance", covariance, "fid/sigma_real")


@pytest.mark.parametrize(
    ("features", "output"),
    [("fake_features", "fake"), ("fake_features_lowrank", "fake_lowrank"), ("real_features", "identical")],
)
def test_frechet_distance(features, output):
    distance = frechet_distance(*statistics(features), *statistics("real_features"))
    compare("fid", distance, f"fid/{output}")


def test_normalize_and_lerp():
    compare("ppl_lerp", lerp(IN["ppl/a"], IN["ppl/b"], IN["ppl/t"]), "ppl/lerp")
    compare("ppl_normalize", normalize(IN["ppl/a"]), "ppl/normalize_a")


@pytest.mark.parametrize(("step", "output"), [(0, "slerp"), (1e-4, "slerp_t_plus_1e-4")])
def test_slerp(step, output):
    points = slerp(IN["ppl/a"], IN["ppl/b"], IN["ppl/t"] + step)
    assert points.dtype == np.float32
    compare("ppl_slerp", points, f"ppl/{output}")


@pytest.mark.parametrize("path", PATHS)
def test_path_length_of_a_network(path):
    """1 / ε² = 1e4 magnifies the rounding of a float32 network; measured 6e-5 for one distance, 1e-5 for the mean."""
    space, sampling = path.split("_")
    positions = IN["ppl/lerp_t"] if sampling == "full" else np.zeros_like(IN["ppl/lerp_t"])
    distances = path_distances(
        IN["ppl/latents"],
        positions,
        space=space,
        mapping=mapping,
        synthesis=synthesis,
        distance=stub_distance,
        epsilon=FILE.meta["outputs"][f"ppl/{path}/all_distances"]["epsilon"],
    )
    compare("ppl_distances", distances, f"ppl/{path}/all_distances")
    compare("ppl_distances", without_outliers(distances), f"ppl/{path}/filtered")
    compare("ppl", mean_path_length(distances), f"ppl/{path}/result")


@pytest.mark.parametrize("path", PATHS)
def test_mean_of_the_original_distances(path):
    distances = OUT[f"ppl/{path}/all_distances"]
    compare("ppl_lerp", without_outliers(distances), f"ppl/{path}/filtered")
    compare("ppl_mean", mean_path_length(distances), f"ppl/{path}/result")


def test_outliers():
    facts = FILE.meta["outputs"]["ppl/filter_mean"]
    kept = without_outliers(IN["ppl/filter_distances"])
    assert (kept.min(), kept.max(), len(kept)) == (facts["lo"], facts["hi"], facts["kept"])
    compare("ppl_mean", mean_path_length(IN["ppl/filter_distances"]), "ppl/filter_mean")


@pytest.mark.parametrize("index", range(6))
def test_entropies(index):
    compare("ls_table", table(index), f"ls/p_{index}")
    for kind, function in TABLES.items():
        compare("ls_entropies", function(table(index)), f"ls/{kind}_{index}")


def test_score_of_all_tables():
    score = 2 ** sum(conditional_entropy(table(index)) for index in range(6))
    compare("ls", score, "ls/score")


@pytest.mark.parametrize("space", ["z", "w"])
def test_separability_of_a_network(space):
    latents = IN["ls/latents"]
    dlatents = mapping(latents)
    colours = synthesis(dlatents).mean(axis=(1, 2))
    logits = colours @ IN["ls/classifier_weights"].T - IN["ls/classifier_offsets"]
    points = latents if space == "z" else dlatents[:, -1]
    score = separability_score(points, logits, len(points) // 2, lambda points, _: (points[:, 0] > 0).astype(int))
    compare("ls", score, f"ls/class_result_{space}")
