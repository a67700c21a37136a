"""The style-based generator: mapping, truncation or style mixing, synthesis (figure 1b; G_style).

latents, labels ─ MappingNetwork ─▶ w ─ truncation | style mixing ─▶ one w a layer ─ SynthesisNetwork ─▶ images
"""

import inspect

import keras
from keras import ops as K

from stylegan_tf import ops
from stylegan_tf.initial import filled
from stylegan_tf.mapping import MappingNetwork
from stylegan_tf.network import Network, options_of
from stylegan_tf.synthesis import SynthesisNetwork

AS_BUILT = "as built"  # argument of a call: use the value given to the constructor; None already means "off"

MAPPING_OPTIONS = inspect.signature(MappingNetwork).parameters.keys() - {"dlatent_broadcast", "name", "dtype"}
SYNTHESIS_OPTIONS = inspect.signature(SynthesisNetwork).parameters.keys() - {"name", "dtype"}


@keras.saving.register_keras_serializable("stylegan_tf")
class Generator(Network):
    """Mapping, truncation or style mixing, synthesis (G_style).

    Args:
        truncation_psi: Truncation of a plain call (section 4 and appendix B); None or 1 for none.
        truncation_cutoff: Number of first layers that are truncated; None or 0 for no truncation at all (trap 32).
        truncation_psi_val, truncation_cutoff_val: The same for `validation=True`.
        dlatent_avg_beta: Decay of the running mean of w; None or 1 to leave the mean alone.
        style_mixing_prob: Probability that a training batch mixes two latents (section 3.1); None or 0 for never.
        **options: Those of `MappingNetwork` and `SynthesisNetwork`. The original ignores an unknown one; here it is a
            TypeError.

    Shapes:
        latents [N, latent_size], labels [N, label_size]; output [N, R >> level, R >> level, C], float32.
    """

    def __init__(
        self,
        truncation_psi=0.7,
        truncation_cutoff=8,
        truncation_psi_val=None,
        truncation_cutoff_val=None,
        dlatent_avg_beta=0.995,
        style_mixing_prob=0.9,
        name="generator",
        dtype="float32",
        **options,
    ):
        unknown = options.keys() - MAPPING_OPTIONS - SYNTHESIS_OPTIONS
        if unknown:
            raise TypeError(f"Generator has no option {', '.join(map(repr, sorted(unknown)))}")
        own = options_of(locals())
        super().__init__({key: own[key] for key in own if key not in ("options", "unknown")} | options, name, dtype)
        self.truncation_psi = truncation_psi
        self.truncation_cutoff = truncation_cutoff
        self.truncation_psi_val = truncation_psi_val
        self.truncation_cutoff_val = truncation_cutoff_val
        self.dlatent_avg_beta = dlatent_avg_beta
        self.style_mixing_prob = style_mixing_prob
        with keras.name_scope(name):
            chosen = {key: options[key] for key in SYNTHESIS_OPTIONS & options.keys()}
            self.synthesis = SynthesisNetwork(dtype=dtype, **chosen)
            self.num_layers = self.synthesis.num_layers
            chosen = {key: options[key] for key in MAPPING_OPTIONS & options.keys()}
            self.mapping = MappingNetwork(dlatent_broadcast=self.num_layers, dtype=dtype, **chosen)
        self.resolution = self.synthesis.resolution
        self.num_channels = self.synthesis.num_channels
        self.latent_size = self.mapping.latent_size
        self.label_size = self.mapping.label_size
        self.build()

    def build(self, input_shape=None):
        size = [self.synthesis.dlatent_size]
        self.dlatent_avg = self.add_weight(
            name="dlatent_avg",
            shape=size,
            initializer=filled(0),
            trainable=False,
            aggregation="mean",  # of what several devices assign
        )

    def call(
        self,
        latents,
        labels=None,
        level=0,
        fade=0.0,
        truncation_psi=AS_BUILT,
        truncation_cutoff=AS_BUILT,
        randomize_noise=None,
        noise=None,
        seed=None,
        training=False,
        validation=False,
    ):
        """Latents to images.

        Args:
            latents: z, [N, latent_size].
            labels: [N, label_size]; None for zeros.
            level, fade: Output resolution, `R >> level`, and how far it is blended into the next lower one, 0 to 1.
            truncation_psi, truncation_cutoff: Override the constructor's.
            randomize_noise: True for new noise, False for the stored noise, None as constructed.
            noise: Noise images to use instead, a sequence of [N or 1, H, W, 1].
            seed: Pair of integers that decides all random draws of this call; None for fresh ones.
            training: Moves the running mean of w and mixes styles; no truncation.
            validation: Truncates by the `_val` options, by default not at all.
        """
        if training and validation:
            raise ValueError("training and validation exclude each other")
        stream = None if seed is None else ops.SeedStream(seed)
        dlatents = self.mapping(latents, labels)
        if training:
            self.track_average(dlatents)
            dlatents = self.mix_styles(dlatents, labels, level, stream)
        else:
            psi, cutoff = self.truncation_psi, self.truncation_cutoff
            if validation:
                psi, cutoff = self.truncation_psi_val, self.truncation_cutoff_val
            psi = psi if truncation_psi is AS_BUILT else truncation_psi
            cutoff = cutoff if truncation_cutoff is AS_BUILT else truncation_cutoff
            dlatents = self.truncate(dlatents, psi, cutoff)
        noise_seed = None if stream is None else stream.next()
        return self.synthesis(dlatents, level, fade, randomize_noise, noise, noise_seed)

    def truncate(self, dlatents, psi=0.7, cutoff=8):
        """Move the first `cutoff` layers of w towards the mean w: [N, L, D] to the same shape (appendix B)."""
        if psi is None or not cutoff or (isinstance(psi, int | float) and psi == 1):
            return dlatents
        truncated = K.reshape(K.arange(self.num_layers) < cutoff, [1, -1, 1])
        return ops.lerp(self.dlatent_avg, dlatents, K.where(truncated, K.cast(psi, "float32"), 1.0))

    def track_average(self, dlatents):
        """Move the running mean of w by this batch, without bias correction (traps 27 and 28)."""
        if self.dlatent_avg_beta not in (None, 1):
            mean = K.mean(dlatents[:, 0], axis=0)
            self.dlatent_avg.assign(ops.lerp(mean, self.dlatent_avg, self.dlatent_avg_beta))

    def mix_styles(self, dlatents, labels, level, stream):
        """Give the layers from a random crossover on to second latents; one decision for the whole batch (trap 33)."""
        layers = self.num_layers - 2 * level
        if not self.style_mixing_prob or layers < 2:
            return dlatents
        shape = [K.shape(dlatents)[0], self.latent_size]
        others = self.mapping(keras.random.normal(shape, seed=stream), labels)
        mixed = keras.random.uniform([], seed=stream) < self.style_mixing_prob
        crossover = K.where(mixed, keras.random.randint([], 1, layers, seed=stream), layers)
        return K.where(K.reshape(K.arange(self.num_layers) < crossover, [1, -1, 1]), dlatents, others)
