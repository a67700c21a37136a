"""The parts of a generator as functions of named tensors, for formats that know no Python.

    mapping     latents [N, Z], labels [N, L], psi [1]              ->  dlatents [N, layers, D]
    synthesis   dlatents [N, layers, D], noise0 [N, 4, 4, 1], ...   ->  images [N, H, W, C]
    generator   latents, labels, psi, noise0, ...                   ->  images

Labels are an input only of a network that was trained with them, psi only of one that truncates. Everything is
float32. A network that is still growing is exported as far as it has grown.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from stylegan_tf import ops
from stylegan_tf.figures import latents_from_seeds, noise_from_seeds
from stylegan_tf.growth import check_level, num_stages
from stylegan_tf.network import in_dtype

PARTS = ("generator", "mapping", "synthesis")
NOISE = ("stored", "input", "none")
MAX_BATCH = 1024
FIRST_CHECKED = 2**16  # seed of the first latents that a result is checked with; a calibration has those from 0


@dataclasses.dataclass(frozen=True)
class Part:
    """One function to export.

    Attributes:
        name: One of `PARTS`.
        inputs: Name -> shape, in the order of the arguments; None is a batch of any size.
        output: Name of the result, "dlatents" or "images".
        function: Takes and returns {name: tensor}. Traced, it has the weights as constants, so its graph needs no
            variables, which converters lose.
        network: The generator behind it, in float32.
        resolution: Width of its pictures in pixels, as far as it has grown.
    """

    name: str
    inputs: dict[str, tuple]
    output: str
    function: Callable
    network: keras.Model
    resolution: int

    def traced(self):
        """The function as a TensorFlow graph (a `ConcreteFunction`), its inputs named."""
        specs = {name: tf.TensorSpec(shape, tf.float32, name) for name, shape in self.inputs.items()}
        return tf.function(lambda **tensors: self.function(tensors)).get_concrete_function(**specs)

    def samples(self, count: int, first_seed: int = 0) -> Iterator[dict[str, np.ndarray]]:
        """Yields what the inputs are in use, one batch a time: seeded latents, each label in turn, psi 1 and 0.7."""
        batch = next(iter(self.inputs.values()))[0] or 1
        for index in range(count):
            seeds = range(first_seed + index * batch, first_seed + (index + 1) * batch)
            yield self.sample(seeds, psi=(1, 0.7)[index % 2])

    def sample(self, seeds, psi: float = 1) -> dict[str, np.ndarray]:
        """What the inputs are for these seeds, as many as the batch has."""
        network = self.network
        values = {"latents": latents_from_seeds(seeds, network.latent_size), "psi": np.float32([psi])}
        if network.label_size:
            values["labels"] = np.eye(network.label_size, dtype=np.float32)[np.array(seeds) % network.label_size]
        if "dlatents" in self.inputs:
            dlatents = network.mapping(values["latents"], values.get("labels"))
            values["dlatents"] = network.truncate(dlatents, psi, network.truncation_cutoff).numpy()
        if "noise0" in self.inputs:
            noise = noise_from_seeds(seeds, self.resolution)
            values |= {f"noise{index}": image for index, image in enumerate(noise)}
        return {name: values[name] for name in self.inputs}

    def error(self, run: Callable, batches: int = 2) -> float:
        """How far `run`, from {name: array} to {name: array}, is from Keras on sampled inputs.

        Returns:
            Root mean square of the error, relative to the standard deviation of the result: the largest of all batches,
            NaN if `run` returns any.
        """
        errors = []
        for inputs in self.samples(batches, FIRST_CHECKED):
            expected = self.function(inputs)[self.output].numpy()
            error = run(inputs)[self.output] - expected
            errors.append(np.sqrt(np.mean(np.square(error))) / max(np.std(expected), 1e-6))
        return float(np.max(errors))


def part_of(
    generator,
    name: str = "generator",
    *,
    batch: int | None = 1,
    noise: str = "stored",
    level: int = 0,
    fade: float = 0.0,
    half: bool = False,
) -> Part:
    """One part of a generator, to be exported.

    Args:
        generator: A `Generator` or `ProGANGenerator`, of any dtype.
        name: One of `PARTS`.
        batch: Size of every batch; None for any.
        noise: "stored" uses the noise images of the network, "input" makes each an input, "none" leaves them out.
        level, fade: How far the network has grown.
        half: Constants will be stored in float16, where the 1e-8 that norms add would be zero; so the graph makes it.

    Raises:
        ValueError: An argument is none of these, or a Progressive GAN is asked for a part, which it does not have.
    """
    network = in_dtype(generator, "float32")
    styled = hasattr(network, "synthesis")
    _check(name, batch, noise, fade, styled)
    check_level(level, num_stages(network.resolution))
    fixed = styled and network.synthesis.fixed  # does not grow, and ignores the level
    stages = num_stages(network.resolution) - (0 if fixed else level)
    layers = 2 * stages if styled and network.synthesis.use_noise else 0
    weights = [(variable, variable.numpy()) for variable in _variables(network, name)]

    def function(tensors):
        constants = [(variable, tf.constant(array)) for variable, array in weights]
        with (
            keras.StatelessScope(constants),
            ops.epsilons_as(_computed_by(next(iter(tensors.values())))) if half else contextlib.nullcontext(),
        ):
            if not styled:
                return {"images": network(tensors["latents"], tensors.get("labels"), level=level, fade=fade)}
            x = tensors.get("dlatents")
            if name != "synthesis":
                x = network.mapping(tensors["latents"], tensors.get("labels"))
                x = network.truncate(x, tensors.get("psi"), network.truncation_cutoff)
            if name == "mapping":
                return {"dlatents": x}
            if noise == "input":
                images = [tensors[f"noise{index}"] for index in range(layers)]
            elif noise == "none":
                images = [tf.zeros([1, 1, 1, 1])] * layers
            else:
                images = [image + _zero(x) for image in network.synthesis.noise_images[:layers]]
            return {"images": network.synthesis(x, level, fade, noise=images)}

    inputs = _inputs(network, name, batch, layers if noise == "input" else 0)
    return Part(name, inputs, "dlatents" if name == "mapping" else "images", function, network, 4 << stages - 1)


def _check(name, batch, noise, fade, styled):
    if name not in PARTS:
        raise ValueError(f"the part of a generator is {', '.join(PARTS)}, not {name!r}")
    if name != "generator" and not styled:
        raise ValueError(f"a Progressive GAN is one network and has no {name}; export the generator as a whole")
    if noise not in NOISE:
        raise ValueError(f"noise is {', '.join(NOISE)}, not {noise!r}")
    if batch is not None and not 1 <= batch <= MAX_BATCH:
        raise ValueError(f"batch must be from 1 to {MAX_BATCH}, not {batch}")
    if not 0 <= fade <= 1:
        raise ValueError(f"fade must be from 0 to 1, not {fade}")


def _variables(network, name):
    """The weights that a part uses: constants that nobody uses would make a conversion slow."""
    if name == "generator":
        return network.variables
    return [*getattr(network, name).variables, network.dlatent_avg]


def _inputs(network, name, batch, noise_inputs):
    """{name: shape} of a part."""
    inputs = {}
    if name == "synthesis":
        inputs["dlatents"] = (batch, network.num_layers, network.synthesis.dlatent_size)
    else:
        inputs["latents"] = (batch, network.latent_size)
        if network.label_size:
            inputs["labels"] = (batch, network.label_size)
        if getattr(network, "truncation_cutoff", None):
            inputs["psi"] = (1,)
    if name != "mapping":
        sizes = [4 << index // 2 for index in range(noise_inputs)]
        inputs |= {f"noise{index}": (batch, size, size, 1) for index, size in enumerate(sizes)}
    return inputs


def describe(part: Part) -> dict:
    """What a program has to know of a part to call it, JSON-able."""
    network = part.network
    facts = {
        "format": "stylegan_tf 1",
        "part": part.name,
        "inputs": {name: list(shape) for name, shape in part.inputs.items()},
        "outputs": [part.output],
        "resolution": part.resolution,
        "num_channels": network.num_channels,
        "latent_size": network.latent_size,
        "label_size": network.label_size,
    }
    if hasattr(network, "synthesis"):
        facts |= {key: getattr(network, key) for key in ("num_layers", "truncation_psi", "truncation_cutoff")}
    return facts


def _computed_by(x):
    """For `ops.epsilons_as`: an epsilon as the square of its root, as float16 has 1e-4; `x` is any tensor of the graph.

    Without it a feature map that is constant, as all of an untrained network, is divided by zero.
    """
    zero = tf.minimum(tf.abs(tf.reshape(x, [-1])[0]), 0)  # no converter can foresee it, and square the root in advance
    return lambda epsilon: tf.square(zero + math.sqrt(epsilon))


def _zero(x):
    """[1, 1, 1, 1], a zero that a converter cannot foresee.

    It would multiply constant noise [1, H, W, 1] by constant strengths [C] ahead of time, and write [1, H, W, C] into
    the file: 260 MB more for a network of 1024 pixels.
    """
    return tf.minimum(tf.abs(tf.reshape(x[:1, :1, :1], [1, 1, 1, 1])), 0)
