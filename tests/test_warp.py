"""Affine resampling: the filter's properties, exactness where nothing moves, agreement with exact turns."""

import math

import numpy as np
import pytest
import tensorflow as tf

from training import warp


def noise(count=2, size=16, channels=3):
    """What a blur would show most."""
    return np.random.RandomState(0).randn(count, size, size, channels).astype("f")


def turn(angle, count=2):
    angle = tf.fill([count, 1], angle)
    return warp.rotate(tf.cos(angle), tf.sin(angle))


def test_the_filter_is_sym6():
    taps = warp.SYM6
    for shift in range(6):  # orthonormal to itself moved by whole pixels
        assert taps[2 * shift :] @ taps[: 12 - 2 * shift] == pytest.approx(float(shift == 0), abs=1e-9)
    for moment in range(6):  # six vanishing moments of the wavelet, which is the filter with alternating signs
        assert taps @ ((-1.0) ** np.arange(12) * np.arange(12.0) ** moment) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("size", [4, 8, 64])
def test_enlarging_and_reducing_again_changes_nothing(size):
    enlarge, reduce = warp.wavelet_matrices(size)
    np.testing.assert_allclose(reduce @ enlarge[1:-1], np.eye(size), atol=1e-9)


@pytest.mark.parametrize("size", [4, 16])
def test_without_a_move_noise_stays_noise(size):
    images = noise(size=size)
    np.testing.assert_allclose(warp.resample(images, tf.eye(3, batch_shape=[2])), images, atol=3e-6)


def test_enlarged_samples_lie_where_the_center_says():
    enlarge, _ = warp.wavelet_matrices(32)
    places = (np.arange(-1, 75) - warp.CENTER) / 2
    inside = (places > 3) & (places < 28)
    np.testing.assert_allclose((enlarge @ np.arange(32.0))[inside], places[inside], atol=1e-9)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_resampled_quarter_turn_agrees_with_the_exact_one(quarters):
    y, x = np.mgrid[:32, :32] / 20  # bilinear look-up between the samples errs by less than w^2 / 32 = 0.0008
    images = np.sin(np.stack([2 * x + y, x - 3 * y]))[..., None].astype("f")
    cosine, sine = (tf.fill([2, 1], float(round(f(quarters * math.pi / 2)))) for f in (math.cos, math.sin))
    exact = warp.copy_pixels(images, warp.rotate(cosine, sine))
    np.testing.assert_array_equal(exact, np.rot90(images, quarters, (1, 2)))
    inside = np.s_[:, 5:-5, 5:-5]  # at the border the reflection has a bend
    np.testing.assert_allclose(warp.resample(images, turn(quarters * math.pi / 2))[inside], exact[inside], atol=1e-3)


def test_fine_detail_survives():
    """Of stripes 2 pixels wide, turned by 0.3 and back, nine tenths are left; bilinear look-up leaves two thirds."""
    images = np.tile(np.sin(np.arange(64) * math.pi / 2), [1, 64, 1])[..., None].astype("f")
    back = warp.resample(warp.resample(images, turn(0.3, 1)), turn(-0.3, 1))
    inside = np.s_[:, 20:-20, 20:-20]
    assert np.std(back[inside]) / np.std(images[inside]) == pytest.approx(0.9, abs=0.02)


def test_places_outside_are_reflected_without_end():
    places = tf.constant([-7.0, -1.0, 0.0, 2.5, 3.0, 4.0, 6.0, 7.5])
    np.testing.assert_array_equal(warp.reflected(places, 3), [1, 1, 0, 2.5, 3, 2, 0, 1.5])


def test_a_far_move_shows_the_reflection():
    images = noise(size=8)
    far = warp.translate(tf.fill([2, 1], 14.0 * 3 + 2), tf.fill([2, 1], -14.0))  # three periods and 2, and one
    padded = np.pad(images, [(0, 0), (0, 0), (0, 2), (0, 0)], "reflect")
    np.testing.assert_array_equal(warp.copy_pixels(images, far), padded[:, :, 2:])
