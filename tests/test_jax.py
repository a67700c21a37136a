"""The networks and generate_images.py with KERAS_BACKEND=jax: what they give on TensorFlow, they give on JAX.

Keras takes one backend a process. So this file is a program too: it computes on JAX what its tests compare.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import PIL.Image
import pytest
from keras import ops as K

from stylegan_tf import ops
from stylegan_tf.snapshot import load_snapshot, save_snapshot

pytestmark = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs requirements-jax.txt")
REPOSITORY = Path(__file__).parent.parent
GROWTH = [(0, 0.25), (2, 0.0)]
POINTS = np.array([-1, 0, 2], "f")


def on_jax(*arguments):
    """Run Python on JAX: (standard output, standard error)."""
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def latents(count=4):
    return np.random.RandomState(1).randn(count, 8).astype("f")


def pictures(size=16, count=4):
    return np.random.RandomState(2).randn(count, size, size, 3).astype("f")


def outputs(networks):
    """Whatever must not depend on the backend: {what: array}. Noise is the stored one."""
    labels, arrays = np.eye(3, dtype="f")[[0, 1, 2, 0]], {}
    for level, fade in GROWTH:
        for key in ("Gs", "progan_G"):
            arrays[f"images {key} {level} {fade}"] = networks[key](
                latents(), labels, level, fade, randomize_noise=False
            )
        for key in ("D", "progan_D"):
            arrays[f"scores {key} {level} {fade}"] = networks[key](pictures(16 >> level), labels, level, fade)
    return {what: K.convert_to_numpy(array) for what, array in arrays.items()}


def random_images(generator, seed):
    return generator(latents(), seed=seed, training=True)


# ---------------------------------------------------------------------------------------------------------------------
# On JAX


def compute_on_jax(snapshot, file):
    """Write what the networks of a snapshot give, and what JAX derives, as NumPy arrays."""
    import jax

    networks = load_snapshot(snapshot).networks
    arrays = outputs(networks)
    for name in ("lrelu", "lrelu_progan"):
        arrays[f"derivative {name}"] = jax.vmap(jax.grad(ops.activation(name)))(POINTS)
    for key in ("D", "progan_D"):
        score = networks[key]
        arrays[f"penalty {key}"] = jax.grad(
            lambda x, score=score: K.sum(jax.grad(lambda images: K.sum(score(images, np.ones([4, 3], "f"))))(x) ** 2)
        )(K.convert_to_tensor(pictures()))
    generator = networks["Gs"]
    compiled = jax.jit(lambda seed: generator(latents(), seed=seed, randomize_noise=True))
    for name, seed in {"one": [1, 2], "again": [1, 2], "other": [-1, 2]}.items():
        arrays[f"random {name}"] = random_images(generator, np.array(seed, np.int32))
        arrays[f"compiled {name}"] = compiled(np.array(seed, np.int32))
    np.savez(file, imported=["tensorflow" in sys.modules], **{key: np.asarray(arrays[key]) for key in arrays})


# ---------------------------------------------------------------------------------------------------------------------
# On TensorFlow


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    """Small networks of all four kinds, in one file."""
    from conftest import TINY, fill_weights

    from stylegan_tf.discriminator import Discriminator
    from stylegan_tf.generator import Generator
    from stylegan_tf.progan import ProGANDiscriminator, ProGANGenerator

    options = dict(resolution=16, fmap_max=8, label_size=3)
    networks = {
        "Gs": Generator(**TINY),
        "D": Discriminator(**options),
        "progan_G": ProGANGenerator(**options),
        "progan_D": ProGANDiscriminator(**options),
    }
    for network in networks.values():
        fill_weights(network)
    path = tmp_path_factory.mktemp("jax") / "network-snapshot-000001.safetensors"
    save_snapshot(path, networks, {"level": 0, "fade": 0.25})
    return path


@pytest.fixture(scope="module")
def jax_arrays(snapshot, tmp_path_factory):
    file = tmp_path_factory.mktemp("jax") / "arrays.npz"
    on_jax(__file__, snapshot, file)
    with np.load(file) as arrays:
        return dict(arrays)


def test_images_and_scores_are_those_of_tensorflow(snapshot, jax_arrays):
    assert keras.config.backend() == "tensorflow"
    expected = outputs(load_snapshot(snapshot).networks)
    assert len(expected) == 4 * len(GROWTH)
    for what, array in expected.items():
        allowed = max(2e-5, 5e-5 * np.abs(array).max())
        np.testing.assert_allclose(jax_arrays[what], array, rtol=0, atol=allowed, err_msg=what)


def test_derivatives_at_zero_do_not_depend_on_the_backend(jax_arrays):
    """JAX's own leaky ReLU has 1 there, its maximum 0.6 (trap 18)."""
    np.testing.assert_allclose(jax_arrays["derivative lrelu"], [0.2, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(jax_arrays["derivative lrelu_progan"], [0.2, 0.2, 1], rtol=1e-6)


@pytest.mark.parametrize("key", ["D", "progan_D"])
def test_second_derivatives_are_those_of_tensorflow(snapshot, jax_arrays, key):
    """Of the penalty |dS/dx|^2, through the operations that have gradients of their own."""
    import tensorflow as tf

    score, images = load_snapshot(snapshot, (key,)).networks[key], tf.constant(pictures())
    with tf.GradientTape() as outer:
        outer.watch(images)
        with tf.GradientTape() as inner:
            inner.watch(images)
            total = tf.reduce_sum(score(images, np.ones([4, 3], "f")))
        penalty = tf.reduce_sum(inner.gradient(total, images) ** 2)
    expected = outer.gradient(penalty, images).numpy()
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(jax_arrays[f"penalty {key}"], expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("how", ["random", "compiled"])
def test_a_seed_decides_all_draws_on_jax_too(jax_arrays, how):
    """The draws themselves are JAX's own: the same seed gives other noise than on TensorFlow."""
    one, again, other = (jax_arrays[f"{how} {name}"] for name in ("one", "again", "other"))
    np.testing.assert_array_equal(again, one)
    assert np.abs(other - one).max() > 0.1


def test_tensorflow_is_not_imported_on_jax(jax_arrays):
    assert not jax_arrays["imported"].any()


def test_generate_images_gives_the_same_pictures(snapshot, tmp_path):
    import generate_images

    options = ["--network", str(snapshot), "--seeds", "0-2", "--class", "1", "--trunc", "0.5"]
    generate_images.main([*options, "--outdir", str(tmp_path / "tensorflow")])
    printed, errors = on_jax(REPOSITORY / "generate_images.py", *options, "--outdir", tmp_path / "jax")
    assert errors == ""
    assert printed.splitlines()[-1] == f"Pictures: {tmp_path}/jax/seed0000.png to seed0002.png"
    for seed in range(3):
        ours, theirs = (pixels(tmp_path / name / f"seed{seed:04d}.png") for name in ("jax", "tensorflow"))
        assert ours.std() > 10
        assert np.abs(ours - theirs).max() <= 1  # rounding to whole numbers


def pixels(file):
    with PIL.Image.open(file) as picture:
        return np.asarray(picture).astype(int)


if __name__ == "__main__":
    compute_on_jax(*sys.argv[1:])
