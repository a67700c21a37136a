"""The contract of every layer and network: rebuild, save, restore, trace, symbolic shapes, weights, bfloat16."""

import inspect
import json
from dataclasses import dataclass, field

import keras
import numpy as np
import pytest
import tensorflow as tf

from stylegan_tf import discriminator, generator, layers, mapping, network, progan, synthesis
from stylegan_tf.layers import GAIN, EqualizedConv2D, EqualizedDense

IMAGE, W = [4, 8, 8, 6], [4, 10]
NOISE_4, NOISE_8 = [[4, 4, 4, 1], [4, 4, 4, 1]], [[4, 8, 8, 1], [1, 8, 8, 1]]
SMALL = dict(resolution=16, fmap_base=64, fmap_max=8)
CONV = dict(equalized_lr=True, activation="lrelu")
EPILOGUE = dict(
    nonlinearity="lrelu",
    use_noise=True,
    use_pixel_norm=False,
    use_instance_norm=True,
    use_styles=True,
    equalized_lr=True,
)


@dataclass
class Case:
    """How to construct, build and call a layer, and how many weights it then has."""

    layer_class: type
    options: dict
    build_shape: list | None  # None: builds itself
    inputs: list  # shapes of the positional arguments; a list of shapes for a list of tensors
    weights: int
    call_options: dict = field(default_factory=dict)

    def construct(self, dtype="float32"):
        """A built layer with random weights, the same at each call."""
        layer = self.layer_class(**self.options, dtype=dtype)
        self.build(layer)
        rng = np.random.default_rng(1)
        for variable in layer.variables:  # none of them zero: a zero strength would hide the noise
            variable.assign(rng.normal(size=variable.shape))
        return layer

    def build(self, layer):
        if not layer.built:
            layer.build(self.build_shape)

    def arguments(self, dtype="float32"):
        """Random inputs."""
        rng = np.random.default_rng(2)
        return nested(self.inputs, lambda shape: keras.ops.cast(rng.normal(size=shape).astype("f"), dtype))

    def call(self, layer, arguments):
        return layer(*arguments, **self.call_options)


def nested(shapes, function):
    """Apply `function` to each shape in a list that may hold lists of shapes."""
    return [nested(item, function) if isinstance(item[0], list) else function(item) for item in shapes]


CASES = {
    "dense": Case(EqualizedDense, dict(units=5), W, [W], 10 * 5 + 5),
    "dense_of_image": Case(EqualizedDense, dict(units=5, activation="relu"), IMAGE, [IMAGE], 384 * 5 + 5),
    "conv": Case(EqualizedConv2D, dict(filters=5, activation="lrelu"), IMAGE, [IMAGE], 9 * 6 * 5 + 5),
    "conv_1x1": Case(EqualizedConv2D, dict(filters=3, kernel_size=1, use_bias=False), IMAGE, [IMAGE], 18),
    "conv_plain": Case(EqualizedConv2D, dict(filters=5, equalized_lr=False), IMAGE, [IMAGE], 275),
    "up": Case(layers.UpscaleConv2D, dict(filters=5), IMAGE, [IMAGE], 275),
    "up_fused": Case(layers.UpscaleConv2D, dict(filters=5, fused_scale=True), IMAGE, [IMAGE], 275),
    "up_blur_1331": Case(layers.UpscaleConv2D, dict(filters=5, blur_filter=[1, 3, 3, 1]), IMAGE, [IMAGE], 275),
    "up_blur_none": Case(layers.UpscaleConv2D, dict(filters=5, blur_filter=None), IMAGE, [IMAGE], 275),
    "down": Case(layers.ConvDownscale2D, dict(filters=5, activation="lrelu"), IMAGE, [IMAGE], 275),
    "style": Case(layers.StyleModulation, dict(units=12, gain=1), W, [IMAGE, W], 10 * 12 + 12),
    "noise": Case(layers.Noise, {}, IMAGE, [IMAGE, NOISE_8[0]], 6),
    "epilogue": Case(layers.LayerEpilogue, dict(dlatent_size=10), IMAGE, [IMAGE, W, NOISE_8[1]], 6 + 6 + 10 * 12 + 12),
    "epilogue_pixel_norm": Case(
        layers.LayerEpilogue,
        dict(dlatent_size=10, use_noise=False, use_pixel_norm=True, use_instance_norm=False, use_styles=False),
        IMAGE,
        [IMAGE],
        6,
    ),
    "stddev": Case(layers.MinibatchStddev, dict(group_size=2, num_new_features=3), IMAGE, [IMAGE], 0),
    "labels": Case(mapping.LabelEmbedding, dict(latent_size=10), [None, 3], [[4, 3], W], 30),
    "constant": Case(synthesis.LearnedConstant, dict(features=6), W, [W], 16 * 6),
    "input": Case(
        synthesis.SynthesisInput,
        dict(features=6, dlatent_size=10, const_input_layer=True, epilogue=EPILOGUE),
        [None, 2, 10],
        [[4, 2, 10], NOISE_4],
        16 * 6 + 144 + 9 * 6 * 6 + 144,
    ),
    "input_dense": Case(
        synthesis.SynthesisInput,
        dict(features=6, dlatent_size=10, const_input_layer=False, epilogue=EPILOGUE),
        [None, 2, 10],
        [[4, 2, 10], NOISE_4],
        10 * 96 + 144 + 9 * 6 * 6 + 144,
    ),
    "block_up": Case(
        synthesis.SynthesisBlock,
        dict(features=6, dlatent_size=10, fused_scale="auto", blur_filter=(1, 2, 1), epilogue=EPILOGUE),
        [None, 4, 4, 7],
        [[4, 4, 4, 7], [4, 2, 10], NOISE_8],
        9 * 7 * 6 + 144 + 9 * 6 * 6 + 144,
    ),
    "block_down": Case(
        discriminator.DiscriminatorBlock,
        dict(features=6, next_features=7, fused_scale="auto", blur_filter=(1, 2, 1), conv_options=CONV),
        IMAGE,
        [IMAGE],
        9 * 6 * 6 + 6 + 9 * 6 * 7 + 7,
    ),
    "head": Case(
        discriminator.DiscriminatorHead,
        dict(conv_features=5, dense_features=7, logits=3, group_size=2, num_new_features=1, conv_options=CONV),
        [None, 4, 4, 6],
        [[4, 4, 4, 6]],
        9 * 7 * 5 + 5 + 80 * 7 + 7 + 7 * 3 + 3,
    ),
    "head_without_stddev": Case(
        discriminator.DiscriminatorHead,
        dict(conv_features=5, dense_features=7, logits=1, group_size=1, num_new_features=1, conv_options=CONV),
        [None, 4, 4, 6],
        [[4, 4, 4, 6]],
        9 * 6 * 5 + 5 + 80 * 7 + 7 + 7 + 1,
    ),
    "mapping": Case(
        mapping.MappingNetwork,
        dict(
            latent_size=10,
            label_size=3,
            dlatent_size=6,
            mapping_fmaps=5,
            mapping_layers=3,
            dlatent_broadcast=4,
        ),
        None,
        [W, [4, 3]],
        3 * 10 + 20 * 5 + 5 + 5 * 5 + 5 + 5 * 6 + 6,
    ),
    "synthesis": Case(
        synthesis.SynthesisNetwork,
        dict(dlatent_size=10, **SMALL),
        None,
        [[4, 6, 10]],
        2 * (16 + 64 + 256) + 16 * 8 + 5 * 9 * 8 * 8 + 6 * (8 + 8 + 10 * 16 + 16) + 3 * (8 * 3 + 3),
        dict(randomize_noise=False),
    ),
    "synthesis_faded": Case(
        synthesis.SynthesisNetwork,
        dict(dlatent_size=10, use_noise=False, structure="linear", **SMALL),
        None,
        [[4, 6, 10]],
        16 * 8 + 5 * 9 * 8 * 8 + 6 * (8 + 10 * 16 + 16) + 3 * (8 * 3 + 3),
        dict(level=1, fade=0.25),
    ),
    "generator": Case(
        generator.Generator,
        dict(latent_size=10, dlatent_size=10, mapping_fmaps=10, mapping_layers=2, use_noise=False, **SMALL),
        None,
        [W],
        10 + 4193 + 2 * (10 * 10 + 10),
    ),
    "discriminator": Case(
        discriminator.Discriminator,
        dict(label_size=2, **SMALL),
        None,
        [[4, 16, 16, 3], [4, 2]],
        3 * (3 * 8 + 8) + 4 * (9 * 8 * 8 + 8) + 9 * 9 * 8 + 8 + 128 * 8 + 8 + 8 * 2 + 2,
    ),
    "discriminator_faded": Case(
        discriminator.Discriminator,
        dict(mbstd_group_size=0, **SMALL),
        None,
        [[4, 8, 8, 3]],
        3 * (3 * 8 + 8) + 4 * (9 * 8 * 8 + 8) + 9 * 8 * 8 + 8 + 128 * 8 + 8 + 8 + 1,
        dict(level=1, fade=0.25),
    ),
    "progan_input": Case(
        progan.ProGANInput,
        dict(features=6, conv_options=CONV, pixelnorm_epsilon=1e-8),
        [None, 10],
        [W],
        10 * 96 + 6 + 9 * 6 * 6 + 6,
    ),
    "progan_up": Case(
        progan.ProGANUpBlock,
        dict(features=5, conv_options=CONV, pixelnorm_epsilon=None, fused_scale=False),
        IMAGE,
        [IMAGE],
        9 * 6 * 5 + 5 + 9 * 5 * 5 + 5,
    ),
    "progan_down": Case(
        progan.UnfusedDiscriminatorBlock,
        dict(features=6, next_features=7, fused_scale=False, blur_filter=None, conv_options=CONV),
        IMAGE,
        [IMAGE],
        9 * 6 * 6 + 6 + 9 * 6 * 7 + 7,
    ),
    "progan_generator": Case(
        progan.ProGANGenerator,
        dict(latent_size=10, label_size=3, **SMALL),
        None,
        [W, [4, 3]],
        13 * 128 + 8 + 5 * (9 * 8 * 8 + 8) + 3 * (8 * 3 + 3),
        dict(level=1, fade=0.25),
    ),
    "progan_discriminator": Case(
        progan.ProGANDiscriminator,
        dict(label_size=2, fused_scale=False, **SMALL),
        None,
        [[4, 16, 16, 3], [4, 2]],
        3 * (3 * 8 + 8) + 4 * (9 * 8 * 8 + 8) + 9 * 9 * 8 + 8 + 128 * 8 + 8 + 8 + 1,
    ),
}
ABSTRACT = {layers.EqualizedLayer, layers.ResamplingConv2D, network.Network, progan.ProGANBlock}
every_case = pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])


def test_every_layer_has_a_case():
    classes = {
        value
        for module in (layers, mapping, synthesis, generator, discriminator, progan)
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, keras.layers.Layer)
    }
    assert classes - ABSTRACT == {case.layer_class for case in CASES.values()}


@every_case
def test_rebuilds_from_its_configuration(case):
    layer = case.construct()
    config = json.loads(json.dumps(layer.get_config()))
    again = case.layer_class.from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config
    case.build(again)
    again.set_weights(layer.get_weights())
    arguments = case.arguments()
    np.testing.assert_array_equal(case.call(again, arguments), case.call(layer, arguments))


@every_case
def test_keras_can_serialize_it(case):
    layer = case.construct()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is case.layer_class
    assert again.get_config() == layer.get_config()


@every_case
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3.15 with NumPy 2.3
def test_saved_weights_come_back(case, tmp_path):
    model, again = Wrapper(case.construct()), Wrapper(case.construct())
    for variable in again.variables:
        variable.assign(np.zeros(variable.shape))
    model.save_weights(tmp_path / "model.weights.h5")
    again.load_weights(tmp_path / "model.weights.h5")
    for ours, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@every_case
def test_traced_is_eager(case):
    layer, arguments = case.construct(), case.arguments()
    traced = tf.function(lambda *arguments: case.call(layer, arguments))(*arguments)
    np.testing.assert_allclose(traced, case.call(layer, arguments), rtol=1e-5, atol=1e-5)


@every_case
def test_symbolic_shape_is_eager_shape(case):
    layer = case.construct()
    symbolic = case.call(layer, nested(case.inputs, keras.KerasTensor))
    eager = case.call(layer, case.arguments())
    assert (tuple(symbolic.shape), symbolic.dtype) == (tuple(eager.shape), eager.dtype.name)


@every_case
def test_number_of_weights(case):
    assert case.construct().count_params() == case.weights


@every_case
def test_bfloat16(case):
    layer = case.construct("mixed_bfloat16")
    is_network = isinstance(layer, network.Network)
    output = case.call(layer, case.arguments("float32" if is_network else "bfloat16"))
    assert all(variable.dtype == "float32" for variable in layer.variables)
    assert output.dtype == ("float32" if is_network else "bfloat16")
    output = np.asarray(keras.ops.cast(output, "float32"))
    exact = np.asarray(case.call(case.construct(), case.arguments()))
    assert np.all(np.isfinite(output))
    assert np.linalg.norm(output - exact) < 0.02 * np.linalg.norm(exact)  # 8 bits of mantissa: 0.004 a rounding


COEFFICIENTS = {  # section 7.5 of the reference: (layer, input shape, value)
    **{
        f"conv_{maps}": (EqualizedConv2D, {}, [None, 4, 4, maps], value)
        for maps, value in zip(
            (512, 256, 128, 64, 32, 16, 513),
            (0.0208333, 0.0294628, 0.0416667, 0.0589256, 0.0833333, 0.1178511, 0.0208130),
            strict=True,
        )
    },
    **{
        f"to_rgb_{maps}": (EqualizedConv2D, dict(kernel_size=1, gain=1), [None, 4, 4, maps], value)
        for maps, value in zip(
            (512, 256, 128, 64, 32, 16), (0.0441942, 0.0625, 0.0883883, 0.125, 0.1767767, 0.25), strict=True
        )
    },
    "style": (layers.StyleModulation, dict(gain=1), [None, 512], 0.0441942),
    "mapping": (EqualizedDense, dict(lr_multiplier=0.01), [None, 512], 0.000625),
    "traditional_input": (EqualizedDense, dict(gain=GAIN / 4), [None, 512], 0.015625),
    "from_rgb": (EqualizedConv2D, dict(kernel_size=1), [None, 4, 4, 3], 0.8164966),
    "dense0": (EqualizedDense, {}, [None, 4, 4, 512], 0.015625),
    "dense1": (EqualizedDense, dict(gain=1), [None, 512], 0.0441942),
}


@pytest.mark.parametrize(("layer_class", "options", "shape", "value"), COEFFICIENTS.values(), ids=COEFFICIENTS.keys())
def test_coefficient(layer_class, options, shape, value):
    layer = layer_class(2, **options)
    layer.build(shape)
    assert layer.coefficient == pytest.approx(value, abs=5e-8)
    np.testing.assert_allclose(layer.kernel, layer.weight * np.float32(layer.coefficient), rtol=1e-6)


@pytest.mark.parametrize("lr_multiplier", [1, 0.01])
@pytest.mark.parametrize("equalized_lr", [True, False])
def test_effective_weights_start_with_the_deviation_of_he(equalized_lr, lr_multiplier):
    """Stored deviation 1 / lrmul or He's / lrmul; times the coefficient both are He's (section 2.1)."""
    layer = EqualizedDense(500, equalized_lr=equalized_lr, lr_multiplier=lr_multiplier)
    layer.build([None, 200])
    stored = (1 if equalized_lr else 0.1) / lr_multiplier
    assert np.std(layer.weight) == pytest.approx(stored, rel=0.01)
    assert layer.coefficient == pytest.approx((0.1 if equalized_lr else 1) * lr_multiplier)
    assert np.std(layer.kernel) == pytest.approx(0.1, rel=0.01)
    assert abs(np.mean(layer.kernel)) < 0.001
    assert np.max(np.abs(layer.kernel)) > 0.35  # not truncated at two deviations


def test_bias_is_multiplied_too():
    layer = EqualizedDense(3, lr_multiplier=0.01)
    layer.build([None, 2])
    layer.bias.assign([1, 2, 3])
    np.testing.assert_allclose(layer(np.zeros([1, 2], "f")), [[0.01, 0.02, 0.03]], rtol=1e-6)


def test_initial_values():
    """Strengths and biases zero, the constant one, the embedding standard normal without scaling (traps 16, 19)."""
    epilogue = layers.LayerEpilogue(10)
    epilogue.build(IMAGE)
    for variable in (epilogue.noise.weight, epilogue.bias, epilogue.style.bias):
        np.testing.assert_array_equal(variable, 0)
    constant = synthesis.LearnedConstant(6)
    constant.build()
    np.testing.assert_array_equal(constant.const, 1)
    embedding = mapping.LabelEmbedding(500)
    embedding.build([None, 200])
    assert np.std(embedding.weight) == pytest.approx(1, rel=0.01)


def test_style_adds_one_to_the_scale():
    style = layers.StyleModulation(12, gain=1)
    style.build([None, 10])
    style.weight.assign(np.zeros([10, 12]))
    style.bias.assign([2.0] * 6 + [5.0] * 6)  # scales first, then shifts
    np.testing.assert_array_equal(style(np.full([1, 4, 4, 6], 7, "f"), np.zeros([1, 10], "f")), 7 * (2 + 1) + 5)


def test_even_kernel_is_an_error():
    with pytest.raises(ValueError, match="odd"):
        EqualizedConv2D(3, kernel_size=2)


def test_unknown_fused_scale_is_an_error():
    with pytest.raises(ValueError, match="fused_scale"):
        layers.UpscaleConv2D(3, fused_scale="always")


class Wrapper(keras.Model):
    """A model around one layer: Keras saves the weights of models only."""

    def __init__(self, layer):
        super().__init__(name="wrapper")
        self.layer = layer
        self.built = True
