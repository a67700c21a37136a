"""Layers with an equalized learning rate, and the end of every synthesis layer.

The Keras path of each weight is its name in the 2019 release (`4x4/Conv/Noise/weight`), hence the layer names.
"""

import math

import keras
from keras import ops as K

from stylegan_tf import ops
from stylegan_tf.initial import filled, normal
from stylegan_tf.xla import in_few_passes

GAIN = math.sqrt(2)  # of layers followed by an activation; leaky or not, trap 7


def dtype_policy(dtype):
    """The original's `dtype`: weights are always float32 and cast at use, so 'float16' is Keras' 'mixed_float16'."""
    name = getattr(dtype, "name", dtype)
    return f"mixed_{name}" if name in ("float16", "bfloat16") else dtype


@keras.saving.register_keras_serializable("stylegan_tf")
class EqualizedLayer(keras.layers.Layer):
    """Owner of one weight that is stored at unit variance and scaled where it is used.

    The He constant multiplies the weight at run time instead of at initialisation, so Adam, which ignores the scale of
    a gradient, moves every layer at the same relative speed (Karras et al. 2018, section 4.1).

    Args:
        gain: Gain of the following activation, sqrt(2) for leaky ReLU and 1 for linear.
        lr_multiplier: Learning rate of weight and bias relative to the optimizer's ("lrmul").
        equalized_lr: False stores the weight at its run-time scale ("use_wscale").
        use_bias: Whether a bias `[units]`, initially zero, is added.
        activation: None, "lrelu" or "relu", applied last.
    """

    def __init__(self, gain=GAIN, lr_multiplier=1.0, equalized_lr=True, use_bias=True, activation=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.gain = gain
        self.lr_multiplier = lr_multiplier
        self.equalized_lr = equalized_lr
        self.use_bias = use_bias
        self.activation = activation
        self.activate = ops.activation(activation) if activation else None

    def add_kernel(self, shape):
        """Create `weight` of `shape` (last axis: outputs) and, if wanted, `bias`."""
        std = self.gain / math.sqrt(math.prod(shape[:-1]))  # He, over the fan-in
        self.coefficient = std * self.lr_multiplier if self.equalized_lr else self.lr_multiplier
        stored_std = (1 if self.equalized_lr else std) / self.lr_multiplier
        self.weight = self.add_weight(name="weight", shape=shape, initializer=normal(stored_std))
        self.bias = self.add_weight(name="bias", shape=[shape[-1]], initializer=filled(0)) if self.use_bias else None

    @property
    def kernel(self):
        """The effective weight: stored weight times He constant, in the compute dtype."""
        return K.cast(self.weight * self.coefficient, self.compute_dtype)

    def finish(self, x):
        """Bias and activation."""
        if self.bias is not None:
            x = x + K.cast(self.bias * self.lr_multiplier, x.dtype)
        return self.activate(x) if self.activation else x

    def get_config(self):
        keys = ("gain", "lr_multiplier", "equalized_lr", "use_bias", "activation")
        return {**base_config(self), **{key: getattr(self, key) for key in keys}}


def base_config(layer):
    """Keras' own constructor arguments of `layer`."""
    return {
        "name": layer.name,
        "trainable": layer.trainable,
        "dtype": keras.dtype_policies.serialize(layer.dtype_policy),
    }


@keras.saving.register_keras_serializable("stylegan_tf")
class EqualizedDense(EqualizedLayer):
    """Fully connected layer: [N, ...] to [N, units]; weight [inputs, units].

    Activations [N, H, W, C] are flattened in the order C, H, W, so weights keep the original's layout (trap 12).
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.add_kernel([math.prod(input_shape[1:]), self.units])

    def call(self, x):
        if len(x.shape) == 4:
            x = K.reshape(K.transpose(x, [0, 3, 1, 2]), [-1, math.prod(x.shape[1:])])
        return self.finish(K.matmul(K.cast(x, self.compute_dtype), self.kernel))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("stylegan_tf")
class EqualizedConv2D(EqualizedLayer):
    """Square convolution: [N, H, W, C] to [N, H, W, filters]; weight [K, K, C, filters].

    Args:
        filters: Number of output feature maps, F.
        kernel_size: Odd kernel width K, in pixels.
    """

    def __init__(self, filters, kernel_size=3, **kwargs):
        super().__init__(**kwargs)
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, not {kernel_size}")
        self.filters = filters
        self.kernel_size = kernel_size

    def build(self, input_shape):
        self.add_kernel([self.kernel_size, self.kernel_size, input_shape[-1], self.filters])

    def call(self, x):
        return self.finish(ops.conv2d(K.cast(x, self.compute_dtype), self.kernel))

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "kernel_size": self.kernel_size}


class ResamplingConv2D(EqualizedConv2D):
    """Convolution that changes the resolution by two and is low-pass filtered on the finer side.

    Args:
        fused_scale: True, False or "auto" (fused from 128 pixels on); decides how the stored kernel of an
            up-convolution is oriented, see `ops.upscale2d_conv2d`.
        blur_filter: Taps of the low-pass filter; None for none.
    """

    def __init__(self, filters, kernel_size=3, fused_scale="auto", blur_filter=(1, 2, 1), **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        if fused_scale not in (True, False, "auto"):
            raise ValueError(f'fused_scale must be True, False or "auto", not {fused_scale!r}')
        ops.check_filter(blur_filter)
        self.fused_scale = fused_scale
        self.blur_filter = blur_filter

    def blur(self, x):
        """[N, H, W, C] to the same shape."""
        return ops.blur2d(x, self.blur_filter) if self.blur_filter else x

    def get_config(self):
        return {**super().get_config(), "fused_scale": self.fused_scale, "blur_filter": self.blur_filter}


@keras.saving.register_keras_serializable("stylegan_tf")
class UpscaleConv2D(ResamplingConv2D):
    """Upscale by two, convolve, blur: [N, H, W, C] to [N, 2H, 2W, filters]."""

    def call(self, x):
        fused = 2 * min(x.shape[1:3]) >= 128 if self.fused_scale == "auto" else self.fused_scale
        x = ops.upscale2d_conv2d(K.cast(x, self.compute_dtype), self.kernel, fused)
        return self.finish(self.blur(x))


@keras.saving.register_keras_serializable("stylegan_tf")
class ConvDownscale2D(ResamplingConv2D):
    """Blur, convolve, downscale by two: [N, H, W, C] to [N, H / 2, W / 2, filters]."""

    def call(self, x):
        return self.finish(ops.conv2d_downscale2d(self.blur(K.cast(x, self.compute_dtype)), self.kernel))


@keras.saving.register_keras_serializable("stylegan_tf")
class StyleModulation(EqualizedDense):
    """Scale and shift every feature map by an affine function of w: AdaIN's second half (section 2, equation 1).

    The dense layer has 2C outputs, the first C the scale minus one (trap 6), the last C the shift; gain 1.

    Shapes:
        x [N, H, W, C], dlatents [N, D]; output [N, H, W, C]; weight [D, 2C], bias [2C].
    """

    def call(self, x, dlatents):
        scale, shift = K.split(super().call(dlatents)[:, None, None, :], 2, axis=-1)  # [N, 1, 1, C] each
        return x * (scale + 1) + shift


@keras.saving.register_keras_serializable("stylegan_tf")
class Noise(keras.layers.Layer):
    """Add a single-channel noise image, scaled per feature map (section 2, "B" in figure 1).

    Shapes:
        x [N, H, W, C], noise [N or 1, H, W, 1]; output [N, H, W, C]; strength `weight` [C], initially zero.
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)

    def build(self, input_shape):
        self.weight = self.add_weight(name="weight", shape=[input_shape[-1]], initializer=filled(0))

    def call(self, x, noise):
        return x + K.cast(noise, x.dtype) * K.cast(self.weight, x.dtype)

    def get_config(self):
        return base_config(self)


@keras.saving.register_keras_serializable("stylegan_tf")
class LayerEpilogue(keras.layers.Layer):
    """What follows the convolution of each synthesis layer: noise, bias, activation, norms, style (trap 8).

    Args:
        dlatent_size: Size D of one dlatent.
        nonlinearity: "lrelu" or "relu".
        use_noise, use_pixel_norm, use_instance_norm, use_styles: Which parts exist.
        equalized_lr: Passed to the style's dense layer.

    Shapes:
        x [N, H, W, C], dlatents [N, D], noise [N or 1, H, W, 1]; output [N, H, W, C].
    """

    def __init__(
        self,
        dlatent_size,
        nonlinearity="lrelu",
        use_noise=True,
        use_pixel_norm=False,
        use_instance_norm=True,
        use_styles=True,
        equalized_lr=True,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.dlatent_size = dlatent_size
        self.nonlinearity = nonlinearity
        self.activate = ops.activation(nonlinearity)
        self.use_noise = use_noise
        self.use_pixel_norm = use_pixel_norm
        self.use_instance_norm = use_instance_norm
        self.use_styles = use_styles
        self.equalized_lr = equalized_lr

    def build(self, input_shape):
        channels = input_shape[-1]
        if self.use_noise:
            self.noise = Noise(name="Noise", dtype=self.dtype_policy)
            self.noise.build(input_shape)
        self.bias = self.add_weight(name="bias", shape=[channels], initializer=filled(0))
        if self.use_styles:
            self.style = StyleModulation(
                2 * channels, gain=1, equalized_lr=self.equalized_lr, name="StyleMod", dtype=self.dtype_policy
            )
            self.style.build([None, self.dlatent_size])

    def call(self, x, dlatents=None, noise=None):
        noise = K.cast(noise, x.dtype) if self.use_noise else None  # a tensor; the stored ones are variables
        return in_few_passes(self._finish, x)(x, dlatents, noise)

    def _finish(self, x, dlatents, noise):
        if self.use_noise:
            x = self.noise(x, noise)
        x = self.activate(x + K.cast(self.bias, x.dtype))
        if self.use_pixel_norm:
            x = ops.pixel_norm(x)
        if self.use_instance_norm:
            x = ops.instance_norm(x)
        return self.style(x, dlatents) if self.use_styles else x

    def get_config(self):
        keys = (
            "dlatent_size",
            "nonlinearity",
            "use_noise",
            "use_pixel_norm",
            "use_instance_norm",
            "use_styles",
            "equalized_lr",
        )
        return {**base_config(self), **{key: getattr(self, key) for key in keys}}


@keras.saving.register_keras_serializable("stylegan_tf")
class MinibatchStddev(keras.layers.Layer):
    """Append the standard deviation over groups of samples: [N, H, W, C] to [N, H, W, C + num_new_features].

    Args:
        group_size: Samples per group.
        num_new_features: Number of appended feature maps.
    """

    def __init__(self, group_size=4, num_new_features=1, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.group_size = group_size
        self.num_new_features = num_new_features

    def call(self, x):
        return ops.minibatch_stddev(x, self.group_size, self.num_new_features)

    def get_config(self):
        return {**base_config(self), "group_size": self.group_size, "num_new_features": self.num_new_features}
