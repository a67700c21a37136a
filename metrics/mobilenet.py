"""MobileNetV2 (Sandler et al. 2018, table 2) with torchvision's weights, which a small pip package brings along.

It judges where no other network is at hand. Nothing computed with it is FID or LPIPS, and all of it says so in its
name: `fd_mobilenet_v2`, `pl_mobilenet_v2`.
"""

import dataclasses

import keras
import numpy as np

from metrics.image_layers import fixed_model, normalization_as_affine, picture_input, torchvision_pixels, with_weights
from metrics.lpips import distance_model
from metrics.named_arrays import check_arrays

WIDTH = 1280
CLASSES = 1000
EPSILON = 1e-5  # of batch normalization
OUTPUTS = ("features", "softmax", "layers")
STAGES = (  # expansion, channels, blocks, stride of the first block
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
INNER_LAYERS = ("features.1", "features.3", "features.6", "features.13", "features.17")  # last of each resolution
NORMALIZATION = ("weight", "bias", "running_mean", "running_var")


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A convolution and the batch normalization behind it, by torchvision's names; depthwise if `per_channel`."""

    name: str
    normalization: str
    channels: int
    filters: int
    size: int = 1
    stride: int = 1
    per_channel: bool = False
    activation: str | None = "relu6"

    @property
    def shapes(self):
        """{name: shape} of its arrays in torchvision's layout."""
        kernel = (self.filters, 1 if self.per_channel else self.channels, self.size, self.size)
        norm = {f"{self.normalization}.{part}": (self.filters,) for part in NORMALIZATION}
        return {f"{self.name}.weight": kernel} | norm


def _first():
    return Convolution("features.0.0", "features.0.1", 3, STAGES[0][1] * 2, size=3, stride=2)


def _last():
    return Convolution("features.18.0", "features.18.1", STAGES[-1][1], WIDTH)


def _blocks():
    """{name: convolutions} of the inverted residuals: expand, filter each channel on its own, project."""
    blocks, channels = {}, _first().filters
    for expansion, filters, count, first_stride in STAGES:
        for stride in (first_stride, *[1] * (count - 1)):
            name, inner = f"features.{len(blocks) + 1}", channels * expansion
            expand = [Convolution(f"{name}.conv.0.0", f"{name}.conv.0.1", channels, inner)] if expansion > 1 else []
            part = f"{name}.conv.{len(expand)}"
            filtering = Convolution(f"{part}.0", f"{part}.1", inner, inner, size=3, stride=stride, per_channel=True)
            number = len(expand) + 1
            names = f"{name}.conv.{number}", f"{name}.conv.{number + 1}"
            blocks[name] = [*expand, filtering, Convolution(*names, inner, filters, activation=None)]
            channels = filters
    return blocks


def array_shapes():
    """{name: shape} of all arrays, as torchvision names and lays them out."""
    convolutions = [_first(), *(convolution for block in _blocks().values() for convolution in block), _last()]
    shapes = {name: shape for convolution in convolutions for name, shape in convolution.shapes.items()}
    return shapes | {"classifier.1.weight": (CLASSES, WIDTH), "classifier.1.bias": (CLASSES,)}


def build_mobilenet_v2(arrays, output="features"):
    """The network as a Keras model.

    Pictures are resized to 224x224, with averaging where they are larger, and normalized as torchvision does; its
    evaluation also crops the middle of the picture, which a judge of whole pictures must not do.

    Args:
        arrays: State dict of torchvision's `mobilenet_v2` as {name: array}.
        output: "features": what the classifier looks at; "softmax": probabilities of ImageNet's classes; "layers":
            feature maps of five inner blocks, the last of each resolution.

    Returns:
        A model from images [N, H, W, 3] of any size, values in [0, 255], to float32 [N, 1280], [N, 1000] or a list of
        [N, 224 / 2^i, 224 / 2^i, channels], i = 1 ... 5. It cannot be trained.

    Raises:
        ValueError: An array is missing, unknown or of another shape; or there is no such output.
    """
    if output not in OUTPUTS:
        raise ValueError(f"MobileNetV2 has no output {output!r}: choose from {', '.join(OUTPUTS)}")
    arrays = {name: array for name, array in arrays.items() if not name.endswith(".num_batches_tracked")}
    check_arrays(arrays, array_shapes(), "MobileNetV2 (torchvision's mobilenet_v2-b0353104.pth)")
    images = picture_input()
    x, inner_layers = _apply(_first(), torchvision_pixels(images), arrays), []
    for name, convolutions in _blocks().items():
        x = _residual(name, convolutions, x, arrays)
        if name in INNER_LAYERS:
            inner_layers.append(x)
    outputs = inner_layers if output == "layers" else _head(_apply(_last(), x, arrays), arrays, output)
    return fixed_model(images, outputs, f"mobilenet_v2_{output}")


def build_distance(arrays):
    """Perceptual distance in the form of LPIPS (Zhang et al. 2018, eq. 1), with all its learned weights w = 1.

        d(a, b) = Σ_layers mean_{h,w} Σ_channels (â - b̂)²

    with â, b̂ the inner layers of MobileNetV2, scaled to unit length at each place. Zhang et al. find that such
    distances, without learned weights, follow human judgement too (section 4); for this network nobody has measured
    how well. Its numbers can be compared with one another, and with nothing else.

    Args:
        arrays: See `build_mobilenet_v2`; errors too.

    Returns:
        A model from [a, b], images [N, H, W, 3] of any size, values in [0, 255], to distances [N], float32. It cannot
        be trained.
    """
    network = build_mobilenet_v2(arrays, "layers")
    heads = {name: np.ones(maps.shape[-1]) for name, maps in zip(INNER_LAYERS, network.outputs, strict=True)}
    return distance_model(network, heads, "mobilenet_v2_distance")


def _head(x, arrays, output):
    """ "features" or "softmax" of the last feature maps."""
    x = keras.layers.GlobalAveragePooling2D(data_format="channels_last", dtype="float32", name="features")(x)
    if output == "features":
        return x
    layer = keras.layers.Dense(CLASSES, "softmax", kernel_initializer="zeros", dtype="float32", name="softmax")
    return with_weights(layer, x, arrays["classifier.1.weight"].T, arrays["classifier.1.bias"])


def _residual(name, convolutions, x, arrays):
    """Output of a block; where shapes allow, its input is added."""
    y = x
    for convolution in convolutions:
        y = _apply(convolution, y, arrays)
    is_same_shape = all(convolution.stride == 1 for convolution in convolutions) and x.shape[-1] == y.shape[-1]
    return keras.layers.Add(dtype="float32", name=name)([x, y]) if is_same_shape else y


def _apply(convolution, x, arrays):
    """Output of a convolution and its batch normalization for input x."""
    options = {"strides": convolution.stride, "activation": convolution.activation, "data_format": "channels_last"}
    options |= {"dtype": "float32", "name": convolution.name}
    if convolution.size > 1:  # padded by one on every side, where Keras' "same" would begin without for stride 2
        x = keras.layers.ZeroPadding2D(convolution.size // 2, data_format="channels_last", dtype="float32")(x)
    if convolution.per_channel:
        layer = keras.layers.DepthwiseConv2D(convolution.size, depthwise_initializer="zeros", **options)
    else:
        layer = keras.layers.Conv2D(convolution.filters, convolution.size, kernel_initializer="zeros", **options)
    return with_weights(layer, x, *_folded(convolution, arrays))


def _folded(convolution, arrays):
    """Kernel [size, size, in, out] (or [size, size, channels, 1]) and bias of convolution and batch normalization."""
    parts = (arrays[f"{convolution.normalization}.{part}"] for part in NORMALIZATION)
    factor, bias = normalization_as_affine(*parts, EPSILON)
    kernel = arrays[f"{convolution.name}.weight"] * factor[:, None, None, None]
    kernel = kernel.transpose((2, 3, 0, 1) if convolution.per_channel else (2, 3, 1, 0))
    return kernel.astype(np.float32), bias.astype(np.float32)
