"""The style-based generator: mapping network, synthesis network, and both together (figure 1b).

latents, labels ─ MappingNetwork ─▶ w ─ truncation | style mixing ─▶ one w a layer ─ SynthesisNetwork ─▶ images
"""

import inspect

import keras
from keras import ops as K

from stylegan_tf import ops
from stylegan_tf.growth import check_level, num_features, num_stages
from stylegan_tf.layers import (
    GAIN,
    EqualizedConv2D,
    EqualizedDense,
    LayerEpilogue,
    UpscaleConv2D,
    base_config,
    dtype_policy,
)

AS_BUILT = "as built"  # argument of a call: use the value given to the constructor; None already means "off"


@keras.saving.register_keras_serializable("stylegan_tf")
class LabelEmbedding(keras.layers.Layer):
    """Linear embedding of class labels, appended to the latents: no equalized scaling, no bias (trap 19).

    Shapes:
        latents [N, Z], labels [N, classes]; output [N, 2 Z]; `weight` [classes, Z], standard normal.
    """

    def __init__(self, latent_size, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.latent_size = latent_size

    def build(self, labels_shape):
        self.weight = self.add_weight(
            name="weight",
            shape=[labels_shape[-1], self.latent_size],
            initializer=keras.initializers.RandomNormal(0.0, 1.0),
        )

    def call(self, labels, latents):
        embedding = K.matmul(K.cast(labels, self.compute_dtype), K.cast(self.weight, self.compute_dtype))
        return K.concatenate([latents, embedding], axis=-1)

    def get_config(self):
        return {**base_config(self), "latent_size": self.latent_size}


@keras.saving.register_keras_serializable("stylegan_tf")
class LearnedConstant(keras.layers.Layer):
    """The 4x4 input image of the synthesis network, initially ones: dlatents [N, ...] to [N, 4, 4, features]."""

    def __init__(self, features, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.features = features

    def build(self, input_shape=None):
        self.const = self.add_weight(name="const", shape=[1, 4, 4, self.features], initializer="ones")

    def call(self, dlatents):
        return K.broadcast_to(K.cast(self.const, self.compute_dtype), [K.shape(dlatents)[0], 4, 4, self.features])

    def get_config(self):
        return {**base_config(self), "features": self.features}


class Network(keras.Model):
    """A network whose weights all exist once it is constructed, and whose options are its configuration."""

    def __init__(self, options, name, dtype):
        super().__init__(name=name, dtype=dtype_policy(dtype), autocast=False)
        self.options = options

    def add_layer(self, layer_class, *args, shape=None, **kwargs):
        """Construct a layer in this network's dtype and build it for inputs of `shape`."""
        layer = layer_class(*args, dtype=self.dtype_policy, **kwargs)
        layer.build(shape)
        return layer

    def __call__(self, inputs, *args, **kwargs):
        """Call with the arguments of `call` in any form; Keras alone takes nothing but tensors by position."""
        names = list(inspect.signature(self.call).parameters)[1:]
        return super().__call__(inputs, **dict(zip(names, args, strict=False)), **kwargs)

    def get_config(self):
        return {**self.options, "name": self.name, "dtype": self.dtype_policy.name}


def options_of(arguments):
    """The constructor's own arguments out of its `locals()`."""
    return {key: value for key, value in arguments.items() if key not in ("self", "name", "dtype", "__class__")}


@keras.saving.register_keras_serializable("stylegan_tf")
class MappingNetwork(Network):
    """f: Z to W, a normalisation and a deep stack of dense layers (G_mapping).

    Args:
        latent_size: Size of z.
        label_size: Number of classes, 0 for none.
        dlatent_size: Size of w.
        dlatent_broadcast: Number of copies of w; None for one without an axis of its own.
        mapping_layers: Number of dense layers; with 0, w is the normalised z.
        mapping_fmaps: Width of the hidden layers.
        mapping_lrmul: Learning rate of all layers, biases included, relative to the synthesis network's.
        mapping_nonlinearity: "lrelu" or "relu"; follows the last layer as well.
        use_wscale: Equalized learning rate.
        normalize_latents: Pixel norm on z and the label embedding together.
        dtype: "float32", "bfloat16" or "float16" for the computation.

    Shapes:
        latents [N, latent_size], labels [N, label_size]; output [N, dlatent_size] or
        [N, dlatent_broadcast, dlatent_size], float32.
    """

    def __init__(
        self,
        latent_size=512,
        label_size=0,
        dlatent_size=512,
        dlatent_broadcast=None,
        mapping_layers=8,
        mapping_fmaps=512,
        mapping_lrmul=0.01,
        mapping_nonlinearity="lrelu",
        use_wscale=True,
        normalize_latents=True,
        name="G_mapping",
        dtype="float32",
    ):
        super().__init__(options_of(locals()), name, dtype)
        self.latent_size = latent_size
        self.label_size = label_size
        self.dlatent_broadcast = dlatent_broadcast
        self.normalize_latents = normalize_latents
        if mapping_layers == 0 and dlatent_size != latent_size * (2 if label_size else 1):
            raise ValueError(f"without mapping layers w is the normalised z: dlatent_size {dlatent_size} does not fit")
        self.widths = [mapping_fmaps] * (mapping_layers - 1) + [dlatent_size] if mapping_layers else []
        self.dense_options = dict(equalized_lr=use_wscale, lr_multiplier=mapping_lrmul, activation=mapping_nonlinearity)
        self.build()

    def build(self, input_shape=None):
        if self.label_size:
            self.embed = self.add_layer(
                LabelEmbedding, self.latent_size, shape=[None, self.label_size], name="LabelConcat"
            )
        size = self.latent_size * (2 if self.label_size else 1)
        self.dense = []
        for index, width in enumerate(self.widths):
            self.dense.append(
                self.add_layer(EqualizedDense, width, shape=[None, size], name=f"Dense{index}", **self.dense_options)
            )
            size = width

    def call(self, latents, labels=None):
        x = K.cast(latents, self.compute_dtype)
        if self.label_size:
            x = self.embed(K.zeros([K.shape(x)[0], self.label_size]) if labels is None else labels, x)
        if self.normalize_latents:
            x = ops.pixel_norm(x)
        for layer in self.dense:
            x = layer(x)
        x = K.cast(x, "float32")
        return x if self.dlatent_broadcast is None else K.tile(x[:, None], [1, self.dlatent_broadcast, 1])


@keras.saving.register_keras_serializable("stylegan_tf")
class SynthesisInput(keras.layers.Layer):
    """The 4x4 block: a learned constant, or the traditional dense input layer, then one convolution; layers 0 and 1."""

    def __init__(self, features, dlatent_size, const_input_layer, epilogue, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.features = features
        self.dlatent_size = dlatent_size
        self.const_input_layer = const_input_layer
        self.epilogue_options = epilogue

    def build(self, input_shape=None):
        equalized_lr = self.epilogue_options["equalized_lr"]
        if self.const_input_layer:
            self.source = LearnedConstant(self.features, name="Const", dtype=self.dtype_policy)
        else:
            self.source = EqualizedDense(
                16 * self.features,
                gain=GAIN / 4,
                use_bias=False,
                equalized_lr=equalized_lr,
                name="Dense",
                dtype=self.dtype_policy,
            )
        self.source.build([None, self.dlatent_size])
        shape = [None, 4, 4, self.features]
        options = dict(dlatent_size=self.dlatent_size, dtype=self.dtype_policy, **self.epilogue_options)
        self.input_epilogue = LayerEpilogue(name=self.source.name, **options)
        self.input_epilogue.build(shape)
        self.conv = EqualizedConv2D(
            self.features, use_bias=False, equalized_lr=equalized_lr, name="Conv", dtype=self.dtype_policy
        )
        self.conv.build(shape)
        self.conv_epilogue = LayerEpilogue(name="Conv", **options)
        self.conv_epilogue.build(shape)

    def call(self, dlatents, noise):
        x = self.source(dlatents[:, 0])
        if not self.const_input_layer:  # the original's order is C, H, W
            x = K.transpose(K.reshape(x, [-1, self.features, 4, 4]), [0, 2, 3, 1])
        x = self.input_epilogue(x, dlatents[:, 0], noise[0])
        return self.conv_epilogue(self.conv(x), dlatents[:, -1], noise[1])

    def get_config(self):
        keys = ("features", "dlatent_size", "const_input_layer")
        own = {key: getattr(self, key) for key in keys}
        return {**base_config(self), **own, "epilogue": dict(self.epilogue_options)}


@keras.saving.register_keras_serializable("stylegan_tf")
class SynthesisBlock(keras.layers.Layer):
    """Two layers at a new resolution: [N, H, W, C] and dlatents [N, 2 or 1, D] to [N, 2H, 2W, features]."""

    def __init__(self, features, dlatent_size, fused_scale, blur_filter, epilogue, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.features = features
        self.dlatent_size = dlatent_size
        self.fused_scale = fused_scale
        self.blur_filter = blur_filter
        self.epilogue_options = epilogue

    def build(self, input_shape):
        conv = dict(use_bias=False, equalized_lr=self.epilogue_options["equalized_lr"], dtype=self.dtype_policy)
        self.up = UpscaleConv2D(
            self.features, fused_scale=self.fused_scale, blur_filter=self.blur_filter, name="Conv0_up", **conv
        )
        self.up.build(input_shape)
        shape = [None, 2 * input_shape[1], 2 * input_shape[2], self.features]
        options = dict(dlatent_size=self.dlatent_size, dtype=self.dtype_policy, **self.epilogue_options)
        self.up_epilogue = LayerEpilogue(name="Conv0_up", **options)
        self.up_epilogue.build(shape)
        self.conv = EqualizedConv2D(self.features, name="Conv1", **conv)
        self.conv.build(shape)
        self.conv_epilogue = LayerEpilogue(name="Conv1", **options)
        self.conv_epilogue.build(shape)

    def call(self, x, dlatents, noise):
        x = self.up_epilogue(self.up(x), dlatents[:, 0], noise[0])
        return self.conv_epilogue(self.conv(x), dlatents[:, -1], noise[1])

    def get_config(self):
        keys = ("features", "dlatent_size", "fused_scale", "blur_filter")
        own = {key: getattr(self, key) for key in keys}
        return {**base_config(self), **own, "epilogue": dict(self.epilogue_options)}


@keras.saving.register_keras_serializable("stylegan_tf")
class SynthesisNetwork(Network):
    """g: one w a layer and noise to an image (G_synthesis).

    Args:
        dlatent_size: Size of w.
        num_channels: Colour channels of the image.
        resolution: Full resolution R, a power of two from 8 to 1024.
        fmap_base, fmap_decay, fmap_max: Feature maps of a stage, see `growth.num_features`.
        use_styles: False takes a single w, as the traditional input.
        const_input_layer: Learned constant; False for a dense layer on w.
        use_noise: Noise inputs.
        randomize_noise: New noise at each call; False for the stored noise images.
        nonlinearity: "lrelu" or "relu".
        use_wscale: Equalized learning rate.
        use_pixel_norm, use_instance_norm: Normalisations after the activation.
        fused_scale: True, False or "auto"; ties stored kernels to an orientation, see `ops.upscale2d_conv2d`.
        blur_filter: Low-pass filter after up-convolutions; None for none.
        structure: "auto", "linear" and "recursive" grow by `level` and `fade`, which are equal in the original up to
            rounding; "fixed" has only the RGB layer of the full resolution and ignores both.
        dtype: "float32", "bfloat16" or "float16" for the computation.

    Shapes:
        dlatents [N, num_layers, dlatent_size] (num_layers = 2 log2 R - 2, or 1 without styles),
        noise: a sequence of [N or 1, H, W, 1], one a layer; output [N, R >> level, R >> level, C], float32.
    """

    def __init__(
        self,
        dlatent_size=512,
        num_channels=3,
        resolution=1024,
        fmap_base=8192,
        fmap_decay=1.0,
        fmap_max=512,
        use_styles=True,
        const_input_layer=True,
        use_noise=True,
        randomize_noise=True,
        nonlinearity="lrelu",
        use_wscale=True,
        use_pixel_norm=False,
        use_instance_norm=True,
        fused_scale="auto",
        blur_filter=(1, 2, 1),
        structure="auto",
        name="G_synthesis",
        dtype="float32",
    ):
        super().__init__(options_of(locals()), name, dtype)
        if structure not in ("auto", "fixed", "linear", "recursive"):
            raise ValueError(f'structure must be "auto", "fixed", "linear" or "recursive", not {structure!r}')
        stages = num_stages(resolution)
        self.resolution = resolution
        self.num_channels = num_channels
        self.dlatent_size = dlatent_size
        self.use_styles = use_styles
        self.use_noise = use_noise
        self.randomize_noise = randomize_noise
        self.fixed = structure == "fixed"
        self.features = [num_features(stage, fmap_base, fmap_decay, fmap_max) for stage in range(1, stages + 1)]
        self.num_layers = 2 * stages if use_styles else 1
        self.const_input_layer = const_input_layer
        self.up_options = dict(fused_scale=fused_scale, blur_filter=blur_filter)
        self.epilogue_options = dict(
            nonlinearity=nonlinearity,
            use_noise=use_noise,
            use_pixel_norm=use_pixel_norm,
            use_instance_norm=use_instance_norm,
            use_styles=use_styles,
            equalized_lr=use_wscale,
        )
        self.build()

    def build(self, input_shape=None):
        stages, epilogue = len(self.features), self.epilogue_options
        self.noise_images = []
        if self.use_noise:
            for index in range(2 * stages):
                size = 4 << index // 2
                self.noise_images.append(
                    self.add_weight(
                        name=f"noise{index}",
                        shape=[1, size, size, 1],
                        initializer=keras.initializers.RandomNormal(0.0, 1.0),
                        trainable=False,
                    )
                )
        self.blocks = [
            self.add_layer(
                SynthesisInput,
                self.features[0],
                self.dlatent_size,
                self.const_input_layer,
                epilogue,
                name="4x4",
            )
        ]
        self.to_rgb = []
        for stage, features in enumerate(self.features):
            size = 4 << stage
            if stage:
                shape = [None, size // 2, size // 2, self.features[stage - 1]]
                options = dict(epilogue=epilogue, name=f"{size}x{size}", **self.up_options)
                self.blocks.append(self.add_layer(SynthesisBlock, features, self.dlatent_size, shape=shape, **options))
            lod = stages - 1 - stage
            if lod == 0 or not self.fixed:
                shape, equalized_lr = [None, size, size, features], epilogue["equalized_lr"]
                options = dict(kernel_size=1, gain=1, equalized_lr=equalized_lr, name=f"ToRGB_lod{lod}")
                self.to_rgb.append(self.add_layer(EqualizedConv2D, self.num_channels, shape=shape, **options))

    def layer_noise(self, batch, layers, randomize_noise, noise, seed):
        """Noise images of the first `layers` layers: given, drawn, or stored."""
        if not self.use_noise:
            return [None] * layers
        if noise is not None:
            return noise
        if not (self.randomize_noise if randomize_noise is None else randomize_noise):
            return self.noise_images
        stream = None if seed is None else ops.SeedStream(seed)
        sizes = [4 << index // 2 for index in range(layers)]
        return [keras.random.normal([batch, size, size, 1], dtype=self.compute_dtype, seed=stream) for size in sizes]

    def call(self, dlatents, level=0, fade=0.0, randomize_noise=None, noise=None, seed=None):
        level, fade = (0, 0.0) if self.fixed else (level, fade)
        check_level(level, len(self.blocks))
        stages = len(self.blocks) - level  # 4x4 first
        dlatents = K.cast(dlatents, self.compute_dtype)
        noise = self.layer_noise(K.shape(dlatents)[0], 2 * stages, randomize_noise, noise, seed)
        coarse = x = None
        for index, block in enumerate(self.blocks[:stages]):
            part = slice(2 * index, 2 * index + 2)
            styles = dlatents[:, part] if self.use_styles else dlatents
            coarse, x = x, block(styles, noise[part]) if index == 0 else block(x, styles, noise[part])
        image = K.cast(self.to_rgb[0 if self.fixed else stages - 1](x), "float32")
        if stages > 1 and not _is_zero(fade):
            coarse_image = K.cast(self.to_rgb[stages - 2](coarse), "float32")
            image = ops.lerp(image, ops.upscale2d(coarse_image), K.cast(fade, "float32"))
        return image


def _is_zero(value):
    """Whether a value is known to be zero while the graph is built."""
    return isinstance(value, int | float) and value == 0


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
        self.dlatent_avg = self.add_weight(name="dlatent_avg", shape=size, initializer="zeros", trainable=False)

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
