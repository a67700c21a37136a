"""Shared fixtures: a 16x16 generator with 8 feature maps. TensorFlow is quiet, and modest under xdist."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before anything imports TensorFlow
if "PYTEST_XDIST_WORKER" in os.environ:  # one worker a core: more threads would only get in each other's way
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import numpy as np
import pytest
from fidelity_plugin import FidelityPlugin

TINY = {
    "resolution": 16,
    "fmap_max": 8,
    "latent_size": 8,
    "dlatent_size": 8,
    "mapping_fmaps": 8,
    "mapping_layers": 2,
    "label_size": 3,
}


def pytest_addoption(parser):
    parser.addoption("--fidelity", action="store_true", help="measure how faithful we are, and write it in FIDELITY.md")


def pytest_configure(config):
    config.pluginmanager.register(FidelityPlugin(config))


def fill_weights(network, seed=0):
    """Gives every weight seeded normals, zeros and ones included, so that nothing is invisible to a test."""
    random = np.random.RandomState(seed)
    for variable in network.variables:
        variable.assign(random.randn(*variable.shape) * (0.2 if len(variable.shape) == 1 else 1))


@pytest.fixture
def tiny_generator():
    """A Generator with 3 label components and weights that do not depend on the run."""
    from stylegan_tf.generator import Generator

    generator = Generator(**TINY)
    fill_weights(generator)
    return generator


@pytest.fixture
def tiny_discriminator():
    """The Discriminator that goes with `tiny_generator`."""
    from stylegan_tf.discriminator import Discriminator

    discriminator = Discriminator(resolution=16, fmap_max=8, label_size=3)
    fill_weights(discriminator)
    return discriminator


@pytest.fixture
def tiny_run(tmp_path, tiny_generator, tiny_discriminator):
    """A run directory with two snapshots and statistics; the newer, at 2 kimg, has grown to 8x8."""
    from stylegan_tf.snapshot import save_snapshot

    run = tmp_path / "run"
    run.mkdir()
    networks = {"G": tiny_generator, "D": tiny_discriminator, "Gs": tiny_generator}
    save_snapshot(run / "network-snapshot-000001.safetensors", networks, {"kimg": 1, "level": 0, "fade": 0.0})
    save_snapshot(run / "network-snapshot-000002.safetensors", networks, {"kimg": 2, "level": 1, "fade": 0.25})
    (run / "stats.jsonl").write_text('{"kimg": 1, "level": 1, "loss_g": 0.7}\n{"kimg": 2, "level": 0, "loss_g": 0.6}\n')
    return run
