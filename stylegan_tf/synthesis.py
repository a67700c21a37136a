"""The synthesis network: from a constant, through noise and styles, to a picture (G_synthesis)."""

import keras
from keras import ops as K

from stylegan_tf import ops
from stylegan_tf.growth import check_level, num_features, num_stages
from stylegan_tf.initial import filled, normal
from stylegan_tf.layers import GAIN, EqualizedConv2D, EqualizedDense, LayerEpilogue, UpscaleConv2D, base_config
from stylegan_tf.network import Network, is_fixed, known_zero, options_of


@keras.saving.register_keras_serializable("stylegan_tf")
class LearnedConstant(keras.layers.Layer):
    """The 4x4 input image of the synthesis network, initially ones: dlatents [N, ...] to [N, 4, 4, features]."""

    def __init__(self, features, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.features = features

    def build(self, input_shape=None):
        self.const = self.add_weight(name="const", shape=[1, 4, 4, self.features], initializer=filled(1))

    def call(self, dlatents):
        return K.broadcast_to(K.cast(self.const, self.compute_dtype), [K.shape(dlatents)[0], 4, 4, self.features])

    def get_config(self):
        return {**base_config(self), "features": self.features}


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
        stages = num_stages(resolution)
        self.resolution = resolution
        self.num_channels = num_channels
        self.dlatent_size = dlatent_size
        self.use_styles = use_styles
        self.use_noise = use_noise
        self.randomize_noise = randomize_noise
        self.fixed = is_fixed(structure)
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
                        initializer=normal(1.0),
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
        if stages > 1 and not known_zero(fade):
            coarse_image = K.cast(self.to_rgb[stages - 2](coarse), "float32")
            image = ops.lerp(image, ops.upscale2d(coarse_image), K.cast(fade, "float32"))
        return image
