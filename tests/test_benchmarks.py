"""The measurements run, and what they compare does the same work."""

import json

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import (
    contenders,
    dataset,
    generation,
    likeness,
    material,
    measuring,
    operations,
    original,
    plain,
    training,
    upkeep,
)
from benchmarks.__main__ import COMMANDS
from benchmarks.__main__ import main as benchmark
from dataset_tools.making import make_dataset
from dataset_tools.sources import PictureSource
from stylegan_tf.discriminator import Discriminator
from stylegan_tf.generator import Generator
from stylegan_tf.record_format import decode
from stylegan_tf.record_levels import RecordFormat
from stylegan_tf.records import open_levels
from training.losses import D_LOSSES, G_LOSSES, total

STEPS = [training.CONTENDERS[name] for name in ("within-1024", "demo-bfloat16", "plain")]
PICTURES = generation.CONTENDERS.values()


def test_both_write_the_same_images(tmp_path):
    folder = material.picture_folder(tmp_path / "pictures", 32, 8, "png")
    original.write(folder, tmp_path / "original")
    make_dataset(PictureSource(folder), tmp_path / "ours")
    for theirs, ours in zip(open_levels(tmp_path / "original"), open_levels(tmp_path / "ours"), strict=True):
        np.testing.assert_array_equal(theirs.read(range(8)), ours.read(range(8)))


def test_the_same_records_but_for_the_order_of_their_two_features(tmp_path):
    folder = material.picture_folder(tmp_path / "pictures", 16, 1, "jpeg")
    original.write(folder, tmp_path / "set")
    make_dataset(PictureSource(folder), tmp_path / "ours" / "set")
    for name in ("set-r02.tfrecords", "set-r03.tfrecords", "set-r04.tfrecords"):
        theirs, ours = ((tmp_path / way / name).read_bytes() for way in ("set", "ours/set"))
        assert sorted(theirs[12:-4]) == sorted(ours[12:-4])  # between head and checksum
        assert decode(theirs[12:-4]).shape == decode(ours[12:-4]).shape


def test_both_read_every_image_once(tmp_path):
    directory = material.data_set(tmp_path / "set", 8, 6, RecordFormat())
    level = open_levels(directory)[0]
    images, labels = next(original.batches(level.name, level.shape, 6))
    expected = level.read(range(6)).transpose(0, 3, 1, 2)
    assert labels.shape == (6, 0)
    assert sorted(image.tobytes() for image in images) == sorted(image.tobytes() for image in expected)


def test_a_large_data_set_is_as_large_as_it_says(tmp_path):
    levels = open_levels(material.large_data_set(tmp_path / "large", 2500))
    assert [len(level) for level in levels] == [2500, 2500]


def test_a_ratio_is_the_median_over_turns_and_more_is_faster():
    theirs = measuring.Row("task", "original", rates=[1, 2, 4], cpu=[3, 3, 3])
    ours = measuring.Row("task", "ours", rates=[2, 8, 40], cpu=[1, 2, 1])
    assert measuring.ratio(ours, theirs) == 4
    assert measuring.ratio(ours, theirs, "cpu") == 3
    assert "4.00" in measuring.lines([theirs, ours]).splitlines()[-1]


def test_contenders_take_turns_and_the_first_turn_does_not_count():
    calls = []

    def contender(name, seconds):
        calls.append(name)
        return 10, seconds, 0.5

    contenders = {"a": lambda: contender("a", 5), "b": lambda: contender("b", 2)}
    rows = measuring.compare("task", contenders, repeats=2)
    assert "".join(calls) == "ababab"
    assert [row.contender for row in rows] == ["a", "b"]
    assert [row.rates for row in rows] == [[2, 2], [5, 5]]
    assert [row.cpu for row in rows] == [[0.05, 0.05]] * 2


def test_a_quick_run_measures_everything_and_leaves_only_its_values(tmp_path, capsys):
    dataset.main(["--quick", "--out", str(tmp_path / "speed.json"), "--dir", str(tmp_path)])
    values = json.loads((tmp_path / "speed.json").read_text())
    tasks = {row["task"].partition(" ")[0] for row in values["rows"]}
    assert tasks == {"write", "read", "first"}
    assert all(len(row["rates"] or row["seconds"]) == 1 for row in values["rows"])
    assert min(min(row["rates"] or row["seconds"]) for row in values["rows"]) > 0
    assert values["machine"]["cores"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["speed.json"]
    out = capsys.readouterr().out
    assert all(row["task"] in out for row in values["rows"])


@pytest.mark.parametrize("arguments", [["--repeats", "0"], ["--out", "nowhere/speed.json"], ["--fast"]])
def test_a_wrong_option_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        dataset.parse_arguments(arguments)
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_the_cost_of_training_is_measured(tmp_path, capsys):
    upkeep.main(["--quick", "--out", str(tmp_path / "cost.json")])
    out = capsys.readouterr().out
    assert "MirroredStrategy of one" in out
    assert "Warning" not in out
    values = json.loads((tmp_path / "cost.json").read_text())
    assert all(seconds > 0 for row in (*values["step"].values(), *values["tick"].values()) for seconds in row)


def test_operations_are_those_of_the_layers():
    """Counted by hand: 8x8 pixels and 4 feature maps everywhere, 5 where the minibatch stddev is appended."""
    network = Discriminator(resolution=8, fmap_max=4)
    head = 2 * (9 * 16 * 5 * 4 + 64 * 4 + 4)
    block = 2 * (9 * 64 * 4 * 4 + 16 * 16 * 4 * 4)  # the down-convolution is one of 4x4 with a stride of two
    assert sum(operations.forward(network).values()) == 2 * 64 * 3 * 4 + block + head
    assert sum(operations.forward(network, level=1).values()) == 2 * 16 * 3 * 4 + head


def test_a_step_of_the_paper_at_32_pixels_takes_139_billion_operations_an_image():
    networks = Generator(resolution=32), Discriminator(resolution=32)
    assert operations.training_step(*networks) == pytest.approx(138.7e9, rel=1e-3)
    assert operations.training_step(*networks, r1=False) == pytest.approx(111.0e9, rel=1e-3)


def networks(fused):
    """An untrained pair, but for biases and noise strengths, which are not zero; and the same as plain weights."""
    options = dict(resolution=16, fmap_max=6)
    pair = Generator(latent_size=5, mapping_fmaps=6, dlatent_size=6, mapping_layers=2, fused_scale=fused, **options)
    pair = pair, Discriminator(fused_scale=fused, **options)
    random = np.random.default_rng(0)
    for network in pair:
        for variable in network.trainable_variables:
            variable.assign(variable + 0.1 * random.normal(size=variable.shape))
    return pair, [plain.weights_of(network) for network in pair]


@pytest.mark.parametrize("fused", [False, True])
def test_plain_networks_and_losses_are_ours(fused, monkeypatch):
    monkeypatch.setattr(plain, "FUSED_FROM", 8 if fused else 32)
    (generator, discriminator), weights = networks(fused)
    random = np.random.default_rng(1)
    latents = tf.constant(random.normal(size=[4, 5]), tf.float32)
    reals = tf.constant(random.normal(size=[4, 16, 16, 3]), tf.float32)
    fakes = generator(latents, truncation_psi=None, randomize_noise=False)
    np.testing.assert_allclose(plain.generate(weights[0], latents, 16), fakes, rtol=1e-4, atol=1e-4)
    ours = (
        lambda: total(D_LOSSES["D_logistic_simplegp"](discriminator, reals, fakes, 0, None))[0],
        lambda: G_LOSSES["G_logistic_nonsaturating"](
            discriminator, generator(latents, truncation_psi=None, randomize_noise=False)
        ),
    )
    theirs = plain.losses(*weights, reals, latents, 16)
    for network, our_loss, their_loss in zip((discriminator, generator), ours, theirs, strict=True):
        variables = [variable.value for variable in network.trainable_variables]
        gradients = []
        for loss in (our_loss, their_loss):
            with tf.GradientTape() as tape:
                value = tf.reduce_mean(loss())
            gradients.append([value, *tape.gradient(value, variables, unconnected_gradients="zero")])
        for our, their in zip(*gradients, strict=True):
            np.testing.assert_allclose(their, our, rtol=1e-3, atol=1e-4)


def test_steps_are_measured_beside_a_convolution(tmp_path, capsys):
    file, picture = tmp_path / "steps.json", tmp_path / "steps.png"
    arguments = ["--quick", "--contenders", "replicas", "--out", str(file)]
    training.main([*arguments, "--plot", str(picture)])
    out = capsys.readouterr().out
    assert "A training step: 8 pixels, 4 images" in out
    rows = {row["contender"]: row for row in json.loads(file.read_text())["rows"]}
    assert rows.keys() == {"replicas", "convolution, float32"}
    assert all(row["seconds"][0] > 0 and row["memory"] > 0 and row["facts"]["operations"] for row in rows.values())
    assert picture.stat().st_size > 1000


def test_pictures_are_measured(tmp_path):
    generation.main(["--quick", "--contenders", "bfloat16", "--out", str(tmp_path / "pictures.json")])
    rows = json.loads((tmp_path / "pictures.json").read_text())["rows"]
    assert [row["contender"] for row in rows] == ["bfloat16", "convolution, bfloat16"]


@pytest.mark.parametrize(
    ("build", "options"),
    [
        *((training.training_step, dict(size=8, batch=4, feature_maps=4, **chosen)) for chosen in STEPS),
        *((generation.pictures, dict(size=8, batch=2, feature_maps=4, **chosen)) for chosen in PICTURES),
    ],
)
def test_every_contender_does_what_it_says(build, options):
    run, facts = build(**options)
    assert np.isfinite(run()).all()
    assert facts["images"] == options["batch"]
    assert facts["operations"] > 0


def test_likeness_of_types_is_measured(tmp_path, capsys):
    likeness.main(["--quick", "--out", str(tmp_path / "likeness.json")])
    values = json.loads((tmp_path / "likeness.json").read_text())
    assert 20 < min(values["psnr"]) < np.inf
    assert 0 <= values["bfloat16"] < values["other seeds"]
    assert "PSNR" in capsys.readouterr().out


def test_psnr_of_pictures_that_differ_by_one_is_48_decibels():
    pictures = np.zeros([2, 4, 4, 3], np.uint8)
    others = pictures.copy()
    others[1] += 1
    np.testing.assert_allclose(likeness.psnr(pictures, others), [np.inf, 20 * np.log10(255)])


def test_what_a_contender_cannot_do_is_told():
    with pytest.raises(ValueError, match="a contender failed"):
        contenders.take_turns({"odd": (training.training_step, {"size": 9, "batch": 4}, 1)}, 1)


def test_a_contender_that_dies_is_an_error():
    contender = contenders.Contender(training.convolution, {"dtype": "float32", "quick": True})
    contender.stop()
    with pytest.raises(ValueError, match="ended with status -9"):
        contender.take_turn()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_examples(name, capsys):
    with pytest.raises(SystemExit) as caught:
        benchmark([name, "--help"])
    assert caught.value.code == 0
    assert "Examples:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["steps"], "steps"),
        (["training", "--sizes", "9"], "9"),
        (["training", "--contenders", "jax"], "jax"),
        (["generation", "--batches", "0"], "0"),
        (["generation", "--plot", "nowhere/cost.png"], "nowhere"),
        (["upkeep", "--resolution", "24"], "24"),
    ],
)
def test_a_wrong_command_or_value_is_refused(arguments, named, capsys):
    with pytest.raises(SystemExit) as caught:
        benchmark(arguments)
    assert caught.value.code == 2
    assert named in capsys.readouterr().err
