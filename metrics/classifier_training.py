"""Trains one network of `metrics.classifiers`, and keeps how far it is in a file.

Loss: cross-entropy of the probabilities that the metric computes, softmax of [l, -l] (section 16.5 of the reference),
which for targets y = 1 (there) and -1 (not there) is softplus(-2 l y). Adam as for the discriminator; its rate falls
linearly to zero in the second half. A minibatch is a function of the seed and of the images seen so far, so a network
goes on after an interruption as if there had been none.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import tensorflow as tf

from metrics.attribute_labels import held_out_images, scores
from metrics.classifiers import trunk_logits
from stylegan_tf.arrays import read_arrays, write_arrays
from stylegan_tf.discriminator import Discriminator
from stylegan_tf.progress_line import ProgressLine, clock
from training.optimizer import Adam
from training.order import shuffled
from training.reals import prepare_reals

SAVE_SECONDS = 120  # between two states on the disk


class ClassifierTraining:
    """One network while it is trained.

    Args:
        dataset: `RecordDataset`.
        targets: bool [images, A].
        recipe: `metrics.attribute_training.Recipe`.
        number: Which network it is, from 0.
        path: Its file; if there is one, it goes on from there.
        request: JSON-able facts that the file must have been begun with.

    Attributes:
        network: `Discriminator` with A logits.
        images_seen, seconds: How far it is.
        results: What `scores` says of each attribute on the images held out, once it is complete; else None.
    """

    def __init__(self, dataset, targets, recipe, number, path, request):
        self.recipe, self.number, self.path, self.request = recipe, number, path, request
        self.level = dataset.levels[dataset.resolution.bit_length() - recipe.resolution.bit_length()]
        self.targets = targets
        held_out = held_out_images(dataset.num_images, recipe.held_out, recipe.seed)
        self.known, self.unknown = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        count = targets.shape[1]
        keras.utils.set_random_seed(int(np.random.SeedSequence([recipe.seed, number]).generate_state(1)[0]))
        self.network = Discriminator(
            num_channels=dataset.num_channels,
            resolution=recipe.resolution,
            label_size=count if count > 1 else 0,
            **recipe.network,
        )
        self.optimizer = Adam(self.network.trainable_variables)
        self.images_seen, self.seconds, self.results = 0, 0.0, None
        if path.exists():
            self._restore()

    def run(self, stop, num_networks):
        """Train until complete; False if it was asked to stop before that."""
        names = self.request["attributes"]
        line = ProgressLine(names[0] if len(names) == 1 else f"{len(names)} attributes", 0)
        step, saved_at, before = tf.function(self._step), time.monotonic(), (self.images_seen, self.seconds)
        with ThreadPoolExecutor(1, "read-ahead") as reader:
            pending = reader.submit(self._minibatch, self.images_seen)
            while self.results is None and self.share_done(num_networks) < 1 and not stop.requested:
                started = time.monotonic()
                images, targets = pending.result()
                pending = reader.submit(self._minibatch, self.images_seen + len(images))
                rate = self.recipe.learning_rate * min(1, 2 - 2 * self.share_done(num_networks))
                seed = np.random.SeedSequence([self.recipe.seed, self.number, self.images_seen]).generate_state(2)
                loss = step(images, targets, tf.constant(rate, tf.float32), tf.constant(seed.astype(np.int32)))
                self.images_seen += len(images)
                self._check(float(loss))
                self.seconds += time.monotonic() - started
                line.say(self._progress(line.what, float(loss), before, num_networks))
                if time.monotonic() - saved_at > SAVE_SECONDS:
                    self._save()
                    saved_at = time.monotonic()
        line.clear()
        if self.results is None:
            self.results = self._judge() if self.share_done(num_networks) >= 1 else None
            self._save()
        return self.results is not None

    def share_done(self, num_networks):
        """How far this network is, from 0 to 1 or a little more."""
        if self.recipe.kimg is not None:
            return self.images_seen / (1000 * self.recipe.kimg)
        return self.seconds / (60 * self.recipe.minutes / num_networks)

    def network_in_float32(self):
        """The network itself if it computes in float32, or one with the same weights that does."""
        if self.network.compute_dtype == "float32":
            return self.network
        copy = type(self.network)(**{**self.network.get_config(), "dtype": "float32"})
        for ours, theirs in zip(copy.variables, self.network.variables, strict=True):
            ours.assign(theirs)
        return copy

    def _step(self, images, targets, rate, seed):
        """One update; the loss."""
        coins = tf.random.stateless_uniform([len(images), 1, 1, 1], seed) if self.recipe.mirror else None
        images = prepare_reals(images, 0.0, coins)
        signs = 2 * tf.cast(targets, tf.float32) - 1
        variables = [variable.value for variable in self.network.trainable_variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            logits = trunk_logits(self.network, images)
            loss = tf.reduce_mean(tf.math.softplus(-2 * logits * signs))
        gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        self.optimizer.apply(gradients, rate)
        return loss

    def _minibatch(self, position):
        positions = np.arange(position, position + self.recipe.minibatch)
        chosen = self.known[shuffled(positions, len(self.known), self.recipe.seed)]
        return self.level.read(chosen), self.targets[chosen]

    def _check(self, loss):
        if not np.isfinite(loss):
            raise ValueError(
                f"the loss of {', '.join(self.request['attributes'])} is {loss} after {self.images_seen} images; "
                f"remove {self.path}, and try a smaller --lr"
            )

    def _progress(self, what, loss, before, num_networks):
        rate = (self.images_seen - before[0]) / max(self.seconds - before[1], 1e-6)
        done = self.share_done(num_networks)
        left = self.seconds / done * (1 - done) if done else 0
        all_left = left + (num_networks - 1 - self.number) * self.seconds / done if done else 0
        others = f" (all networks {clock(all_left)})" if num_networks > self.number + 1 else ""
        kimg = f"{self.images_seen / 1000:.1f} kimg"
        return f"{what}: {kimg}, loss {loss:.3f}, {rate:.3g} images a second, {clock(max(left, 0))} left{others}"

    def _judge(self):
        """`scores` of each attribute on the images held out."""
        network, predicted = self.network_in_float32(), []
        logits = tf.function(lambda images: trunk_logits(network, prepare_reals(images, 0.0)))
        for start in range(0, len(self.unknown), self.recipe.minibatch):
            images = self.level.read(self.unknown[start : start + self.recipe.minibatch])
            predicted.append(logits(tf.constant(images)).numpy() > 0)
        if not predicted:
            predicted = [np.zeros([0, self.targets.shape[1]], bool)]
        targets = self.targets[self.unknown]
        return [scores(*columns) for columns in zip(np.concatenate(predicted).T, targets.T, strict=True)]

    def _save(self):
        arrays = {f"network/{name}": value.numpy() for name, value in self.network.named_variables().items()}
        if self.results is None:
            arrays |= {f"optimizer/{name}": slot.numpy() for name, slot in self.optimizer.slots.items()}
        facts = {"images_seen": self.images_seen, "seconds": self.seconds, "results": self.results}
        write_arrays(self.path, arrays, {"request": self.request, **facts})

    def _restore(self):
        arrays, metadata = read_arrays(self.path)
        before = metadata.get("request", {})
        if before != self.request:
            differing = sorted(_differences(before, self.request))
            raise ValueError(
                f"{self.path} was begun with another {', '.join(differing)}; give the options as they were, or remove "
                f"{self.path.parent} to begin anew"
            )
        for name, variable in self.network.named_variables().items():
            variable.assign(arrays[f"network/{name}"])
        self.images_seen, self.seconds = metadata["images_seen"], metadata["seconds"]
        self.results = metadata["results"]
        for name, slot in self.optimizer.slots.items() if self.results is None else ():
            slot.assign(arrays[f"optimizer/{name}"])


def _differences(before, now):
    """Names of what differs in two requests."""
    for key in before.keys() | now.keys():
        one, other = before.get(key), now.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            yield from _differences(one, other)
        elif one != other:
            yield key
