"""What the metrics look at: features of real and of generated images, path lengths, points and their attributes.

Everything is computed in float32 on all devices, batch by batch, and kept in a `FeatureStore`, so that it is never
held in memory as a whole and interrupted work goes on where it stopped.
"""

import dataclasses
import hashlib

import keras
import numpy as np
import tensorflow as tf

from metrics.devices import full_precision, on_devices
from metrics.ppl import EPSILON, draw_positions, step_dlatents
from metrics.reals import real_images
from metrics.sampling import as_rgb, attribute_images, feature_images, path_images
from stylegan_tf.progress_line import ProgressLine


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is judged.

    Attributes:
        name: What to call it in messages: its file.
        generator: `Generator` or `ProGANGenerator`: Gs.
        level, fade: How far it has grown.
        digest: Text that other weights would change.
        kimg: Thousands of real images that it was trained with; None if unknown.
    """

    name: str
    generator: keras.Model
    level: int = 0
    fade: float = 0.0
    digest: str = ""
    kimg: float | None = None


def digest_of_weights(generator, level, fade):
    """A digest of a network that is in no file: 16 hexadecimal digits."""
    digest = hashlib.sha256(f"{generator.get_config()} {level} {fade}".encode())
    for variable in generator.variables:
        digest.update(variable.numpy())
    return digest.hexdigest()[:16]


class Stopped(Exception):
    """The work was asked to stop; what is done is stored, and the next call goes on from there."""


class Gatherer:
    """Gathers for one metric after the other, and for one subject after the other.

    Args:
        data: A `RealData`; None if no metric needs one.
        store: The `FeatureStore`.
        replicas: A `training.replicas.Replicas` on one machine.
        load_features: Name of a feature network to `FeatureNetwork`.
        load_distance: Name to `PerceptualDistance`.
        classifiers: `AttributeClassifiers`, None if no metric needs them.
        seed: Decides all that is random.
        mirror: Flip each real image with probability 1/2.
        batch: Images at a time on each device; None for what the original takes.

    Attributes:
        stop: Function that is asked after every batch whether to raise `Stopped`.
    """

    def __init__(self, data, store, replicas, load_features, load_distance, classifiers, seed, mirror, batch):
        self.data, self.store, self.replicas, self.classifiers = data, store, replicas, classifiers
        self.seed, self.mirror, self.batch = seed, mirror, batch
        self.subject = self.generator = None
        self.stop = lambda: False
        self._load = {"features": load_features, "distance": load_distance}
        self._networks, self._compiled, self._used = {}, {}, []

    def take(self, subject):
        """Turn to a subject; its weights are copied into a network that computes in float32 on every device."""
        network = subject.generator
        config = {**network.get_config(), "dtype": "float32"}
        if self.generator is None or type(self.generator) is not type(network) or self.generator.get_config() != config:
            with self.replicas.scope():
                self.generator = type(network)(**config)
            self._compiled = {key: call for key, call in self._compiled.items() if key[0] == "reals"}
        for ours, theirs in zip(self.generator.variables, network.variables, strict=True):
            ours.assign(theirs.numpy())
        self.subject = subject

    def forget_fakes(self, but=()):
        """Remove what is stored of generated images, but for what networks saw that are still needed.

        Args:
            but: Their names with their kinds, (kind, name); what they saw stays for the next call.
        """
        for seen_by, arguments in self._used:
            if seen_by not in but:
                self.store.remove(*arguments)
        self._used = [(seen_by, arguments) for seen_by, arguments in self._used if seen_by in but]

    def network(self, name, kind="features"):
        """A network by its name, loaded once."""
        if (kind, name) not in self._networks:
            with self.replicas.scope():
                self._networks[kind, name] = self._load[kind](name)
        return self._networks[kind, name]

    def reals(self, name, count, batch):
        """Features of the first `count` real images: memory map [count, D]."""
        network, size = self.network(name), self._size(batch)
        mirror = {"mirror": self.mirror, "seed": self.seed if self.mirror else None}
        facts = {"data": self.data.fingerprint, **mirror, "network": network.digest, "features": name}

        def compute(images):
            return (network.model(as_rgb(tf.cast(images, tf.float32))),)

        call = self._compile(("reals", name), compute, size)

        def batches(start):
            images = real_images(self.data.level, count, size, self.mirror, self.seed, start)
            return (call(part)[0] for part in images)

        return self._stored("reals", facts, (count, network.width), batches, f"{name} of real images", "images")

    def fakes(self, name, count, batch):
        """Features of `count` generated images: memory map [count, D]."""
        network, level, size = self.network(name), self.subject.level, self._size(batch)

        def compute(numbers, fade):
            images, finite = feature_images(self.generator, numbers, fade, self.seed, level)
            return network.model(images), finite

        call = self._compile(("fakes", name, level), compute, size)
        facts = {"network": network.digest, "features": name}

        def batches(start):
            return (features for (features,) in self._fake_batches(call, start, count, size))

        shape, what = (count, network.width), f"{name} of generated images"
        return self._stored_fakes(("features", name), facts, shape, batches, what, "images")

    def path_lengths(self, space, sampling, distance, count, batch):
        """d / ε² of `count` paths, rounded up to whole minibatches: ([n], paths that share their noise)."""
        self._check_style("path length")
        network, level, minibatch = self.network(distance, "distance"), self.subject.level, self.batch or batch
        rows, size = -(-count // minibatch) * minibatch, 2 * minibatch * self.replicas.count

        def measure(dlatents, numbers, fade):
            images, finite = path_images(self.generator, dlatents, numbers[0], fade, self.seed, level)
            return network.model(images), finite

        mapping = self._compile(("mapping",), lambda latents: (self.generator.mapping(latents),), size)
        call = self._compile(("paths", distance, level), measure, size)

        def batches(start):
            for first in range(start // minibatch, rows // minibatch, self.replicas.count):
                numbers = np.arange(first, first + self.replicas.count, dtype=np.int32)
                ends, positions = zip(*(self._paths(number, minibatch, sampling) for number in numbers), strict=True)
                paths = np.concatenate(ends), np.concatenate(positions)
                dlatents = step_dlatents(*paths, space=space, mapping=lambda z: mapping(z)[0], epsilon=EPSILON)
                shared = np.repeat(numbers, 2 * minibatch)
                (distances,) = self._finite(call, dlatents, shared)
                yield distances[:, np.newaxis] / EPSILON**2

        facts = {"network": network.digest, "distance": distance, "minibatch": minibatch}
        facts |= {"space": space, "sampling": sampling}
        what = f"paths in {space}, {sampling}"
        lengths = self._stored_fakes(("distance", distance), facts, (rows, 1), batches, what, "paths")
        return lengths[:, 0], minibatch

    def attributes(self, count, batch):
        """What linear separability needs of `count` images: z [count, Z], the last layer's w [count, D], logits
        [count, A], views of a memory map."""
        self._check_style("linear separability")
        level, classifiers = self.subject.level, self.classifiers
        together = classifiers.group * self.replicas.count
        size = -(-self._size(batch) // together) * together  # logits must not depend on --batch

        def compute(numbers, fade):
            resolution = min(256, classifiers.resolution)
            return attribute_images(self.generator, numbers, fade, self.seed, level, resolution)

        call = self._compile(("attributes", level), compute, size)

        def batches(start):
            for *points, images in self._fake_batches(call, start, count, size):
                yield np.hstack([*points, classifiers.logits(images)])

        widths = [self.generator.latent_size, self.generator.synthesis.dlatent_size, len(classifiers.names)]
        facts = {"classifiers": classifiers.digest}
        seen_by, shape = ("features", "classifiers"), (count, sum(widths))
        rows = self._stored_fakes(seen_by, facts, shape, batches, "attributes", "images")
        z, w = widths[0], widths[0] + widths[1]
        return rows[:, :z], rows[:, z:w], rows[:, w:]

    def _size(self, batch):
        """Images at a time on all devices."""
        return (self.batch or batch) * self.replicas.count

    def _compile(self, key, function, rows):
        if (*key, rows) not in self._compiled:
            self._compiled[*key, rows] = on_devices(self.replicas, function, rows)
        return self._compiled[*key, rows]

    def _fake_batches(self, call, start, count, size):
        """Yields what a compiled function says of generated images by number, `size` at a time."""
        for first in range(start, count, size):
            yield self._finite(call, np.arange(first, min(first + size, count), dtype=np.int32))

    def _finite(self, call, *arrays):
        """What a compiled function returns, but for the last: whether all images are finite."""
        *results, finite = call(*arrays, common=(np.float32(self.subject.fade),))
        if not finite.all():
            raise ValueError(
                f"{self.subject.name}: its images hold NaN or infinity; the training diverged, use an earlier snapshot"
            )
        return results

    def _paths(self, number, minibatch, sampling):
        random = np.random.default_rng([self.seed, number])
        latents = random.standard_normal([2 * minibatch, self.generator.latent_size], np.float32)
        return latents, draw_positions(minibatch, sampling, random)

    def _stored_fakes(self, seen_by, facts, shape, batches, what, unit):
        facts = {"generator": self.subject.digest, "seed": self.seed, **facts}
        self._used.append((seen_by, ("fakes", facts, shape)))
        return self._stored("fakes", facts, shape, batches, what, unit)

    def _stored(self, kind, facts, shape, batches, what, unit):
        def shown(start):
            line, done = ProgressLine(what, shape[0], unit, start), start
            try:
                for rows in batches(start):
                    yield rows
                    done += len(rows)
                    line.show(min(done, shape[0]))
                    if self.stop():
                        raise Stopped
            finally:
                line.clear()

        with full_precision():
            return self.store.rows(kind, facts, shape, shown)

    def _check_style(self, what):
        if not hasattr(self.generator, "mapping"):
            raise ValueError(f"{self.subject.name}: a Progressive GAN has no w, so there is no {what}; leave it out")
