"""One update of each network, compiled once a level."""

import inspect

import numpy as np
import tensorflow as tf

from stylegan_tf import ops
from training.losses import D_LOSSES, G_LOSSES
from training.reals import prepare_reals


class TrainingStep:
    """The two updates of a `TrainState`.

    Args:
        state: Networks and optimizers to change.
        labels: Labels of the data set [images, label_size], from which the generator's are drawn.
    """

    def __init__(self, state, labels):
        self.state = state
        self.labels = tf.constant(labels)
        self.d_loss, self.g_loss = choose(D_LOSSES, state.config.D_loss), choose(G_LOSSES, state.config.G_loss)
        check_options(self.d_loss, state.config.D_loss_args)
        self.discriminator_step = tf.function(self._discriminator_step)
        self.generator_step = tf.function(self._generator_step)

    def run(self, batch, point):
        """One iteration at a moment of the schedule: `D_repeats` discriminator updates, then one of the generator.

        Args:
            batch: Function without arguments to the next (uint8 images [N, H, W, C], labels [N, label_size]).
            point: The `SchedulePoint`.

        Returns:
            Dict of scalar tensors to log.
        """
        state, logs = self.state, {}
        fade = tf.constant(point.fade, tf.float32)
        for _ in range(state.config.D_repeats):
            images, labels = batch()
            rate, seed = tf.constant(point.D_lrate, tf.float32), self.seed_of("discriminator")
            images, labels = tf.constant(images), tf.constant(labels)
            beta = tf.constant(average_decay(point.minibatch, state.config.G_smoothing_kimg), tf.float32)
            logs |= self.discriminator_step(images, labels, fade, rate, beta, seed, level=point.level)
            state.images_seen += point.minibatch
        rate, seed = tf.constant(point.G_lrate, tf.float32), self.seed_of("generator")
        return logs | self.generator_step(fade, rate, seed, level=point.level, minibatch=point.minibatch)

    def seed_of(self, purpose, replica=0):
        """Seed of this update on one replica, a function of the run's seed and the images seen: int32 [2]."""
        network = ("discriminator", "generator").index(purpose)
        entropy = [self.state.config.seed, self.state.images_seen, network, replica]
        return tf.constant(np.random.SeedSequence(entropy).generate_state(2).astype(np.int32))

    def _discriminator_step(self, reals, labels, fade, rate, beta, seed, level):
        state = self.state
        latent_seed, network_seed, mirror_seed = tf.unstack(tf.random.split(seed, 3))
        reals = prepare_reals(reals, fade, state.config.mirror_augment, mirror_seed)
        latents = draw_latents(reals.shape[0], state.generator.latent_size, latent_seed)
        fakes = state.generator(latents, labels, level, fade, seed=network_seed, training=True)

        def score(images):
            return state.discriminator(images, labels, level, fade)

        def loss():
            losses, logs = self.d_loss(score, reals, fakes, level, **state.config.D_loss_args)
            return tf.reduce_mean(losses), logs

        value, logs, skipped = update(state.discriminator, state.D_optimizer, loss, rate)
        self._move_average(beta)
        return logs | {"loss_d": value, "skipped_d": skipped}

    def _generator_step(self, fade, rate, seed, level, minibatch):
        state = self.state
        latent_seed, network_seed, label_seed = tf.unstack(tf.random.split(seed, 3))
        latents = draw_latents(minibatch, state.generator.latent_size, latent_seed)
        labels = draw_labels(minibatch, self.labels, label_seed)

        def loss():
            fakes = state.generator(latents, labels, level, fade, seed=network_seed, training=True)
            losses = self.g_loss(lambda images: state.discriminator(images, labels, level, fade), fakes)
            return tf.reduce_mean(losses), {}

        value, _, skipped = update(state.generator, state.G_optimizer, loss, rate)
        return {"loss_g": value, "skipped_g": skipped}

    def _move_average(self, beta):
        """Move the averaged generator: weights decay by beta, the mean w is copied (trap 29)."""
        state = self.state
        pairs = zip(state.generator.trainable_variables, state.generator_ema.trainable_variables, strict=True)
        for variable, average in pairs:
            average.assign(ops.lerp(variable.value, average.value, beta))
        state.generator_ema.dlatent_avg.assign(state.generator.dlatent_avg)


def average_decay(minibatch, half_life_kimg):
    """Decay of the moving average for one minibatch; 0, a plain copy, without a half-life."""
    return 0.5 ** (minibatch / (half_life_kimg * 1000)) if half_life_kimg > 0 else 0.0


def choose(losses, name):
    """The loss of that name; a ValueError lists those that exist."""
    if name not in losses:
        raise ValueError(f"there is no loss {name!r}; there are {', '.join(losses)}")
    return losses[name]


def check_options(loss, options):
    """Raise ValueError unless `options` are keyword arguments of a discriminator loss."""
    known = [name for name, item in inspect.signature(loss).parameters.items() if item.default is not item.empty]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise ValueError(f"D_loss_args: {loss.__name__} has no {unknown[0]!r}; it has {', '.join(known) or 'none'}")


def draw_latents(count, size, seed):
    """Standard normal z: [count, size]."""
    return tf.random.stateless_normal([count, size], seed)


def draw_labels(count, labels, seed):
    """Random rows of the data set's labels, with replacement: [count, label_size]."""
    return tf.gather(labels, tf.random.stateless_uniform([count], seed, 0, len(labels), tf.int32))


def update(network, optimizer, loss, rate):
    """Differentiate `loss` and let `optimizer` change `network`.

    Parameters without influence at this level get zero gradients: they stay, but their moments decay (trap 43).

    Args:
        network: Keras network whose trainable variables are the optimizer's.
        optimizer: `Adam`.
        loss: Function without arguments to (scalar loss, logs).
        rate: Learning rate.

    Returns:
        The loss, the logs, and 1.0 if the update was skipped for a non-finite gradient.
    """
    variables = [variable.value for variable in network.trainable_variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        value, logs = loss()
    gradients = tape.gradient(value, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return value, logs, optimizer.apply(gradients, rate)
