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
import faulthandler
import json
import re
import shlex
import sys
import time
from pathlib import Path

from stylegan_tf.console import argument_parser, friendly_errors, quiet_tensorflow
from training import config as configs
from training.fields import differences
from training.options import add_options
from training.presets import DATASETS
from training.request import requested_config
from training.runs import comparable, existing, numbered, read_record, readable
from training.stopping import StopRequest

STOPPED = 3  # exit status of a run that was asked to stop and can be continued
NOT_KEPT = {"num_gpus": "gpus", "auto_batch": "auto_batch"}  # fields that a run may change, and their options
# options that go with --resume RUN
SILENT = {"data", "outdir", "resume", "dry_run", "plot", "desc", *NOT_KEPT.values()}


def parse(argv):
    """Command line to options."""
    description, _, examples = __doc__.partition("\n\n")
    parser = argument_parser(description, examples)
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
    run_dir = run_of_checkpoint(options.resume)
    if run_dir and options.data is None and not changed(options):
        if any(path.name > Path(options.resume).name for path in run_dir.glob("checkpoint-*.safetensors")):
            parser.error(f"--resume {options.resume}: {way_back(options.resume)}; or add --data DIR for a new run")
        options.resume = str(run_dir)
    if options.data is None and not names_run(options) and not options.dry_run:
        parser.error("--data DIR is needed; dataset_tool.py makes such a directory")
    return options


def run_of_checkpoint(resume):
    """The run directory in which `--resume` names a checkpoint; None if it does not."""
    path = Path(resume or "")
    found = re.fullmatch(r"checkpoint-\d+\.safetensors", path.name) and (path.parent / "run.json").is_file()
    return path.parent if found else None


def way_back(checkpoint):
    """How a run goes on from one of its earlier checkpoints: words for a message."""
    run_dir = Path(checkpoint).parent
    return f"to go on with {run_dir} from there, move its newer checkpoints elsewhere and give --resume {run_dir}"


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

    A run is the same one on another number of GPUs: it keeps the minibatches that it began with.

    Raises:
        ValueError: `--resume RUN` names no run, or one that was started with other options; they are listed.
    """
    if names_run(options):
        run_dir = Path(options.resume)
        if not (run_dir / "run.json").is_file():
            inside = existing(run_dir)
            hint = f"; did you mean {inside[-1]}?" if inside else ""
            raise ValueError(f"--resume {run_dir}: not a run directory, it has no run.json{hint}")
        check_unchanged(run_dir, options, request)
        return run_dir
    if not options.resume:
        return None
    # auto; or networks to begin with, and perhaps this very run has begun already
    runs = {path: record["request"] for path in reversed(existing(options.outdir)) if (record := readable(path))}
    for asked_of in (lambda before: request, lambda before: on_gpus_of(before, options, request)):
        for path, before in runs.items():
            if comparable(before) == comparable(asked_of(before)):
                return path
    for newest, before in list(runs.items())[:1]:
        differing = differences(comparable(before), comparable(on_gpus_of(before, options, request)))
        print(f"Note: no run of this command yet, so a new one begins; the newest, {newest}, had {differing}.")
    return None


def check_unchanged(run_dir, options, request):
    """Refuse options that ask for another run than the one they continue."""
    before = read_record(run_dir)["request"]
    if not changed(options):
        return
    plain = argparse.Namespace(**{**vars(options), **dict.fromkeys(changed(options)), "set": [], "variants": []})
    asked, base = (
        comparable({**before, **on_gpus_of(before, given, request), "data": before["data"]})
        for given in (options, plain)
    )
    if differing := differences(comparable(before), asked, base):
        names = ", ".join(sorted(f"--{key.replace('_', '-')}" for key in changed(options)))
        raise ValueError(
            f"--resume {run_dir} keeps the configuration of that run, but the command line asks for another one "
            f"({differing}). Leave out {names.replace('--variants', '--with')}, or start a new run; to begin that with "
            "the networks of this one, name one of its snapshots"
        )


def on_gpus_of(before, options, request):
    """The request of this command line, had it asked for as many GPUs as a run before; as it is if that cannot be."""
    gpus = before["config"].get("num_gpus", 1)
    with contextlib.suppress(ValueError):
        config, _ = requested_config(argparse.Namespace(**{**vars(options), "gpus": gpus}))
        return {**request, "config": json.loads(configs.to_json(config))}
    return request


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
        asked = {name: getattr(options, option) for name, option in NOT_KEPT.items()}
        now = {name: value for name, value in asked.items() if value is not None}
        if now.get("num_gpus", config.num_gpus) != config.num_gpus:
            print(f"Note: {run_dir} began on {config.num_gpus} device(s), and keeps the minibatches that it has there.")
        return run_dir, record, dataclasses.replace(config, **now)
    if run_of_checkpoint(options.resume):
        print(f"Note: a new run begins with the networks of this checkpoint; {way_back(options.resume)}.")
    for note in notes:
        print(f"Note: {note}.")
    number = max((number for number, _ in numbered(options.outdir)), default=-1) + 1
    run_dir = Path(options.outdir) / f"{number:05d}-{name_of(options)}" if options.data else None
    return run_dir, {"request": request}, config


def main(argv=None):
    """Set up a run, or find it, and train."""
    started = time.monotonic()
    with friendly_errors(), StopRequest() as stop:
        options = parse(argv)
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
        run_dir, complete = launch.train(run_dir, record, config, started, stop)
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
    faulthandler.enable()  # tells where a crash came from, for instance of data files that were cut during the run
    sys.exit(main())
