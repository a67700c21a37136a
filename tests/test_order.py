"""The order of the images: a permutation each epoch, as good as one drawn at random, reachable at any position."""

import math
import time
from collections import Counter

import numpy as np
import pytest

from training.order import shuffled


def epochs(num_images, count, seed=0):
    """The first orders: int [count, num_images]."""
    return shuffled(np.arange(count * num_images).reshape(count, num_images), num_images, seed)


@pytest.mark.parametrize("num_images", [1, 2, 3, 4, 5, 7, 9, 16, 17, 99, 100, 1000, 4097, 70000, 2**20 + 5])
def test_each_epoch_holds_every_image_once(num_images):
    orders = epochs(num_images, 2)
    assert orders.dtype == np.int64
    np.testing.assert_array_equal(np.sort(orders), np.broadcast_to(np.arange(num_images), orders.shape))


def test_order_is_fixed_for_all_time():
    """A run that is resumed with a later version must go on in the same order."""
    assert shuffled(np.arange(12), 10, 123).tolist() == [6, 3, 1, 9, 8, 4, 7, 0, 5, 2, 8, 6]
    assert shuffled([10**12, 2**62], 70000, -1).tolist() == [51628, 29277]


def test_any_position_is_reached_at_once():
    far = 10**15 + np.arange(1000)
    started = time.monotonic()
    one_by_one = [int(shuffled(position, 10**9, 3)) for position in far[:100]]
    assert time.monotonic() - started < 1  # 10**9 images would take many seconds to shuffle
    assert shuffled(far, 10**9, 3)[:100].tolist() == one_by_one


def test_all_orders_of_few_images_are_equally_frequent():
    """Chi-square over the 120 orders of 5 images: 119 degrees of freedom, so 119 give or take 15.4."""
    counts = Counter(map(tuple, epochs(5, 24000)))
    expected = 24000 / math.factorial(5)
    chi_square = sum((counts[order] - expected) ** 2 for order in counts) / expected
    assert len(counts) == 120
    assert abs(chi_square - 119) < 4 * 15.4


@pytest.mark.parametrize("num_images", [40, 64, 101])
def test_every_image_is_equally_frequent_at_every_place(num_images):
    orders, trials = epochs(num_images, 4000), 4000
    counts = np.stack([np.bincount(place, minlength=num_images) for place in orders.T])
    chi_square = ((counts - trials / num_images) ** 2).sum() / (trials / num_images)
    freedom = (num_images - 1) ** 2
    assert abs(chi_square - freedom) < 4 * math.sqrt(2 * freedom)


def test_neighbours_are_equally_often_any_pair():
    """Difference of successive images modulo their number: all but 0 are equally frequent."""
    num_images, count = 101, 2000
    orders = epochs(num_images, count)
    differences = np.bincount((np.diff(orders) % num_images).ravel(), minlength=num_images)
    assert differences[0] == 0
    chi_square = ((differences[1:] - count) ** 2).sum() / count  # 100 pairs an epoch, 100 differences
    assert abs(chi_square - (num_images - 2)) < 4 * math.sqrt(2 * (num_images - 2))


@pytest.mark.parametrize("other", ["epoch", "seed", "first"])
def test_epochs_and_seeds_are_not_correlated(other):
    num_images = 10000
    here, there = epochs(num_images, 2)
    if other == "seed":
        there = epochs(num_images, 1, seed=1)[0]
    if other == "first":
        there = np.arange(num_images)
    correlation = np.corrcoef(here, there)[0, 1]
    assert abs(correlation) < 4 / math.sqrt(num_images)
    assert np.sum(here == there) < 10  # one is expected
    lagged = [np.corrcoef(here, np.roll(there, shift))[0, 1] for shift in range(1, 50)]
    assert np.abs(lagged).max() < 5 / math.sqrt(num_images)


def test_orders_of_all_epochs_and_seeds_differ():
    assert len({tuple(order) for seed in range(-3, 3) for order in epochs(20, 5, seed)}) == 30


def test_seeds_may_be_any_integers():
    assert shuffled([0], 1000, 2**64).tolist() == shuffled([0], 1000, 0).tolist()
    assert shuffled([0, 1, 2], 1000, -1).tolist() != shuffled([0, 1, 2], 1000, 1).tolist()
