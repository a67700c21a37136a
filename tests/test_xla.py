"""Arithmetic that XLA compiles gives the numbers of the same arithmetic without it."""

import numpy as np
import pytest
import tensorflow as tf

from stylegan_tf import figures, xla
from stylegan_tf.figures import images_from_seeds
from stylegan_tf.layers import LayerEpilogue, dtype_policy


@pytest.fixture(autouse=True)
def small_tensors_are_worthwhile(monkeypatch):
    monkeypatch.setattr(xla, "WORTHWHILE", 1)


@pytest.fixture
def epilogue():
    layer = LayerEpilogue(dlatent_size=6)
    layer.build([None, 8, 8, 5])
    random = np.random.default_rng(0)
    for variable in layer.variables:
        variable.assign(random.normal(size=variable.shape))
    return layer


def inputs(dtype="float32"):
    random = np.random.default_rng(1)
    shapes = [3, 8, 8, 5], [3, 6], [3, 8, 8, 1]
    return [tf.constant(random.normal(size=shape), dtype) for shape in shapes]


def is_compiled(function, *arguments):
    """Whether any function that the graph of a `tf.function` calls must be compiled by XLA."""
    definition = function.get_concrete_function(*arguments).graph.as_graph_def()
    return any(called.attr["_XlaMustCompile"].b for called in definition.library.function)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.1)])
def test_a_compiled_epilogue_gives_the_same_numbers(epilogue, dtype, tolerance):
    layer = LayerEpilogue(dlatent_size=6, dtype=dtype_policy(dtype))
    layer.build([None, 8, 8, 5])
    for ours, theirs in zip(layer.variables, epilogue.variables, strict=True):
        ours.assign(theirs)
    arguments = inputs(dtype)
    compiled = xla.compiled(layer)
    assert is_compiled(compiled, *arguments)
    difference = tf.cast(compiled(*arguments), tf.float32) - tf.cast(layer(*arguments), tf.float32)
    assert np.abs(difference).max() < tolerance


def test_its_gradients_are_the_same_too(epilogue):
    variables = [variable.value for variable in epilogue.trainable_variables]

    def gradients(function):
        arguments = inputs()
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            value = tf.reduce_sum(tf.sin(function(*arguments)))
        return tape.gradient(value, [*arguments, *variables])

    for ours, expected in zip(gradients(xla.compiled(epilogue)), gradients(epilogue), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


def test_nothing_is_compiled_unless_asked_for_nor_what_is_small(epilogue, monkeypatch):
    arguments = inputs()
    assert not is_compiled(tf.function(epilogue), *arguments)
    monkeypatch.setattr(xla, "WORTHWHILE", 3 * 8 * 8 * 5 + 1)
    assert not is_compiled(xla.compiled(epilogue), *arguments)


@pytest.mark.parametrize(("random_noise", "batch_size", "computed"), [(True, 2, 2), (False, 4, 3), (True, 64, 5)])
def test_many_pictures_are_those_of_few(tiny_generator, monkeypatch, random_noise, batch_size, computed):
    options = {"random_noise": random_noise, "labels": [0, 1, 0], "batch_size": batch_size}
    few = np.stack(list(images_from_seeds(tiny_generator, range(3, 8), **options)))
    monkeypatch.setattr(figures, "WORTH_COMPILING", 5 * 16 * 16)
    sizes = []
    traced = lambda function: xla.compiled(lambda z, *rest: sizes.append(z.shape[0]) or function(z, *rest))  # noqa: E731
    monkeypatch.setattr(figures, "compiled", traced)
    many = np.stack(list(images_from_seeds(tiny_generator, range(3, 8), **options)))
    assert many.shape == few.shape == (5, 16, 16, 3)
    assert np.abs(many.astype(int) - few).max() <= 1
    assert sizes == [computed]  # traced once, for the last batch is filled up
