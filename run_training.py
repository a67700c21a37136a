"""Train a StyleGAN on a data set made by dataset_tool.py.

Examples:
  python run_training.py --data datasets/portraits --config demo --minutes 15
  python run_training.py --data datasets/ffhq --config F --mirror --outdir runs
  python run_training.py --data datasets/ffhq --resolution 256 --gamma 5 --kimg 10000 --seed 1
  python run_training.py --resume runs/00000-portraits-demo        continue a run where it stopped
  python run_training.py --data datasets/cats --set schedule.lod_training_kimg=300 --set minibatch_repeats=1
"""

import argparse
import json
import math
import re
import shlex
import sys
import time
from pathlib import Path

from stylegan_tf.console import friendly_errors, quiet_tensorflow
from training import config as configs

STOPPED = 3  # exit status of a run that was asked to stop and can be continued


def parse(argv):
    """Command line to options."""
    description, _, examples = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--data", metavar="DIR", help="data set: a directory of .tfrecords files")
    parser.add_argument(
        "--outdir", default="runs", metavar="DIR", help="where run directories are made (default: runs)"
    )
    parser.add_argument("--config", choices=list(configs.PRESETS), help="configuration to start from (default: F)")
    parser.add_argument("--resolution", type=int, metavar="R", help="train at R pixels (default: all the data set has)")
    parser.add_argument("--kimg", type=float, metavar="N", help="length of the run in thousand images")
    parser.add_argument("--minutes", type=float, metavar="M", help="shrink or stretch the schedule to about M minutes")
    parser.add_argument("--mirror", action="store_true", default=None, help="flip images at random")
    parser.add_argument("--cond", action="store_true", default=None, help="train on the labels of the data set")
    parser.add_argument("--gamma", type=float, metavar="G", help="strength of the R1 penalty")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "auto"], help="type of the computation")
    parser.add_argument("--seed", type=int, metavar="N", help="decides everything random (default: 0)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="any field of the configuration"
    )
    parser.add_argument(
        "--resume",
        metavar="auto|RUN",
        help="continue this run directory; auto: the newest run of the same command line, else a new one",
    )
    options = parser.parse_args(argv)
    if options.data is None and options.resume in (None, "auto"):
        parser.error("--data DIR is needed; dataset_tool.py makes such a directory")
    return options


def requested_config(options):
    """Options to the configuration that they ask for.

    Raises:
        ValueError: An option does not fit; it is named.
    """
    config = configs.with_values(configs.TrainingConfig(), configs.PRESETS[options.config or "F"])
    values = {
        "total_kimg": options.kimg,
        "mirror_augment": options.mirror,
        "use_labels": options.cond,
        "dtype": options.dtype,
        "seed": options.seed,
    }
    config = configs.with_values(config, {key: value for key, value in values.items() if value is not None})
    if options.gamma is not None:
        config = configs.with_values(config, {"D_loss_args": {**config.D_loss_args, "r1_gamma": options.gamma}})
    for assignment in options.set:
        config = configs.with_values(config, _nested(assignment))
    for name, value in (("--kimg", options.kimg), ("--minutes", options.minutes)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be a number greater than 0, not {value:g}")
    if options.kimg is not None and options.minutes is not None:
        raise ValueError("--kimg and --minutes both set the length of the run; give one of them")
    configs.check(config)
    return config


def _nested(assignment):
    """ "schedule.minibatch_base=8" to {"schedule": {"minibatch_base": 8}}."""
    path, equals, text = assignment.partition("=")
    if not equals:
        raise ValueError(f"--set {assignment}: expected FIELD=VALUE, for instance schedule.minibatch_base=8")
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def find_run(options, request):
    """The run to continue, or None for a new one.

    Raises:
        ValueError: `--resume RUN` names no run, or one that was started with other options; they are listed.
    """
    if options.resume in (None, "auto"):
        runs = sorted(numbered(options.outdir).items(), reverse=True) if options.resume else []
        return next((path for _, path in runs if asks_for(path, request)), None)
    run_dir = Path(options.resume)
    if not (run_dir / "run.json").is_file():
        raise ValueError(f"--resume {run_dir}: not a run directory, it has no run.json")
    silent = {"data", "outdir", "resume"}
    changed = {key for key, value in vars(options).items() if key not in silent and value not in (None, [])}
    before = read_record(run_dir)["request"]
    if changed and {**request, "data": before["data"]} != before:
        raise ValueError(
            f"--resume {run_dir} keeps the configuration of that run, but the command line asks for another one. "
            f"Leave out {', '.join(f'--{key}' for key in sorted(changed))}, or start a new run"
        )
    return run_dir


def numbered(outdir):
    """Run directories below `outdir` by their number."""
    if not Path(outdir).is_dir():
        return {}
    return {int(match[1]): path for path in Path(outdir).iterdir() if (match := re.match(r"(\d{5})-", path.name))}


def asks_for(run_dir, request):
    """Whether a run directory holds a run of this very request; one that cannot be read is reported and passed over."""
    try:
        return (run_dir / "run.json").is_file() and read_record(run_dir)["request"] == request
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


def main(argv=None):
    """Set up a run, or find it, and train."""
    started = time.monotonic()
    options = parse(argv)
    with friendly_errors():
        config = requested_config(options)
        request = {
            "data": options.data and str(Path(options.data).resolve()),
            "resolution": options.resolution,
            "minutes": options.minutes,
            "config": json.loads(configs.to_json(config)),
        }
        run_dir = find_run(options, request)
        if run_dir:
            record = read_record(run_dir)
            record["request"]["data"] = request["data"] or record["request"]["data"]
        else:
            number = max(numbered(options.outdir), default=-1) + 1
            run_dir = Path(options.outdir) / f"{number:05d}-{Path(options.data).resolve().name}-{options.config or 'F'}"
            record = {"request": request}
        print("Loading TensorFlow ...", flush=True)
        with quiet_tensorflow():
            from training import launch  # TensorFlow takes seconds to import; --help must not wait for it
        complete = launch.train(run_dir, record, config, started)
    quoted = shlex.quote(str(run_dir))
    if not complete:
        print(f"Stopped: {run_dir}\nTo continue: python run_training.py --resume {quoted}")
        return STOPPED
    print(f"Complete: {run_dir}")
    print(f"Next: python generate_images.py --network {quoted} --seeds 0-35 --outdir results --grid")
    return 0


if __name__ == "__main__":
    sys.exit(main())
