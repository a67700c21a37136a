"""Trains the same few iterations on 1, 2 and 4 devices and in parts, and prints what came out: see test_replicas.py."""

import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 4
)

from training.config import TrainingConfig, with_values  # noqa: E402
from training.replicas import Replicas, mirrored  # noqa: E402
from training.schedule import schedule_at  # noqa: E402
from training.state import TrainState  # noqa: E402
from training.step import TrainingStep  # noqa: E402

CONFIG = {
    "generator": {
        "fmap_max": 8,
        "latent_size": 8,
        "dlatent_size": 8,
        "mapping_layers": 2,
        "style_mixing_prob": 0.0,  # the decision and the noise are drawn on each device for itself
        "use_noise": False,
    },
    "discriminator": {"fmap_max": 8},
    "mirror_augment": True,
    "schedule": {"minibatch_base": 16, "minibatch_dict": {}, "lod_initial_resolution": 8},
}
LABELS = np.eye(2, dtype=np.float32)


def train(devices, parts=1):
    """Two iterations: logs of each, gradients of the first, how many copies there are."""
    replicas = Replicas(mirrored("CPU", devices) if devices > 1 else None)
    config = with_values(TrainingConfig(), CONFIG)
    tf.keras.backend.clear_session()
    with replicas.scope():
        state = TrainState.create(config, 8, 3, 2)
    step = TrainingStep(state, LABELS, replicas)
    step.split(parts)
    logs, gradients = [], {}
    for iteration in range(2):
        point = schedule_at(state.images_seen, config.schedule, 8, replicas.count)
        random, size = np.random.RandomState(iteration), 8 >> point.level
        batch = random.randint(0, 256, [16, size, size, 3], np.uint8), LABELS[random.randint(0, 2, 16)]
        logs.append({key: float(value) for key, value in step.run(lambda batch=batch: batch, point).items()})
        if not gradients:  # Adam's first moments are the gradients, for beta1 is zero
            gradients = {
                name: slot.numpy().ravel().tolist() for name, slot in state.variables().items() if "/m/" in name
            }
    copies = [len({copy.numpy().tobytes() for copy in copies_of(variable)}) for variable in state.variables().values()]
    return {"logs": logs, "gradients": gradients, "copies": copies, "seen": state.images_seen}


def copies_of(variable):
    """What each device has of a variable."""
    return getattr(variable, "values", [variable])


if __name__ == "__main__":
    tf.config.experimental.enable_op_determinism()
    cases = {"1": (1,), "2": (2,), "4": (4,), "2 parts": (1, 2)}
    print(json.dumps({name: train(*case) for name, case in cases.items()}))
