"""Train a StyleGAN on a data set made by dataset_tool.py.

Examples:
  python run_training.py --data datasets/portraits --config demo --minutes 15
  python run_training.py --data datasets/ffhq --config F --mirror --outdir runs
  python run_training.py --dataset ffhq-256 --gpus 4 --kimg 10000 --gamma 5
  python run_training.py --dataset celebahq --config A --gpus 8 --with verbose       Progressive GAN, as published
  python run_training.py --data datasets/cats --set schedule.lod_training_kimg=300 --set generator.fmap_base=4096
  python run_training.py --dataset ffhq --gpus 8 --dry-run --plot schedule.png       what would that be?
  python run_training.py --resume runs/00000-portraits-demo                          continue where it stopped
  python run_training.py --data datasets/cats --resume ffhq.pkl --resume-kimg 8400 --freeze-d 4

Exit status: 0 the run is complete, 3 it was asked to stop and --resume continues it, 1 something is wrong,
2 the command line is, 130 interrupted before the training began.
"""

import argparse
import contextlib
import dataclasses
import json
import re
import shlex
import sys
import time
from pathlib import Path

from stylegan_tf.console import friendly_errors, quiet_tensorflow
from training import config as configs
from training.fields import differences
from training.options import add_options
from training.presets import DATASETS
from training.request import requested_config
from training.stopping import StopRequest

STOPPED = 3  # exit status of a run that was asked to stop and can be continued
SILENT = {"data", "outdir", "resume", "gpus", "auto_batch", "dry_run", "plot"}  # options that go with --resume RUN


def parse(argv):
    """Command line to options."""
    description, _, examples = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_options(parser)
    options = parser.parse_args(argv)
    known = DATASETS.get(options.dataset)
    if known and not options.data:
        options.data = f"datasets/{known.directory}"
    if known and not options.resolution:
        options.resolution = known.trained
    if options.resume and Path(options.resume).is_dir() and not (Path(options.resume) / "run.json").is_file():
        snapshots = sorted(Path(options.resume).glob("network-snapshot-*.safetensors"))  # as convert_network.py leaves
        options.resume = str(snapshots[-1]) if snapshots else options.resume
    if options.data is None and not names_run(options) and not options.dry_run:
        parser.error("--data DIR is needed; dataset_tool.py makes such a directory")
    return options


def names_run(options):
    """Whether `--resume` names a run directory, or what should be one."""
    return options.resume not in (None, "auto") and not Path(options.resume).is_file()


def changed(options):
    """The options given that decide what a run is."""
    return {key for key, value in vars(options).items() if key not in SILENT and value not in (None, [])}


def request_of(options, config):
    """What a new run writes down of the command line, and what `--resume auto` looks for."""
    request = {
        "data": options.data and str(Path(options.data).resolve()),
        "resolution": options.resolution,
        "minutes": options.minutes,
        "config": json.loads(configs.to_json(config)),
    }
    if options.resume and Path(options.resume).is_file():
        request["networks"] = str(Path(options.resume).resolve())
    return request


def find_run(options, request):
    """The run to continue, or None for a new one.

    Raises:
        ValueError: `--resume RUN` names no run, or one that was started with other options; they are listed.
    """
    if not names_run(options):  # auto; or networks to begin with, and perhaps this very run has begun already
        runs = sorted(numbered(options.outdir).items(), reverse=True) if options.resume else []
        found = next((path for _, path in runs if asks_for(path, request)), None)
        if runs and not found:
            newest = runs[0][1]
            with contextlib.suppress(ValueError):  # one that cannot be read has been reported
                differing = differences(comparable(read_record(newest)["request"]), comparable(request))
                print(f"Note: no run of this command yet, so a new one begins; the newest, {newest}, had {differing}.")
        return found
    run_dir = Path(options.resume)
    if not (run_dir / "run.json").is_file():
        raise ValueError(f"--resume {run_dir}: not a run directory, it has no run.json")
    before = read_record(run_dir)["request"]
    asked = comparable({**request, "data": before["data"]}) if changed(options) else comparable(before)
    if differing := differences(comparable(before), asked):
        names = ", ".join(sorted(f"--{key.replace('_', '-')}" for key in changed(options)))
        raise ValueError(
            f"--resume {run_dir} keeps the configuration of that run, but the command line asks for another one "
            f"({differing}). Leave out {names.replace('--variants', '--with')}, or start a new run; to begin that with "
            "the networks of this one, name one of its snapshots"
        )
    return run_dir


def comparable(request):
    """A request without what may change from call to call; fields that came later have their defaults."""
    config = configs.with_values(configs.TrainingConfig(), request["config"])
    config = dataclasses.replace(config, num_gpus=1, auto_batch=False)
    return {**request, "config": json.loads(configs.to_json(config))}


def numbered(outdir):
    """Run directories below `outdir` by their number."""
    if not Path(outdir).is_dir():
        return {}
    return {int(match[1]): path for path in Path(outdir).iterdir() if (match := re.match(r"(\d{5})-", path.name))}


def asks_for(run_dir, request):
    """Whether a run directory holds a run of this very request; one that cannot be read is reported and passed over."""
    try:
        return (run_dir / "run.json").is_file() and comparable(read_record(run_dir)["request"]) == comparable(request)
    except ValueError as error:
        print(f"Warning: {error}")
        return False


def read_record(run_dir):
    """What `run.json` says of a run: request, dataset and config.

    Raises:
        ValueError: The file is damaged; it is named.
    """
    path = run_dir / "run.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        complete = record["dataset"] and record["config"]
        if complete and {"data", "minutes", "resolution", "config"} <= record["request"].keys():
            return record
        raise KeyError("request")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged; put the file back, or remove this run directory") from error


def name_of(options):
    """Name of a new run directory, without its number."""
    parts = [options.dataset or Path(options.data).resolve().name, options.config or "F", *options.variants]
    parts += [f"{options.gpus}gpu"] if options.gpus else []
    return "-".join(parts + [options.desc] * bool(options.desc))


def choose(options):
    """The run that a command line means: its directory, its record as `launch.train` takes it, its configuration."""
    config, notes, request = None, [], {}
    if changed(options) or not names_run(options):
        config, notes = requested_config(options)
        request = request_of(options, config)
    run_dir = find_run(options, request)
    if run_dir:
        record = read_record(run_dir)
        if options.data:
            record["request"]["data"] = str(Path(options.data).resolve())
        config = configs.with_values(configs.TrainingConfig(), record["config"])
        chosen = {"num_gpus": options.gpus or config.num_gpus, "auto_batch": options.auto_batch or config.auto_batch}
        return run_dir, record, dataclasses.replace(config, **chosen)
    for note in notes:
        print(f"Note: {note}.")
    number = max(numbered(options.outdir), default=-1) + 1
    run_dir = Path(options.outdir) / f"{number:05d}-{name_of(options)}" if options.data else None
    return run_dir, {"request": request}, config


def main(argv=None):
    """Set up a run, or find it, and train."""
    started = time.monotonic()
    options = parse(argv)
    with friendly_errors(), StopRequest() as stop:
        run_dir, record, config = choose(options)
        print("Loading TensorFlow ...", flush=True)
        with quiet_tensorflow():  # it takes seconds to import; --help must not wait for it
            if options.dry_run:
                from training import dry_run
            else:
                from training import launch
        if options.dry_run:
            request = record["request"]
            dry_run.show(config, options.data or request["data"], request["resolution"], options.dataset, options.plot)
            return 0
        complete = launch.train(run_dir, record, config, started, stop)
    quoted = shlex.quote(str(run_dir))
    if not complete and not run_dir.is_dir():
        print("Stopped before the run began; the same command starts it")
        return STOPPED
    if not complete:
        print(f"Stopped: {run_dir}\nTo continue: python run_training.py --resume {quoted}")
        return STOPPED
    print(f"Complete: {run_dir}")
    print(f"Next: python generate_images.py --network {quoted} --seeds 0-35 --outdir results --grid")
    return 0


if __name__ == "__main__":
    sys.exit(main())
