"""Just-in-time processing of real images (process_reals)."""

import tensorflow as tf

from stylegan_tf import ops


def prepare_reals(images, fade, coins=None):
    """Bytes to what the discriminator sees at this moment of growth.

    Range [0, 255] to [-1, 1]; a coin for each image decides whether it is mirrored; then the blend towards the next
    lower resolution. The original also enlarges to the full size, which the networks here do without.

    Args:
        images: uint8 [N, H, W, C] at the current level.
        fade: Scalar from 0 to 1.
        coins: [N, 1, 1, 1] in [0, 1): below one half an image stays, else it is flipped. None for no flips.

    Returns:
        float32 [N, H, W, C].
    """
    x = tf.cast(images, tf.float32) / 127.5 - 1
    if coins is not None:
        x = tf.where(coins < 0.5, x, tf.reverse(x, axis=[2]))
    return ops.lerp(x, ops.upscale2d(ops.downscale2d(x)), fade)
