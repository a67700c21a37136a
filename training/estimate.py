"""What a run will take, before it begins: work and memory counted from its layers, time from a measured rate."""

import re
import time

import numpy as np
import tensorflow as tf

from stylegan_tf.convolution import convolve, fewer_multiplications
from stylegan_tf.growth import num_stages
from training.progress import seconds_between, stretches
from training.schedule import minibatch_at

BYTES = 4  # of a float32
KEPT = 2.5  # arrays as large as a layer's output that are alive at the peak of a step, at most: small batches need it
PROBE_ELEMENTS, PROBE_WORK = 2**21, 2**29  # at most, of what a rate is measured on: numbers and multiplications


def layer_costs(network):
    """Multiplications and outputs of a network's layers for one image, by the resolution at which they work.

    What an image costs at a level is the sum over all resolutions up to its own; the RGB layers, of which only one or
    two run, are counted at all levels, and dense layers at resolution 4. Both are small.

    Returns:
        {resolution: (multiplications, output elements)}
    """
    costs = {4 << stage: np.zeros(2, np.int64) for stage in range(num_stages(network.resolution))}
    for name, variable in network.named_variables().items():
        shape = tuple(variable.shape)
        if name.rpartition("/")[2] != "weight" or len(shape) not in (2, 4):
            continue
        if len(shape) == 2:
            costs[4] += np.prod(shape), shape[-1]
            continue
        size, places = _places(name, network.resolution)
        costs[size] += places[0] * shape[2] * shape[3], places[1] * shape[3]
    return {size: tuple(map(int, cost)) for size, cost in costs.items()}


def _places(name, resolution):
    """A convolution's resolution, and how many (taps at places, places) its output has for each feature map."""
    lod = re.search(r"RGB_lod(\d+)/", name)
    if lod:
        size = resolution >> int(lod[1])
        return size, (size**2, size**2)
    size = int(re.search(r"(\d+)x\1/", name)[1])
    if "/Conv0_up/" in f"/{name}":  # 4x4 taps at half the resolution, each meeting one of four outputs
        return size, (4 * size**2, size**2)
    if "/Conv1_down/" in f"/{name}":
        return size, (16 * (size // 2) ** 2, (size // 2) ** 2)
    return size, (9 * size**2, size**2)


def step_costs(state):
    """Multiplications and peak memory of training for one real image, by resolution; see `layer_costs`.

    The discriminator's update runs the generator once, and the discriminator forwards and backwards (2) on two images;
    a gradient penalty takes another gradient (1) and its derivative (2). The generator's update runs both forwards and
    backwards, the discriminator without its weights.

    Returns:
        {resolution: (multiplications, bytes)}
    """
    config = state.config
    generator, discriminator = layer_costs(state.generator), layer_costs(state.discriminator)
    penalties = 3 if config.D_loss == "D_logistic_simplegp" else 4 if config.D_loss.endswith("_gp") else 0
    result = {}
    for size in generator:
        (G_work, G_outputs), (D_work, D_outputs) = generator[size], discriminator[size]
        per_D_step = G_work + (6 + penalties) * D_work
        per_G_step = 3 * G_work + 2 * D_work
        work = per_D_step + per_G_step / config.D_repeats
        result[size] = round(work), round(KEPT * (G_outputs + D_outputs) * BYTES)
    return result


def state_bytes(state):
    """Bytes of weights, their average, both optimizers' moments, and the gradients of the larger network."""
    generator, discriminator = state.generator.count_params(), state.discriminator.count_params()
    return (4 * generator + 3 * discriminator + max(generator, discriminator)) * BYTES


def memory_by_size(state):
    """Bytes on one device while training, by resolution: state and what its share of the minibatch keeps."""
    config, costs, total, result = state.config, step_costs(state), 0, {}
    for size in costs:
        total += costs[size][1]
        share = minibatch_at(size, config.schedule, config.num_gpus) // config.num_gpus
        result[size] = state_bytes(state) + share * total
    return result


def seconds_by_level(state, rates=None):
    """Seconds per image at each level of the growth.

    Args:
        state: A `TrainState`.
        rates: {resolution: multiplications a second}; None to measure them here, which takes a few seconds.
    """
    costs = step_costs(state)
    rates = rates or {size: measured_rate(size, _features(state, size), state.config.dtype) for size in costs}
    total, seconds = 0.0, {}
    for size, (work, _) in costs.items():
        total += work / rates[size]
        level = num_stages(state.generator.resolution) - num_stages_of(size)
        seconds[level] = total / state.config.num_gpus
    return seconds


def num_stages_of(size):
    """Number of resolutions from 4x4 up to `size`."""
    return size.bit_length() - 2


def _features(state, size):
    """Width of the generator at a resolution."""
    names = state.generator.named_variables()
    return next(v.shape[-1] for name, v in names.items() if re.search(rf"(^|/){size}x{size}/Conv1?/weight", name))


def measured_rate(size, features, dtype):
    """Multiplications a second of a layer of that size and width, forwards and backwards, on this machine."""
    count = max(min(PROBE_ELEMENTS // (size**2 * features), PROBE_WORK // (9 * size**2 * features**2)), 1)
    x = tf.fill([count, size, size, features], tf.cast(0.5, dtype))
    kernel = tf.fill([3, 3, features, features], tf.cast(0.5, dtype))

    @tf.function(autograph=False)
    @fewer_multiplications()  # as in training
    def layer():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([x, kernel])
            y = tf.nn.leaky_relu(convolve(x, kernel, 1) + x)
            mean, variance = tf.nn.moments(tf.cast(y, tf.float32), [1, 2], keepdims=True)
            loss = tf.reduce_sum((tf.cast(y, tf.float32) - mean) * tf.math.rsqrt(variance + 1e-8))
        return [tf.reduce_sum(gradient) for gradient in tape.gradient(loss, [x, kernel])]

    runs = []
    for _ in range(4):
        started = time.perf_counter()
        [number.numpy() for number in layer()]
        runs.append(time.perf_counter() - started)
    return 3 * 9 * count * size**2 * features**2 / min(runs[1:])


def run_seconds(state, seconds, resolution):
    """Seconds of the whole run, from seconds per image by level."""
    config = state.config
    parts = stretches(config.schedule, resolution, config.total_kimg)
    return seconds_between(config.resume_kimg, config.total_kimg, parts, seconds)
