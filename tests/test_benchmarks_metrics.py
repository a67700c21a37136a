"""The metrics' benchmark measures what it says."""

import json
import math

import numpy as np
import pytest

from benchmarks import metrics
from metrics.vgg16 import convolution_shapes


def test_a_quick_run_measures_networks_and_formulas(tmp_path, capsys):
    metrics.main(["--quick", "--out", str(tmp_path / "metrics.json")])
    rows = json.loads((tmp_path / "metrics.json").read_text())["rows"]
    assert [row["contender"] for row in rows] == ["mobilenet_v2", "fid"]
    assert [row["facts"]["images"] for row in rows] == [2, 300]
    for row in rows:
        assert len(row["seconds"]) == 1
        assert all(math.isfinite(value) and value > 0 for value in (*row["seconds"], row["first"]))
    assert rows[0]["memory"] > 1e6
    out = capsys.readouterr().out
    assert all(row["contender"] in out for row in rows)


@pytest.mark.parametrize("name", metrics.FORMULAS)
def test_a_formula_is_computed(name):
    function, facts = metrics.formula(name, metrics.QUICK)
    assert facts["images"] > 1
    value = function()
    values = value if isinstance(value, tuple) else [value]
    for value in values:
        assert np.isfinite(getattr(value, "value", value)).all()


def test_made_up_weights_keep_activations_alive():
    arrays = metrics.made_up(convolution_shapes())
    assert {name: array.shape for name, array in arrays.items()} == convolution_shapes()
    images = np.random.default_rng(0).uniform(0, 255, [2, 2, 32, 32, 3]).astype(np.float32)
    distances = metrics.network("lpips")(list(images)).numpy()
    assert distances.shape == (2,)
    assert np.isfinite(distances).all()
    assert distances.all()  # they would be 0 if activations had vanished


@pytest.mark.parametrize(
    "arguments",
    [
        ["--repeats", "0"],
        ["--resolution", "8"],
        ["--contenders", "fid,vgg"],
        ["--out", "nowhere/metrics.json"],
        ["--fast"],
    ],
)
def test_a_wrong_option_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        metrics.parse_arguments(arguments)
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err
