"""Every network agrees with the original implementation: `mapping_*`, `synthesis_*`, `style_*`, `dbasic_*`."""

import keras
import numpy as np
import pytest
from fidelity import assert_close
from golden_data import call_options, cases, enlarge, network_of, read, shrink, to_nhwc


@pytest.mark.parametrize(("name", "output"), cases("mapping_*.npz"))
def test_mapping(name, output):
    file = read(name)
    inputs, expected = file.group("in"), file.group("out")[output]
    labels = {"dlatents": "labels", "dlatents_labels_soft": "labels_soft", "dlatents_labels_none": None}[output]
    dlatents = network_of(file, output)(inputs["latents"], inputs.get(labels))
    file.assert_close(dlatents, expected, output)


@pytest.mark.parametrize(("name", "output"), cases("synthesis_*.npz"))
def test_synthesis(name, output):
    file = read(name)
    network = network_of(file, output)
    images = network(file.group("in")["dlatents"], *file.growth(output), **call_options(file, output))
    assert_images_close(file, output, images, network)


@pytest.mark.parametrize(("name", "output"), [case for case in cases("style_*.npz") if case.values[1] != "dlatents"])
def test_style(name, output, monkeypatch):
    file = read(name)
    network, inputs = network_of(file, output), file.group("in")
    labels = None if output == "labels_none" else inputs.get("labels")
    options = call_options(file, output)
    if output.startswith("mix/"):
        options |= dict(training=True, randomize_noise=False)
        force_mixing(monkeypatch, inputs["latents2"], **file.meta["outputs"][output])
    if output == "random_noise_captured":
        options["noise"] = [to_nhwc(inputs[f"noise_layer{index}"]) for index in range(8)]
    start = file.group("var")["dlatent_avg"]
    network.dlatent_avg.assign(start)
    images = network(inputs["latents"], labels, *file.growth(output), **options)
    assert_images_close(file, output, images, network)
    moves = output == "is_training_track" or output.startswith("mix/")
    assert moves != np.array_equal(network.dlatent_avg, start)


@pytest.mark.parametrize("name", ["style_main.npz", "style_labels.npz"])
def test_style_dlatents(name):
    file = read(name)
    inputs = file.group("in")
    dlatents = network_of(file, "dlatents").mapping(inputs["latents"], inputs.get("labels"))
    assert_close("style_dlatents", name, dlatents, file.group("out")["dlatents"])


@pytest.mark.parametrize("name", ["style_main.npz", "style_labels.npz"])
def test_running_mean_of_w(name):
    """One and two training calls move the mean as the original's."""
    file = read(name)
    output, inputs = "is_training_track", file.group("in")
    network = network_of(file, output)
    network.dlatent_avg.assign(file.group("before")["dlatent_avg"])
    for after in ("after", "after2"):
        network(inputs["latents"], inputs.get("labels"), **call_options(file, output))
        assert_close("dlatent_avg", name, network.dlatent_avg, file.group(after)["dlatent_avg"], after)


@pytest.mark.parametrize(("name", "output"), cases("dbasic_*.npz"))
def test_discriminator(name, output):
    file = read(name)
    network, inputs = network_of(file, output), file.group("in")
    level, fade = file.growth(output)
    key = file.meta["outputs"][output]["inputs"]
    images = shrink(to_nhwc(inputs[key]), 0 if network.fixed else level)
    scores = network(images, inputs.get(key.replace("images", "labels")), level, fade)
    file.assert_close(scores, file.group("out")[output], output)


def assert_images_close(file, output, images, network):
    """Our images at the current resolution are the expected ones, which are at the full resolution."""
    fixed = getattr(network, "synthesis", network).fixed
    level = 0 if fixed else file.growth(output)[0]
    assert images.shape[1] == network.resolution >> level
    file.assert_close(enlarge(images, level), to_nhwc(file.group("out")[output]), output)


def force_mixing(monkeypatch, latents, lod, mixing_cutoff=None, cur_layers=None, note=None):
    """Make the next style mixing take `latents` and a crossover, or decide against mixing when that is None."""

    def randint(shape, low, high, **kwargs):
        assert cur_layers in (None, high)
        assert low == 1
        return low if mixing_cutoff is None else mixing_cutoff

    monkeypatch.setattr(keras.random, "normal", lambda shape, **kwargs: keras.ops.convert_to_tensor(latents))
    monkeypatch.setattr(keras.random, "uniform", lambda shape, **kwargs: 0.95 if mixing_cutoff is None else 0.0)
    monkeypatch.setattr(keras.random, "randint", randint)
