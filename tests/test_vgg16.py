"""VGG16 against torchvision's numbers, its resize against Pillow's."""

import numpy as np
import pytest
from feature_network_data import golden, pictures, weights
from PIL import Image

from metrics.image_layers import SmoothResize
from metrics.vgg16 import build_vgg16, convolution_shapes


@pytest.fixture(scope="module")
def state():
    return weights(golden()[1]["shapes"]["vgg16"], seed=1)


@pytest.fixture(scope="module")
def convolutions():
    return weights(convolution_shapes(), seed=1)


def test_fc2_agrees_with_torchvision(state):
    actual = build_vgg16(state)(pictures(300, 260)).numpy()
    expected = golden()[0]["vgg16/fc2"]
    assert actual.shape == (2, 4096)
    assert np.abs(actual - expected).max() < 1e-5 * expected.max()


@pytest.mark.parametrize(("height", "width"), [(224, 224), (300, 260), (1024, 1024), (32, 100)])
def test_resize_is_pillows(height, width):
    images = pictures(height, width, count=1)
    expected = [
        Image.fromarray(images[0, ..., channel]).resize((224, 224), Image.Resampling.BILINEAR) for channel in range(3)
    ]
    actual = SmoothResize(224)(images)[0]
    np.testing.assert_allclose(actual, np.stack(expected, axis=-1), atol=1e-3)


def test_lpips_layers_need_no_classifier(convolutions):
    maps = build_vgg16(convolutions, output="lpips layers")(pictures(48, 33))
    shapes = [(48, 33, 64), (24, 16, 128), (12, 8, 256), (6, 4, 512), (3, 2, 512)]
    assert [tuple(x.shape[1:]) for x in maps] == shapes


def test_nothing_can_be_trained(convolutions):
    assert not build_vgg16(convolutions, output="lpips layers").trainable_variables


def test_another_state_dict_is_refused(convolutions):
    with pytest.raises(ValueError, match=r"classifier.0.weight \[4096, 25088\] is missing"):
        build_vgg16(convolutions)
    with pytest.raises(ValueError, match=r"features.1.weight \[64\] is unknown"):  # VGG16 with batch normalization
        build_vgg16(convolutions | {"features.1.weight": np.zeros(64)}, output="lpips layers")
    with pytest.raises(ValueError, match=r"features.0.bias has shape \[3\] instead of \[64\]"):
        build_vgg16(convolutions | {"features.0.bias": np.zeros(3)}, output="lpips layers")


def test_an_unknown_output_is_refused(convolutions):
    with pytest.raises(ValueError, match="no output 'fc1': choose from fc2, lpips layers"):
        build_vgg16(convolutions, output="fc1")
