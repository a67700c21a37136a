"""VGG16 (Simonyan and Zisserman 2015) with torchvision's weights: its second fully connected layer is where precision
and recall are measured, its convolutions are the backbone of LPIPS.
"""

import keras

from metrics.image_layers import TORCHVISION_SIZE, fixed_model, picture_input, torchvision_pixels, with_weights
from metrics.named_arrays import check_arrays

WIDTH = 4096  # of the fully connected layers
CLASSES = 1000
LAST_AREA = TORCHVISION_SIZE // 32  # height and width of the last feature maps
OUTPUTS = ("fc2", "lpips layers")

# number of the layer in torchvision's `features`: filters; a stage ends with the layer that LPIPS looks at
STAGES = (
    {0: 64, 2: 64},
    {5: 128, 7: 128},
    {10: 256, 12: 256, 14: 256},
    {17: 512, 19: 512, 21: 512},
    {24: 512, 26: 512, 28: 512},
)
LAYOUT = {"data_format": "channels_last"}


def convolution_shapes():
    """{name: shape} of torchvision's `features`."""
    shapes, channels = {}, 3
    for number, filters in (layer for stage in STAGES for layer in stage.items()):
        shapes[f"features.{number}.weight"] = (filters, channels, 3, 3)
        shapes[f"features.{number}.bias"] = (filters,)
        channels = filters
    return shapes


def classifier_shapes():
    """{name: shape} of torchvision's `classifier`."""
    inputs, shapes = STAGES[-1][28] * LAST_AREA**2, {}
    for number, outputs in {0: WIDTH, 3: WIDTH, 6: CLASSES}.items():
        shapes[f"classifier.{number}.weight"] = (outputs, inputs)
        shapes[f"classifier.{number}.bias"] = (outputs,)
        inputs = outputs
    return shapes


def build_vgg16(arrays, output="fc2"):
    """The network as a Keras model.

    Kynkäänniemi et al. 2019 take precision and recall from the activations of the second fully connected layer. What
    their program does with pictures of other sizes the paper does not say; here they are resized with averaging, as
    torchvision's own preparation does, so that a large picture is judged without aliasing.

    Args:
        arrays: State dict of torchvision's `vgg16` as {name: array}. "lpips layers" does not need the `classifier`.
        output: "fc2" for those activations, after the ReLU; "lpips layers" for the five feature maps of LPIPS.

    Returns:
        For "fc2", a model from images [N, H, W, 3] of any size, values in [0, 255], to float32 [N, 4096].
        For "lpips layers", a model from pixels [N, H, W, 3] as the convolutions take them, at their own size, to a
        list of [N, H / 2^i, W / 2^i, channels], i = 0 ... 4.
        Neither can be trained.

    Raises:
        ValueError: An array is missing, unknown or of another shape; or there is no such output.
    """
    if output not in OUTPUTS:
        raise ValueError(f"VGG16 has no output {output!r}: choose from {', '.join(OUTPUTS)}")
    whole = output == "fc2"
    if not whole:
        arrays = {name: array for name, array in arrays.items() if not name.startswith("classifier.")}
    shapes = convolution_shapes() | (classifier_shapes() if whole else {})
    check_arrays(arrays, shapes, "VGG16 (torchvision's vgg16-397923af.pth)")
    images = picture_input()
    maps = _feature_maps(torchvision_pixels(images) if whole else images, arrays)
    return fixed_model(images, _fully_connected(maps[-1], arrays) if whole else maps, "vgg16")


def _feature_maps(x, arrays):
    """Outputs of the five stages for pixels x."""
    outputs = []
    for stage in STAGES:
        if outputs:
            x = _halved(x)
        for number, filters in stage.items():
            name = f"features.{number}"
            layer = keras.layers.Conv2D(filters, 3, padding="same", **_options(name), **LAYOUT)
            x = with_weights(layer, x, arrays[f"{name}.weight"].transpose(2, 3, 1, 0), arrays[f"{name}.bias"])
        outputs.append(x)
    return outputs


def _halved(x):
    return keras.layers.MaxPooling2D(2, dtype="float32", **LAYOUT)(x)


def _fully_connected(x, arrays):
    """Output of the second fully connected layer for the last feature maps."""
    x = keras.layers.Flatten(dtype="float32", **LAYOUT)(_halved(x))
    for number in (0, 3):
        name = f"classifier.{number}"
        kernel = arrays[f"{name}.weight"]
        if number == 0:  # torchvision flattens [channels, height, width], we [height, width, channels]
            kernel = kernel.reshape(WIDTH, -1, LAST_AREA, LAST_AREA).transpose(0, 2, 3, 1).reshape(kernel.shape)
        x = with_weights(keras.layers.Dense(WIDTH, **_options(name)), x, kernel.T, arrays[f"{name}.bias"])
    return x


def _options(name):
    return {"activation": "relu", "kernel_initializer": "zeros", "dtype": "float32", "name": name}
