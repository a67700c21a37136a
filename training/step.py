"""One update of each network, compiled once a level."""

import numpy as np
import tensorflow as tf

from stylegan_tf import ops
from training import augment
from training import config as configs
from training.losses import D_LOSSES, G_LOSSES
from training.reals import prepare_reals
from training.replicas import Replicas, assign_here, mean_over_replicas

AUGMENTATION = 1  # folded into the seed of an update; without augmentation the other draws are the same


class TrainingStep:
    """The two updates of a `TrainState`.

    Args:
        state: Networks and optimizers to change.
        labels: Labels of the data set [images, label_size], from which the generator's are drawn.
        replicas: Devices that share the work; None for one.

    Attributes:
        parts: Parts that a minibatch is worked off in, see `split`.

    Raises:
        ValueError: The configuration of the state has a value that no run can have.
    """

    def __init__(self, state, labels, replicas=None):
        self.state = state
        self.labels = tf.constant(labels)
        self.replicas = replicas or Replicas()
        self.parts = 1
        configs.check(state.config, state.generator.resolution)
        self.d_loss, self.g_loss = D_LOSSES[state.config.D_loss], G_LOSSES[state.config.G_loss]
        self.discriminator_step = self.replicas.compile(self._discriminator_step)
        self.generator_step = self.replicas.compile(self._generator_step)

    def split(self, parts):
        """Work off each minibatch in parts, one after the other, to need less memory; their gradients are added up.

        The numbers are those of the whole minibatch, but for the running mean of w, which moves once a part.
        """
        if parts > 1 and self.state.G_optimizer.sums is None:
            with self.replicas.scope():
                self.state.G_optimizer.prepare_parts()
                self.state.D_optimizer.prepare_parts()
        self.parts = parts

    def run(self, batch, point):
        """One iteration at a moment of the schedule: `D_repeats` discriminator updates, then one of the generator.

        Args:
            batch: Function without arguments to this worker's share of the next minibatch, (uint8 images
                [N, H, W, C], labels [N, label_size]).
            point: The `SchedulePoint`.

        Returns:
            Dict of scalar tensors to log, means over the discriminator updates.
        """
        state, logs = self.state, []
        fade, p = tf.constant(point.fade, tf.float32), tf.constant(state.augment_p, tf.float32)
        sizes = {"level": point.level, "minibatch": point.minibatch}
        for _ in range(state.config.D_repeats):
            images, labels = batch()
            rate, seed = tf.constant(point.D_lrate, tf.float32), self.seed_of("discriminator")
            beta = tf.constant(average_decay(point.minibatch, state.config.G_smoothing_kimg), tf.float32)
            common, lazy = (fade, rate, seed, p, beta), lazy_r1(state.config, state.images_seen // point.minibatch)
            logs.append(self._in_parts(self.discriminator_step, (images, labels), common, sizes | lazy))
            state.images_seen += point.minibatch
        rate, seed = tf.constant(point.G_lrate, tf.float32), self.seed_of("generator")
        return means(logs) | self._in_parts(self.generator_step, (), (fade, rate, seed, p), sizes)

    def seed_of(self, purpose):
        """Seed of this update, a function of the run's seed and the images seen: int32 [2]."""
        network = ("discriminator", "generator").index(purpose)
        entropy = [self.state.config.seed, self.state.images_seen, network]
        return tf.constant(np.random.SeedSequence(entropy).generate_state(2).astype(np.int32))

    def _in_parts(self, step, arrays, common, sizes):
        """One update, its minibatch in one piece or in parts; logs are averaged over them."""
        logs = []
        for part in range(self.parts):
            shared = [rows[part :: self.parts] for rows in arrays]
            ends = {} if self.parts == 1 else {"begins": part == 0, "ends": part == self.parts - 1}
            logs.append(step(shared, common, part=part, parts=self.parts, **sizes, **ends))
        return means(logs) | {key: value for key, value in logs[-1].items() if key.startswith("skipped_")}

    def _discriminator_step(
        self, share, reals, labels, fade, rate, seed, p, beta, level, minibatch, begins=True, ends=True, r1_gamma=None
    ):
        state = self.state
        options = state.config.D_loss_args if r1_gamma is None else state.config.D_loss_args | {"r1_gamma": r1_gamma}
        latent_seed, network_seed, coin_seed, mixing_seed = tf.unstack(tf.random.split(seed, 4))
        coins = share.of(draw_uniform(minibatch, coin_seed)) if state.config.mirror_augment else None
        reals = prepare_reals(reals, fade, coins)
        latents = share.of(draw_latents(minibatch, state.generator.latent_size, latent_seed))
        view = self._view(p, minibatch, seed, share)
        seed = tf.random.fold_in(network_seed, share.first)
        fakes = state.generator(latents, labels, level, fade, seed=seed, training=True)
        mixing_factors = share.of(draw_uniform(minibatch, mixing_seed))
        score = Score(state.discriminator, labels, level, fade, view, state.D_optimizer.loss_scale)

        terms = self.d_loss(score, reals, fakes, level, mixing_factors, **options)
        value, logs, skipped = update(state.discriminator, state.D_optimizer, terms, rate, begins, ends)
        if ends:
            self._move_average(beta)
        return logs | {"loss_d": value, "skipped_d": skipped}

    def _generator_step(self, share, fade, rate, seed, p, level, minibatch, begins=True, ends=True):
        state = self.state
        latent_seed, network_seed, label_seed = tf.unstack(tf.random.split(seed, 3))
        latents = share.of(draw_latents(minibatch, state.generator.latent_size, latent_seed))
        labels = share.of(draw_labels(minibatch, self.labels, label_seed))
        view = self._view(p, minibatch, seed, share)
        seed = tf.random.fold_in(network_seed, share.first)
        score = Score(state.discriminator, labels, level, fade, view)

        def term():
            fakes = state.generator(latents, labels, level, fade, seed=seed, training=True)
            return self.g_loss(score, fakes, **state.config.G_loss_args), {}

        value, _, skipped = update(state.generator, state.G_optimizer, [term], rate, begins, ends)
        return {"loss_g": value, "skipped_g": skipped}

    def _view(self, p, minibatch, seed, share):
        """Images as the discriminator gets them to see, a function; row n of reals and fakes is transformed alike."""
        if self.state.config.augment == "noaug":
            return lambda images: images
        draws = share.of(augment.draw(minibatch, tf.random.fold_in(seed, AUGMENTATION)))
        return lambda images: augment.transform(images, p, draws)

    def _move_average(self, beta):
        """Move the averaged generator: weights decay by beta, the rest, as the mean w, is copied (trap 29)."""
        generator, generator_ema = self.state.generator, self.state.generator_ema
        for variable, average in zip(generator.trainable_variables, generator_ema.trainable_variables, strict=True):
            assign_here(average.value, ops.lerp(variable.value, average.value, beta))
        copies = zip(generator.non_trainable_variables, generator_ema.non_trainable_variables, strict=True)
        for variable, copy in copies:
            assign_here(copy.value, variable.value)


class Score:
    """What a loss sees of the discriminator: images to scores [N, 1]; `scale` is the loss scale, see `losses`.

    The augmentation `view` is part of it, so penalties are on gradients by the images as they were before it.
    """

    def __init__(self, discriminator, labels, level, fade, view, scale=1.0):
        self.discriminator, self.view, self.scale = discriminator, view, scale
        self.arguments = labels, level, fade

    def __call__(self, images):
        return self.discriminator(self.view(images), *self.arguments)


def means(logs):
    """Mean of each scalar over the dicts that have it."""
    if len(logs) == 1:
        return logs[0]
    values = {
        key: [log[key] for log in logs if key in log] for key in dict.fromkeys(key for log in logs for key in log)
    }
    return {key: sum(found) / len(found) for key, found in values.items()}


def lazy_r1(config, number):
    """The R1 penalty of an update of the discriminator, {"r1_gamma": strength}; {} for that of the configuration.

    With `r1_interval` k only every k-th update has the penalty, k times as strong, so that its gradient is the same on
    average (Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN", section 3.1).

    Args:
        config: The `TrainingConfig`.
        number: Which update it is.
    """
    if config.r1_interval == 1:
        return {}
    gamma = config.D_loss_args.get("r1_gamma", configs.D_LOSS_ARGS[config.D_loss]["r1_gamma"])
    return {"r1_gamma": config.r1_interval * gamma if number % config.r1_interval == 0 else 0.0}


def average_decay(minibatch, half_life_kimg):
    """Decay of the moving average for one minibatch; 0, a plain copy, without a half-life."""
    return 0.5 ** (minibatch / (half_life_kimg * 1000)) if half_life_kimg > 0 else 0.0


def draw_latents(count, size, seed):
    """Standard normal z: [count, size]."""
    return tf.random.stateless_normal([count, size], seed)


def draw_uniform(count, seed):
    """A number in [0, 1) for each image, to mirror it or to mix it: [count, 1, 1, 1]."""
    return tf.random.stateless_uniform([count, 1, 1, 1], seed)


def draw_labels(count, labels, seed):
    """Random rows of the data set's labels, with replacement: [count, label_size]."""
    return tf.gather(labels, tf.random.stateless_uniform([count], seed, 0, len(labels), tf.int32))


def update(network, optimizer, terms, rate, begins=True, ends=True):
    """Differentiate a loss and let `optimizer` change `network`.

    Parameters without influence at this level get zero gradients: they stay, but their moments decay (trap 43).

    Args:
        network: Keras network whose trainable variables are the optimizer's.
        optimizer: `Adam`.
        terms: Functions without arguments to (values [N, 1], logs), the loss being the mean of their sum. They are
            evaluated and differentiated one after the other, so memory holds the activations of one at a time.
        rate: Learning rate.
        begins, ends: Whether this is the first part of a minibatch, and the last; only then the network changes.

    Returns:
        The loss, the logs, and 1.0 if the update was skipped for a non-finite gradient.
    """
    variables = [variable.value for variable in network.trainable_variables]
    loss, logs, gradients = 0.0, {}, []
    for term in terms:
        with tf.control_dependencies(gradients):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(variables)
                values, more = term()
                mean = tf.reduce_mean(values)
                scaled = mean * optimizer.loss_scale
            new = tape.gradient(scaled, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            gradients = [old + gradient for old, gradient in zip(gradients, new, strict=True)] if gradients else new
        loss, logs = loss + mean, logs | more
    if begins and ends:
        return loss, logs, optimizer.apply(mean_over_replicas(gradients), rate)
    sums = optimizer.add_up(gradients, begins)
    return loss, logs, optimizer.apply(mean_over_replicas(sums), rate) if ends else tf.constant(0.0)
