"""Our weights under NVIDIA's names: complete at 1024 (section 7 of the reference), exact there and back."""

import numpy as np
import pytest
from golden_data import network_of, read

from stylegan_tf.discriminator import Discriminator
from stylegan_tf.generator import Generator
from stylegan_tf.official import load_variables, variables_of

FEATURES = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64, 512: 32, 1024: 16}
SMALL = {"resolution": 8, "fmap_max": 4, "latent_size": 6, "dlatent_size": 5, "mapping_fmaps": 7, "label_size": 2}


def layer_shapes(scope, kernel, features):
    """Section 7.2: the five variables of a synthesis layer."""
    return {
        f"{scope}/{'const' if scope.endswith('Const') else 'weight'}": kernel,
        f"{scope}/Noise/weight": [features],
        f"{scope}/bias": [features],
        f"{scope}/StyleMod/weight": [512, 2 * features],
        f"{scope}/StyleMod/bias": [2 * features],
    }


def generator_shapes():
    """Section 7.2: G at 1024x1024, 3 channels, no labels."""
    shapes = {"lod": [], "dlatent_avg": [512], "G_synthesis/lod": []}
    for index in range(18):
        size = 2 ** (index // 2 + 2)
        shapes[f"G_synthesis/noise{index}"] = [1, 1, size, size]
    inputs = 512
    for lod, (size, features) in zip(range(8, -1, -1), FEATURES.items(), strict=True):
        scope = f"G_synthesis/{size}x{size}"
        if size == 4:
            shapes |= layer_shapes(f"{scope}/Const", [1, 512, 4, 4], features)
            shapes |= layer_shapes(f"{scope}/Conv", [3, 3, 512, 512], features)
        else:
            shapes |= layer_shapes(f"{scope}/Conv0_up", [3, 3, inputs, features], features)
            shapes |= layer_shapes(f"{scope}/Conv1", [3, 3, features, features], features)
        shapes[f"G_synthesis/ToRGB_lod{lod}/weight"] = [1, 1, features, 3]
        shapes[f"G_synthesis/ToRGB_lod{lod}/bias"] = [3]
        inputs = features
    for index in range(8):
        shapes[f"G_mapping/Dense{index}/weight"] = [512, 512]
        shapes[f"G_mapping/Dense{index}/bias"] = [512]
    return shapes


def discriminator_shapes():
    """Section 7.3: D at 1024x1024, 3 channels, no labels."""
    weights = {"4x4/Conv": [3, 3, 513, 512], "4x4/Dense0": [8192, 512], "4x4/Dense1": [512, 1]}
    for lod, (size, features) in zip(range(8, -1, -1), FEATURES.items(), strict=True):
        weights[f"FromRGB_lod{lod}"] = [1, 1, 3, features]
        if size > 4:
            weights[f"{size}x{size}/Conv0"] = [3, 3, features, features]
            weights[f"{size}x{size}/Conv1_down"] = [3, 3, features, FEATURES[size // 2]]
    shapes = {"lod": []}
    for scope, shape in weights.items():
        shapes |= {f"{scope}/weight": shape, f"{scope}/bias": shape[-1:]}
    return shapes


@pytest.mark.parametrize(
    ("network_class", "shapes", "number"),
    [(Generator, generator_shapes(), 145), (Discriminator, discriminator_shapes(), 57)],
)
def test_variables_of_the_paper(network_class, shapes, number):
    variables = variables_of(network_class())
    assert {name: list(array.shape) for name, array in variables.items()} == shapes
    assert len(variables) == number
    assert {array.dtype for array in variables.values()} == {np.dtype("float32")}
    stored_noise = sum(array.size for name, array in variables.items() if "noise" in name)
    assert stored_noise == (2_796_192 if network_class is Generator else 0)


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("style_main.npz", "default"),
        ("style_labels.npz", "default"),
        ("style_baseline.npz", "linear/lod0"),
        ("synthesis_opt_const_input_false.npz", "recursive/lod0"),
        ("mapping_labels.npz", "dlatents"),
        ("dbasic_main.npz", "default_structure/b8"),
    ],
)
def test_golden_variables_come_back_exactly(name, output):
    file = read(name)
    network, golden = network_of(file, output), file.group("var")
    load_variables(network, golden)  # other tests move the running mean of w
    ours = variables_of(network)
    assert ours.keys() == golden.keys()
    for key in golden:
        if key not in ("lod", "G_synthesis/lod"):
            np.testing.assert_array_equal(ours[key], golden[key], err_msg=key)


def test_round_trip_is_exact():
    network, other = Generator(**SMALL), Generator(**SMALL, name="other")
    load_variables(other, variables_of(network))
    for ours, theirs in zip(network.variables, other.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_network_inside_a_network_has_names_of_its_own():
    """As in the original, where a component is a network too."""
    generator = Generator(**SMALL)
    whole = variables_of(generator)
    for part, prefix in ((generator.mapping, "G_mapping/"), (generator.synthesis, "G_synthesis/")):
        variables = variables_of(part)
        load_variables(part, variables)
        assert {prefix + name for name in variables} == {name for name in whole if name.startswith(prefix)}


def test_lod_is_recorded_and_ignored():
    discriminator = Discriminator(resolution=8, fmap_max=4)
    variables = variables_of(discriminator, lod=1.5)
    assert variables["lod"] == np.float32(1.5)
    load_variables(discriminator, variables)
    generator = Generator(**SMALL)
    assert variables_of(generator, lod=2)["G_synthesis/lod"] == 2
    load_variables(
        generator, {name: array for name, array in variables_of(generator).items() if "lod" not in name[-3:]}
    )


def test_everything_that_does_not_fit_is_listed_and_nothing_assigned():
    network = Generator(**SMALL)
    before = variables_of(network)
    wrong = {name: array + 1 for name, array in before.items()}
    del wrong["G_mapping/Dense3/bias"]
    wrong["G_mapping/Dense8/bias"] = np.zeros([5])
    wrong["G_synthesis/4x4/Const/const"] = np.zeros([1, 4, 4, 3])
    with pytest.raises(ValueError, match="do not fit Generator") as error:
        load_variables(network, wrong)
    message = str(error.value)
    assert "missing G_mapping/Dense3/bias" in message
    assert "surplus G_mapping/Dense8/bias [5]" in message
    assert "G_synthesis/4x4/Const/const has shape [1, 4, 4, 3], expected [1, 4, 4, 4]" in message
    for name, array in variables_of(network).items():
        np.testing.assert_array_equal(array, before[name])


def test_weights_of_another_resolution_do_not_fit():
    network = Discriminator(resolution=8, fmap_max=4)
    with pytest.raises(ValueError, match="missing 16x16/Conv0/bias"):
        load_variables(Discriminator(resolution=16, fmap_max=4), variables_of(network))
