"""What a run would be, without making it: its configuration, layers, schedule, and what it will take."""

import dataclasses
import re
from pathlib import Path

from matplotlib.figure import Figure

from stylegan_tf.arrays import atomic_file
from stylegan_tf.initial import to_be_loaded
from stylegan_tf.progress_line import clock
from stylegan_tf.tables import layer_table
from training import config as configs
from training import estimate, pace
from training.dataset import RecordDataset
from training.presets import DATASETS
from training.progress import stretches
from training.schedule import schedule_at
from training.state import TrainState

ENOUGH = 10**9  # weights; more than any configuration has
COLUMNS = ("kimg", "lod", "resolution", "minibatch (per GPU)", "G rate", "D rate", "tick kimg")


def show(config, data, resolution=None, dataset=None, plot=None):
    """Print all of it; with `plot`, a file name, also draw the schedule.

    Args:
        config: The `TrainingConfig`.
        data: Directory of the data set, or None.
        resolution: Resolution of the networks; None for that of the data set.
        dataset: Name out of `presets.DATASETS`, which tells what the data will be like if it is not there.

    Raises:
        ValueError: The data set or the configuration cannot be used.
    """
    facts, source = data_facts(config, data, resolution, dataset)
    if config.dtype == "auto":
        config = dataclasses.replace(config, dtype=pace.fastest_dtype())
    with to_be_loaded(ENOUGH):  # zeros do for what is shown here, and take no time
        state = TrainState.create(config, *facts)
    print(f"Configuration\n\n{configs.to_json(config)}\n")
    for network in (state.generator, state.discriminator):
        print(f"{layer_table(network)}\n")
    print(f"Schedule for {facts[0]}x{facts[0]} pixels, {facts[1]} channels, {facts[2]} labels ({source})\n")
    print(f"{schedule_table(config, facts[0])}\n")
    print(estimates(state))
    if plot:
        draw_schedule(config, facts[0], plot)
        print(f"Plot of the schedule: {plot}")


def data_facts(config, data, resolution, dataset):
    """(resolution, channels, size of the labels), and where that is known from."""
    if data and Path(data).exists():
        labels = config.max_label_size if config.use_labels else 0
        records = RecordDataset(data, resolution, max_label_size=labels)
        return (records.resolution, records.num_channels, records.label_size), f"{records.num_images} images in {data}"
    known = DATASETS.get(dataset)
    if known is None and (data or not resolution):
        missing = f"{data} does not exist" if data else "--dry-run needs to know the data"
        raise ValueError(f"{missing}; name a directory by --data, or only --dataset or --resolution")
    channels = known.channels if known else 3
    return (resolution or known.stored, channels, 0), "assumed, as there is no data set yet"


def schedule_table(config, resolution):
    """The schedule as in section 12.2 of the reference: a line for each stretch of kimg."""
    rows, schedule = [COLUMNS], config.schedule
    for part in stretches(schedule, resolution, config.total_kimg):
        start = max(part.start, config.resume_kimg)
        if start >= part.end:
            continue
        point = schedule_at((start + part.end) * 500, schedule, resolution, config.num_gpus)
        rows.append(
            (
                f"{start:g} - {part.end:g}",
                f"{part.level + 1}->{part.level}" if part.fades else f"{part.level}",
                f"{point.resolution}",
                f"{point.minibatch} ({point.minibatch // config.num_gpus})",
                f"{point.G_lrate:g}",
                f"{point.D_lrate:g}",
                f"{point.tick_kimg:g}",
            )
        )
    return _aligned(rows)


def estimates(state):
    """Memory and time by resolution, and of the run, as text."""
    config, resolution = state.config, state.generator.resolution
    memory, seconds = estimate.memory_by_size(state), estimate.seconds_by_level(state)
    rows = [("resolution", "images a second", "memory of each device")]
    for part in stretches(config.schedule, resolution, config.total_kimg):
        size = resolution >> part.level
        row = (f"{size}", f"{1 / seconds[part.level]:.3g}", f"{memory[size] / 2**30:.1f} GiB")
        if row != rows[-1]:
            rows.append(row)
    count = sum(network.count_params() for network in state.networks()[:2])
    duration = clock(estimate.run_seconds(state, seconds, resolution))
    return (
        f"Estimate, from the layers and this machine's speed; within a factor of two or so\n\n{_aligned(rows)}\n\n"
        f"Parameters   {count / 1e6:.2f} M, with their average, moments and gradients "
        f"{estimate.state_bytes(state) / 2**20:.0f} MiB\n"
        f"Time         {duration} for {config.total_kimg - config.resume_kimg:g} kimg on {config.num_gpus} device(s), "
        "without metrics"
    )


def draw_schedule(config, resolution, path):
    """Draw resolution, minibatch, learning rates and ticks over kimg into a PNG file.

    Raises:
        ValueError: The name does not end in .png.
        OSError: The file cannot be written.
    """
    if not re.search(r"\.png$", str(path), re.IGNORECASE):
        raise ValueError(f"--plot {path} must end in .png")
    images = [config.total_kimg * step for step in range(1001)]
    points = [schedule_at(at, config.schedule, resolution, config.num_gpus) for at in images]
    kimg = [at / 1000 for at in images]
    panels = {
        "resolution": {"images": [resolution / 2**point.lod for point in points]},
        "minibatch": {"all devices": [point.minibatch for point in points]},
        "learning rate": {"G": [point.G_lrate for point in points], "D": [point.D_lrate for point in points]},
        "tick (kimg)": {"tick": [point.tick_kimg for point in points]},
    }
    figure = Figure(figsize=(8, 8), dpi=120, layout="constrained")
    for axes, (title, curves) in zip(figure.subplots(len(panels), sharex=True), panels.items(), strict=True):
        for (name, values), style in zip(curves.items(), ("-", "--"), strict=False):
            axes.plot(kimg, values, style, label=name)
        if title in ("resolution", "minibatch"):
            axes.set_yscale("log", base=2)
            axes.yaxis.set_major_formatter("{x:g}")
        if len(curves) > 1:
            axes.legend(frameon=False)
        axes.set_ylabel(title)
        axes.grid(axis="y", color="0.85", linewidth=0.6)
    axes.set_xlabel("real images shown to the discriminator, in thousands (kimg)")
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png")


def _aligned(rows):
    """Columns of text, two spaces apart, each as wide as its widest entry."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{text:>{width}}" for text, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(lines)
