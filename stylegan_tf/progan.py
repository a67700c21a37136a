"""The networks of Progressive GAN (Karras et al. 2018): configuration A of the 2019 paper's table 1 (G_paper, D_paper).

What differs from StyleGAN's: z enters by a dense layer and is all that the generator gets; pixel norm; no noise, no
low-pass filters; every up-convolution is the fused form (trap 1); leaky ReLU has derivative 0.2 at zero (trap 18).
"""

import keras
from keras import ops as K

from stylegan_tf import ops
from stylegan_tf.discriminator import Discriminator, DiscriminatorBlock
from stylegan_tf.generator import AS_BUILT
from stylegan_tf.growth import check_level, num_features, num_stages
from stylegan_tf.layers import GAIN, EqualizedConv2D, EqualizedDense, LayerEpilogue, UpscaleConv2D, base_config
from stylegan_tf.network import Network, known_zero, options_of


class ProGANBlock(keras.layers.Layer):
    """What the two kinds of blocks share.

    Args:
        features: Width of the block.
        conv_options: Options of `EqualizedConv2D`: equalized_lr, activation.
        pixelnorm_epsilon: Added to the mean square by the pixel norm that ends every layer; None for no pixel norm.
    """

    def __init__(self, features, conv_options, pixelnorm_epsilon, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.features = features
        self.conv_options = conv_options
        self.pixelnorm_epsilon = pixelnorm_epsilon

    def normalize(self, x):
        """[N, H, W, C] to the same shape."""
        return x if self.pixelnorm_epsilon is None else ops.pixel_norm(x, self.pixelnorm_epsilon)

    def get_config(self):
        own = {"features": self.features, "pixelnorm_epsilon": self.pixelnorm_epsilon}
        return {**base_config(self), **own, "conv_options": dict(self.conv_options)}


@keras.saving.register_keras_serializable("stylegan_tf")
class ProGANInput(ProGANBlock):
    """The 4x4 block, dense layer and convolution: [N, D] to [N, 4, 4, features]."""

    def build(self, input_shape):
        options = dict(dtype=self.dtype_policy, **self.conv_options)
        plain = {**options, "gain": GAIN / 4, "activation": None, "use_bias": False}
        self.dense = EqualizedDense(16 * self.features, name="Dense", **plain)
        self.dense.build(input_shape)
        shape = [None, 4, 4, self.features]
        self.bias = LayerEpilogue(  # one value a feature map, where the dense layer has 16 outputs
            None,
            nonlinearity=self.conv_options["activation"],
            use_noise=False,
            use_instance_norm=False,
            use_styles=False,
            name="Dense",
            dtype=self.dtype_policy,
        )
        self.bias.build(shape)
        self.conv = EqualizedConv2D(self.features, name="Conv", **options)
        self.conv.build(shape)

    def call(self, x):
        x = K.reshape(self.dense(x), [-1, self.features, 4, 4])  # in the original's order C, H, W (trap 12)
        x = self.normalize(self.bias(K.transpose(x, [0, 2, 3, 1])))
        return self.normalize(self.conv(x))


@keras.saving.register_keras_serializable("stylegan_tf")
class ProGANUpBlock(ProGANBlock):
    """Two layers at a new resolution: [N, H, W, C] to [N, 2H, 2W, features]."""

    def __init__(self, features, conv_options, pixelnorm_epsilon, fused_scale=True, **kwargs):
        super().__init__(features, conv_options, pixelnorm_epsilon, **kwargs)
        self.fused_scale = fused_scale

    def build(self, input_shape):
        options = dict(dtype=self.dtype_policy, **self.conv_options)
        name = "Conv0_up" if self.fused_scale else "Conv0"
        self.up = UpscaleConv2D(self.features, fused_scale=self.fused_scale, blur_filter=None, name=name, **options)
        self.up.build(input_shape)
        self.conv = EqualizedConv2D(self.features, name="Conv1", **options)
        self.conv.build([None, 2 * input_shape[1], 2 * input_shape[2], self.features])

    def call(self, x):
        return self.normalize(self.conv(self.normalize(self.up(x))))

    def get_config(self):
        return {**super().get_config(), "fused_scale": self.fused_scale}


@keras.saving.register_keras_serializable("stylegan_tf")
class ProGANGenerator(Network):
    """Latents to images (G_paper).

    Args:
        num_channels: Colour channels of the image.
        resolution: Full resolution R, a power of two from 8 to 1024.
        label_size: Number of label components, concatenated to z; 0 for none.
        fmap_base, fmap_decay, fmap_max: Feature maps of a stage, see `growth.num_features`.
        latent_size: Size of z; None for the feature maps of stage 0.
        normalize_latents: Pixel norm over z and label together.
        use_wscale: Equalized learning rate.
        use_pixelnorm: Pixel norm after every layer.
        pixelnorm_epsilon: Added to the mean square, in both.
        use_leakyrelu: Leaky ReLU; False for ReLU.
        fused_scale: Which of two functions a stored up-convolution kernel stands for, at every resolution: the fused
            one, or upscale-then-convolve (trap 1). There is no "auto".
        structure: None, "linear" and "recursive", which are equal in the original up to rounding, are one here.
        dtype: "float32", "bfloat16" or "float16" for the computation.

    Shapes:
        latents [N, latent_size], labels [N, label_size]; output [N, R >> level, R >> level, C], float32.
    """

    def __init__(
        self,
        num_channels=3,
        resolution=1024,
        label_size=0,
        fmap_base=8192,
        fmap_decay=1.0,
        fmap_max=512,
        latent_size=None,
        normalize_latents=True,
        use_wscale=True,
        use_pixelnorm=True,
        pixelnorm_epsilon=1e-8,
        use_leakyrelu=True,
        fused_scale=True,
        structure=None,
        name="generator",
        dtype="float32",
    ):
        _check(fused_scale, structure)
        super().__init__(options_of(locals()), name, dtype)
        widths = [num_features(stage, fmap_base, fmap_decay, fmap_max) for stage in range(num_stages(resolution) + 1)]
        self.resolution = resolution
        self.num_channels = num_channels
        self.label_size = label_size
        self.latent_size = widths[0] if latent_size is None else latent_size
        self.features = widths[1:]  # features[stage] is the width at 4 << stage pixels
        self.normalize_latents = normalize_latents
        self.pixelnorm_epsilon = pixelnorm_epsilon
        self.fused_scale = fused_scale
        self.block_options = dict(
            conv_options=dict(equalized_lr=use_wscale, activation="lrelu_progan" if use_leakyrelu else "relu"),
            pixelnorm_epsilon=pixelnorm_epsilon if use_pixelnorm else None,
        )
        self.build()

    def build(self, input_shape=None):
        shape = [None, self.latent_size + self.label_size]
        self.blocks = [self.add_layer(ProGANInput, self.features[0], shape=shape, name="4x4", **self.block_options)]
        self.to_rgb = []
        for stage, features in enumerate(self.features):
            size = 4 << stage
            if stage:
                shape = [None, size // 2, size // 2, self.features[stage - 1]]
                options = dict(fused_scale=self.fused_scale, name=f"{size}x{size}", **self.block_options)
                self.blocks.append(self.add_layer(ProGANUpBlock, features, shape=shape, **options))
            equalized_lr = self.block_options["conv_options"]["equalized_lr"]
            options = dict(equalized_lr=equalized_lr, name=f"ToRGB_lod{len(self.features) - 1 - stage}")
            shape = [None, size, size, features]
            rgb = self.add_layer(EqualizedConv2D, self.num_channels, 1, gain=1, shape=shape, **options)
            self.to_rgb.append(rgb)

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
            truncation_psi: Must be None or 1 if given: there is no w to truncate.
            truncation_cutoff, randomize_noise, noise, seed, training, validation: As `Generator` has them; without
                influence, as nothing here is truncated, random or different in training.
        """
        if not (truncation_psi is AS_BUILT or truncation_psi in (None, 1)):
            raise ValueError(f"truncation_psi is {truncation_psi}, but a Progressive GAN has no w to truncate; use 1")
        check_level(level, len(self.blocks))
        x = self.join(latents, labels)
        coarse, stages = None, len(self.blocks) - level  # 4x4 first
        for block in self.blocks[:stages]:
            coarse, x = x, block(x)
        image = K.cast(self.to_rgb[stages - 1](x), "float32")
        if stages > 1 and not known_zero(fade):
            coarse_image = K.cast(self.to_rgb[stages - 2](coarse), "float32")
            image = ops.lerp(image, ops.upscale2d(coarse_image), K.cast(fade, "float32"))
        return image

    def join(self, latents, labels=None):
        """The first layer's input, z and label normalised together (trap 19): [N, latent_size + label_size]."""
        if labels is None:
            labels = K.zeros([K.shape(latents)[0], self.label_size])
        sizes = (latents.shape[-1], labels.shape[-1])
        if sizes != (self.latent_size, self.label_size):
            raise ValueError(
                f"the generator expects latents [N, {self.latent_size}] and labels [N, {self.label_size}], "
                f"not {tuple(latents.shape)} and {tuple(labels.shape)}"
            )
        x = K.concatenate([K.cast(latents, self.compute_dtype), K.cast(labels, self.compute_dtype)], axis=1)
        return ops.pixel_norm(x, self.pixelnorm_epsilon) if self.normalize_latents else x


@keras.saving.register_keras_serializable("stylegan_tf")
class UnfusedDiscriminatorBlock(DiscriminatorBlock):
    """A block of D_paper that is not fused: bias and activation come before the averaging, not after it."""

    def build(self, input_shape):
        options = dict(dtype=self.dtype_policy, **self.conv_options)
        self.conv = EqualizedConv2D(self.features, name="Conv0", **options)
        self.conv.build(input_shape)
        self.second_conv = EqualizedConv2D(self.next_features, name="Conv1", **options)
        self.second_conv.build([*input_shape[:-1], self.features])

    def call(self, x):
        return ops.downscale2d(self.second_conv(self.conv(x)))


@keras.saving.register_keras_serializable("stylegan_tf")
class ProGANDiscriminator(Discriminator):
    """Images to scores (D_paper): StyleGAN's discriminator without low-pass filters and without use for labels.

    Args:
        num_channels, resolution, fmap_base, fmap_decay, fmap_max, use_wscale, mbstd_group_size, dtype: See
            `Discriminator`.
        label_size: Accepted, like the labels of a call, and unused, as in the original: there is one score.
        fused_scale: Whether a block averages before bias and activation, in its second convolution, or after them.
            Unlike in StyleGAN's discriminator (trap 2) these are two functions, with variables of different names.
        structure: As in `ProGANGenerator`.

    Shapes:
        images [N, R >> level, R >> level, C] in [-1, 1], labels [N, any size]; output [N, 1], float32.
    """

    def __init__(
        self,
        num_channels=3,
        resolution=1024,
        label_size=0,
        fmap_base=8192,
        fmap_decay=1.0,
        fmap_max=512,
        use_wscale=True,
        mbstd_group_size=4,
        fused_scale=True,
        structure=None,
        name="discriminator",
        dtype="float32",
    ):
        options = options_of(locals())
        _check(fused_scale, structure)
        shared = {key: value for key, value in options.items() if key not in ("label_size", "structure")}
        super().__init__(nonlinearity="lrelu_progan", blur_filter=None, name=name, dtype=dtype, **shared)
        self.options = options

    def add_layer(self, layer_class, *args, **kwargs):
        if layer_class is DiscriminatorBlock and not self.down_options["fused_scale"]:
            layer_class = UnfusedDiscriminatorBlock
        return super().add_layer(layer_class, *args, **kwargs)


def _check(fused_scale, structure):
    if fused_scale not in (True, False):
        raise ValueError(f"fused_scale must be True or False in a Progressive GAN, not {fused_scale!r}")
    if structure not in (None, "linear", "recursive"):
        raise ValueError(f'structure must be None, "linear" or "recursive" in a Progressive GAN, not {structure!r}')
