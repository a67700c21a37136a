"""A .tflite file computes what Keras does, in all its forms, and says what it is."""

import io
import json
import zipfile

import numpy as np
import pytest
from conftest import TINY, fill_weights

from benchmarks import litert as benchmark
from stylegan_tf import litert, ops
from stylegan_tf.figures import latents_from_seeds, noise_from_seeds
from stylegan_tf.generator import Generator
from stylegan_tf.parts import Part, part_of
from stylegan_tf.progan import ProGANGenerator

interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="needs requirements-export.txt")
LABELS = np.float32([[0, 1, 0]])
PSI = np.float32([0.7])


def small_generator(**options):
    generator = Generator(**(dict(fmap_base=512, fmap_max=16, mapping_layers=2) | options))
    fill_weights(generator)
    return generator


def run(content, **inputs):
    """The result of the only signature of a file."""
    model = interpreter.Interpreter(model_content=content)
    return next(iter(model.get_signature_runner()(**inputs).values()))


def facts_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return json.loads(archive.read("stylegan.json"))


def relative_error(actual, expected):
    return np.sqrt(np.mean(np.square(actual - expected))) / np.std(expected)


@pytest.mark.parametrize(
    ("resolution", "options"),
    [
        (64, {"label_size": 3}),
        pytest.param(64, {}, marks=pytest.mark.slow),
        pytest.param(256, {}, marks=pytest.mark.slow),
        pytest.param(256, {"label_size": 3}, marks=pytest.mark.slow),
        pytest.param(1024, {"label_size": 3}, marks=pytest.mark.slow),
        pytest.param(1024, {"fmap_base": 8192, "fmap_max": 512, "mapping_layers": 8}, marks=pytest.mark.slow),
    ],
)
def test_float32_equals_keras(resolution, options):
    generator = small_generator(resolution=resolution, **options)
    labels = {"labels": LABELS} if "label_size" in options else {}
    latents = latents_from_seeds([5], 512)
    expected = generator(latents, truncation_psi=0.7, randomize_noise=False, **labels).numpy()
    actual = run(litert.convert(generator), latents=latents, psi=PSI, **labels)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * max(1, np.abs(expected).max()))


def test_mapping_and_synthesis_together_are_the_generator(tiny_generator):
    latents = latents_from_seeds([5], 8)
    mapping, synthesis = (litert.convert(tiny_generator, part) for part in ("mapping", "synthesis"))
    dlatents = run(mapping, latents=latents, labels=LABELS, psi=PSI)
    expected = tiny_generator(latents, LABELS, truncation_psi=0.7, randomize_noise=False).numpy()
    np.testing.assert_allclose(run(synthesis, dlatents=dlatents), expected, rtol=0, atol=1e-4)


def test_psi_is_an_input_that_truncates_the_first_layers_alone(tiny_generator):
    tiny_generator.truncation_cutoff = 4
    content = litert.convert(tiny_generator, "mapping")
    latents = latents_from_seeds([5], 8)
    plain = tiny_generator.mapping(latents, LABELS).numpy()
    mean = tiny_generator.dlatent_avg.numpy()
    for psi in (1, 0.5, 0, -1):
        actual = run(content, latents=latents, labels=LABELS, psi=np.float32([psi]))
        np.testing.assert_allclose(actual[:, :4], (mean + psi * (plain - mean))[:, :4], rtol=0, atol=1e-5)
        np.testing.assert_allclose(actual[:, 4:], plain[:, 4:], rtol=0, atol=1e-5)


def test_a_network_that_never_truncates_has_no_psi():
    generator = small_generator(resolution=8, truncation_cutoff=None)
    assert facts_of(litert.convert(generator, "mapping"))["inputs"] == {"latents": [1, 512]}


def test_noise_is_an_input_if_wanted(tiny_generator):
    content = litert.convert(tiny_generator, "synthesis", noise="input")
    dlatents = tiny_generator.mapping(latents_from_seeds([5], 8), LABELS).numpy()
    noise = noise_from_seeds([5], 16)
    expected = tiny_generator.synthesis(dlatents, noise=noise).numpy()
    inputs = {f"noise{index}": image for index, image in enumerate(noise)}
    assert facts_of(content)["inputs"] == {
        "dlatents": [1, 6, 8],
        **{name: list(image.shape) for name, image in inputs.items()},
    }
    np.testing.assert_allclose(run(content, dlatents=dlatents, **inputs), expected, rtol=0, atol=1e-4)


def test_noise_can_be_left_out(tiny_generator):
    dlatents = tiny_generator.mapping(latents_from_seeds([5], 8), LABELS).numpy()
    expected = tiny_generator.synthesis(dlatents, noise=[0 * image for image in noise_from_seeds([5], 16)]).numpy()
    content = litert.convert(tiny_generator, "synthesis", noise="none")
    np.testing.assert_allclose(run(content, dlatents=dlatents), expected, rtol=0, atol=1e-4)


def test_stored_noise_takes_one_channel_in_the_file():
    generator = small_generator(resolution=32)
    stored, given = (len(litert.convert(generator, "synthesis", noise=noise)) for noise in ("stored", "input"))
    pixels = sum(image.shape.num_elements() for image in generator.synthesis.noise_images)
    assert stored - given < 1.1 * 4 * pixels


def test_a_growing_network_is_exported_as_far_as_it_has_grown(tiny_generator):
    latents = latents_from_seeds([5], 8)
    expected = tiny_generator(latents, LABELS, level=1, fade=0.25, truncation_psi=0.7, randomize_noise=False).numpy()
    content = litert.convert(tiny_generator, level=1, fade=0.25)
    actual = run(content, latents=latents, labels=LABELS, psi=PSI)
    assert actual.shape == (1, 8, 8, 3)
    assert facts_of(content)["resolution"] == 8
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4)


def test_a_batch_has_the_pictures_of_its_latents(tiny_generator):
    latents, labels = latents_from_seeds(range(3), 8), np.eye(3, dtype=np.float32)
    batch = run(litert.convert(tiny_generator, batch=3), latents=latents, labels=labels, psi=PSI)
    single = litert.convert(tiny_generator)
    for index in range(3):
        part = slice(index, index + 1)
        expected = run(single, latents=latents[part], labels=labels[part], psi=PSI)
        np.testing.assert_allclose(batch[part], expected, rtol=0, atol=1e-4)


def test_a_progressive_gan_is_exported_as_a_whole():
    generator = ProGANGenerator(resolution=8, fmap_max=8, label_size=3)
    fill_weights(generator)
    latents = latents_from_seeds([5], 8)
    actual = run(litert.convert(generator), latents=latents, labels=LABELS)
    np.testing.assert_allclose(actual, generator(latents, LABELS).numpy(), rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match="has no mapping"):
        litert.convert(generator, "mapping")


def test_a_network_of_another_dtype_is_exported_in_float32():
    half, single = (Generator(**TINY | {"resolution": 8, "dtype": dtype}) for dtype in ("bfloat16", "float32"))
    for generator in (half, single):
        fill_weights(generator)
    latents = latents_from_seeds([5], 8)
    expected = single(latents, LABELS, truncation_psi=0.7, randomize_noise=False).numpy()
    actual = run(litert.convert(half), latents=latents, labels=LABELS, psi=PSI)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("quantize", "share", "error"), [("float16", 0.55, 2e-3), ("dynamic_int8", 0.35, 0.2), ("int8", 0.35, 0.5)]
)
def test_quantized_weights_make_a_small_file_with_a_known_error(quantize, share, error):
    generator = small_generator(resolution=8, fmap_max=64, latent_size=64)
    latents = latents_from_seeds([5], 64)
    expected = generator(latents, truncation_psi=0.7, randomize_noise=False).numpy()
    content = litert.convert(generator, quantize=quantize, calibration=4)
    assert len(content) < share * 4 * generator.count_params()
    assert relative_error(run(content, latents=latents, psi=PSI), expected) < error


def test_a_file_that_computes_something_else_is_refused(tiny_generator, monkeypatch):
    another = Generator(**TINY)
    fill_weights(another, seed=1)
    wrong = litert._converted(part_of(another), "float32", 1)
    monkeypatch.setattr(litert, "_converted", lambda *arguments: wrong)
    for quantize in litert.BOUNDS:
        with pytest.raises(ValueError, match=f"the generator in {quantize} is not what Keras computes"):
            litert.convert(tiny_generator, quantize=quantize)


def test_a_file_with_nan_is_refused(tiny_generator, monkeypatch):
    monkeypatch.setattr(Part, "error", lambda *arguments: np.nan)
    with pytest.raises(ValueError, match="nan"):
        litert.convert(tiny_generator, quantize="float16")


def test_a_file_says_what_it_is_and_is_the_same_each_time(tiny_generator):
    content = litert.convert(tiny_generator, metadata={"kimg": 42})
    assert facts_of(content) == {
        "format": "stylegan_tf 1",
        "part": "generator",
        "inputs": {"latents": [1, 8], "labels": [1, 3], "psi": [1]},
        "outputs": ["images"],
        "resolution": 16,
        "num_channels": 3,
        "latent_size": 8,
        "label_size": 3,
        "num_layers": 6,
        "truncation_psi": 0.7,
        "truncation_cutoff": 8,
        "quantize": "float32",
        "noise": "stored",
        "level": 0,
        "fade": 0.0,
        "network": {"kimg": 42},
    }
    signature = {"inputs": ["labels", "latents", "psi"], "outputs": ["images"]}
    assert interpreter.Interpreter(model_content=content).get_signature_list() == {"generator": signature}
    assert content == litert.convert(tiny_generator, metadata={"kimg": 42})


def test_tracing_leaves_the_norms_as_they_were(tiny_generator):
    x = np.full([1, 2, 2, 4], 1e-4, "f")  # the epsilon counts as much as it does
    plain = ops.pixel_norm(x)
    part_of(tiny_generator, "synthesis", half=True).traced()
    assert np.array_equal(ops.pixel_norm(x), plain)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"part": "style"}, "the part of a generator is generator, mapping, synthesis, not 'style'"),
        ({"quantize": "int4"}, "not 'int4'"),
        ({"noise": "random"}, "noise is stored, input, none, not 'random'"),
        ({"batch": 0}, "batch must be from 1 to 1024, not 0"),
        ({"batch": None}, r"batch \(None\)"),
        ({"level": 3}, "level must be from 0"),
        ({"fade": 2}, "fade must be from 0 to 1, not 2"),
        ({"calibration": 0}, r"calibration \(0\)"),
    ],
)
def test_a_wrong_argument_is_refused(tiny_generator, options, message):
    with pytest.raises(ValueError, match=message):
        litert.convert(tiny_generator, **options)


@pytest.mark.slow
def test_the_benchmark_makes_a_row_of_its_table_for_each_type(tmp_path, capsys):
    benchmark.main(["--quick", "--out", str(tmp_path / "values.json")])
    rows = json.loads((tmp_path / "values.json").read_text())["rows"]
    assert [row["quantize"] for row in rows] == list(litert.BOUNDS)
    assert rows[0]["psnr"] is None  # itself
    assert rows[1]["psnr"] > rows[2]["psnr"] > 20
    assert all(min(row["seconds"][threads]) > 0 for row in rows for threads in ("1", "2"))
    assert "| 8, random | float32 |" in capsys.readouterr().out


def test_float16_has_the_epsilon_of_the_norms():
    """Untrained, without noise, every feature map is constant at first: only the epsilon keeps 0 / 0 away."""
    network = Generator(resolution=8, fmap_max=8, latent_size=8, dlatent_size=8, mapping_layers=1, mapping_fmaps=8)
    assert litert.convert(network, quantize="float16")  # compares with Keras, and refuses NaN


@pytest.mark.parametrize("epsilon", [1e-8, 1e-4])
def test_a_progressive_gan_has_float16_weights_whatever_its_epsilon(epsilon):
    network = ProGANGenerator(resolution=8, fmap_max=8, latent_size=8, pixelnorm_epsilon=epsilon)
    assert litert.convert(network, quantize="float16")
