"""The order in which images are read: one permutation an epoch, computed position by position.

No permutation is stored: a place in the epoch is written as two digits (l, r), and a Feistel network stirs them,

    l = (l + F1(r)) mod a,  r = (r + F2(l)) mod b,  ...

with pseudorandom functions F. Each step can be undone, so different places stay different. There are a little more
pairs than images; who ends up outside goes through the network again, until inside.
"""

import math

import numpy as np

ROUNDS = 16  # enough for small data sets too: 5 images come in all 120 orders equally often
GOLDEN = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: the step of the generator SplitMix64


def shuffled(positions, num_images, seed=0):
    """Which images stand at positions of the endless, shuffled stream: a pure function.

    Position p is in epoch p // num_images; each epoch is a permutation of all images, and different epochs and seeds
    have nothing to do with each other.

    Args:
        positions: Integers [...], not negative.
        num_images: Number of images, up to 2**63.
        seed: Any integer.

    Returns:
        int64 [...], from 0 to num_images - 1.
    """
    positions = np.asarray(positions, np.uint64)
    epochs, places = np.divmod(positions.reshape(-1), np.uint64(num_images))
    keys = _random(_random(np.uint64([seed % 2**64]), np.uint64(0)), epochs)
    places = _stir(places, keys, num_images)
    while (outside := places >= num_images).any():
        places[outside] = _stir(places[outside], keys[outside], num_images)
    return places.astype(np.int64).reshape(positions.shape)


def _stir(places, keys, num_images):
    """A permutation of 0 ... a * b - 1, where a * b is num_images or a little more; another one for each key."""
    a = math.isqrt(num_images - 1) // 2 * 2 + 2  # even, or only even permutations would come
    b = -(-num_images // a)
    left, right = np.divmod(places, np.uint64(b))
    for number in range(0, ROUNDS, 2):
        left = (left + _random(keys, right + np.uint64(number << 32)) % np.uint64(a)) % np.uint64(a)
        right = (right + _random(keys, left + np.uint64(number + 1 << 32)) % np.uint64(b)) % np.uint64(b)
    return left * np.uint64(b) + right


def _random(keys, counters):
    """Element `counters` of the SplitMix64 sequences that `keys` start (Steele et al. 2014): uint64."""
    z = keys + (counters + np.uint64(1)) * np.uint64(GOLDEN)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
