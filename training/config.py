"""Every default of a training run, and the published configurations as small differences from it."""

import dataclasses
import json
import math
import types
from dataclasses import dataclass, field

DTYPES = ("float32", "bfloat16", "auto")


def _table(**values):
    return field(default_factory=lambda: {int(key[1:]): value for key, value in values.items()})


@dataclass(frozen=True)
class ScheduleConfig:
    """Growth, minibatch, learning rates and ticks over time; see `schedule_at`.

    Tables map a resolution in pixels to a value; what they lack takes the value beside them. Lengths are in kimg,
    thousand real images. The two tables `lod_*_kimg_dict` are ours and empty in every published configuration.
    """

    lod_initial_resolution: int = 8
    lod_training_kimg: float = 600.0
    lod_transition_kimg: float = 600.0
    lod_training_kimg_dict: dict = _table()
    lod_transition_kimg_dict: dict = _table()
    minibatch_base: int = 4
    minibatch_dict: dict = _table(_4=128, _8=128, _16=128, _32=64, _64=32, _128=16, _256=8, _512=4)
    max_minibatch_per_gpu: dict = _table()
    G_lrate_base: float = 0.001
    G_lrate_dict: dict = _table(_128=0.0015, _256=0.002, _512=0.003, _1024=0.003)
    D_lrate_base: float = 0.001
    D_lrate_dict: dict = _table(_128=0.0015, _256=0.002, _512=0.003, _1024=0.003)
    lrate_rampup_kimg: float = 0.0
    tick_kimg_base: float = 160.0
    tick_kimg_dict: dict = _table(_4=160, _8=140, _16=120, _32=100, _64=80, _128=60, _256=40, _512=30, _1024=20)


@dataclass(frozen=True)
class AdamConfig:
    """Optimizer of both networks."""

    beta1: float = 0.0
    beta2: float = 0.99
    epsilon: float = 1e-8


@dataclass(frozen=True)
class TrainingConfig:
    """All that decides a run besides its data: decided once, stored as JSON beside the results.

    Attributes:
        generator, discriminator: Options of the networks; resolution, channels and labels come from the data.
        dtype: Type of the computation: "float32", "bfloat16", or "auto" for bfloat16 where the machine is fast in it.
        G_loss, D_loss: Names in `losses.G_LOSSES` and `losses.D_LOSSES`; `D_loss_args` are keyword arguments.
        G_smoothing_kimg: Half-life of the generator's moving average, in kimg; 0 or less for a plain copy.
        D_repeats: Discriminator steps for each generator step.
        minibatch_repeats: Iterations between looks at the schedule.
        reset_opt_for_new_lod: Forget optimizer moments when a level or a fade begins or ends.
        use_labels: Train on the labels of the data set; else they are left aside, as the original does by default.
        mirror_augment: Flip each real image with probability one half.
        total_kimg: Length of the run.
        image_grid: Size of the image grids: "1080p", "4k", or columns and rows as "8x4".
        image_snapshot_ticks, network_snapshot_ticks, checkpoint_ticks: How often a grid, a snapshot and a checkpoint
            are written.
        seed: Decides initial weights, data order and every random draw.
    """

    generator: dict = field(default_factory=dict)
    discriminator: dict = field(default_factory=dict)
    dtype: str = "float32"
    optimizer: AdamConfig = AdamConfig()
    G_loss: str = "G_logistic_nonsaturating"
    D_loss: str = "D_logistic_simplegp"
    D_loss_args: dict = field(default_factory=lambda: {"r1_gamma": 10.0})
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    G_smoothing_kimg: float = 10.0
    D_repeats: int = 1
    minibatch_repeats: int = 4
    reset_opt_for_new_lod: bool = True
    mirror_augment: bool = False
    use_labels: bool = False
    total_kimg: float = 25000.0
    image_grid: str = "1080p"
    image_snapshot_ticks: int = 1
    network_snapshot_ticks: int = 10
    checkpoint_ticks: int = 1
    seed: int = 0


def to_json(config):
    """A config as JSON text."""
    return json.dumps(dataclasses.asdict(config), indent=2)


def from_json(text):
    """The inverse of `to_json`.

    Raises:
        ValueError: An unknown field; it is named.
    """
    return with_values(TrainingConfig(), json.loads(text))


def with_values(config, values):
    """A copy of a (nested) config with some fields replaced: {"schedule": {"minibatch_base": 8}}.

    Tables and option dicts are replaced whole. Table keys may be strings of digits, as JSON makes them.
    """
    changes = {}
    for key, value in values.items():
        if key not in vars(config):
            raise ValueError(f"{type(config).__name__} has no field {key!r}; it has {', '.join(vars(config))}")
        current = getattr(config, key)
        if not _fits(value, dict if dataclasses.is_dataclass(current) else type(current)):
            raise ValueError(f"{type(config).__name__}.{key} is {value!r}; expected a {_word(current)}")
        if dataclasses.is_dataclass(current):
            value = with_values(current, value)
        elif isinstance(current, dict):
            value = {int(name) if str(name).isdigit() else name: entry for name, entry in value.items()}
        changes[key] = value
    return dataclasses.replace(config, **changes)


def check(config):
    """Refuse what no run can have.

    Raises:
        ValueError: A value is out of its range; the field is named.
    """
    schedule = config.schedule
    for name in (
        "minibatch_repeats",
        "D_repeats",
        "image_snapshot_ticks",
        "network_snapshot_ticks",
        "checkpoint_ticks",
    ):
        if getattr(config, name) < 1:
            raise ValueError(f"{name} must be at least 1, not {getattr(config, name)}")
    if config.dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, not {config.dtype!r}")
    if not (math.isfinite(config.total_kimg) and config.total_kimg > 0):
        raise ValueError(f"total_kimg must be a number greater than 0, not {config.total_kimg}")
    if config.seed < 0:
        raise ValueError(f"seed must not be negative, as {config.seed} is")
    if schedule.lod_initial_resolution not in [2**r for r in range(2, 11)]:
        size = schedule.lod_initial_resolution
        raise ValueError(f"schedule.lod_initial_resolution must be a power of two from 4 to 1024, not {size}")
    for name in ("lod_training_kimg", "lod_transition_kimg", "lrate_rampup_kimg", "tick_kimg_base"):
        if not getattr(schedule, name) >= 0:
            raise ValueError(f"schedule.{name} must not be negative, as {getattr(schedule, name)} is")
    for name, value in config.D_loss_args.items():
        if not value >= 0:
            raise ValueError(f"D_loss_args: {name} (--gamma sets r1_gamma) must not be negative, as {value} is")
    group = config.discriminator.get("mbstd_group_size", 4)
    for size, minibatch in {"base": schedule.minibatch_base, **schedule.minibatch_dict}.items():
        if minibatch < 1 or (group > 1 and minibatch % min(group, minibatch)):
            what = f"the minibatch ({size}) is {minibatch}"
            raise ValueError(f"{what}; it must be a multiple of the discriminator's mbstd_group_size, {group}, or less")


def _fits(value, kind):
    """Whether a value can stand in a field of that type; a whole number may stand for a float, a truth value never."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float if kind is float else kind)


def _word(current):
    return "table" if isinstance(current, dict) or dataclasses.is_dataclass(current) else type(current).__name__


PRESETS = types.MappingProxyType(
    {
        # configuration F of table 1, on one GPU
        "F": {"image_grid": "4k"},
        # new OpenMoji portraits in a quarter of an hour on two CPU cores. What makes it quick: few features, small
        # minibatches (more updates for the same images), and a strong R1 penalty, for so little data and time
        "demo": {
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
        },
    }
)
