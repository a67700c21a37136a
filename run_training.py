"""Train a StyleGAN on a data set made by dataset_tool.py.

Examples:
  python run_training.py --data datasets/portraits --config demo --minutes 15
  python run_training.py --data datasets/ffhq --config F --mirror --outdir runs
  python run_training.py --data datasets/ffhq --resolution 256 --gamma 5 --kimg 10000 --seed 1
  python run_training.py --data datasets/portraits --config demo --resume auto      continue where it stopped
  python run_training.py --data datasets/cats --set schedule.lod_training_kimg=300 --set minibatch_repeats=1
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path

from stylegan_tf.console import friendly_errors, quiet_tensorflow
from training import config as configs


def parse(argv):
    """Command line to options."""
    description, _, examples = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--data", required=True, metavar="DIR", help="data set: a directory of .tfrecords files")
    parser.add_argument(
        "--outdir", default="runs", metavar="DIR", help="where run directories are made (default: runs)"
    )
    parser.add_argument("--config", default="F", choices=list(configs.PRESETS), help="configuration to start from")
    parser.add_argument("--resolution", type=int, metavar="R", help="train at R pixels (default: all the data set has)")
    parser.add_argument("--kimg", type=float, metavar="N", help="length of the run in thousand images")
    parser.add_argument("--minutes", type=float, metavar="M", help="shrink or stretch the schedule to about M minutes")
    parser.add_argument("--mirror", action="store_true", default=None, help="flip images at random")
    parser.add_argument("--gamma", type=float, metavar="G", help="strength of the R1 penalty")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "auto"], help="type of the computation")
    parser.add_argument("--seed", type=int, metavar="N", help="decides everything random (default: 0)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="any field of the configuration"
    )
    parser.add_argument(
        "--resume",
        metavar="auto|RUN",
        help="continue this run directory; auto: the newest unfinished run of the same command line, else a new one",
    )
    return parser.parse_args(argv)


def requested_config(options):
    """Options to the configuration that they ask for.

    Raises:
        ValueError: An option does not fit; it is named.
    """
    config = configs.with_values(configs.TrainingConfig(), configs.PRESETS[options.config])
    values = {
        "total_kimg": options.kimg,
        "mirror_augment": options.mirror,
        "dtype": options.dtype,
        "seed": options.seed,
    }
    config = configs.with_values(config, {key: value for key, value in values.items() if value is not None})
    if options.gamma is not None:
        config = configs.with_values(config, {"D_loss_args": {**config.D_loss_args, "r1_gamma": options.gamma}})
    for assignment in options.set:
        config = configs.with_values(config, _nested(assignment))
    for name, value in (("--kimg", options.kimg), ("--minutes", options.minutes)):
        if value is not None and value <= 0:
            raise ValueError(f"{name} must be greater than 0, not {value:g}")
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


def run_directory(options, request):
    """The directory to train in, and whether it is a run to continue."""
    outdir, resume = Path(options.outdir), options.resume
    if resume and resume != "auto":
        if not (Path(resume) / "run.json").is_file():
            raise ValueError(f"--resume {resume}: no run directory, it has no run.json")
        return Path(resume), True
    numbers = {}
    if outdir.is_dir():
        numbers = {int(match[1]): path for path in outdir.iterdir() if (match := re.match(r"(\d{5})-", path.name))}
    if resume == "auto":
        for _, path in sorted(numbers.items(), reverse=True):
            record = path / "run.json"
            if record.is_file() and json.loads(record.read_text(encoding="utf-8"))["request"] == request:
                return path, True
    name = f"{max(numbers, default=-1) + 1:05d}-{Path(options.data).resolve().name}-{options.config}"
    return outdir / name, False


def main(argv=None):
    """Set up a run, or find it, and train."""
    options = parse(argv)
    with friendly_errors():
        config = requested_config(options)
        request = {
            "data": str(Path(options.data).resolve()),
            "minutes": options.minutes,
            "resolution": options.resolution,
        }
        request["config"] = json.loads(configs.to_json(config))
        run_dir, continues = run_directory(options, request)
        print("Loading TensorFlow ...", flush=True)
        with quiet_tensorflow():
            from training import launch  # TensorFlow takes seconds to import; --help must not wait for it
        record = json.loads((run_dir / "run.json").read_text(encoding="utf-8")) if continues else {"request": request}
        complete = launch.train(run_dir, record, config)
    print(f"{'Complete' if complete else 'Stopped'}: {os.path.relpath(run_dir)}")
    if not complete:
        print(f"To continue: python run_training.py --data {options.data} --resume {os.path.relpath(run_dir)}")
        return 3
    print(f"Next: python generate_images.py --network {os.path.relpath(run_dir)} --seeds 0-35 --outdir results --grid")
    return 0


if __name__ == "__main__":
    sys.exit(main())
