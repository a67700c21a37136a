"""Names, numbers and needs of the metrics: the original's (section 16.2 of the reference), and later ones."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from metrics.request import Settings, check_names, check_request, networks_for
from metrics.table import FEATURES, METRICS

ORIGINAL = {  # name: (images, minibatch)
    "fid50k": (50000, 8),
    "ppl_zfull": (100000, 16),
    "ppl_wfull": (100000, 16),
    "ppl_zend": (100000, 16),
    "ppl_wend": (100000, 16),
    "ls": (200000, 4),
}


class Data:
    """A data set of 912 images."""

    count, directory = 912, "datasets/portraits"


def test_names_are_known_without_numpy_and_tensorflow():
    """So that command lines which take names of metrics answer at once."""
    code = "import sys, metrics.table; print({'numpy', 'keras', 'tensorflow'} & set(sys.modules))"
    repository = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, env=os.environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, "set()\n", "")


def test_numbers_are_the_originals():
    assert {name: (METRICS[name].images, METRICS[name].minibatch) for name in ORIGINAL} == ORIGINAL


def test_there_are_the_originals_metrics_and_four_that_people_expect_today():
    assert METRICS.keys() == {*ORIGINAL, "fid50k_full", "kid50k", "pr50k3", "is50k"}


@pytest.mark.parametrize("name", METRICS)
def test_each_metric_is_called_as_published_with_its_number_of_images(name):
    assert METRICS[name].result_name("inception", METRICS[name].images) == name


@pytest.mark.parametrize(
    ("name", "count", "published", "offline"),
    [
        ("fid50k", 50000, "fid50k", "fd_mobilenet_v2_50k"),
        ("fid50k", 912, "fid912", "fd_mobilenet_v2_912"),
        ("fid50k_full", 50000, "fid50k_full", "fd_mobilenet_v2_50k_full"),
        ("kid50k", 10000, "kid10k", "kd_mobilenet_v2_10k"),
        ("pr50k3", 50000, "pr50k3", "pr_mobilenet_v2_50k3"),
        ("pr50k3", 912, "pr912_3", "pr_mobilenet_v2_912_3"),
        ("is50k", 50000, "is50k", "is_mobilenet_v2_50k"),
        ("ppl_wend", 100000, "ppl_wend", "pl_mobilenet_v2_wend"),
        ("ppl_zfull", 2000, "ppl_zfull_2k", "pl_mobilenet_v2_zfull_2k"),
        ("ls", 1000, "ls_1k", "ls_1k"),
    ],
)
def test_results_are_called_after_images_and_network(name, count, published, offline):
    assert METRICS[name].result_name("inception", count) == published
    assert METRICS[name].result_name("mobilenet_v2", count) == offline


def test_nothing_computed_with_another_network_is_called_by_a_published_name():
    names = {metric.result_name("mobilenet_v2", metric.images) for name, metric in METRICS.items() if name != "ls"}
    assert not any(name.startswith(("fid", "kid", "ppl")) for name in names)
    assert all("mobilenet_v2" in name for name in names)


def test_every_metric_names_its_networks():
    assert networks_for(METRICS, Settings()) == ({"inception", "inception_softmax", "vgg16"}, {"lpips"})
    offline = ({"mobilenet_v2", "mobilenet_v2_softmax"}, {"mobilenet_v2"})
    assert networks_for(METRICS, Settings("mobilenet_v2")) == offline
    assert networks_for(["ls"], Settings()) == (set(), set())


def test_each_row_says_what_it_tells_in_few_words():
    for metric in METRICS.values():
        assert 20 < len(metric.measures) < 70
        assert metric.cost
        assert len(inspect.getsource(metric.compute).splitlines()) < 10


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fid", "'fid' is no metric: did you mean fid50k"),
        ("ppl2_wend", "did you mean ppl_wend"),
        ("xyz", "there are fid50k, fid50k_full"),
    ],
)
def test_an_unknown_name_gets_suggestions(name, message):
    with pytest.raises(ValueError, match=message):
        check_names([name])


@pytest.mark.parametrize(
    ("names", "settings", "data", "message"),
    [
        (["fid50k"], Settings("resnet"), Data, "--features resnet: choose one of inception, mobilenet_v2"),
        (["fid50k"], Settings(), None, "fid50k compares with real images: name their directory with --data"),
        (["kid50k"], Settings(), Data, "needs 50000 different real images, and datasets/portraits has 912: .*912"),
        (["pr50k3"], Settings(num_images=913), Data, "pr50k3 needs 913 different real images"),
        (["fid50k"], Settings(num_images=7), Data, "--num-images 7: fid50k needs 20 or more"),
        (["ls"], Settings(), None, "ls needs classifiers of attributes: --attributes FILE"),
    ],
)
def test_what_cannot_be_computed_is_refused_before_anything_begins(names, settings, data, message):
    with pytest.raises(ValueError, match=message):
        check_request(names, settings, data, has_classifiers=False)


def test_what_repeats_reals_or_needs_none_is_not_refused():
    check_request(["fid50k", "fid50k_full"], Settings(), Data, False)
    check_request(["is50k", "ppl_wend"], Settings(), None, False)
    check_request(["kid50k", "pr50k3"], Settings(num_images=912), Data, False)
    assert FEATURES == ("inception", "mobilenet_v2")
