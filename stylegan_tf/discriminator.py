"""The discriminator, shared with Progressive GAN but for its low-pass filters (D_basic)."""

import keras
from keras import ops as K

from stylegan_tf import ops
from stylegan_tf.growth import check_level, num_features, num_stages
from stylegan_tf.layers import ConvDownscale2D, EqualizedConv2D, EqualizedDense, MinibatchStddev, base_config
from stylegan_tf.network import Network, is_fixed, known_zero, options_of


@keras.saving.register_keras_serializable("stylegan_tf")
class DiscriminatorBlock(keras.layers.Layer):
    """One resolution: [N, H, W, C] to [N, H / 2, W / 2, next_features]."""

    def __init__(self, features, next_features, fused_scale, blur_filter, conv_options, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.features = features
        self.next_features = next_features
        self.down_options = dict(fused_scale=fused_scale, blur_filter=blur_filter)
        self.conv_options = conv_options

    def build(self, input_shape):
        options = dict(dtype=self.dtype_policy, **self.conv_options)
        self.conv = EqualizedConv2D(self.features, name="Conv0", **options)
        self.conv.build(input_shape)
        self.down = ConvDownscale2D(self.next_features, name="Conv1_down", **self.down_options, **options)
        self.down.build([*input_shape[:-1], self.features])

    def call(self, x):
        return self.down(self.conv(x))

    def get_config(self):
        own = {"features": self.features, "next_features": self.next_features, **self.down_options}
        return {**base_config(self), **own, "conv_options": dict(self.conv_options)}


@keras.saving.register_keras_serializable("stylegan_tf")
class DiscriminatorHead(keras.layers.Layer):
    """The 4x4 block: stddev, convolution, two dense layers; [N, 4, 4, C] to logits [N, max(label_size, 1)]."""

    def __init__(self, conv_features, dense_features, logits, group_size, num_new_features, conv_options, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.conv_features = conv_features
        self.dense_features = dense_features
        self.logits = logits
        self.group_size = group_size
        self.num_new_features = num_new_features if group_size > 1 else 0
        self.conv_options = conv_options

    def build(self, input_shape):
        options = dict(dtype=self.dtype_policy, **self.conv_options)
        if self.num_new_features:
            self.stddev = MinibatchStddev(self.group_size, self.num_new_features, dtype=self.dtype_policy)
        self.conv = EqualizedConv2D(self.conv_features, name="Conv", **options)
        self.conv.build([None, 4, 4, input_shape[-1] + self.num_new_features])
        self.dense = EqualizedDense(self.dense_features, name="Dense0", **options)
        self.dense.build([None, 4, 4, self.conv_features])
        self.output_dense = EqualizedDense(self.logits, name="Dense1", **{**options, "gain": 1, "activation": None})
        self.output_dense.build([None, self.dense_features])

    def call(self, x):
        x = self.stddev(x) if self.num_new_features else x
        return self.output_dense(self.dense(self.conv(x)))

    def get_config(self):
        keys = ("conv_features", "dense_features", "logits", "group_size", "num_new_features")
        own = {key: getattr(self, key) for key in keys}
        return {**base_config(self), **own, "conv_options": dict(self.conv_options)}


@keras.saving.register_keras_serializable("stylegan_tf")
class Discriminator(Network):
    """Images to scores (D_basic); the mirror image of the synthesis network's growth.

    Args:
        num_channels: Colour channels of the images.
        resolution: Full resolution R, a power of two from 8 to 1024.
        label_size: Number of classes; the score is then the logit of the image's class.
        fmap_base, fmap_decay, fmap_max: Feature maps of a stage, see `growth.num_features`.
        nonlinearity: "lrelu" or "relu".
        use_wscale: Equalized learning rate.
        mbstd_group_size: Samples per group of the minibatch stddev; 0 or 1 for none.
        mbstd_num_features: Feature maps that it adds.
        fused_scale: Kept for the original's configurations; fused and unfused are the same function here (trap 2).
        blur_filter: Low-pass filter before down-convolutions; None for none.
        structure: As in `SynthesisNetwork`.
        dtype: "float32", "bfloat16" or "float16" for the computation.

    Shapes:
        images [N, R >> level, R >> level, C] in [-1, 1], labels [N, label_size]; output [N, 1], float32.
    """

    def __init__(
        self,
        num_channels=3,
        resolution=1024,
        label_size=0,
        fmap_base=8192,
        fmap_decay=1.0,
        fmap_max=512,
        nonlinearity="lrelu",
        use_wscale=True,
        mbstd_group_size=4,
        mbstd_num_features=1,
        fused_scale="auto",
        blur_filter=(1, 2, 1),
        structure="auto",
        name="discriminator",
        dtype="float32",
    ):
        super().__init__(options_of(locals()), name, dtype)
        self.resolution = resolution
        self.num_channels = num_channels
        self.label_size = label_size
        self.fixed = is_fixed(structure)
        # features[stage] is the width at 4 << stage pixels; dense_features that of stage 0 in the original's count
        self.dense_features, *self.features = [
            num_features(stage, fmap_base, fmap_decay, fmap_max) for stage in range(num_stages(resolution) + 1)
        ]
        self.conv_options = dict(equalized_lr=use_wscale, activation=nonlinearity)
        self.down_options = dict(fused_scale=fused_scale, blur_filter=blur_filter)
        self.stddev_options = dict(group_size=mbstd_group_size, num_new_features=mbstd_num_features)
        self.build()

    def build(self, input_shape=None):
        last = len(self.features) - 1
        self.from_rgb, self.blocks = [], []  # full resolution first
        for level, stage in enumerate(range(last, -1, -1)):
            size, features = 4 << stage, self.features[stage]
            if level == 0 or not self.fixed:
                shape, options = (
                    [None, size, size, self.num_channels],
                    dict(kernel_size=1, **self.conv_options),
                )
                name = f"FromRGB_lod{level}"
                self.from_rgb.append(self.add_layer(EqualizedConv2D, features, shape=shape, name=name, **options))
            if stage:
                shape, options = (
                    [None, size, size, features],
                    dict(conv_options=self.conv_options, **self.down_options),
                )
                widths, name = (features, self.features[stage - 1]), f"{size}x{size}"
                self.blocks.append(self.add_layer(DiscriminatorBlock, *widths, shape=shape, name=name, **options))
        widths = self.features[0], self.dense_features, max(self.label_size, 1)
        options = dict(conv_options=self.conv_options, name="4x4", **self.stddev_options)
        self.head = self.add_layer(DiscriminatorHead, *widths, shape=[None, 4, 4, self.features[0]], **options)

    def call(self, images, labels=None, level=0, fade=0.0):
        level, fade = (0, 0.0) if self.fixed else (level, fade)
        check_level(level, len(self.features))
        size = self.resolution >> level
        if images.shape[1:] != (size, size, self.num_channels):
            raise ValueError(
                f"at level {level} the discriminator expects images [N, {size}, {size}, {self.num_channels}], "
                f"not {tuple(images.shape)}"
            )
        x = self.from_rgb[level](images)
        for index, block in enumerate(self.blocks[level:], start=level):
            x = block(x)
            if index == level and not known_zero(fade):
                coarse = self.from_rgb[level + 1](ops.downscale2d(images))
                x = ops.lerp(x, coarse, K.cast(fade, x.dtype))
        scores = K.cast(self.head(x), "float32")
        if self.label_size:
            labels = K.zeros_like(scores) if labels is None else K.cast(labels, "float32")
            scores = K.sum(scores * labels, axis=1, keepdims=True)
        return scores
