"""Minibatches in as few parts as memory allows."""

import types

import numpy as np
import pytest
import tensorflow as tf

from training.memory import parts_that_fit
from training.schedule import SchedulePoint

POINT = SchedulePoint(0, 0, 0.0, 16, 32, 0.001, 0.001, 1.0)


class Step:
    """A `TrainingStep` on a device that can hold `room` images."""

    def __init__(self, state, room):
        self.state, self.room, self.parts, self.tried = state, room, 1, []
        self.replicas = types.SimpleNamespace(worker=0, num_workers=1, count=1)

    def split(self, parts):
        self.parts = parts

    def run(self, batch, point):
        images, _ = batch()
        self.tried.append(self.parts)
        self.state.variable.assign_add([1.0])
        self.state.images_seen += len(images)
        if len(images) // self.parts > self.room:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM")


@pytest.fixture
def state():
    variable = tf.Variable([5.0])
    config = types.SimpleNamespace(discriminator={"mbstd_group_size": 4})
    return types.SimpleNamespace(config=config, images_seen=70, variable=variable, variables=lambda: {"x": variable})


@pytest.fixture
def dataset():
    def batches(level, size, start, worker, num_workers):
        while True:
            yield np.zeros([size, 16, 16, 3], np.uint8), np.zeros([size, 0], np.float32)

    return types.SimpleNamespace(batches=batches)


@pytest.mark.parametrize(("room", "parts"), [(32, 1), (31, 2), (16, 2), (9, 4), (4, 8)])
def test_the_fewest_parts_are_found_and_nothing_is_changed(state, dataset, room, parts):
    step = Step(state, room)
    assert parts_that_fit(state, step, dataset, POINT) == parts
    assert step.tried == [2**power for power in range(len(step.tried))]
    assert (state.images_seen, state.variable.numpy().tolist()) == (70, [5.0])


def test_groups_of_the_stddev_stay_whole(state, dataset):
    with pytest.raises(ValueError, match=r"out of memory at 16x16 with 32 images a step\..*--batch"):
        parts_that_fit(state, Step(state, 3), dataset, POINT)
    assert (state.images_seen, state.variable.numpy().tolist()) == (70, [5.0])
