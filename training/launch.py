"""From a configuration to a running loop: devices, data, state, directory."""

import dataclasses
import json
import time

from stylegan_tf.arrays import atomic_file
from stylegan_tf.tables import layer_table
from training import config as configs
from training import pace
from training.dataset import RecordDataset
from training.loop import resume, training_loop
from training.reporting import grid_size
from training.state import TrainState
from training.step import TrainingStep


def train(run_dir, record, config, started):
    """Start a run in `run_dir`, or continue the one that is there.

    Args:
        run_dir: A `Path`; created if missing.
        record: What `run.json` says, or for a new run {"request": {...}}: the request tells data set, resolution and
            minutes.
        config: Configuration of a new run; a run that continues keeps its own.
        started: `time.monotonic()` when the command began; its minutes count from then.

    Returns:
        True if the run is complete, False if it was stopped.

    Raises:
        ValueError: The data set does not fit, or is another one than the run began with.
    """
    request = record["request"]
    continues = "config" in record
    if continues:
        config = configs.with_values(configs.TrainingConfig(), record["config"])
    labels = "full" if config.use_labels else 0
    dataset = RecordDataset(request["data"], request["resolution"], max_label_size=labels, seed=config.seed)
    if config.use_labels and not dataset.label_size:
        raise ValueError(f"{request['data']} has no labels to train on; leave out --cond")
    facts = {
        "images": dataset.num_images,
        "resolution": dataset.resolution,
        "channels": dataset.num_channels,
        "label_size": dataset.label_size,
    }
    if continues and facts != record["dataset"]:
        raise ValueError(f"{run_dir} was trained on {record['dataset']}, but {request['data']} has {facts}")
    if not continues and config.dtype == "auto":
        config = dataclasses.replace(config, dtype=pace.fastest_dtype())
    grid_size(config.image_grid, dataset.resolution)  # refuses a wrong one before anything is written
    state = TrainState.create(config, dataset.resolution, dataset.num_channels, dataset.label_size)
    step, rates = TrainingStep(state, dataset.labels), None
    if not continues:
        make_directory(run_dir)
    if not continues and request["minutes"]:
        print("Timing a few steps of each level ...", flush=True)
        rates = pace.measure(state, step, dataset)
        seconds = max(request["minutes"] * 60 - (time.monotonic() - started), 1)
        config = pace.fit_to_time(config, rates, seconds, dataset.resolution)
        state.config = config
    if not continues:
        record = {**record, "dataset": facts, "config": json.loads(configs.to_json(config))}
        with atomic_file(run_dir / "run.json") as path:
            path.write_text(json.dumps(record, indent=2), encoding="utf-8")
        tables = "\n\n".join(layer_table(network) for network in (state.generator, state.discriminator))
        (run_dir / "networks.txt").write_text(tables + "\n", encoding="utf-8")
    print(describe(run_dir, dataset, state), flush=True)
    restored = resume(state, run_dir)
    if restored:
        print(f"Continuing from {restored.name}", flush=True)
    return training_loop(state, dataset, run_dir, step, rates)


def make_directory(run_dir):
    """Make the run directory; a ValueError says what to do if that cannot be."""
    try:
        run_dir.mkdir(parents=True)
    except OSError as error:
        reason = f"{run_dir} cannot be made ({error.strerror})"
        raise ValueError(f"{reason}; choose an --outdir in which you may write") from error


def describe(run_dir, dataset, state):
    """A few lines about the run that begins."""
    generator, discriminator = (f"{network.count_params() / 1e6:.2f} M" for network in state.networks()[:2])
    return (
        f"Run directory  {run_dir}\n"
        f"Data set       {dataset.num_images} images, {dataset.resolution}x{dataset.resolution}, "
        f"{dataset.num_channels} channels, {dataset.label_size} labels\n"
        f"Networks       G {generator} and D {discriminator} parameters, {state.config.dtype}\n"
        f"Length         {state.config.total_kimg:g} kimg"
    )
