"""Our weights under NVIDIA's names: complete at 1024 (section 7 of the reference), exact there and back."""

import tracemalloc

import keras
import numpy as np
import pytest
from fidelity import assert_close
from golden_data import FOLDER, network_of, read, to_nhwc
from official_data import (
    PARAMETERS,
    RELEASED,
    discriminator_shapes,
    generator_shapes,
    mapping_shapes,
    synthesis_shapes,
    zeros,
)

from stylegan_tf.discriminator import Discriminator
from stylegan_tf.generator import Generator
from stylegan_tf.growth import split_lod
from stylegan_tf.official import NETWORKS, build_network, load_variables, lod_of, variables_of

SMALL = {"resolution": 8, "fmap_max": 4, "latent_size": 6, "dlatent_size": 5, "mapping_fmaps": 7, "label_size": 2}


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
            assert_close("variables", name, ours[key], golden[key], key)


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


# ---------------------------------------------------------------------------------------------------------------------
# build_network


def trainable_parameters(network):
    return sum(variable.shape.num_elements() for variable in network.trainable_variables)


def small(func_name, **options):
    """A small network of any kind: (options, variables)."""
    options = {"resolution": 8, "fmap_max": 4, "num_channels": 3, **options}
    known = {**SMALL, **options} if func_name == "G_style" else options
    if func_name == "G_mapping":
        known = {"latent_size": 6, "mapping_fmaps": 7, "mapping_layers": 2}
    return known, variables_of(NETWORKS[func_name](**known))


def assert_same_variables(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name, strict=True)


@pytest.mark.parametrize("released", RELEASED)
def test_released_networks_fit_at_full_size(released):
    """Options as trained: those of the data set, all others by default (section 13 of the reference)."""
    resolution = RELEASED[released]
    options = {"num_channels": 3, "resolution": resolution, "label_size": 0}
    shapes = generator_shapes(resolution), discriminator_shapes(resolution)
    for func_name, expected, parameters in zip(("G_style", "D_basic"), shapes, PARAMETERS[resolution], strict=True):
        network = build_network(func_name, options, zeros(expected))
        assert trainable_parameters(network) == parameters
        assert {name: list(array.shape) for name, array in variables_of(network).items()} == expected
        assert network.resolution == resolution


def test_parts_of_the_released_generator_fit_by_their_own_names():
    options = {"num_channels": 3, "resolution": 1024, "label_size": 0, "dlatent_broadcast": 18}
    assert trainable_parameters(build_network("G_synthesis", options, zeros(synthesis_shapes()))) == 24_118_379
    mapping = build_network("G_mapping", options, zeros(mapping_shapes()))
    assert trainable_parameters(mapping) == 2_101_248
    assert mapping(np.zeros([2, 512], np.float32)).shape == (2, 18, 512)


@pytest.mark.parametrize("file", [*sorted(path.name for path in FOLDER.glob("*_opt_*.npz")), "style_labels.npz"])
def test_golden_networks_are_built_from_their_description(file):
    """Whatever the option, blur filters as lists included: names and shapes are those of the original."""
    golden = read(file)
    description = golden.meta["networks"][""]
    network = build_network(description["func_name"], description["static_kwargs"], golden.group("var"))
    ours, stored = variables_of(network), golden.group("var")
    assert_same_variables(ours, {**stored, "G_synthesis/lod": stored["lod"]} if "G_synthesis/lod" in stored else stored)


@pytest.mark.parametrize("file", sorted(path.name for path in FOLDER.glob("progan_*.npz")))
def test_progan_networks_keep_their_original_variables(file):
    golden = read(file)
    description = golden.meta["networks"][""]
    network = build_network(description["func_name"], description["static_kwargs"], golden.group("var"))
    ours = variables_of(network)
    assert next(iter(ours)) == "lod"
    assert_same_variables(ours, golden.group("var"))


def test_a_built_network_computes_what_the_original_did():
    golden = read("style_main.npz")
    description = golden.meta["networks"][""]
    network = build_network(description["func_name"], description["static_kwargs"], golden.group("var"))
    images = network(golden.group("in")["latents"], randomize_noise=False)
    expected = to_nhwc(golden.group("out")["default"])
    np.testing.assert_allclose(images, expected, rtol=0, atol=5e-5 * np.abs(expected).max())


@pytest.mark.parametrize("func_name", NETWORKS)
@pytest.mark.parametrize("module", ["", "training.networks_stylegan."])
def test_network_comes_back_exactly(func_name, module):
    options, variables = small(func_name)
    variables = {name: np.asarray(array + np.float32(0.5), np.float32) for name, array in variables.items()}
    network = build_network(module + func_name, options, variables)
    assert type(network) is NETWORKS[func_name]
    assert_same_variables(variables_of(network), variables)


@pytest.mark.parametrize("func_name", NETWORKS)
def test_options_that_the_original_ignores_are_dropped(func_name):
    options, variables = small(func_name)
    ignored = {"is_template_graph": True, "force_clean_graph": True, "components": {"x": object()}, "name": "G", "y": 1}
    network = build_network(func_name, options | ignored, variables)
    assert network.name != "G"
    assert not ignored.keys() & (network.get_config().keys() - {"name"})


@pytest.mark.parametrize("func_name", ["D_basic", "G_paper", "D_paper"])
def test_missing_options_take_the_defaults_of_the_original(func_name):
    """1 channel and 32 pixels there (sections 6.1 and 8), 3 and 1024 here."""
    variables = variables_of(NETWORKS[func_name](num_channels=1, resolution=32))
    network = build_network(func_name, {}, variables)
    assert (network.num_channels, network.resolution) == (1, 32)


@pytest.mark.parametrize(
    ("func_name", "option"),
    [
        ("G_style", {"structure": "fixed"}),
        ("G_style", {"structure": "linear", "fused_scale": False, "dtype": "float16"}),
        ("G_style", {"blur_filter": [1, 3, 3, 1], "normalize_latents": False}),
        ("G_style", {"blur_filter": None, "truncation_psi": None, "style_mixing_prob": None}),
        ("G_paper", {"latent_size": None, "structure": None}),
        ("G_paper", {"latent_size": 9, "fused_scale": False}),
        ("D_paper", {"structure": "recursive", "fused_scale": False}),
        ("D_basic", {"structure": "fixed", "mbstd_group_size": 0}),
    ],
)
def test_options_arrive(func_name, option):
    options, variables = small(func_name, **option)
    config = build_network(func_name, options, variables).get_config()
    expected = {**option, "dtype": "mixed_float16"} if "dtype" in option else option
    assert {name: config[name] for name in expected} == expected


def test_unknown_network_is_told_the_known_ones():
    with pytest.raises(
        ValueError, match=r"'nvidia\.G_stile'; .* G_style, G_mapping, G_synthesis, D_basic, G_paper, D_p"
    ):
        build_network("nvidia.G_stile", {}, {})


@pytest.mark.parametrize("func_name", NETWORKS)
def test_every_missing_surplus_and_wrong_variable_is_listed(func_name):
    options, variables = small(func_name)
    first, *_, last = variables
    wrong = {**variables, "extra/weight": np.zeros([3]), last: np.zeros([2, 2, 2])}
    del wrong[first]
    with pytest.raises(ValueError, match=f"do not fit {func_name}") as error:
        build_network(func_name, options, wrong)
    assert f"missing {first}" in str(error.value)
    assert "surplus extra/weight [3]" in str(error.value)
    assert f"{last} has shape [2, 2, 2], expected {list(variables[last].shape)}" in str(error.value)


@pytest.mark.parametrize("values", [np.array([None] * 4, object), np.array(list("abcd")), np.zeros(4, bool)])
def test_variables_that_are_no_numbers_are_refused(values):
    options, variables = small("D_basic")
    name = next(name for name in variables if variables[name].shape == (4,))
    with pytest.raises(ValueError, match=f"{name} holds no numbers"):
        build_network("D_basic", options, {**variables, name: values})


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_variables_beyond_float32_are_refused(value):
    options, variables = small("D_basic")
    name = next(name for name in variables if variables[name].shape == (4,))
    with pytest.raises(ValueError, match=f"{name} is not a finite float32 in places"):
        build_network("D_basic", options, {**variables, name: np.array([0, value, 0, 0])})


def test_ragged_variable_is_named():
    options, variables = small("D_basic")
    with pytest.raises(ValueError, match="4x4/Conv/bias is no array"):
        build_network("D_basic", options, {**variables, "4x4/Conv/bias": [[1.0], [1.0, 2.0]]})


@pytest.mark.parametrize("wrong", ["static_kwargs", "variables"])
def test_description_that_is_no_dictionary_is_refused(wrong):
    options, variables = small("D_basic")
    description = {"static_kwargs": options, "variables": variables, wrong: [("resolution", 8)]}
    with pytest.raises(ValueError, match=rf"{wrong} of D_basic must be a dictionary, not \[\('resolution', 8\)\]"):
        build_network("D_basic", **description)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"resolution": 24}, "power of two"),
        ({"truncation_psi": "x"}, "cannot be built .*: truncation_psi must be a finite number, not 'x'$"),
        ({"structure": "circular"}, "structure"),
        ({"nonlinearity": "lrelt"}, "lrelt"),
        ({"fmap_decay": -1e4}, "cannot be built"),
        ({"fmap_base": "x"}, "cannot be built"),
        ({"dtype": "int32"}, "dtype of G_style must be one of float32, float16, bfloat16"),
        ({"dtype": {"module": "os", "class_name": "system", "config": {}}}, "'dtype' of G_style is no plain value"),
        ({"mapping_layers": 10**9}, "do not make 1000000000 mapping layers"),
    ],
)
def test_impossible_options_are_refused(option, message):
    options, variables = small("G_style")
    with pytest.raises(ValueError, match=message):
        build_network("G_style", options | option, variables)


def test_options_beyond_all_memory_are_refused_without_taking_any():
    """4^30 weights a layer, and nothing that Keras would give values to later."""
    options, variables = small("G_style")
    tracemalloc.start()
    with pytest.raises(ValueError, match="expected \\[3, 3, 1073741824, 1073741824\\]"):
        build_network("G_style", options | {"fmap_max": 2**30, "fmap_base": 2**40}, variables)
    with keras.StatelessScope():  # where it ends, Keras gives values to the variables that wait for theirs
        pass
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


@pytest.mark.parametrize("func_name", ["G_style", "G_synthesis", "D_basic", "G_paper", "D_paper"])
def test_lod_of_a_half_grown_network_is_kept(func_name):
    options, variables = small(func_name)
    half_grown = {name: np.float32(0.25) if name.endswith("lod") else array for name, array in variables.items()}
    network = build_network(func_name, options, half_grown)
    assert split_lod(network.lod) == (0, 0.25)
    assert_same_variables(variables_of(network), half_grown)
    assert variables_of(network, lod=1)["lod"] == 1


def test_two_lods_that_differ_are_refused():
    options, variables = small("G_style")
    with pytest.raises(ValueError, match=r"lod is 0\.0 but G_synthesis/lod is 0\.5; both must be the same"):
        build_network("G_style", options, {**variables, "G_synthesis/lod": np.float32(0.5)})


@pytest.mark.parametrize("lod", [-1, 1.25, float("nan")])
def test_lod_that_the_network_does_not_have_is_refused(lod):
    options, variables = small("D_basic")
    with pytest.raises(ValueError, match="lod is"):
        build_network("D_basic", options, {**variables, "lod": np.float32(lod)})


def test_lod_is_zero_where_there_is_none():
    assert lod_of({}) == 0
    assert lod_of({"lod": np.float32(1.5)}) == 1.5
    options, variables = small("G_mapping")
    assert build_network("G_mapping", options, variables).lod == 0
