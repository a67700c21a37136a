"""Generated images by number, and what judges see of them, as graphs of TensorFlow.

Every random draw is a function of the seed and the number of the image, and of nothing else: neither the size of a
batch, nor the number of devices, nor where the work was interrupted changes an image.
"""

import tensorflow as tf

from metrics.images import NETWORK_SIZE


def drawn_latents(numbers, size, seed):
    """z of images by their numbers, int32 [N]: a tensor [N, size] of standard normals."""
    return tf.map_fn(lambda n: _normals([size], seed, 2 * n), numbers, fn_output_signature=tf.float32)


def drawn_noise(numbers, resolution, seed):
    """Noise of images by their numbers, int32 [N]: a list of tensors [N, H, W, 1], two of each size from 4 on."""
    sizes = [4 << index // 2 for index in range(2 * (resolution.bit_length() - 2))]
    total = sum(size * size for size in sizes)
    flat = tf.map_fn(lambda n: _normals([total], seed, 2 * n + 1), numbers, fn_output_signature=tf.float32)
    parts = tf.split(flat, [size * size for size in sizes], axis=1)
    return [tf.reshape(part, [-1, size, size, 1]) for part, size in zip(parts, sizes, strict=True)]


def own_noise(numbers, generator, level, seed):
    """`drawn_noise` of the size that a generator has reached, None without inputs."""
    return drawn_noise(numbers, generator.resolution >> level, seed) if uses_noise(generator) else None


def shared_noise(number, generator, level, seed):
    """The noise that all images of minibatch `number` share: a list of tensors [1, H, W, 1], None without inputs."""
    if not uses_noise(generator):
        return None
    return drawn_noise(tf.stack([-1 - number]), generator.resolution >> level, seed)  # below those of images


def _normals(shape, seed, number):
    return tf.random.stateless_normal(shape, tf.stack([seed, number]), alg="philox")  # the same on every device


def fake_images(generator, numbers, fade, seed, level=0):
    """Generated images by number, as the original's metrics take them (section 16.3): a graph of TensorFlow.

    Standard normal latents, zero labels (trap 56), no truncation, new noise for each image.

    Args:
        generator: A `Generator` or `ProGANGenerator`.
        numbers: Which images, int32 [N].
        fade, level: How far the network has grown.
        seed: Decides latents and noise.

    Returns:
        Floats around [-1, 1], [N, R >> level, R >> level, C].
    """
    latents = drawn_latents(numbers, generator.latent_size, seed)
    noise = own_noise(numbers, generator, level, seed)
    return generator(latents, level=level, fade=fade, noise=noise, validation=True)


def feature_images(generator, numbers, fade, seed, level):
    """What a feature network sees of `fake_images`: ([N, R, R, 3] from 0 to 255, whether all are finite)."""
    images = fake_images(generator, numbers, fade, seed, level)
    return as_rgb(enlarge(quantize(images), level)), _all_finite(images)


def path_images(generator, dlatents, minibatch, fade, seed, level):
    """What a perceptual distance sees of a minibatch of steps on paths.

    Args:
        generator, fade, seed, level: As for `fake_images`.
        dlatents: What `metrics.ppl.step_dlatents` returns: the ends of step i in rows 2i and 2i + 1.
        minibatch: Its number; all images of a minibatch share their noise.

    Returns:
        ([starts, ends], whether all are finite).
    """
    noise = shared_noise(minibatch, generator, level, seed)
    images = generator.synthesis(dlatents, level=level, fade=fade, noise=noise)
    prepared = as_rgb(step_images(enlarge(images, level)))
    return [prepared[0::2], prepared[1::2]], _all_finite(images)


def attribute_images(generator, numbers, fade, seed, level, size):
    """What attribute classifiers see of images by number, and where these lie.

    Args:
        generator, numbers, fade, seed, level: As for `fake_images`.
        size: Of the images at most, in pixels.

    Returns:
        (z [N, Z], w of the last layer [N, D], images [N, S, S, C], whether all are finite).
    """
    latents = drawn_latents(numbers, generator.latent_size, seed)
    dlatents = generator.mapping(latents)
    noise = own_noise(numbers, generator, level, seed)
    images = generator.synthesis(dlatents, level=level, fade=fade, noise=noise)
    return latents, dlatents[:, -1], box_average(enlarge(images, level), size), _all_finite(images)


def uses_noise(generator):
    """Whether a generator has noise inputs."""
    return getattr(getattr(generator, "synthesis", None), "use_noise", False)


def quantize(images):
    """The numbers of `stylegan_tf.images.to_uint8`, floor(127.5 x + 128) from 0 to 255, as float32."""
    return tf.clip_by_value(tf.floor(images * 127.5 + 128), 0, 255)


def enlarge(images, level):
    """Pixels repeated 2^level times both ways: a network that is still growing gives images of its full size, as in
    the original (trap 22)."""
    return images if level == 0 else tf.repeat(tf.repeat(images, 2**level, axis=1), 2**level, axis=2)


def as_rgb(images):
    """What feature networks look at: a single channel three times, and of RGBA the colours; [N, H, W, 3].

    Raises:
        ValueError: Another number of channels.
    """
    channels = images.shape[-1]
    if channels not in (1, 3, 4):
        raise ValueError(f"images have {channels} channels: metrics need gray, RGB or RGBA images")
    return tf.repeat(images, 3, axis=-1) if channels == 1 else images[..., :3]


def box_average(images, size):
    """`metrics.images.shrink` on a device: a tensor [N, H, W, C] averaged down to `size` pixels if it is larger."""
    factor = images.shape[1] // size
    return tf.nn.avg_pool2d(images, factor, factor, "VALID") if factor > 1 else images


def step_images(images):
    """`metrics.ppl.prepare_images` on a device: the face, shrunk to 256 pixels if larger, as (x + 1) 127.5."""
    unit = images.shape[1] // 8
    faces = images[:, 3 * unit : 7 * unit, 2 * unit : 6 * unit]
    return (box_average(faces, NETWORK_SIZE) + 1) * 127.5


def _all_finite(images):
    return tf.reduce_all(tf.math.is_finite(images))
