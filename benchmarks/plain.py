"""The original's networks and training step, written plainly: what ours are measured against.

The algorithm of 2019 on TensorFlow's own operations (sections 5 to 10 of the reference), in float32 and at the full
resolution: below 128 pixels upscaling and convolution are two steps, gradients are TensorFlow's, nothing is compiled,
every operation makes a pass over memory. The weights are those of our networks, so both must give the same numbers.
"""

import math

import tensorflow as tf

GAIN = math.sqrt(2)  # of layers with an activation
FUSED_FROM = 128  # pixels on the finer side, from which the original joins resampling and convolution


def weights_of(network):
    """{name: variable} of a Keras network, without the network's own name."""
    return {variable.path.partition("/")[2]: variable.value for variable in network.variables}


def generate(weights, latents, resolution, noise_seed=None):
    """z [N, D] to images [N, R, R, C], without truncation and mixing; stored noise if there is no seed, int32 [2]."""
    x = latents * tf.math.rsqrt(tf.reduce_mean(tf.square(latents), axis=1, keepdims=True) + 1e-8)
    layer = 0
    while f"G_mapping/Dense{layer}/weight" in weights:
        x = lrelu(_dense(weights, f"G_mapping/Dense{layer}", x, multiplier=0.01))
        layer += 1
    dlatents, index = x, 0
    x = tf.tile(weights["G_synthesis/4x4/Const/const"], [tf.shape(latents)[0], 1, 1, 1])
    size = 4
    while size <= resolution:
        for name in ("Const", "Conv") if size == 4 else ("Conv0_up", "Conv1"):
            path = f"G_synthesis/{size}x{size}/{name}"
            if name == "Conv0_up":
                x = blur(_upscale_conv(x, _kernel(weights, path), size))
            elif name != "Const":
                x = _conv(x, _kernel(weights, path))
            noise = weights[f"G_synthesis/noise{index}"]
            if noise_seed is not None:
                noise = tf.random.stateless_normal([latents.shape[0], size, size, 1], noise_seed + index)
            x = _epilogue(weights, path, x, dlatents, noise)
            index += 1
        size *= 2
    return _conv(x, _kernel(weights, "G_synthesis/ToRGB_lod0", gain=1)) + weights["G_synthesis/ToRGB_lod0/bias"]


def score(weights, images):
    """Images [N, R, R, C] to scores [N, 1]."""
    x = lrelu(_conv(images, _kernel(weights, "FromRGB_lod0")) + weights["FromRGB_lod0/bias"])
    size = images.shape[1]
    while size > 4:
        path = f"{size}x{size}"
        x = lrelu(_conv(x, _kernel(weights, f"{path}/Conv0")) + weights[f"{path}/Conv0/bias"])
        x = _conv_downscale(blur(x), _kernel(weights, f"{path}/Conv1_down"), size)
        x = lrelu(x + weights[f"{path}/Conv1_down/bias"])
        size //= 2
    x = _with_stddev(x)
    x = lrelu(_conv(x, _kernel(weights, "4x4/Conv")) + weights["4x4/Conv/bias"])
    x = tf.reshape(tf.transpose(x, [0, 3, 1, 2]), [x.shape[0], -1])
    x = lrelu(_dense(weights, "4x4/Dense0", x))
    return _dense(weights, "4x4/Dense1", x, gain=1)


def losses(generator, discriminator, reals, latents, resolution, noise_seed=None, r1_gamma=10.0):
    """Functions without arguments to the losses of D (logistic with R1) and G (non-saturating)."""

    def d_loss():
        fakes = tf.stop_gradient(generate(generator, latents, resolution, noise_seed))
        with tf.GradientTape() as tape:
            tape.watch(reals)
            real_scores = score(discriminator, reals)
            total = tf.reduce_sum(real_scores)
        norms = tf.reduce_sum(tf.square(tape.gradient(total, reals)), axis=[1, 2, 3])[:, None]
        values = tf.math.softplus(score(discriminator, fakes)) + tf.math.softplus(-real_scores)
        return tf.reduce_mean(values + r1_gamma / 2 * norms)

    def g_loss():
        fakes = generate(generator, latents, resolution, noise_seed)
        return tf.reduce_mean(tf.math.softplus(-score(discriminator, fakes)))

    return d_loss, g_loss


def training_step(state, batch):
    """A function of real images [N, R, R, C] in [-1, 1] that trains both networks once, returning their losses.

    Args:
        state: `TrainState`, whose networks, optimizers and moving average are used and changed.
        batch: N.
    """
    generator, discriminator = weights_of(state.generator), weights_of(state.discriminator)
    networks = (state.discriminator, state.D_optimizer), (state.generator, state.G_optimizer)
    resolution, size = state.generator.resolution, state.generator.latent_size

    @tf.function
    def step(reals, seed):
        values = []
        for turn, (network, optimizer) in enumerate(networks):
            latents = tf.random.stateless_normal([batch, size], seed + turn)
            loss = losses(generator, discriminator, reals, latents, resolution, seed + 7 * turn)[turn]
            variables = [variable.value for variable in network.trainable_variables]
            with tf.GradientTape() as tape:
                value = loss()
            gradients = tape.gradient(value, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            optimizer.apply(gradients, 0.001)
            values.append(value)
        averages = zip(state.generator.trainable_variables, state.generator_ema.trainable_variables, strict=True)
        for variable, average in averages:
            average.value.assign(variable.value + (average.value - variable.value) * 0.999)
        return values

    return step


@tf.custom_gradient
def lrelu(x):
    """max(0.2 x, x), whose derivative at zero is 1, as in the original."""

    def grad(dy):
        return tf.where(x >= 0, dy, 0.2 * dy)

    return tf.maximum(0.2 * x, x), grad


@tf.custom_gradient
def blur(x):
    """[1, 2, 1] both ways, whose gradient is the same blur, as in the original."""

    def grad(dy):
        return blur(dy)

    taps = tf.constant([[1.0, 2.0, 1.0]]) / 4
    kernel = tf.tile((tf.transpose(taps) @ taps)[:, :, None, None], [1, 1, x.shape[-1], 1])
    return tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME"), grad


def _kernel(weights, path, gain=GAIN, multiplier=1.0):
    weight = weights[f"{path}/weight"]
    return weight * (gain / math.sqrt(math.prod(weight.shape[:-1])) * multiplier)


def _dense(weights, path, x, gain=GAIN, multiplier=1.0):
    return tf.matmul(x, _kernel(weights, path, gain, multiplier)) + weights[f"{path}/bias"] * multiplier


def _conv(x, kernel):
    return tf.nn.conv2d(x, kernel, 1, "SAME")


def _four_shifts(kernel):
    padded = tf.pad(kernel, [[1, 1], [1, 1], [0, 0], [0, 0]])
    return padded[1:, 1:] + padded[:-1, 1:] + padded[1:, :-1] + padded[:-1, :-1]


def _upscale_conv(x, kernel, size):
    if size < FUSED_FROM:
        x = tf.reshape(x, [-1, size // 2, 1, size // 2, 1, x.shape[-1]])
        x = tf.reshape(tf.tile(x, [1, 1, 2, 1, 2, 1]), [-1, size, size, x.shape[-1]])
        return _conv(x, kernel)
    kernel = tf.transpose(_four_shifts(kernel), [0, 1, 3, 2])
    return tf.nn.conv2d_transpose(x, kernel, [tf.shape(x)[0], size, size, kernel.shape[2]], 2, "SAME")


def _conv_downscale(x, kernel, size):
    if size < FUSED_FROM:
        return tf.nn.avg_pool2d(_conv(x, kernel), 2, 2, "SAME")
    return tf.nn.conv2d(x, _four_shifts(kernel) * 0.25, 2, "SAME")


def _epilogue(weights, path, x, dlatents, noise):
    x = x + noise * weights[f"{path}/Noise/weight"]
    x = lrelu(x + weights[f"{path}/bias"])
    x = x - tf.reduce_mean(x, axis=[1, 2], keepdims=True)
    x = x * tf.math.rsqrt(tf.reduce_mean(tf.square(x), axis=[1, 2], keepdims=True) + 1e-8)
    style = tf.reshape(_dense(weights, f"{path}/StyleMod", dlatents, gain=1), [-1, 2, 1, 1, x.shape[-1]])
    return x * (style[:, 0] + 1) + style[:, 1]


def _with_stddev(x, group=4):
    count, height, width, features = x.shape
    group = min(group, count)
    y = tf.reshape(x, [group, -1, height, width, features])
    y = y - tf.reduce_mean(y, axis=0, keepdims=True)
    y = tf.sqrt(tf.reduce_mean(tf.square(y), axis=0) + 1e-8)
    y = tf.reduce_mean(y, axis=[1, 2, 3], keepdims=True)  # [N / group, 1, 1, 1]
    return tf.concat([x, tf.tile(y, [group, height, width, 1])], axis=3)
