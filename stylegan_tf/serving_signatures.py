"""What a server can be asked of a generator, by fixed names and types.

    serving_default             latents, labels, truncation_psi, truncation_cutoff   ->  images, uint8
    from_seed                   seed, labels, truncation_psi, truncation_cutoff      ->  images, uint8
    generate_png                seed, labels, truncation_psi, truncation_cutoff      ->  png_bytes
    generate_png_from_latents   latents, labels, truncation_psi, truncation_cutoff   ->  png_bytes
    mapping                     latents, labels                                      ->  dlatents
    synthesis                   dlatents, noise_seed                                 ->  images, float32

TensorFlow Serving wants every input of a signature in every request. So latents and seeds have signatures of their
own, and an input exists only where the network has a use for it: labels if it was trained with them, truncation if
there is a w to truncate, noise_seed if there is noise. A Progressive GAN has neither mapping nor synthesis.

Every input has one row a picture, truncation included: so a server can compute the pictures of several requests
together, and no picture depends on its neighbours.
"""

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf

from stylegan_tf import ops
from stylegan_tf.generator import Generator
from stylegan_tf.growth import num_stages
from stylegan_tf.numpy_random import randn
from stylegan_tf.serving_guards import Input

PSI_RANGE = (-2.0, 2.0)  # -1 is the opposite of a picture; further out than 2 hardly anything is left of one
USUAL_CUTOFF = 8  # allowed for every network, also for one of 16x16 pixels, which has 6 layers
MAX_SEED = 2**32 - 1
NOISE_STREAM = 1  # beside the seed, see `figures.noise_from_seeds`
PNG_CHANNELS = (1, 3, 4)


@dataclasses.dataclass(frozen=True)
class Signature:
    """One way to call the model: its inputs, what comes out and by what name, and the function between them."""

    inputs: dict[str, Input]
    output: str
    result: str
    function: Callable


def signatures_of(generator, level: int, fade: float, noise: str) -> dict[str, Signature]:
    """All signatures of a generator, by name; arguments as in `serving.write`."""
    pictures = _Pictures(generator, level, fade)
    own_noise = noise == "random" and pictures.noise_images
    decided = "latents and noise" if own_noise else "the latents"
    latents = {"latents": Input(tf.float32, (generator.latent_size,), "normal random numbers")}
    seed = {"seed": Input(tf.int64, (), f"decides {decided}, as --seeds of generate_images.py", 0, MAX_SEED)}
    labels, truncation, noise_seed = {}, {}, {}
    if generator.label_size:
        labels["labels"] = Input(tf.float32, (generator.label_size,), "1 for the class, 0 for all others")
    if pictures.has_mapping:
        layers = max(generator.num_layers, USUAL_CUTOFF)
        truncation["truncation_psi"] = Input(tf.float32, (), "0.7 is usual, 1 for no truncation", *PSI_RANGE)
        truncation["truncation_cutoff"] = Input(tf.int32, (), f"truncated layers; {USUAL_CUTOFF} is usual", 0, layers)
    if pictures.noise_images:
        noise_seed["noise_seed"] = Input(tf.int64, (), "-1 for the network's own noise", -1, MAX_SEED)

    @_shared
    def from_latents(latents, **choices):
        return _to_uint8(pictures.images(latents, **choices))

    @_shared
    def from_seed(seed, **choices):
        drawn = randn(seed, generator.latent_size)
        return _to_uint8(pictures.images(drawn, noise_seed=seed if own_noise else None, **choices))

    size, channels = generator.resolution >> pictures.level, generator.num_channels
    pixels = f"uint8 [N, {size}, {size}, {channels}]"
    table = {
        "serving_default": Signature(latents | labels | truncation, "images", pixels, from_latents),
        "from_seed": Signature(seed | labels | truncation, "images", pixels, from_seed),
    }
    if channels in PNG_CHANNELS:
        for name, plain in (("generate_png", "from_seed"), ("generate_png_from_latents", "serving_default")):
            table[name] = Signature(
                table[plain].inputs, "png_bytes", "a PNG file a row", _as_png(table[plain].function)
            )
    if pictures.has_mapping:
        width = generator.synthesis.dlatent_size
        dlatents = Input(tf.float32, (generator.num_layers, width), "w of each layer, from mapping")
        described = f"float32 [N, {generator.num_layers}, {width}]"
        table["mapping"] = Signature(latents | labels, "dlatents", described, pictures.mapping)
        inputs = {"dlatents": dlatents} | noise_seed
        table["synthesis"] = Signature(inputs, "images", f"float32 {pixels[6:]}, mostly in [-1, 1]", pictures.synthesis)
    return table


def _shared(function, **options):
    """The function as one graph, which every signature that calls it shares."""
    return tf.function(function, autograph=False, **options)


class _Pictures:
    """A generator in graphs: truncation and noise are chosen for each picture."""

    def __init__(self, generator, level, fade):
        self.generator = generator
        self.has_mapping = isinstance(generator, Generator)
        fixed = self.has_mapping and generator.synthesis.fixed  # does not grow, and ignores both
        self.level, self.fade = (0, 0.0) if fixed else (level, fade)
        layers = 2 * (num_stages(generator.resolution) - self.level)
        self.noise_images = generator.synthesis.noise_images[:layers] if self.has_mapping else []
        self.noise = _shared(self._noise)
        if self.has_mapping:
            dlatents = tf.TensorSpec([None, generator.num_layers, generator.synthesis.dlatent_size])
            noise = [tf.TensorSpec([None, *image.shape[1:]]) for image in self.noise_images]
            self.graph = _shared(self._synthesis, input_signature=[dlatents, noise])

    def _synthesis(self, dlatents, noise):
        return self.generator.synthesis(dlatents, self.level, self.fade, randomize_noise=False, noise=noise)

    def mapping(self, latents, labels=None):
        return self.generator.mapping(latents, labels)

    def synthesis(self, dlatents, noise_seed=None):
        stored = [image.value for image in self.noise_images]
        return self.graph(dlatents, stored if noise_seed is None else self.noise(noise_seed))

    def images(self, latents, labels=None, truncation_psi=None, truncation_cutoff=None, noise_seed=None):
        if not self.has_mapping:
            return self.generator(latents, labels, self.level, self.fade)
        dlatents = self.truncate(self.mapping(latents, labels), truncation_psi, truncation_cutoff)
        return self.synthesis(dlatents, noise_seed)

    def truncate(self, dlatents, psi, cutoff):
        """`Generator.truncate` with psi and cutoff of each picture: [N, L, D], [N], [N]."""
        truncated = tf.range(self.generator.num_layers) < cutoff[:, None]  # [N, L]
        factor = tf.where(truncated, psi[:, None], 1.0)[..., None]
        return ops.lerp(self.generator.dlatent_avg.value, dlatents, factor)

    def _noise(self, seeds):
        """`figures.noise_from_seeds`, but the stored noise where a seed is -1: [N, H, W, 1] for each layer."""
        counts = [math.prod(image.shape) for image in self.noise_images]
        stored = tf.concat([tf.reshape(image.value, [1, -1]) for image in self.noise_images], axis=1)
        drawn = tf.cond(
            tf.reduce_any(seeds >= 0),
            lambda: randn(tf.maximum(seeds, 0), sum(counts), NOISE_STREAM),
            lambda: tf.zeros([tf.shape(seeds)[0], sum(counts)]),
        )
        parts = tf.split(tf.where(seeds[:, None] >= 0, drawn, stored), counts, axis=1)
        return [tf.reshape(part, [-1, *image.shape[1:]]) for part, image in zip(parts, self.noise_images, strict=True)]


def _to_uint8(images):
    """`images.to_uint8` for [-1, 1]."""
    return tf.cast(tf.clip_by_value(tf.floor(images * 127.5 + 128), 0, 255), tf.uint8)


def _as_png(function):
    """The same function with PNG files for images: uint8 [N, H, W, C] becomes bytes [N]."""
    return lambda **inputs: tf.map_fn(tf.io.encode_png, function(**inputs), fn_output_signature=tf.string)
