"""A generator as a SavedModel: the same numbers as Keras, fixed names and types, and reasons for what is refused."""

import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from serving_data import SMALL, bad_requests, card_of, request, trained
from tensorflow.core.protobuf import saved_model_pb2

from stylegan_tf.export import export_savedmodel
from stylegan_tf.figures import images_from_seeds, latents_from_seeds
from stylegan_tf.generator import Generator
from stylegan_tf.images import to_uint8
from stylegan_tf.progan import ProGANGenerator
from stylegan_tf.serving import largest_request
from stylegan_tf.serving_signatures import signatures_of
from stylegan_tf.serving_warmup import FILE

TINY = SMALL | {"resolution": 16}


def load(directory):
    return tf.saved_model.load(str(directory)).signatures


def call(signature, **inputs):
    (output,) = signature(**{name: tf.constant(value) for name, value in inputs.items()}).values()
    return output.numpy()


def call_plainly(function, **inputs):
    return function(**{name: tf.constant(value) for name, value in inputs.items()}).numpy()


def expected_images(generator, inputs, **how):
    """Keras' floats for a request to `serving_default`, a call for each picture as psi and cutoff are its own."""
    images = []
    for row in range(len(inputs["latents"])):
        part = {name: value[row : row + 1] for name, value in inputs.items()}
        psi, cutoff = float(part["truncation_psi"][0]), int(part["truncation_cutoff"][0])
        choices = dict(truncation_psi=psi, truncation_cutoff=cutoff, randomize_noise=False)
        images.append(generator(part["latents"], part.get("labels"), **choices, **how))
    return np.concatenate(images)


@pytest.fixture(scope="module")
def generator():
    return trained(label_size=3, **SMALL)


@pytest.fixture(scope="module")
def directory(generator, tmp_path_factory):
    path = tmp_path_factory.mktemp("serving")
    return export_savedmodel(generator, card_of(generator, path / "a.safetensors"), path, name="small", max_batch=4)


@pytest.fixture(scope="module")
def signatures(directory):
    return load(directory)


def test_signatures_have_fixed_names_and_types(directory):
    """As a client sees them, who reads the file."""
    model = saved_model_pb2.SavedModel.FromString((directory / "saved_model.pb").read_bytes())
    (graph,) = model.meta_graphs
    assert list(graph.meta_info_def.tags) == ["serve"]

    def listed(tensors):
        return {
            name: (tf.as_dtype(info.dtype).name, [axis.size for axis in info.tensor_shape.dim])
            for name, info in tensors.items()
        }

    graph.signature_def.pop("__saved_model_init_op")
    found = {name: (listed(entry.inputs), listed(entry.outputs)) for name, entry in graph.signature_def.items()}
    latents, seed = {"latents": ("float32", [-1, 16])}, {"seed": ("int64", [-1])}
    labels = {"labels": ("float32", [-1, 3])}
    choices = labels | {"truncation_psi": ("float32", [-1]), "truncation_cutoff": ("int32", [-1])}
    dlatents, pictures = {"dlatents": ("float32", [-1, 10, 24])}, {"images": ("uint8", [-1, 64, 64, 3])}
    png = {"png_bytes": ("string", [-1])}
    assert found == {
        "serving_default": (latents | choices, pictures),
        "from_seed": (seed | choices, pictures),
        "generate_png": (seed | choices, png),
        "generate_png_from_latents": (latents | choices, png),
        "mapping": (latents | labels, dlatents),
        "synthesis": (dlatents | {"noise_seed": ("int64", [-1])}, {"images": ("float32", [-1, 64, 64, 3])}),
    }


def test_pictures_are_those_of_keras_each_with_its_own_truncation(generator, signatures):
    inputs = request(generator, 4)
    expected = to_uint8(expected_images(generator, inputs)).astype(int)
    actual = call(signatures["serving_default"], **inputs)
    assert actual.dtype == np.uint8
    assert np.abs(actual - expected).max() <= 1
    assert (actual != expected).mean() < 1e-3  # where a value lies on the border between two


def assert_floats_equal(generator, signatures):
    inputs = {name: value for name, value in request(generator, 2).items() if name in ("latents", "labels")}
    dlatents = generator.mapping(inputs["latents"], inputs.get("labels")).numpy()
    assert dlatents.std() > 0.1
    np.testing.assert_allclose(call(signatures["mapping"], **inputs), dlatents, atol=1e-5, rtol=0)
    images = generator.synthesis(dlatents, randomize_noise=False).numpy()
    assert images.std() > 0.1
    actual = call(signatures["synthesis"], dlatents=dlatents, noise_seed=np.array([-1, -1]))
    np.testing.assert_allclose(actual, images, atol=1e-5, rtol=0)


def test_floats_equal_those_of_keras_to_1e_5(generator, signatures):
    assert_floats_equal(generator, signatures)


PARITY = [
    pytest.param(64, 0, SMALL, marks=pytest.mark.slow),
    (256, 3, dict(fmap_base=256, fmap_max=16)),
    pytest.param(256, 0, {}, marks=pytest.mark.slow),
    pytest.param(1024, 0, {}, marks=pytest.mark.slow),
    pytest.param(1024, 3, {}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("resolution", "label_size", "options"), PARITY)
def test_floats_equal_those_of_keras_to_1e_5_at(resolution, label_size, options, tmp_path):
    generator = trained(**(options | {"resolution": resolution, "label_size": label_size}))
    card = card_of(generator, tmp_path / "a.safetensors")
    assert_floats_equal(generator, load(export_savedmodel(generator, card, tmp_path)))


def test_a_seed_is_the_picture_that_generate_images_writes(generator, signatures):
    seeds, label = [7, 2**32 - 1, 7], [0, 1, 0]
    inputs = {"labels": np.float32([label] * 3), "truncation_psi": np.float32([0.7] * 3)}
    inputs |= {"seed": np.array(seeds), "truncation_cutoff": np.int32([8] * 3)}
    actual = call(signatures["from_seed"], **inputs)
    expected = np.stack([*images_from_seeds(generator, seeds, label, psi=0.7)])
    assert (actual != expected).mean() < 1e-3
    np.testing.assert_array_equal(actual[0], actual[2])  # wherever in a batch
    expected = np.stack([*images_from_seeds(generator, seeds, label, psi=0.7, random_noise=False)])
    stored = signatures_of(generator, 0, 0.0, "stored")["from_seed"].function
    assert (call_plainly(stored, **inputs) != expected).mean() < 1e-3


def test_noise_of_a_picture_is_chosen_by_its_seed_alone(generator, signatures):
    dlatents = np.repeat(generator.mapping(latents_from_seeds([3], 16), np.eye(3)[:1]), 4, axis=0)
    images = call(signatures["synthesis"], dlatents=dlatents, noise_seed=np.array([5, -1, 6, 5]))
    np.testing.assert_array_equal(images[0], images[3])
    assert np.abs(images[0] - images[2]).max() > 0.01
    stored = generator.synthesis(dlatents[:1], randomize_noise=False)
    np.testing.assert_allclose(images[1], stored[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("signature", ["serving_default", "from_seed"])
def test_a_picture_does_not_depend_on_its_neighbours(generator, signatures, signature):
    inputs = request(generator, 4)
    if signature == "from_seed":
        inputs = {"seed": np.arange(4), **{name: value for name, value in inputs.items() if name != "latents"}}
    together = call(signatures[signature], **inputs).astype(int)
    for row in range(4):
        alone = call(signatures[signature], **{name: value[row : row + 1] for name, value in inputs.items()})
        assert (together[row] != alone[0]).mean() < 1e-3


@pytest.mark.parametrize("signature", ["serving_default", "from_seed"])
def test_png_files_hold_the_pictures(generator, signatures, signature):
    inputs = request(generator, 2)
    if signature == "from_seed":
        inputs = {"seed": np.arange(2), **{name: value for name, value in inputs.items() if name != "latents"}}
    pictures = call(signatures[signature], **inputs)
    name = {"serving_default": "generate_png_from_latents", "from_seed": "generate_png"}[signature]
    for file, picture in zip(call(signatures[name], **inputs), pictures, strict=True):
        with PIL.Image.open(io.BytesIO(file)) as image:
            assert image.format == "PNG"
            np.testing.assert_array_equal(np.asarray(image), picture)


def test_a_growing_network_is_served_as_far_as_it_has_grown(tmp_path):
    generator = trained(**TINY, label_size=3)
    card = card_of(generator, tmp_path / "a.safetensors", level=2, fade=0.25)
    signatures = load(export_savedmodel(generator, card, tmp_path))
    inputs = request(generator, 2)
    expected = to_uint8(expected_images(generator, inputs, level=2, fade=0.25))
    assert (call(signatures["serving_default"], **inputs) != expected).mean() < 1e-3
    assert expected.shape == (2, 4, 4, 3)


def test_a_progressive_gan_is_asked_for_no_truncation_and_no_noise(tmp_path):
    options = dict(resolution=16, fmap_base=64, fmap_max=16, latent_size=8, label_size=3)
    generator = trained(ProGANGenerator, **options)
    signatures = load(export_savedmodel(generator, card_of(generator, tmp_path / "a.safetensors"), tmp_path))
    assert sorted(signatures) == ["from_seed", "generate_png", "generate_png_from_latents", "serving_default"]
    inputs = request(generator, 2)
    assert list(inputs) == ["latents", "labels"]
    expected = to_uint8(generator(inputs["latents"], inputs["labels"]))
    assert (call(signatures["serving_default"], **inputs) != expected).mean() < 1e-3
    inputs["latents"] = latents_from_seeds([3, 4], 8)
    expected = call(signatures["serving_default"], **inputs)
    actual = call(signatures["from_seed"], seed=np.array([3, 4]), labels=inputs["labels"])
    np.testing.assert_array_equal(actual, expected)


def test_a_network_is_asked_for_nothing_that_it_has_no_use_for():
    def asked(generator):
        return {name: list(entry.inputs) for name, entry in signatures_of(generator, 0, 0.0, "random").items()}

    assert asked(trained(ProGANGenerator, resolution=8, fmap_max=4))["from_seed"] == ["seed"]
    assert asked(trained(**TINY, use_noise=False))["synthesis"] == ["dlatents"]
    assert asked(trained(**TINY))["mapping"] == ["latents"]
    assert "generate_png" not in asked(trained(**TINY, num_channels=5))  # a PNG has 1, 3 or 4


def test_a_network_without_noise_is_that_of_keras():
    generator = trained(**TINY, use_noise=False)
    inputs = request(generator, 2)
    expected = to_uint8(expected_images(generator, inputs))
    actual = call_plainly(signatures_of(generator, 0, 0.0, "random")["serving_default"].function, **inputs)
    assert (actual != expected).mean() < 1e-3


def test_bad_requests_are_refused_with_a_reason_and_the_model_goes_on(generator, signatures):
    good = request(generator, 2)
    before = call(signatures["serving_default"], **good)
    for name, (inputs, reason) in bad_requests(generator).items():
        with pytest.raises(tf.errors.InvalidArgumentError) as refused:
            call(signatures["serving_default"], **inputs)
        assert re.search(reason, str(refused.value)), name
    for seed in (-1, 2**32):
        choices = {key: value[:1] for key, value in good.items() if key != "latents"}
        with pytest.raises(tf.errors.InvalidArgumentError, match=rf"seed must be from 0 to 4294967295.*\[{seed}\]"):
            call(signatures["generate_png"], seed=np.array([seed]), **choices)
    np.testing.assert_array_equal(call(signatures["serving_default"], **good), before)


def test_largest_request_holds_four_megapixels():
    assert [largest_request(size) for size in (4, 256, 512, 1024)] == [64, 64, 16, 4]


def test_warmup_plays_every_signature_once(directory, signatures):
    """Read with the official messages."""
    messages = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    called = []
    for record in tf.data.TFRecordDataset(str(directory / FILE)).as_numpy_iterator():
        sent = messages.PredictionLog.FromString(record).predict_log.request
        assert sent.model_spec.name == "small"
        inputs = {name: tf.make_ndarray(tensor) for name, tensor in sent.inputs.items()}
        assert len(call(signatures[sent.model_spec.signature_name], **inputs)) == 1
        called.append(sent.model_spec.signature_name)
    assert called == list(signatures)


def test_saved_model_cli_runs_it(generator, directory, tmp_path):
    """TensorFlow's own program, in a process of its own."""
    inputs = request(generator, 2)
    np.savez(tmp_path / "request.npz", **inputs)
    program = Path(sys.executable).with_name("saved_model_cli")
    given = ";".join(f"{name}={tmp_path}/request.npz[{name}]" for name in inputs)
    command = [program, "run", "--dir", directory, "--tag_set", "serve", "--signature_def", "serving_default"]
    subprocess.run([*command, "--inputs", given, "--outdir", tmp_path], check=True, capture_output=True)
    expected = to_uint8(expected_images(generator, inputs))
    assert (np.load(tmp_path / "images.npy") != expected).mean() < 1e-3


def test_noise_that_does_not_exist_is_refused_and_nothing_is_left(generator, tmp_path):
    card = card_of(generator, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="noise is 'pink', not one of random, stored"):
        export_savedmodel(generator, card, tmp_path / "out", noise="pink")
    assert not list(tmp_path.glob("out/*/*")) + list(tmp_path.glob("out/*/.*"))


@pytest.mark.parametrize("number", [0, 10**10])
def test_a_largest_request_that_cannot_be_is_refused(generator, tmp_path, number):
    card = card_of(generator, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=f"max_batch must be from 1 to 65536, not {number}"):
        export_savedmodel(generator, card, tmp_path / "out", max_batch=number)


def test_a_network_of_another_dtype_is_served_in_float32(tmp_path):
    generator = trained(**TINY)
    rough = Generator(**generator.get_config() | {"dtype": "bfloat16"})
    rough.set_weights(generator.get_weights())
    signatures = load(export_savedmodel(rough, card_of(rough, tmp_path / "a.safetensors"), tmp_path))
    assert_floats_equal(generator, signatures)
