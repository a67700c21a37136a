"""Counts the floating-point operations that networks and a training step need, from their layers.

Only matrix products and convolutions count, two operations a multiplication and addition; convolutions count as
computed directly, though Winograd's need fewer; an up- or down-convolution in its fused form, (K+1)² products for four
fine pixels. What else is done (noise, norms, blur, Adam) is linear in the pixels or weights and is not counted: time
spent on it shows as rate that is missing.
"""

import math

from stylegan_tf.layers import ConvDownscale2D, EqualizedConv2D, EqualizedDense, UpscaleConv2D


def convolution(layer, size):
    """Operations of a convolution layer for one image, whose finer side has `size` pixels."""
    inputs, outputs = layer.weight.shape[-2:]
    width = layer.kernel_size
    if isinstance(layer, UpscaleConv2D | ConvDownscale2D):
        return 2 * (width + 1) ** 2 * (size // 2) ** 2 * inputs * outputs
    return 2 * width**2 * size**2 * inputs * outputs


def forward(network, level=0):
    """Operations of a `Generator` or `Discriminator` for one image at a level, by the name of the layer.

    The layers of finer levels, which do not run, are left out, and so is the blend of a fade.
    """
    finest = network.resolution >> level
    counts = {}
    for layer in network._flatten_layers(include_self=False):
        if not isinstance(layer, EqualizedDense | EqualizedConv2D):
            continue
        size = _size(layer.path)
        if isinstance(layer, EqualizedDense):
            if size is None or size <= finest:
                counts[layer.path] = 2 * math.prod(layer.weight.shape)
        elif size is None:  # ToRGB_lodL and FromRGB_lodL; one of them runs
            if layer.path.endswith(f"lod{level}"):
                counts[layer.path] = convolution(layer, finest)
        elif size <= finest:
            counts[layer.path] = convolution(layer, size)
    return counts


def training_step(generator, discriminator, level=0, r1=True):
    """Operations of one training step for one image of the minibatch.

    A layer costs as much backwards, once for its input and once for its weights, as forwards. So

        discriminator's update   G forwards, D on the fakes forwards and both ways back      1 G + 3 D
                                 D on the reals, the same                                    3 D
                                 R1: back to the images, and for the penalty's gradient
                                 once more forwards and once for the weights                 3 D
        generator's update       G forwards and both ways back                               3 G
                                 D forwards and back to the images                           2 D
    """
    g, d = (sum(forward(network, level).values()) for network in (generator, discriminator))
    return 4 * g + (11 if r1 else 8) * d


def _size(path):
    """Pixels of the block that a layer belongs to, None for one outside the blocks."""
    for part in path.split("/"):
        width, x, height = part.partition("x")
        if x and width.isdecimal() and height == width:
            return int(width)
    return None
