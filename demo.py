"""The whole path in one command: real pictures, a StyleGAN that trains before your eyes, new pictures.

Examples:
  python demo.py                     about 15 minutes of training on two CPU cores
  python demo.py --minutes 60        trains longer, looks better
  python demo.py --minutes 15        again after Ctrl-C: continues where it stopped
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from stylegan_tf.console import argument_parser, friendly_errors

STOPPED = 3  # exit status of run_training.py when it was asked to stop
DATA, RUNS = Path("datasets/portraits"), Path("runs/demo")


def main(argv=None):
    """Make the data set unless it is there, train or continue, draw the figures."""
    description, _, examples = __doc__.partition("\n\n")
    parser = argument_parser(description, examples)
    parser.add_argument("--minutes", type=float, default=15, metavar="M", help="time to train (default: 15)")
    options = parser.parse_args(argv)
    with friendly_errors():
        if options.minutes <= 0:
            raise ValueError(f"--minutes must be greater than 0, not {options.minutes:g}")
        os.chdir(Path(__file__).parent)
        if not DATA.is_dir():
            run("dataset_tool.py", "create_openmoji", DATA, "--subset", "portraits", "--resolution", 64)
        training = ["--data", DATA, "--config", "demo", "--minutes", f"{options.minutes:g}", "--outdir", RUNS]
        run("run_training.py", *training, "--resume", "auto")
        newest = max(path for path in RUNS.iterdir() if asked_minutes(path) == options.minutes)
        run("generate_figures.py", "--network", newest, "--outdir", newest / "figures")
    print(f"""
New faces that nobody drew:  {newest}/figures
How they came to be:         {newest}/fakes*.png, one picture a tick; reals.png is what was learned from

What to type next:
  .venv/bin/python generate_images.py --network {newest} --seeds 0-35 --outdir results --grid
  make demo MINUTES=60""")


def asked_minutes(run_dir):
    """Minutes that a run was asked to take; None for what is no run."""
    try:
        return json.loads((run_dir / "run.json").read_text(encoding="utf-8"))["request"]["minutes"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def run(script, *arguments):
    """Run one of the command lines of this project, showing it, and stop with its exit status if it fails."""
    command = [script, *map(str, arguments)]
    print(f"\n$ python {' '.join(command)}", flush=True)
    process = subprocess.Popen([sys.executable, *command])
    while process.returncode is None:
        try:
            process.wait()
        except KeyboardInterrupt:  # the command has had it too, and is saving its work
            continue
    if process.returncode:
        if process.returncode in (STOPPED, 130):
            print("\nThe same command again continues from here.")
        sys.exit(process.returncode)


if __name__ == "__main__":
    main()
