"""The published configurations (section 13 of the reference), each a row of differences from `TrainingConfig`.

A run is one row of `PRESETS`, one for its number of GPUs, one for its data set if it is a known one, and any number of
`VARIANTS`. Rows go on top of each other, in that order: `combine`.
"""

import re
from types import MappingProxyType
from typing import NamedTuple

CATEGORIES = """  airplane bedroom bicycle bird boat bottle bridge bus car cat chair churchoutdoor classroom
    conferenceroom cow diningroom diningtable dog horse kitchen livingroom motorbike person pottedplant restaurant sheep
    sofa tower train tvmonitor"""  # of LSUN, of which Progressive GAN trained on 100,000 pictures each
OPTIONS = ("generator", "discriminator")  # fields whose entries a row adds to, where it replaces all others


def _rates(**values):
    """Learning rates of both networks, by resolution."""
    table = {int(size[1:]): rate for size, rate in values.items()}
    return {"G_lrate_dict": table, "D_lrate_dict": table}


# 13.4: from F backwards, what each step of table 1 had not got yet
_E = {"style_mixing_prob": 0.0}
_D = {**_E, "use_noise": False}
_C = {**_D, "const_input_layer": False}
_B = {
    **_C,
    "use_styles": False,
    "use_pixel_norm": True,
    "use_instance_norm": False,
    "mapping_layers": 0,
    "truncation_psi": None,
}
_STYLEGAN = {"image_grid": "4k"}  # 13.1; the rest of it is what `TrainingConfig` starts from
_PROGAN = {  # 13.6; the schedule with the defaults of 12.2
    "G_func": "G_paper",
    "D_func": "D_paper",
    "G_loss": "G_wgan",
    "D_loss": "D_wgan_gp",
    "schedule": {
        "lod_initial_resolution": 4,
        "minibatch_base": 16,
        "minibatch_dict": {},
        "max_minibatch_per_gpu": {256: 16, 512: 8, 1024: 4},
        **_rates(),
    },
    "total_kimg": 12000.0,
}
# New OpenMoji portraits in a quarter of an hour on two CPU cores. What makes it quick: few features, small minibatches
# (more updates for the same images), and a strong R1 penalty, for so little data and time
_DEMO = {
    "generator": {
        "fmap_base": 512,
        "fmap_max": 128,
        "latent_size": 128,
        "dlatent_size": 128,
        "mapping_layers": 4,
        "mapping_fmaps": 128,
        "mapping_lrmul": 0.1,
    },
    "discriminator": {"fmap_base": 512, "fmap_max": 128},
    "dtype": "auto",
    "D_loss_args": {"r1_gamma": 100.0},
    "schedule": {
        "lod_training_kimg": 12.0,
        "lod_transition_kimg": 8.0,
        "lod_training_kimg_dict": {8: 3.0, 16: 5.0, 32: 10.0},
        "lod_transition_kimg_dict": {16: 3.0, 32: 5.0, 64: 6.0},
        "minibatch_base": 8,
        "minibatch_dict": {},
        "G_lrate_base": 0.002,
        "G_lrate_dict": {},
        "D_lrate_base": 0.002,
        "D_lrate_dict": {},
        "tick_kimg_base": 2.0,
        "tick_kimg_dict": {},
    },
    "G_smoothing_kimg": 1.5,
    "total_kimg": 58.0,
    "image_grid": "12x6",
}

PRESETS = MappingProxyType(
    {
        # table 1
        "A": _PROGAN,
        "B": {**_STYLEGAN, "generator": _B},
        "C": {**_STYLEGAN, "generator": _C},
        "D": {**_STYLEGAN, "generator": _D},
        "E": {**_STYLEGAN, "generator": _E},
        "F": _STYLEGAN,
        # table 2: how often two latents are mixed
        "mix0": {**_STYLEGAN, "generator": {"style_mixing_prob": 0.0}},
        "mix50": {**_STYLEGAN, "generator": {"style_mixing_prob": 0.5}},
        "mix90": {**_STYLEGAN, "generator": {"style_mixing_prob": 0.9}},
        "mix100": {**_STYLEGAN, "generator": {"style_mixing_prob": 1.0}},
        # table 4: depths of the mapping network
        "traditional-0": {**_STYLEGAN, "generator": _B},
        "traditional-8": {**_STYLEGAN, "generator": {**_B, "mapping_layers": 8}},
        "stylebased-0": {**_STYLEGAN, "generator": {"mapping_layers": 0}},
        "stylebased-1": {**_STYLEGAN, "generator": {"mapping_layers": 1}},
        "stylebased-2": {**_STYLEGAN, "generator": {"mapping_layers": 2}},
        "stylebased-8": {**_STYLEGAN, "generator": {"mapping_layers": 8}},
        "demo": _DEMO,
    }
)

# 13.3 and 13.6: the minibatch by resolution, for a number of GPUs
_MINIBATCHES = {
    1: {"minibatch_base": 4, "minibatch_dict": {4: 128, 8: 128, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8, 512: 4}},
    2: {"minibatch_base": 8, "minibatch_dict": {4: 256, 8: 256, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8}},
    4: {"minibatch_base": 16, "minibatch_dict": {4: 512, 8: 256, 16: 128, 32: 64, 64: 32, 128: 16}},
    8: {"minibatch_base": 32, "minibatch_dict": {4: 512, 8: 256, 16: 128, 32: 64, 64: 32}},
}
_PROGAN_RATES = {
    1: _rates(_1024=0.0015),
    2: _rates(_512=0.0015, _1024=0.002),
    4: _rates(_256=0.0015, _512=0.002, _1024=0.003),
    8: _rates(_128=0.0015, _256=0.002, _512=0.003, _1024=0.003),
}
GPUS = MappingProxyType({count: {"num_gpus": count, "schedule": row} for count, row in _MINIBATCHES.items()})
PROGAN_GPUS = MappingProxyType(
    {count: {"num_gpus": count, "schedule": {**row, **_PROGAN_RATES[count]}} for count, row in _MINIBATCHES.items()}
)


class Dataset(NamedTuple):
    """A data set that the authors trained on.

    Attributes:
        directory: Its name, below `datasets`.
        stored: Its resolution in pixels.
        mirror: Whether images are flipped at random.
        trained: Resolution of the networks; None for all that there is.
        channels: Colour channels.
    """

    directory: str
    stored: int
    mirror: bool
    trained: int | None = None
    channels: int = 3


DATASETS = MappingProxyType(
    {
        # 13.2
        "ffhq": Dataset("ffhq", 1024, True),
        "ffhq-512": Dataset("ffhq", 1024, True, trained=512),
        "ffhq-256": Dataset("ffhq", 1024, True, trained=256),
        "celebahq": Dataset("celebahq", 1024, True),
        "bedroom": Dataset("lsun-bedroom-full", 256, False),
        "car": Dataset("lsun-car-512x384", 512, False),
        "cat": Dataset("lsun-cat-full", 256, False),
        # 13.6
        "celeba": Dataset("celeba", 128, True),
        "cifar10": Dataset("cifar10", 32, False),
        "cifar100": Dataset("cifar100", 32, False),
        "svhn": Dataset("svhn", 32, False),
        "mnist": Dataset("mnist", 32, False, channels=1),
        "mnistrgb": Dataset("mnistrgb", 32, False),
        **{f"lsun-{name}-100k": Dataset(f"lsun-{name}-100k", 256, True) for name in re.findall(r"\w+", CATEGORIES)},
    }
)

_EVERY_KIMG = {"tick_kimg_base": 1.0, "tick_kimg_dict": {}}
_RARELY = {"image_snapshot_ticks": 1000, "network_snapshot_ticks": 1000}
# 13.4 and 13.6, name: (kind of generator that it belongs to or None for any, row)
VARIANTS = MappingProxyType(
    {
        "wgangp": (
            "G_style",
            {
                "G_loss": "G_wgan",
                "D_loss": "D_wgan_gp",
                "D_loss_args": {},
                "schedule": _rates(_128=0.0015, _256=0.002, _512=0.002, _1024=0.002),
            },
        ),
        "v1": (
            "G_paper",
            {
                "discriminator": {"mbstd_group_size": 16},
                "schedule": {
                    "minibatch_base": 16,
                    "minibatch_dict": {256: 14, 512: 6, 1024: 3},
                    "lod_training_kimg": 800.0,
                    "lod_transition_kimg": 800.0,
                    **_rates(),
                },
                "total_kimg": 19000.0,
            },
        ),
        "cond": (None, {"use_labels": True, "max_label_size": "full"}),
        "cond1": (None, {"use_labels": True, "max_label_size": 1}),
        "g4k": (None, {"image_grid": "4k"}),
        "grpc": (None, {"image_layout": "row_per_class"}),
        "nogrowing": (
            None,
            {
                "schedule": {"lod_initial_resolution": 1024, "lod_training_kimg": 0.0, "lod_transition_kimg": 0.0},
                "total_kimg": 10000.0,
            },
        ),
        "nopixelnorm": ("G_paper", {"generator": {"use_pixelnorm": False}}),
        "nowscale": (None, {"generator": {"use_wscale": False}, "discriminator": {"use_wscale": False}}),
        "noleakyrelu": ("G_paper", {"generator": {"use_leakyrelu": False}}),
        "nosmoothing": (None, {"G_smoothing_kimg": 0.0}),
        "norepeat": (None, {"minibatch_repeats": 1}),
        "noreset": (None, {"reset_opt_for_new_lod": False}),
        "benchmark": (
            None,
            {
                "schedule": {
                    "lod_initial_resolution": 4,
                    "lod_training_kimg": 3.0,
                    "lod_transition_kimg": 3.0,
                    **_EVERY_KIMG,
                },
                "total_kimg": 51.0,
                **_RARELY,
            },
        ),
        "benchmark0": (
            None,
            {"schedule": {"lod_initial_resolution": 1024, **_EVERY_KIMG}, "total_kimg": 10.0, **_RARELY},
        ),
        "verbose": (None, {"schedule": _EVERY_KIMG, "image_snapshot_ticks": 1, "network_snapshot_ticks": 100}),
        "hist": (None, {"save_weight_histograms": True}),
    }
)

DTYPES = MappingProxyType(
    {
        dtype: {"dtype": dtype, "loss_scaling": dtype == "float16"}
        for dtype in ("float32", "bfloat16", "float16", "auto")
    }
)
# 13.6: what half precision is besides, in a Progressive GAN
PROGAN_FP16 = {"generator": {"pixelnorm_epsilon": 1e-4}, "schedule": {"max_minibatch_per_gpu": {512: 16, 1024: 8}}}


def combine(*rows):
    """Rows on top of each other, as one: a later one replaces fields, but adds to the options of the networks."""
    combined = {}
    for row in rows:
        for field, value in row.items():
            adds = field in (*OPTIONS, "schedule")
            combined[field] = {**combined.get(field, {}), **value} if adds else value
    return combined
