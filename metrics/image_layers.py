"""What the networks that look at images share: how pictures enter them, and how published weights do."""

import keras
import numpy as np
from keras import ops as K

TORCHVISION_SIZE = 224  # pixels, both ways
TORCHVISION_MEAN = (0.485, 0.456, 0.406)  # of ImageNet's pixels, in [0, 1]
TORCHVISION_DEVIATION = (0.229, 0.224, 0.225)


class Resize(keras.layers.Layer):
    """Pictures of any size to squares, in float32.

    Args:
        size: Height and width of the output, in pixels.

    Shapes:
        input [N, H, W, C], output [N, size, size, C].
    """

    def __init__(self, size, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.size = size

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.size, self.size, input_shape[3])


class SmoothResize(Resize):
    """Bilinear resize that averages when it shrinks: the filter is a triangle as wide as two target pixels."""

    def call(self, images):
        height, width = K.shape(images)[1:3]
        images = K.einsum("ih,nhwc->niwc", self._shares(height), images)
        return K.einsum("jw,niwc->nijc", self._shares(width), images)

    def _shares(self, size):
        """How much of each pixel goes into each target pixel, [self.size, size]."""
        # distance of pixel centres (j + 1/2) / size and (i + 1/2) / self.size, in whole numbers as long as possible
        targets = (2 * K.arange(self.size, dtype="int32") + 1) * size
        distance = K.abs((2 * K.arange(size, dtype="int32") + 1) * self.size - targets[:, None])
        shares = K.relu(1.0 - K.cast(distance, "float32") / K.cast(2 * K.maximum(size, self.size), "float32"))
        return shares / K.sum(shares, axis=1, keepdims=True)


class PixelScaling(keras.layers.Layer):
    """Pixels as convolutions expect them: (x / 255 - mean) / deviation in every channel.

    Args:
        mean, deviation: [C], of pixels in [0, 1].
        smallest: Height and width that images must have at least, in pixels.

    Shapes:
        input [N, H, W, C], output the same.
    """

    def __init__(self, mean, deviation, smallest=1, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.mean = np.asarray(mean, np.float32)
        self.deviation = np.asarray(deviation, np.float32)
        self.smallest = smallest

    def call(self, images):
        for size in images.shape[1:3]:
            if size is not None and size < self.smallest:
                least = f"{self.smallest}x{self.smallest}"
                raise ValueError(f"images {list(images.shape)} are too small: give {least} pixels or more")
        return (images / 255.0 - self.mean) / self.deviation


def torchvision_pixels(images):
    """Pictures as torchvision's networks were trained on them: [N, H, W, 3] in [0, 255] to [N, 224, 224, 3]."""
    squares = SmoothResize(TORCHVISION_SIZE, name="resize")(images)
    return PixelScaling(TORCHVISION_MEAN, TORCHVISION_DEVIATION, name="scaling")(squares)


def picture_input(name="images"):
    """Where pictures of any size enter a Keras model: [N, H, W, 3]."""
    return keras.Input((None, None, 3), dtype="float32", name=name)


def fixed_model(inputs, outputs, name):
    """A Keras model that cannot be trained."""
    model = keras.Model(inputs, outputs, name=name)
    model.trainable = False
    return model


def with_weights(layer, x, *weights):
    """Output of a new layer for input x, its weights set."""
    output = layer(x)
    layer.set_weights(weights)
    return output


def normalization_as_affine(gamma, beta, mean, variance, epsilon):
    """(factor, bias), float64 [C], of a finished batch normalization:

    (x - mean) gamma / sqrt(variance + epsilon) + beta = factor · x + bias
    """
    gamma, beta, mean, variance = (array.astype(np.float64) for array in (gamma, beta, mean, variance))
    factor = gamma / np.sqrt(variance + epsilon)
    return factor, beta - mean * factor
