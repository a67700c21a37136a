"""Adaptive discriminator augmentation, for few training images (Karras et al. 2020, arXiv 2006.06676).

The discriminator sees real and generated images only through random transforms, each applied with probability p, so it
cannot learn the training set by heart. The generator learns the images as they are, as long as p stays below about 0.8
(section 2.2). p follows from how far the discriminator overfits, see `adjusted`. Transforms and distributions are those
of appendix B.1, pixel blitting, geometry and colour: the paper's "bgc". Its pipeline is kept, padding by reflection and
supersampling with the sym6 wavelet included, but for two details: images of which pixels are only moved are copied
exactly, not filtered, and the reflection has no end.
"""

import math

import tensorflow as tf

from training import warp

# Amount of each transform, in the paper's order, from u, uniform in [0, 1), and n, standard normal; 0 changes nothing
DISTRIBUTIONS = {
    "x_flip": lambda u, n: tf.floor(2 * u),
    "quarter_turn": lambda u, n: tf.floor(4 * u),
    "integer_translation": lambda u, n: 0.25 * u - 0.125,  # of the width, x and y
    "isotropic_scale": lambda u, n: 0.2 * n,  # power of two
    "pre_rotation": lambda u, n: math.pi * (2 * u - 1),
    "anisotropic_scale": lambda u, n: 0.2 * n,  # power of two, of the width; the height does the opposite
    "post_rotation": lambda u, n: math.pi * (2 * u - 1),
    "fractional_translation": lambda u, n: 0.125 * n,  # of the width, x and y
    "brightness": lambda u, n: 0.2 * n,
    "contrast": lambda u, n: 0.5 * n,  # power of two
    "luma_flip": lambda u, n: tf.floor(2 * u),
    "hue": lambda u, n: math.pi * (2 * u - 1),
    "saturation": lambda u, n: n,  # power of two
}
TRANSFORMS = tuple(DISTRIBUTIONS)
BLIT, GEOMETRY, COLOR = TRANSFORMS[:3], TRANSFORMS[3:8], TRANSFORMS[8:]
PIPES = {"blit": BLIT, "geom": GEOMETRY, "color": COLOR, "bg": BLIT + GEOMETRY, "bgc": TRANSFORMS}


def augment(images, probability, seed, transforms=TRANSFORMS):
    """What the discriminator sees of a batch; a function of its arguments alone, differentiable any number of times.

    Args:
        images: [N, R, R, C], floats with the range [-1, 1]; C is 1, 3, or 4: then the fourth channel keeps its values,
            and moves with the rest.
        probability: Scalar p from 0 to 1, the chance of each transform; 0 returns the images bit for bit.
        seed: Pair of integers for all draws.
        transforms: Names out of `TRANSFORMS`, for instance an entry of `PIPES`; the others are left out.

    Returns:
        Like `images`, of their type; computed in float32. Values may exceed the range, as in the paper.

    Raises:
        ValueError: The images have another form, or there is no transform of that name.
    """
    return transform(images, probability, draw(tf.shape(images)[0], seed), transforms)


def draw(count, seed):
    """All random numbers for `count` images, one row each: [count, transforms, 5].

    A row holds for each transform the number that is compared with its probability, two uniform ones in [0, 1) and two
    standard normal ones. `transform` takes any rows of it, so a batch may be divided.
    """
    uniform_seed, normal_seed = tf.unstack(tf.random.split(seed, 2))
    uniform = tf.random.stateless_uniform([count, len(TRANSFORMS), 3], uniform_seed)
    normal = tf.random.stateless_normal([count, len(TRANSFORMS), 2], normal_seed)
    return tf.concat([uniform, normal], axis=-1)


def transform(images, probability, draws, transforms=TRANSFORMS):
    """`augment` with given `draws`, N rows of what `draw` returns: [N, transforms, 5]."""
    images = tf.convert_to_tensor(images)
    check(images, transforms)
    x, size = tf.cast(images, tf.float32), images.shape[1]
    amounts = choose(draws, probability, transforms)
    blit = inverse_blit(amounts, size)
    moved = warp.resample(x, warp.product(blit, inverse_geometry(amounts, size)))
    x = tf.where(any_of(amounts, GEOMETRY), moved, warp.copy_pixels(x, blit))
    x = tf.where(any_of(amounts, COLOR), recolor(x, amounts), x)
    return tf.cast(x, images.dtype)


def adjusted(probability, r_t, images, target=0.6, kimg=500.0):
    """Probability after another look at overfitting (section 3 of the paper, there once in four minibatches).

    r_t is 0 for a discriminator that cannot tell the real images from new ones, and 1 when it knows them by heart.

    Args:
        probability: p until now.
        r_t: Mean sign of the discriminator's scores of real images since the last call.
        images: Real images that were shown since then.
        target: r_t to be held.
        kimg: Thousand images in which p can rise from 0 to 1.

    Returns:
        p, higher or lower by images / (1000 kimg), between 0 and 1; unchanged if r_t is exactly at the target.
    """
    step = (r_t > target) - (r_t < target)
    return min(max(probability + step * images / (kimg * 1000), 0.0), 1.0)


def check(images, transforms):
    """Refuse images and names that cannot be."""
    shape = images.shape
    if len(shape) != 4 or shape[1] != shape[2] or (shape[1] or 0) < 4 or shape[3] not in (1, 3, 4):
        raise ValueError(f"images to augment must be [N, R, R, C], R from 4, C of 1, 3 or 4; these are {list(shape)}")
    if not images.dtype.is_floating:
        raise ValueError(f"images to augment must be floats from -1 to 1, not {images.dtype.name}")
    unknown = sorted(set(transforms) - set(TRANSFORMS))
    if unknown:
        raise ValueError(f"no augmentation is named {unknown[0]!r}; there are {', '.join(TRANSFORMS)}")


def choose(draws, probability, transforms):
    """Amount of each transform, 0 where it is not applied: {name: [N, 1]}, of translations [N, 2]."""
    p = tf.cast(probability, tf.float32)
    p_rotation = 1 - tf.sqrt(1 - p)  # so that one of the two rotations or both have the probability p
    amounts = {}
    for index, (name, distribution) in enumerate(DISTRIBUTIONS.items()):
        gate, uniform, normal = tf.split(draws[:, index], [1, 2, 2], axis=-1)
        amount = distribution(uniform, normal)[:, : 2 if name.endswith("translation") else 1]
        chance = (p_rotation if name.endswith("rotation") else p) if name in transforms else 0.0
        amounts[name] = tf.where(gate < chance, amount, 0.0)
    return amounts


def any_of(amounts, transforms):
    """Which images one of these transforms changes: bool [N, 1, 1, 1]."""
    changes = tf.concat([amounts[name] for name in transforms], axis=1) != 0
    return tf.reduce_any(changes, axis=1)[:, None, None, None]


def inverse_blit(amounts, size):
    """Matrix, as in `warp`, of the transforms that only move pixels; its entries are exact."""
    quarter = tf.cast(amounts["quarter_turn"], tf.int32)
    cosine, sine = tf.gather([1.0, 0.0, -1.0, 0.0], quarter), tf.gather([0.0, 1.0, 0.0, -1.0], quarter)
    flip = warp.scale(1 - 2 * amounts["x_flip"], tf.ones_like(cosine))
    return warp.product(flip, warp.rotate(cosine, sine), move_back(tf.round(amounts["integer_translation"] * size)))


def inverse_geometry(amounts, size):
    """Matrix, as in `warp`, of the general geometric transforms."""
    both, wide = 2.0 ** -amounts["isotropic_scale"], 2.0 ** -amounts["anisotropic_scale"]
    pre, post = (
        warp.rotate(tf.cos(amounts[f"{p}_rotation"]), tf.sin(amounts[f"{p}_rotation"])) for p in ("pre", "post")
    )
    back = move_back(amounts["fractional_translation"] * size)
    return warp.product(warp.scale(both, both), pre, warp.scale(wide, 1 / wide), post, back)


def move_back(offset):
    """Matrix against a translation by pixels [N, 2]."""
    return warp.translate(-offset[:, :1], -offset[:, 1:])


def recolor(images, amounts):
    """Brightness, contrast, flipped luma, turned hue and saturation, in this order.

    All but the brightness are linear and have the grey axis for an axis: on the grey part of a colour they act as a
    factor, on the rest as a factor and a turn. So the order among them does not matter, and grey images have no hue.
    """
    brightness, contrast = amounts["brightness"][:, None, None], 2.0 ** amounts["contrast"]
    on_grey, on_rest = contrast * (1 - 2 * amounts["luma_flip"]), contrast * 2.0 ** amounts["saturation"]
    if images.shape[3] == 1:
        return (images + brightness) * on_grey[:, None, None]
    grey = tf.fill([3, 3], 1 / 3)
    turn = tf.constant([[0, 1, -1], [-1, 0, 1], [1, -1, 0]], tf.float32) / math.sqrt(3)  # by a quarter, around grey
    parts = [on_grey, on_rest * tf.cos(amounts["hue"]), on_rest * tf.sin(amounts["hue"])]
    change = sum(part[:, None] * to for part, to in zip(parts, (grey, tf.eye(3) - grey, turn), strict=True))
    color = tf.einsum("nhwc,ncd->nhwd", images[..., :3] + brightness, change)
    return tf.concat([color, images[..., 3:]], axis=-1)
