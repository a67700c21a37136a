"""Progressive GAN's networks: the original's numbers, its variables, growth, derivatives, training, pictures."""

import json

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from fidelity import assert_close
from golden_data import cases, enlarge, network_of, read, shrink, to_nhwc

import generate_images
from stylegan_tf import ops
from stylegan_tf.figures import images_from_seeds
from stylegan_tf.layers import ConvDownscale2D, UpscaleConv2D
from stylegan_tf.official import variables_of
from stylegan_tf.progan import ProGANDiscriminator, ProGANGenerator
from stylegan_tf.snapshot import load_snapshot, save_snapshot
from stylegan_tf.tables import layer_table
from training.config import TrainingConfig
from training.optimizer import Adam
from training.schedule import SchedulePoint
from training.state import TrainState
from training.step import TrainingStep

FEATURES = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64, 512: 32, 1024: 16}
SMALL = {"resolution": 16, "fmap_base": 32, "fmap_max": 8}
OPS = read("ops.npz")


def small(network_class, **options):
    """A small network with random weights, the same at each call."""
    network = network_class(**SMALL | options)
    rng = np.random.default_rng(5)
    for variable in network.variables:
        variable.assign(rng.normal(size=variable.shape))
    return network


@pytest.fixture(scope="module")
def generator():
    """A small generator with three label components; for tests that leave its weights alone."""
    return small(ProGANGenerator, label_size=3)


@pytest.fixture(scope="module")
def discriminator():
    """A small discriminator; for tests that leave its weights alone."""
    return small(ProGANDiscriminator)


def latents(batch=4, size=8):
    return np.random.default_rng(6).normal(size=[batch, size]).astype("f")


def pictures(batch=4, size=16, channels=3):
    return np.random.default_rng(7).normal(size=[batch, size, size, channels]).astype("f")


# ---------------------------------------------------------------------------------------------------------------------
# The original's numbers


@pytest.mark.parametrize(("name", "output"), cases("progan_G_*.npz"))
def test_generator_is_the_original(name, output):
    file = read(name)
    level, fade = file.growth(output)
    inputs, network = file.group("in"), network_of(file, output)
    images = network(inputs["latents"], inputs.get("labels"), level, fade)
    assert images.shape[1:] == (16 >> level, 16 >> level, 3)
    file.assert_close(enlarge(images, level), to_nhwc(file.group("out")[output]), output)


@pytest.mark.parametrize(("name", "output"), cases("progan_D_*.npz"))
def test_discriminator_is_the_original(name, output):
    file = read(name)
    level, fade = file.growth(output)
    inputs, key = file.group("in"), file.meta["outputs"][output]["inputs"]
    images = shrink(to_nhwc(inputs[key]), level)
    scores = network_of(file, output)(images, inputs.get(key.replace("images", "labels")), level, fade)
    file.assert_close(scores, file.group("out")[output], output)


PLAIN = {"filters": 5, "blur_filter": None, "use_bias": False}
FUNCTIONS = {
    "leaky_relu": lambda: ops.leaky_relu_progan,
    "upscale2d_factor2": lambda: ops.upscale2d,
    "downscale2d_factor2": lambda: ops.downscale2d,
    "upscale2d_conv2d": lambda: UpscaleConv2D(fused_scale=True, **PLAIN),
    "conv2d_downscale2d": lambda: ConvDownscale2D(**PLAIN),
}


def test_every_op_of_the_original_is_here():
    prefix = "progan/"
    assert FUNCTIONS.keys() == {op.removeprefix(prefix) for op in OPS.meta["outputs"] if op.startswith(prefix)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_first_and_second_derivatives_are_the_original_s(name):
    """y = f(x); the gradient dx of sum(y * dy); that of sum(dx * ddx) by dy, and by x, where it is zero."""
    arrays = OPS.group(f"op/progan/{name}")
    function, expected = FUNCTIONS[name](), {key: to_nhwc(value) for key, value in arrays.items() if "/" not in key}
    if "var/weight" in arrays:
        function.build(expected["x"].shape)
        function.weight.assign(arrays["var/weight"])
    x, dy, ddx = (tf.constant(expected[key]) for key in ("x", "dy", "ddx"))
    with tf.GradientTape() as outer:
        outer.watch((x, dy))
        with tf.GradientTape(persistent=True) as inner:
            inner.watch(x)
            y = function(x)
            total = tf.reduce_sum(y * dy)
        dx = inner.gradient(total, x)
        total_of_dx = tf.reduce_sum(dx * ddx)
    ddy, ddx_x = outer.gradient(total_of_dx, (dy, x), unconnected_gradients=tf.UnconnectedGradients.ZERO)
    for actual, key in ((y, "y"), (dx, "dx"), (ddy, "ddy")):
        assert_close("progan_ops", OPS.name, actual, expected[key], f"{name}, {key}")
    np.testing.assert_array_equal(ddx_x, 0)
    if "var/weight" in arrays:
        by_weight = inner.gradient(total, function.weight.value)
        assert_close("progan_ops", OPS.name, by_weight, arrays["dvar/weight"], f"{name}, gradient by the weight")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_derivative_of_leaky_relu_at_zero_is_its_slope(dtype):
    """Trap 18: 0.2, where StyleGAN's is 1."""
    x = tf.constant([-2.0, 0.0, 3.0], dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = ops.activation("lrelu_progan")(x)
    derivative = tape.gradient(y, x)
    assert (y.dtype, derivative.dtype) == (dtype, dtype)
    np.testing.assert_allclose(tf.cast(y, "float32"), [-0.4, 0, 3], rtol=2**-8)
    np.testing.assert_allclose(tf.cast(derivative, "float32"), [0.2, 0.2, 1], rtol=2**-8)


# ---------------------------------------------------------------------------------------------------------------------
# Variables and options


def generator_weights(name="Conv0_up"):
    """Section 8.1: the weights of G at 1024x1024, 3 channels, no labels."""
    weights, inputs = {"4x4/Dense": [512, 8192], "4x4/Conv": [3, 3, 512, 512]}, 512
    for lod, (size, features) in zip(range(8, -1, -1), FEATURES.items(), strict=True):
        if size > 4:
            weights[f"{size}x{size}/{name}"] = [3, 3, inputs, features]
            weights[f"{size}x{size}/Conv1"] = [3, 3, features, features]
        weights[f"ToRGB_lod{lod}"], inputs = [1, 1, features, 3], features
    return weights


def discriminator_weights(name="Conv1_down"):
    """Section 7.3: the weights of D at 1024x1024, 3 channels."""
    weights = {"4x4/Conv": [3, 3, 513, 512], "4x4/Dense0": [8192, 512], "4x4/Dense1": [512, 1]}
    for lod, (size, features) in zip(range(8, -1, -1), FEATURES.items(), strict=True):
        weights[f"FromRGB_lod{lod}"] = [1, 1, 3, features]
        if size > 4:
            weights[f"{size}x{size}/Conv0"] = [3, 3, features, features]
            weights[f"{size}x{size}/{name}"] = [3, 3, features, FEATURES[size // 2]]
    return weights


@pytest.mark.parametrize(
    ("network_class", "options", "weights", "number", "parameters"),
    [
        (ProGANGenerator, {}, generator_weights(), 55, 23_079_115),
        (ProGANGenerator, {"fused_scale": False}, generator_weights("Conv0"), 55, 23_079_115),
        (ProGANDiscriminator, {"label_size": 7}, discriminator_weights(), 57, 23_087_249),
        (ProGANDiscriminator, {"fused_scale": False}, discriminator_weights("Conv1"), 57, 23_087_249),
    ],
)
def test_variables_of_the_paper(network_class, options, weights, number, parameters, monkeypatch):
    monkeypatch.setattr(keras.initializers, "RandomNormal", lambda *args: keras.initializers.Zeros())  # quick
    network = network_class(resolution=1024, **options)
    shapes = {"lod": []}
    for scope, shape in weights.items():
        shapes |= {f"{scope}/weight": shape, f"{scope}/bias": [512] if scope == "4x4/Dense" else shape[-1:]}
    variables = variables_of(network)
    assert {name: list(array.shape) for name, array in variables.items()} == shapes
    assert (len(variables), len(network.trainable_variables)) == (number, number - 1)
    assert network.count_params() == parameters


def test_the_input_layer_has_its_own_gain():
    generator = ProGANGenerator(resolution=8)
    assert generator.blocks[0].dense.coefficient == pytest.approx(0.015625)  # section 7.5
    assert generator.blocks[0].conv.coefficient == pytest.approx(0.0208333, abs=5e-8)
    assert generator.to_rgb[0].coefficient == pytest.approx(0.0441942, abs=5e-8)


@pytest.mark.parametrize("network_class", [ProGANGenerator, ProGANDiscriminator])
def test_resolutions_and_default_sizes(network_class):
    for resolution in (8, 32, 1024):
        network = network_class(resolution=resolution, fmap_max=4)
        for level in (0, int(np.log2(resolution)) - 2):
            size = resolution >> level
            if network_class is ProGANGenerator:
                assert network(keras.KerasTensor([2, 4]), level=level).shape == (2, size, size, 3)
            else:
                assert network(keras.KerasTensor([2, size, size, 3]), level=level).shape == (2, 1)


@pytest.mark.parametrize(
    ("network_class", "options"),
    [
        (ProGANGenerator, dict(latent_size=5, use_leakyrelu=False, pixelnorm_epsilon=1e-4, fused_scale=False)),
        (ProGANGenerator, dict(normalize_latents=False, use_pixelnorm=False, label_size=2, dtype="bfloat16")),
        (ProGANDiscriminator, dict(label_size=3, structure="linear", fused_scale=False, use_wscale=False)),
        (ProGANDiscriminator, dict(mbstd_group_size=0, num_channels=1, dtype="float16")),
    ],
)
def test_a_snapshot_holds_every_option_and_weight(tmp_path, network_class, options):
    network = small(network_class, name="averaged", **options)
    save_snapshot(tmp_path / "s", {"N": network}, {})
    again = load_snapshot(tmp_path / "s").networks["N"]
    assert type(again) is network_class
    plain = [json.loads(json.dumps(each.get_config())) for each in (network, again)]
    assert plain[0] == plain[1]
    assert options.items() - {("dtype", options.get("dtype"))} <= plain[0].items()
    for ours, theirs in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("network_class", [ProGANGenerator, ProGANDiscriminator])
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"fused_scale": "auto"}, "fused_scale must be True or False"),
        ({"structure": "fixed"}, "structure must be None"),
        ({"resolution": 20}, "resolution must be a power of two"),
        ({"blur_filter": None}, "blur_filter"),
        ({"nonlinearity": "relu"}, "nonlinearity"),
    ],
)
def test_impossible_options_are_errors(network_class, options, error):
    with pytest.raises((ValueError, TypeError), match=error):
        network_class(**SMALL | options)


def test_tables_of_the_layers():
    networks = (
        ProGANGenerator(resolution=16, fmap_max=8, latent_size=5),
        ProGANDiscriminator(**SMALL, fused_scale=False),
    )
    generator, discriminator = (
        {line.split()[0]: line.split(maxsplit=2)[1:] for line in layer_table(network).splitlines()}
        for network in networks
    )
    assert generator["4x4/Dense"] == ["648", "[N, 4, 4, 8]    [5, 128]"]
    assert generator["16x16/Conv0_up"] == ["584", "[N, 16, 16, 8]  [3, 3, 8, 8]"]
    assert generator["Total"] == [f"{648 + 5 * 584 + 3 * 27:,}"]
    assert discriminator["8x8/Conv1"] == ["584", "[N, 8, 8, 8]    [3, 3, 8, 8]"]  # averaging comes after it


# ---------------------------------------------------------------------------------------------------------------------
# Inputs


def test_labels_belong_to_the_generator_s_input(generator):
    one_hot = np.eye(3, dtype="f")[[0, 1, 2, 0]]
    assert not np.allclose(generator(latents(), one_hot), generator(latents()))
    np.testing.assert_array_equal(generator(latents()), generator(latents(), np.zeros([4, 3], "f")))
    joined = np.asarray(generator.join(latents(), one_hot))
    np.testing.assert_allclose(np.mean(joined**2, axis=1), 1, rtol=1e-5)  # normalised together (trap 19)


def test_the_discriminator_makes_nothing_of_labels():
    network = small(ProGANDiscriminator, label_size=3)
    one_hot = np.eye(3, dtype="f")[[0, 1, 2, 0]]
    np.testing.assert_array_equal(network(pictures(), one_hot), network(pictures()))
    assert network(pictures()).shape == (4, 1)


@pytest.mark.parametrize("shapes", [([4, 7], [4, 3]), ([4, 8], [4, 2]), ([4, 8], [4, 0])])
def test_latents_or_labels_of_another_size_are_an_error(generator, shapes):
    with pytest.raises(ValueError, match=r"expects latents \[N, 8\] and labels \[N, 3\]"):
        generator(*(np.zeros(shape, "f") for shape in shapes))


@pytest.mark.parametrize("shape", [(4, 8, 8, 3), (4, 16, 16, 1), (4, 3, 16, 16)])
def test_images_of_another_shape_are_an_error(discriminator, shape):
    with pytest.raises(ValueError, match="expects images"):
        discriminator(np.zeros(shape, "f"))


def test_truncation_is_an_error_and_its_absence_none(generator):
    with pytest.raises(ValueError, match=r"truncation_psi is 0.7, but a Progressive GAN has no w"):
        generator(latents(), truncation_psi=0.7)
    for options in ({"truncation_psi": None}, {"truncation_psi": 1}, {"validation": True}, {"training": True}):
        np.testing.assert_array_equal(generator(latents(), seed=[1, 2], **options), generator(latents()))


# ---------------------------------------------------------------------------------------------------------------------
# Growth


@pytest.mark.parametrize("level", [0, 1])
def test_fade_one_equals_next_coarser_level(generator, discriminator, level):
    coarser = ops.upscale2d(generator(latents(), level=level + 1))
    np.testing.assert_allclose(generator(latents(), level=level, fade=1.0), coarser, atol=1e-5)
    images = pictures(size=16 >> level)
    coarser = discriminator(ops.downscale2d(images), level=level + 1)
    np.testing.assert_allclose(discriminator(images, level=level, fade=1.0), coarser, atol=1e-5)


def test_fade_zero_as_a_tensor_is_no_fade(generator, discriminator):
    zero = tf.constant(0.0)
    np.testing.assert_array_equal(generator(latents(), fade=zero), generator(latents()))
    np.testing.assert_array_equal(discriminator(pictures(), fade=zero), discriminator(pictures()))


@pytest.mark.parametrize("level", [-1, 3])
def test_level_out_of_range_is_an_error(generator, discriminator, level):
    with pytest.raises(ValueError, match=f"from 0 .* to 2 .*not {level}"):
        generator(latents(), level=level)
    with pytest.raises(ValueError, match=f"from 0 .* to 2 .*not {level}"):
        discriminator(pictures(), level=level)


def test_four_pixels_need_the_first_block_only():
    """Unlike StyleGAN's synthesis, whose recursion starts at 8x8 (trap 25)."""
    network = small(ProGANGenerator)
    before = network(latents(), level=2)
    assert before.shape == (4, 4, 4, 3)
    for variable in network.variables:
        if "4x4" not in variable.path and "ToRGB_lod2" not in variable.path:
            variable.assign(np.full(variable.shape, np.nan))
    np.testing.assert_array_equal(network(latents(), level=2), before)


# ---------------------------------------------------------------------------------------------------------------------
# Precision, derivatives and use


@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 0.05), ("float16", 0.01)])
@pytest.mark.parametrize("network_class", [ProGANGenerator, ProGANDiscriminator])
def test_half_precision(network_class, dtype, tolerance):
    exact, half = small(network_class), small(network_class, dtype=dtype)
    inputs = latents() if network_class is ProGANGenerator else pictures(size=8)
    output, expected = (np.asarray(network(inputs, level=1, fade=0.5)) for network in (half, exact))
    assert output.dtype == np.float32
    assert {variable.dtype for variable in half.variables} == {"float32"}
    assert 0 < np.linalg.norm(output - expected) < tolerance * np.linalg.norm(expected)
    assert network_class.from_config(half.get_config()).compute_dtype == dtype


def test_gradient_penalty_has_finite_gradients(discriminator):
    images = tf.constant(pictures())
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(images)
            total = tf.reduce_sum(discriminator(images, fade=0.5))
        penalty = tf.reduce_sum(inner.gradient(total, images) ** 2)
    gradients = outer.gradient(penalty, [weight.value for weight in discriminator.trainable_variables])
    for weight, gradient in zip(discriminator.trainable_variables, gradients, strict=True):
        if weight.name == "weight" and "FromRGB_lod2" not in weight.path:
            assert 0 < np.abs(gradient).max() < np.inf, weight.path


@pytest.mark.parametrize("label_size", [0, 3])
def test_a_training_step_moves_what_takes_part(label_size):
    sizes = dict(resolution=16, fmap_max=4, label_size=label_size)
    networks = [ProGANGenerator(**sizes), ProGANDiscriminator(**sizes), ProGANGenerator(**sizes, name="generator_ema")]
    adams = [Adam(network.trainable_variables) for network in networks[:2]]
    state = TrainState(TrainingConfig(), *networks, *adams)
    before = [variables_of(network) for network in networks]
    labels = np.eye(3, label_size, dtype="f")[[0, 1, 2, 0]]
    batch = (np.random.RandomState(0).randint(0, 256, [4, 8, 8, 3]).astype("u1"), labels)
    point = SchedulePoint(1.5, 1, 0.5, 8, minibatch=4, G_lrate=0.01, D_lrate=0.01, tick_kimg=1)
    logs = TrainingStep(state, labels).run(lambda: batch, point)
    assert all(np.isfinite(float(value)) for value in logs.values())
    assert {logs["skipped_d"].numpy(), logs["skipped_g"].numpy()} == {0}
    for network, old in zip(networks, before, strict=True):
        moved = {name for name, array in variables_of(network).items() if not np.array_equal(array, old[name])}
        idle = {name for name in old if name.startswith("16x16") or "RGB_lod0" in name or name == "lod"}
        if network is networks[2]:
            assert "4x4/Conv/weight" in moved  # averages all weights: it was not the generator's copy before
        else:
            assert moved == old.keys() - idle


@pytest.fixture
def snapshot(tmp_path):
    path = tmp_path / "network-snapshot-000001.safetensors"
    save_snapshot(path, {"Gs": small(ProGANGenerator, label_size=3)}, {"level": 1, "fade": 0.25})
    return path


def test_generate_images_draws_without_truncation(snapshot, tmp_path):
    arguments = ["--network", str(snapshot), "--seeds", "0-1", "--outdir", str(tmp_path / "out"), "--class", "2"]
    generate_images.main([*arguments, "--grid"])
    generator = load_snapshot(snapshot).networks["Gs"]
    expected = list(images_from_seeds(generator, range(2), labels=[0, 0, 1], level=1, fade=0.25))
    for seed in range(2):
        with PIL.Image.open(tmp_path / "out" / f"seed{seed:04d}.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture), expected[seed])
    generate_images.main([*arguments, "--trunc", "1"])


def test_generate_images_refuses_truncation_that_was_asked_for(snapshot, tmp_path):
    with pytest.raises(SystemExit, match=r"Error: --trunc 0.7: this network, a Progressive GAN, has no truncation"):
        generate_images.main(
            ["--network", str(snapshot), "--seeds", "0", "--outdir", str(tmp_path / "out"), "--trunc", "0.7"]
        )
    assert not (tmp_path / "out").exists()
