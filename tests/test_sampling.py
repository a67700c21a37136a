"""Images that judges see: real ones in the order of files, generated ones that depend on their number alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from metric_data import make_data, smooth_images
from record_data import FORMATS, noise, write

from metrics.images import shrink
from metrics.ppl import prepare_images
from metrics.reals import RealData, real_images
from metrics.sampling import (
    as_rgb,
    box_average,
    drawn_latents,
    drawn_noise,
    enlarge,
    fake_images,
    quantize,
    shared_noise,
    step_images,
)
from stylegan_tf.images import to_uint8


@pytest.fixture
def data(tmp_path):
    return RealData(make_data(tmp_path / "data", 10))


def joined(level, count, batch, **options):
    return np.concatenate(list(real_images(level, count, batch, **options)))


@pytest.mark.parametrize("batch", [1, 3, 8, 100])
def test_real_images_come_in_the_order_of_the_files_and_again_from_the_first(data, batch):
    expected = smooth_images(10)[np.arange(23) % 10]
    np.testing.assert_array_equal(joined(data.level, 23, batch), expected)


def test_mirrored_images_are_half_of_all_and_decided_by_seed_and_number(data):
    images = smooth_images(10)[np.arange(400) % 10]
    mirrored = joined(data.level, 400, 7, mirror=True, seed=1)
    flipped = (mirrored != images).any(axis=(1, 2, 3))
    np.testing.assert_array_equal(mirrored[flipped], images[flipped, :, ::-1])
    assert 150 < flipped.sum() < 250
    np.testing.assert_array_equal(joined(data.level, 400, 33, mirror=True, seed=1), mirrored)
    np.testing.assert_array_equal(joined(data.level, 400, 7, mirror=True, seed=1, start=21), mirrored[21:])
    assert (joined(data.level, 400, 7, mirror=True, seed=2) != mirrored).any()


def test_threads_end_with_the_stream(data):
    stream = real_images(data.level, 1000, 1)
    next(stream)
    stream.close()


def test_fingerprint_tells_data_sets_apart_and_not_where_they_are(tmp_path):
    images = noise(80, 16)
    first = RealData(write(tmp_path / "a" / "x", images))
    assert RealData(write(tmp_path / "b" / "x", images)).fingerprint == first.fingerprint
    changed = images.copy()
    changed[1, 0, 0, 0] ^= 1  # not among the 64 images that are looked at, but dataset.json has a checksum
    others = [changed, images[:-1], images[::-1], images[..., :1]]
    found = {RealData(write(tmp_path / f"c{i}" / "x", other)).fingerprint for i, other in enumerate(others)}
    found.add(RealData(tmp_path / "a" / "x", resolution=8).fingerprint)
    assert len(found | {first.fingerprint}) == 6


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_of_data_sets_is_read(tmp_path, format):
    data = RealData(write(tmp_path / "x", smooth_images(9), format=FORMATS[format]))
    assert (data.count, data.resolution, data.channels) == (9, 16, 3)
    images = joined(data.level, 9, 4).astype(int)
    assert np.abs(images - smooth_images(9)).mean() < (10 if format == "computed" else 1e-9)  # webp at its quality


def test_a_data_set_without_manifest_has_a_fingerprint(data):
    before = data.fingerprint
    (data.directory / "dataset.json").unlink()
    assert RealData(data.directory).fingerprint != before


def images_of(generator, numbers, **options):
    options = {"fade": 0.0, "seed": 5, **options}
    return tf.function(lambda n: fake_images(generator, n, **options))(tf.constant(numbers, tf.int32)).numpy()


def test_a_generated_image_depends_on_seed_and_number_alone(tiny_generator):
    whole = images_of(tiny_generator, range(6))
    np.testing.assert_allclose(images_of(tiny_generator, [4, 1]), whole[[4, 1]], atol=1e-5)
    assert np.abs(images_of(tiny_generator, [0], seed=6) - whole[0]).max() > 0.01
    assert np.abs(whole[0] - whole[1]).max() > 0.01


def test_latents_and_noise_are_standard_normal_and_independent():
    draw = tf.function(lambda n: (drawn_latents(n, 8, 5), *drawn_noise(n, 8, 5)))
    latents, *noise = draw(tf.range(500))
    assert [part.shape[1:] for part in noise] == [(4, 4, 1)] * 2 + [(8, 8, 1)] * 2
    numbers = np.hstack([latents, *(part.numpy().reshape(500, -1) for part in noise)])
    assert np.abs(numbers.mean(axis=0)).max() < 0.2
    assert np.abs(numbers.std(axis=0) - 1).max() < 0.15
    assert np.abs(np.corrcoef(numbers, rowvar=False) - np.eye(numbers.shape[1])).max() < 0.25


def test_images_are_those_of_a_plain_call_without_labels_and_truncation(tiny_generator):
    numbers = tf.constant([3, 9])
    latents, noise = drawn_latents(numbers, 8, 5), drawn_noise(numbers, 16, 5)
    expected = tiny_generator(latents, np.zeros([2, 3], np.float32), noise=noise, truncation_psi=None)
    np.testing.assert_allclose(images_of(tiny_generator, [3, 9]), expected, atol=1e-5)


def test_growing_networks_fill_the_full_resolution_with_repeated_pixels(tiny_generator):
    small = images_of(tiny_generator, range(2), level=1, fade=0.25)
    full = enlarge(tf.constant(small), 1).numpy()
    assert small.shape == (2, 8, 8, 3)
    np.testing.assert_array_equal(full, small.repeat(2, axis=1).repeat(2, axis=2))


def test_quantization_is_that_of_the_original():
    values = np.concatenate([np.linspace(-2, 2, 4001), np.random.RandomState(0).randn(5000)]).astype(np.float32)
    np.testing.assert_array_equal(quantize(tf.constant(values)).numpy(), to_uint8(values))


def test_steps_are_prepared_on_the_device_as_in_numpy():
    random = np.random.RandomState(0)
    for size in (16, 256, 1024):
        images = random.randn(1, size, size, 3).astype(np.float32)
        np.testing.assert_allclose(step_images(tf.constant(images)), prepare_images(images), rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(box_average(tf.constant(images), 256), shrink(images), rtol=1e-5, atol=1e-6)


def test_one_minibatch_shares_noise_which_the_next_has_not(tiny_generator):
    first, second = (shared_noise(tf.constant(number), tiny_generator, 0, 1) for number in (0, 1))
    assert [noise.shape for noise in first] == [(1, size, size, 1) for size in (4, 4, 8, 8, 16, 16)]
    assert all(np.abs(a - b).max() > 0.5 for a, b in zip(first, second, strict=True))


def test_gray_images_are_repeated_and_alpha_is_left_out():
    assert as_rgb(tf.zeros([1, 2, 2, 1])).shape == (1, 2, 2, 3)
    rgba = tf.constant(np.arange(16.0).reshape(1, 2, 2, 4))
    np.testing.assert_array_equal(as_rgb(rgba), rgba[..., :3])
    with pytest.raises(ValueError, match="2 channels: metrics need gray, RGB or RGBA"):
        as_rgb(tf.zeros([1, 2, 2, 2]))


DEVICES = """
import json, sys
sys.path.insert(0, "tests")
import numpy as np
from conftest import TINY, fill_weights
from metric_data import load_distance, load_features
from metrics.gathering import Gatherer, Subject
from metrics.reals import RealData
from metrics.store import FeatureStore
from stylegan_tf import xla
from stylegan_tf.generator import Generator
from training.replicas import Replicas, replicas_for

xla.WORTHWHILE = 1
directory, both = sys.argv[1], replicas_for(2)
generator = Generator(**TINY)
fill_weights(generator)

def gathered(replicas):
    store = FeatureStore(f"{directory}/cache{replicas.count}")
    gather = Gatherer(RealData(f"{directory}/data"), store, replicas, load_features, load_distance, None, 0, True, None)
    gather.take(Subject("tiny", generator, 1, 0.5))
    lengths, _ = gather.path_lengths("w", "full", "lpips", 40, 4)
    rows = gather.reals("inception", 13, 3), gather.fakes("inception", 13, 3), lengths
    return [np.asarray(part).tolist() for part in rows]

print(json.dumps([gathered(both), gathered(Replicas())]))
"""


def test_two_devices_gather_what_one_does(tmp_path):
    make_data(tmp_path / "data", 10)
    command = [sys.executable, "-c", DEVICES, str(tmp_path)]
    repository = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    (reals, fakes, lengths), one = json.loads(done.stdout.splitlines()[-1])
    assert len(reals) == len(fakes) == 13
    np.testing.assert_allclose(reals, one[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fakes, one[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(lengths, one[2], rtol=0.05)  # d / 1e-8
