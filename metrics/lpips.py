"""LPIPS, version 0.1: how different two pictures look (Zhang et al. 2018, section 3).

    d(a, b) = Σ_layers mean_{h,w} Σ_channels w · (â - b̂)²

with â, b̂ the feature maps of VGG16, scaled to unit length at each place, and w the learned weights of the layer (the
"heads", in the pip package `lpips` as `weights/v0.1/vgg.pth`).
"""

import keras
import numpy as np
from keras import ops as K

from metrics.image_layers import PixelScaling, fixed_model, picture_input, with_weights
from metrics.named_arrays import check_arrays
from metrics.vgg16 import STAGES, build_vgg16

SMALLEST = 16  # pixels: the last of the feature maps is 16 times smaller than the picture
# Mean and deviation of ImageNet's pixels as the published program has them, rounded, for pixels in [-1, 1]: here [0, 1]
MEAN = (np.array([-0.030, -0.088, -0.188]) + 1) / 2
DEVIATION = np.array([0.458, 0.448, 0.450]) / 2
EPSILON = 1e-10


def head_shapes():
    """{name: shape} of the linear heads."""
    return {f"lin{number}.model.1.weight": (1, list(stage.values())[-1], 1, 1) for number, stage in enumerate(STAGES)}


class LayerDistance(keras.layers.Layer):
    """One term of the sum: two feature maps [N, h, w, C] to [N]; weight `head` [C]."""

    def build(self, input_shapes):
        self.head = self.add_weight(name="head", shape=(input_shapes[0][-1],), initializer="zeros")

    def call(self, maps):
        a, b = (_unit_length(x) for x in maps)
        return K.mean(K.square(a - b) @ self.head[:, None], axis=(1, 2, 3))


def _unit_length(x):
    return x / (K.sqrt(K.sum(K.square(x), axis=-1, keepdims=True)) + EPSILON)


def build_lpips(vgg_arrays, head_arrays):
    """The distance as a Keras model.

    Args:
        vgg_arrays: State dict of torchvision's `vgg16` as {name: array}; its `classifier` is not needed.
        head_arrays: State dict of the heads as {name: array}.

    Returns:
        A model from [a, b], images [N, H, W, 3] of 16x16 pixels or more, values in [0, 255], to distances [N], float32.
        Images are not resized. It cannot be trained.

    Raises:
        ValueError: An array is missing, unknown or of another shape. The model raises it where images are too small.
    """
    check_arrays(head_arrays, head_shapes(), "LPIPS' heads for VGG16 (vgg.pth of version 0.1)")
    features = build_vgg16(vgg_arrays, output="lpips layers")
    scaling = PixelScaling(MEAN, DEVIATION, smallest=SMALLEST, name="scaling")
    heads = {name.partition(".")[0]: np.ravel(head_arrays[name]) for name in head_shapes()}
    return distance_model(lambda images: features(scaling(images)), heads, "lpips")


def distance_model(feature_maps, heads, name):
    """The sum of the `LayerDistance`s of two pictures.

    Args:
        feature_maps: Function of pictures [N, H, W, 3] to a list of maps [N, h, w, C].
        heads: {name of the layer: weights [C]} for each of the maps.
        name: Of the model.
    """
    images = [picture_input(which) for which in ("a", "b")]
    terms = [
        with_weights(LayerDistance(dtype="float32", name=layer), list(pair), head)
        for (layer, head), pair in zip(heads.items(), zip(*map(feature_maps, images), strict=True), strict=True)
    ]
    return fixed_model(images, keras.layers.Add(dtype="float32", name="distance")(terms), name)
