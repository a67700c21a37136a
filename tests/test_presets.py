"""Every published row against the numbers of section 13 of the reference, written out here once more."""

import argparse
import json
from pathlib import Path

import pytest

from training.config import TrainingConfig, check, with_values
from training.options import add_options
from training.presets import DATASETS, GPUS, PRESETS, PROGAN_GPUS, VARIANTS, combine
from training.request import requested_config
from training.schedule import schedule_at

GOLDEN = json.loads((Path(__file__).parent / "golden" / "training_schedule.json").read_text())["tables"]
RATES = {128: 0.0015, 256: 0.002, 512: 0.003, 1024: 0.003}
MINIBATCHES = {  # section 13.3
    1: (4, {4: 128, 8: 128, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8, 512: 4}),
    2: (8, {4: 256, 8: 256, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8}),
    4: (16, {4: 512, 8: 256, 16: 128, 32: 64, 64: 32, 128: 16}),
    8: (32, {4: 512, 8: 256, 16: 128, 32: 64, 64: 32}),
}
TUNED_BASELINE = {  # section 13.4
    "use_styles": False,
    "use_pixel_norm": True,
    "use_instance_norm": False,
    "mapping_layers": 0,
    "truncation_psi": None,
    "const_input_layer": False,
    "style_mixing_prob": 0.0,
    "use_noise": False,
}
GENERATORS = {  # section 13.4: settings relative to F
    "B": TUNED_BASELINE,
    "C": {"const_input_layer": False, "style_mixing_prob": 0.0, "use_noise": False},
    "D": {"style_mixing_prob": 0.0, "use_noise": False},
    "E": {"style_mixing_prob": 0.0},
    "F": {},
    "mix0": {"style_mixing_prob": 0.0},
    "mix50": {"style_mixing_prob": 0.5},
    "mix90": {"style_mixing_prob": 0.9},
    "mix100": {"style_mixing_prob": 1.0},
    "traditional-0": TUNED_BASELINE,
    "traditional-8": {**TUNED_BASELINE, "mapping_layers": 8},
    "stylebased-0": {"mapping_layers": 0},
    "stylebased-1": {"mapping_layers": 1},
    "stylebased-2": {"mapping_layers": 2},
    "stylebased-8": {"mapping_layers": 8},
}
PROGAN_RATES = {  # section 13.6
    1: {1024: 0.0015},
    2: {512: 0.0015, 1024: 0.002},
    4: {256: 0.0015, 512: 0.002, 1024: 0.003},
    8: {128: 0.0015, 256: 0.002, 512: 0.003, 1024: 0.003},
}
CATEGORIES = [
    *("airplane", "bedroom", "bicycle", "bird", "boat", "bottle", "bridge", "bus", "car", "cat", "chair"),
    *("churchoutdoor", "classroom", "conferenceroom", "cow", "diningroom", "diningtable", "dog", "horse", "kitchen"),
    *("livingroom", "motorbike", "person", "pottedplant", "restaurant", "sheep", "sofa", "tower", "train", "tvmonitor"),
]


def configured(*arguments):
    """The configuration of a command line."""
    parser = argparse.ArgumentParser()
    add_options(parser)
    return requested_config(parser.parse_args(arguments))[0]


def test_there_is_a_row_for_every_published_configuration():
    assert PRESETS.keys() == {"A", "demo"} | GENERATORS.keys()


@pytest.mark.parametrize("name", GENERATORS)
def test_a_style_based_configuration(name):
    config = configured("--config", name)
    assert config.generator == GENERATORS[name]
    assert config.discriminator == {}
    assert (config.G_func, config.D_func) == ("G_style", "D_basic")
    assert (config.G_loss, config.G_loss_args) == ("G_logistic_nonsaturating", {})
    assert (config.D_loss, config.D_loss_args) == ("D_logistic_simplegp", {})  # r1_gamma 10 is the loss's own default
    assert vars(config.optimizer) == {"beta1": 0.0, "beta2": 0.99, "epsilon": 1e-8}
    assert (config.total_kimg, config.image_grid, config.image_layout) == (25000, "4k", "random")
    assert config.schedule.lod_initial_resolution == 8
    assert config.schedule.G_lrate_dict == config.schedule.D_lrate_dict == RATES
    assert (config.schedule.lod_training_kimg, config.schedule.lod_transition_kimg) == (600, 600)


@pytest.mark.parametrize("count", MINIBATCHES)
def test_gpus_of_the_style_based_configurations(count):
    config = configured("--gpus", str(count))
    assert config.num_gpus == count
    assert (config.schedule.minibatch_base, config.schedule.minibatch_dict) == MINIBATCHES[count]
    assert config.schedule.G_lrate_dict == config.schedule.D_lrate_dict == RATES


@pytest.mark.parametrize("count", MINIBATCHES)
def test_progressive_gan_on_a_number_of_gpus(count):
    config = configured("--config", "A", "--gpus", str(count))
    schedule = config.schedule
    assert (config.G_func, config.D_func, config.G_loss, config.D_loss) == ("G_paper", "D_paper", "G_wgan", "D_wgan_gp")
    assert (config.generator, config.discriminator, config.D_loss_args) == ({}, {}, {})
    assert (config.num_gpus, config.total_kimg, config.image_grid) == (count, 12000, "1080p")
    assert (schedule.minibatch_base, schedule.minibatch_dict) == MINIBATCHES[count]
    assert schedule.G_lrate_dict == schedule.D_lrate_dict == PROGAN_RATES[count]
    assert (schedule.lod_initial_resolution, schedule.lod_training_kimg) == (4, 600)
    assert schedule.max_minibatch_per_gpu == {256: 16, 512: 8, 1024: 4}  # -fp32


def test_progressive_gan_of_2017():
    config = configured("--config", "A", "--with", "v1")
    schedule = config.schedule
    assert config.discriminator == {"mbstd_group_size": 16}
    assert (schedule.minibatch_base, schedule.minibatch_dict) == (16, {256: 14, 512: 6, 1024: 3})
    assert (schedule.lod_training_kimg, schedule.lod_transition_kimg, config.total_kimg) == (800, 800, 19000)
    assert schedule.G_lrate_dict == schedule.D_lrate_dict == {}
    assert (config.num_gpus, config.total_kimg) == (1, 19000)


def test_half_precision():
    config = configured("--config", "A", "--fp16")
    assert (config.dtype, config.loss_scaling, config.generator) == ("float16", True, {"pixelnorm_epsilon": 1e-4})
    assert config.schedule.max_minibatch_per_gpu == {512: 16, 1024: 8}
    config = configured("--fp16")
    assert (config.dtype, config.loss_scaling, config.generator) == ("float16", True, {})
    assert configured("--config", "A", "--fp32") == configured("--config", "A")


@pytest.mark.parametrize("name", DATASETS)
def test_a_data_set_is_mirrored_where_the_authors_did(name):
    mirrored = {"ffhq", "ffhq-512", "ffhq-256", "celebahq", "celeba"}
    assert configured("--dataset", name).mirror_augment == (name in mirrored or name.endswith("-100k"))


def test_the_data_sets_and_their_directories():
    plain = {"ffhq", "celebahq", "celeba", "cifar10", "cifar100", "svhn", "mnist", "mnistrgb"}
    sizes = {"ffhq-512": "ffhq", "ffhq-256": "ffhq"}
    lsun = {"bedroom": "lsun-bedroom-full", "car": "lsun-car-512x384", "cat": "lsun-cat-full"}
    lsun |= {f"lsun-{category}-100k": f"lsun-{category}-100k" for category in CATEGORIES}
    expected = {name: name for name in plain} | sizes | lsun
    assert {name: dataset.directory for name, dataset in DATASETS.items()} == expected
    trained = {name: dataset.trained for name, dataset in DATASETS.items() if dataset.trained}
    assert trained == {"ffhq-512": 512, "ffhq-256": 256}


def changes(*arguments, base=()):
    """{field: value} in which a command line differs from another, fields of the schedule by "schedule.<field>"."""
    flat = []
    for config in (configured(*base), configured(*base, *arguments)):
        flat.append(vars(config) | {f"schedule.{name}": value for name, value in vars(config.schedule).items()})
        del flat[-1]["schedule"]
    return {name: value for name, value in flat[1].items() if value != flat[0][name]}


CAPPED = {128: 0.0015, 256: 0.002, 512: 0.002, 1024: 0.002}
EVERY_KIMG = {"schedule.tick_kimg_base": 1, "schedule.tick_kimg_dict": {}}
RARELY = {"image_snapshot_ticks": 1000, "network_snapshot_ticks": 1000}
LENGTHS = ("schedule.lod_training_kimg", "schedule.lod_transition_kimg")
SWITCHES = {  # sections 13.4 and 13.6: what each of them changes in F
    "wgangp": {
        "G_loss": "G_wgan",
        "D_loss": "D_wgan_gp",
        "schedule.G_lrate_dict": CAPPED,
        "schedule.D_lrate_dict": CAPPED,
    },
    "cond": {"use_labels": True},
    "cond1": {"use_labels": True, "max_label_size": 1},
    "g4k": {},
    "grpc": {"image_layout": "row_per_class"},
    "nogrowing": {"schedule.lod_initial_resolution": 1024, **dict.fromkeys(LENGTHS, 0), "total_kimg": 10000},
    "nowscale": {"generator": {"use_wscale": False}, "discriminator": {"use_wscale": False}},
    "nosmoothing": {"G_smoothing_kimg": 0},
    "norepeat": {"minibatch_repeats": 1},
    "noreset": {"reset_opt_for_new_lod": False},
    "benchmark": {
        "schedule.lod_initial_resolution": 4,
        **dict.fromkeys(LENGTHS, 3),
        "total_kimg": 51,
        **EVERY_KIMG,
        **RARELY,
    },
    "benchmark0": {"schedule.lod_initial_resolution": 1024, "total_kimg": 10, **EVERY_KIMG, **RARELY},
    "verbose": {**EVERY_KIMG, "network_snapshot_ticks": 100},
    "hist": {"save_weight_histograms": True},
}
PROGAN_SWITCHES = {
    "nopixelnorm": {"generator": {"use_pixelnorm": False}},
    "noleakyrelu": {"generator": {"use_leakyrelu": False}},
    "g4k": {"image_grid": "4k"},
}


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_changes_what_it_says_and_nothing_else(name):
    assert changes("--with", name) == SWITCHES[name]


@pytest.mark.parametrize("name", PROGAN_SWITCHES)
def test_a_switch_of_progressive_gan(name):
    assert changes("--with", name, base=("--config", "A")) == PROGAN_SWITCHES[name]


def test_every_switch_is_tested():
    assert VARIANTS.keys() == {"v1"} | SWITCHES.keys() | PROGAN_SWITCHES.keys()


def test_switches_add_up():
    config = configured("--config", "E", "--with", "nowscale,norepeat", "--with", "wgangp", "--set", "seed=3")
    assert config.generator == {"style_mixing_prob": 0.0, "use_wscale": False}
    assert (config.minibatch_repeats, config.D_loss, config.seed) == (1, "D_wgan_gp", 3)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_configuration_passes_the_check_on_every_number_of_gpus(preset):
    for count in GPUS:
        check(configured("--config", preset, "--gpus", str(count)))


@pytest.mark.parametrize("name", ["ffhq1024_1gpu", "ffhq1024_2gpu", "ffhq1024_4gpu", "ffhq1024_8gpu"])
def test_the_schedule_of_a_gpu_preset_is_the_originals(name):
    table = GOLDEN[name]
    assert_schedule(configured("--gpus", str(table["num_gpus"])), table)


def test_the_schedule_of_progressive_gan_is_the_originals():
    assert_schedule(configured("--config", "A"), GOLDEN["progan_v2_1gpu_1024"])


def assert_schedule(config, table):
    """Equal to the last bit, at every moment of a golden table."""
    assert config.num_gpus == table["num_gpus"]
    for images, lod, size, minibatch, share, *rates, tick in table["rows"]:
        point = schedule_at(images, config.schedule, table["resolution"], config.num_gpus)
        ours = (point.lod, point.resolution, point.minibatch, point.minibatch // config.num_gpus, point.tick_kimg)
        assert ours == (lod, size, minibatch, share, tick), images
        assert [point.G_lrate, point.D_lrate] == rates, images


def test_no_row_changes_another():
    combined = combine(PRESETS["B"], GPUS[4], VARIANTS["nowscale"][1])
    assert combined["generator"] == {**TUNED_BASELINE, "use_wscale": False}
    assert PRESETS["B"]["generator"] == TUNED_BASELINE
    assert combine(PROGAN_GPUS[1], {"schedule": {"minibatch_dict": {}}})["schedule"]["minibatch_dict"] == {}
    assert PROGAN_GPUS[1]["schedule"]["minibatch_dict"] == MINIBATCHES[1][1]


def test_the_demo_is_what_it_was_when_its_pictures_were_made():
    config = with_values(TrainingConfig(), PRESETS["demo"])
    schedule = config.schedule
    assert (schedule.minibatch_base, schedule.minibatch_dict, schedule.G_lrate_base) == (8, {}, 0.002)
    assert (config.D_loss_args, config.total_kimg, config.G_smoothing_kimg) == ({"r1_gamma": 100.0}, 58.0, 1.5)
    assert configured("--config", "demo") == config
