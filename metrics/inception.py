"""The Inception network of December 2015, on whose features FID, KID and the Inception score are defined.

It is the frozen TensorFlow graph `classify_image_graph_def.pb` (Szegedy et al. 2015 describe a near relative), and this
file follows that graph where later ones differ:

- pictures become 299x299 by TensorFlow 1's ResizeBilinear: source position = target position · H / 299, without the
  half pixel that others add, and without averaging when a picture shrinks; then (x - 128) / 128;
- average pools do not count the padding;
- the last block takes the maximum where the others take the average (`mixed_10/tower_2/pool`).

The PyTorch port of the same weights (pytorch-fid) agrees in everything but its input: it resizes with the half pixel
and takes (x - 127.5) / 127.5. That moves features by 0.4 to 0.9 % of their length (random weights, smooth random
pictures of 32 to 1024 pixels). With its weight file too, this file prepares pictures as the frozen graph does.

In float32 on a CPU it is as fast as the processor multiplies matrices (11.4 billion operations a picture); called
through `tf.function` it needs a fifth less time than without.
"""

import functools

import keras
import numpy as np
from keras import ops as K

from metrics.image_layers import Resize, fixed_model, normalization_as_affine, picture_input, with_weights
from metrics.inception_blocks import NETWORK, Convolution, Pool, input_channels
from metrics.named_arrays import check_arrays

SIZE = 299  # pixels, both ways
FEATURES = 2048
CLASSES = 1008  # 1000 of ImageNet; the others are never the answer
EPSILON = 0.001  # of batch normalization
OUTPUTS = ("features", "softmax")
CONVOLUTIONS, _ = input_channels()

# name in the frozen graph: name in the PyTorch port
NORMALIZATION = {"beta": "bias", "gamma": "weight", "moving_mean": "running_mean", "moving_variance": "running_var"}
AXES_IN_PORT = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}  # of vectors, matrices, kernels: the port has outputs first
PREPROCESSING = {"ResizeBilinear/size": [SIZE, SIZE], "Sub/y": 128, "Mul/y": 1 / 128}  # constants in the frozen graph


def array_shapes():
    """{name: shape} of all arrays, named and laid out as in the frozen graph: the canonical form."""
    shapes = {"softmax/weights": (FEATURES, CLASSES), "softmax/biases": (CLASSES,)}
    for convolution, channels in CONVOLUTIONS.items():
        kernel = (convolution.height, convolution.width, channels, convolution.filters)
        shapes[f"{convolution.name}/conv2d_params"] = kernel
        shapes |= {f"{convolution.name}/batchnorm/{part}": (convolution.filters,) for part in NORMALIZATION}
    return shapes


def from_frozen_graph(constants):
    """Arrays of `classify_image_graph_def.pb`.

    Args:
        constants: {name of node: array} of all constants of the graph.

    Returns:
        {name: float32 array}, see `array_shapes`.

    Raises:
        ValueError: An array is missing, unknown or of another shape, or the graph prepares its pictures in another way.
            Integers, texts and single numbers that the graph needs besides, such as axes, are no weights.
    """
    for name, value in PREPROCESSING.items():
        if name in constants and not np.array_equal(constants[name], value):
            raise ValueError(f"not the graph of the FID Inception network: {name} is {constants[name]}, not {value}")
    shapes = array_shapes()
    arrays = {name: array for name, array in constants.items() if name in shapes or _is_weight(array)}
    check_arrays(arrays, shapes, "the FID Inception network (classify_image_graph_def.pb)")
    return {name: np.asarray(array, np.float32) for name, array in arrays.items()}


def _is_weight(array):
    return array.dtype.kind == "f" and array.size > 1


def from_torch(state):
    """Arrays of the PyTorch port, `pt_inception-2015-12-05-6726825d.pth`.

    Args:
        state: Its state dict as {name: array}.

    Returns:
        {name: float32 array}, see `array_shapes`.

    Raises:
        ValueError: An array is missing, unknown or of another shape: torchvision's Inception, for example, is another
            network.
    """
    state = {name: array for name, array in state.items() if not name.endswith(".num_batches_tracked")}
    shapes = array_shapes()
    names = _names_in_port()
    shapes_in_port = {
        names[name]: tuple(shape[axis] for axis in AXES_IN_PORT[len(shape)]) for name, shape in shapes.items()
    }
    check_arrays(state, shapes_in_port, "the FID Inception network (pt_inception-2015-12-05-6726825d.pth)")
    return {
        name: np.asarray(state[names[name]], np.float32).transpose(np.argsort(AXES_IN_PORT[len(shape)]))
        for name, shape in shapes.items()
    }


def _names_in_port():
    names = {"softmax/weights": "fc.weight", "softmax/biases": "fc.bias"}
    for convolution in CONVOLUTIONS:
        names[f"{convolution.name}/conv2d_params"] = f"{convolution.port}.conv.weight"
        for part, in_port in NORMALIZATION.items():
            names[f"{convolution.name}/batchnorm/{part}"] = f"{convolution.port}.bn.{in_port}"
    return names


class LegacyResize(Resize):
    """TensorFlow 1's ResizeBilinear, to the bit: corners not aligned, pixel centres ignored."""

    def call(self, images):
        height, width = K.shape(images)[1:3]
        upper, lower, down = self._neighbours(height)
        left, right, across = self._neighbours(width)

        def lines(rows):
            pixels = K.take(images, rows, axis=1)
            first = K.take(pixels, left, axis=2)
            return first + (K.take(pixels, right, axis=2) - first) * across[:, None]

        first = lines(upper)
        return first + (lines(lower) - first) * down[:, None, None]

    def _neighbours(self, size):
        """Pixels before and after each position, and how far it is from the first, in pixels: [size] each."""
        position = K.arange(self.size, dtype="float32") * (K.cast(size, "float32") / self.size)
        first = K.floor(position)
        before = K.cast(first, "int32")
        return before, K.minimum(before + 1, size - 1), position - first


def build_inception(arrays, output="features"):
    """The network as a Keras model.

    Layers bear the names of the graph's nodes, with "." for "/": the output of "mixed_4.tower.conv_1" is that of
    `mixed_4/tower/conv_1`, and "mixed_10.join" is the last with an area. Batch normalization is part of the
    convolutions, which agrees to rounding.

    Args:
        arrays: As `from_frozen_graph` or `from_torch` returns them.
        output: "features" for `pool_3`, [N, 2048]; "softmax" for class probabilities, [N, 1008]. These leave the
            biases out, as the program that defined the Inception score did (Salimans et al. 2016), and all published
            scores with it.

    Returns:
        A model from images [N, H, W, 3] of any size, values in [0, 255], to float32. It cannot be trained.

    Raises:
        ValueError: An array is missing, unknown or of another shape; or there is no such output.
    """
    if output not in OUTPUTS:
        raise ValueError(f"the Inception network has no output {output!r}: choose from {', '.join(OUTPUTS)}")
    check_arrays(arrays, array_shapes(), "the FID Inception network")
    images = picture_input()
    x = LegacyResize(SIZE, name="ResizeBilinear")(images)
    x = keras.layers.Rescaling(1 / 128, offset=-1, dtype="float32", name="Mul")(x)
    for step in NETWORK:
        x = _apply(step, x, arrays)
    x = keras.layers.GlobalAveragePooling2D(data_format="channels_last", dtype="float32", name="pool_3")(x)
    if output == "softmax":
        classes = keras.layers.Dense(CLASSES, activation="softmax", use_bias=False, dtype="float32", name="softmax")
        x = with_weights(classes, x, arrays["softmax/weights"])
    return fixed_model(images, x, f"inception_{output}")


def _apply(step, x, arrays):
    """Output of a row of the table for input x."""
    options = {"data_format": "channels_last", "dtype": "float32", "name": step.name.replace("/", ".")}
    if isinstance(step, Pool):
        layer = keras.layers.MaxPooling2D if step.kind == "max" else keras.layers.AveragePooling2D
        return layer(3, strides=step.stride, padding=step.padding, **options)(x)
    if isinstance(step, Convolution):
        size = (step.height, step.width)
        options |= {"strides": step.stride, "padding": step.padding, "activation": "relu"}
        layer = keras.layers.Conv2D(step.filters, size, kernel_initializer="zeros", **options)
        return with_weights(layer, x, *_folded(step.name, arrays))
    outputs = [functools.reduce(lambda x, step: _apply(step, x, arrays), branch, x) for branch in step.branches]
    return keras.layers.Concatenate(dtype="float32", name=f"{options['name']}.join")(outputs)


def _folded(name, arrays):
    """Kernel and bias of convolution and batch normalization together."""
    parts = (arrays[f"{name}/batchnorm/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance"))
    factor, bias = normalization_as_affine(*parts, EPSILON)
    return (arrays[f"{name}/conv2d_params"] * factor).astype(np.float32), bias.astype(np.float32)
