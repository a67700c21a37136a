"""Loss scaling and parts of a minibatch: the rules of section 10 of the reference."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from stylegan_tf.discriminator import Discriminator
from training.optimizer import Adam
from training.step import update

RATE = tf.constant(0.01)


def quadratic(start=(1.0, -2.0)):
    """A variable, and the loss sum(x^2) of it."""
    variable = keras.Variable(np.array(start, np.float32), name="x")
    return variable, lambda: (tf.reduce_sum(tf.square(variable.value)), {})


class Network:
    def __init__(self, *variables):
        self.trainable_variables = variables


def test_terms_of_a_loss_are_worked_off_one_after_the_other():
    """Or the activations of all would be alive at once: half as much memory again (`step.update`)."""
    variable = tf.keras.Variable(tf.ones([3, 3, 2, 2]), name="weight")
    adam, images = Adam([variable]), tf.ones([2, 4, 4, 2])

    @tf.function(autograph=False)
    def run():
        term = lambda: (tf.sin(tf.nn.conv2d(images, variable.value, 1, "SAME")), {})  # noqa: E731
        return update(Network(variable), adam, [term, term], RATE)[0]

    operations = run.get_concrete_function().graph.get_operations()
    first, second = (operation for operation in operations if operation.type == "Conv2D")
    assert not behind(first, "Conv2DBackpropFilter")
    assert behind(second, "Conv2DBackpropFilter")


def behind(operation, kind):
    """Whether an operation has to wait for one of that kind."""
    waiting, seen = [operation], set()
    while waiting:
        operation = waiting.pop()
        if operation.type == kind:
            return True
        inputs = [*(tensor.op for tensor in operation.inputs), *operation.control_inputs]
        waiting += [other for other in inputs if other.name not in seen]
        seen |= {other.name for other in inputs}
    return False


def test_a_scaled_loss_gives_the_same_update():
    results = []
    for scaling in (False, True):
        variable, loss = quadratic()
        adam = Adam([variable], loss_scaling=scaling)
        value, _, skipped = update(Network(variable), adam, [loss], RATE)
        results.append([float(value), float(skipped), *variable.numpy()])
    np.testing.assert_array_equal(*results)


def test_the_scale_begins_at_64_and_rises_with_every_update():
    variable, loss = quadratic()
    adam = Adam([variable], loss_scaling=True)
    scale = adam.slots["loss_scale_log2"]
    assert float(scale) == 64
    for _ in range(3):
        update(Network(variable), adam, [loss], RATE)
    assert float(scale) == pytest.approx(64 + 3 * 0.0005)


def test_an_overflow_halves_the_scale_and_changes_nothing_else():
    variable, loss = quadratic([1e30, 1.0])
    adam = Adam([variable], loss_scaling=True)
    before = {name: slot.numpy() for name, slot in adam.slots.items()} | {"x": variable.numpy()}
    _, _, skipped = update(Network(variable), adam, [loss], RATE)
    assert float(skipped) == 1
    after = {name: slot.numpy() for name, slot in adam.slots.items()} | {"x": variable.numpy()}
    assert float(after.pop("loss_scale_log2")) == 63
    for name, value in after.items():
        np.testing.assert_array_equal(value, before[name])


def test_a_reset_keeps_the_scale():
    variable, loss = quadratic()
    adam = Adam([variable], loss_scaling=True)
    update(Network(variable), adam, [loss], RATE)
    adam.reset()
    assert float(adam.slots["loss_scale_log2"]) == pytest.approx(64.0005)
    np.testing.assert_array_equal(adam.slots["v/x"], [0, 0])


def test_float16_trains_once_the_scale_fits():
    """The first updates overflow and are skipped; then the weights move, and everything stays finite."""
    keras.utils.set_random_seed(1)
    network = Discriminator(resolution=8, fmap_max=4, dtype="float16")
    adam = Adam(network.trainable_variables, loss_scaling=True)
    images = tf.random.stateless_uniform([4, 8, 8, 3], [1, 2], -1, 1)
    before = network.get_weights()

    @tf.function
    def step():
        return update(network, adam, [lambda: (tf.math.softplus(network(images)), {})], RATE)[2]

    skips = [float(step()) for _ in range(70)]
    assert skips == sorted(skips, reverse=True)
    assert 20 < sum(skips) < 64
    after = network.get_weights()
    assert all(np.isfinite(array).all() for array in after)
    assert any((new != old).any() for new, old in zip(after, before, strict=True))


def test_parts_add_up_to_the_whole():
    whole, parts = (keras.Variable(np.float32([1.0, -2.0]), name="x") for _ in range(2))
    gradients = [tf.constant([3.0, 1.0]), tf.constant([1.0, 5.0])]
    Adam([whole]).apply([tf.constant([2.0, 3.0])], RATE)
    adam = Adam([parts])
    adam.prepare_parts()
    for _ in range(2):  # the second minibatch begins afresh
        adam.add_up([gradients[0]], begins=True)
        (mean,) = adam.add_up([gradients[1]], begins=False)
        np.testing.assert_array_equal(mean, [2, 3])
    adam.apply([mean], RATE)
    np.testing.assert_array_equal(parts, whole)
