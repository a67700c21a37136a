"""Kills small training runs at random moments, and compares their end with that of an undisturbed one."""

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from stylegan_tf.console import argument_parser, friendly_errors

EXAMPLES = """\
Examples:
  # 20 kills and 5 terminations, on one device and on two
  python chaos.py

  # the first two of each, on one device
  python chaos.py --kills 2 --terminations 2 --devices 1
"""
STOPPED = 3
SETTINGS = {
    "generator": {"fmap_base": 64, "fmap_max": 8, "latent_size": 8, "dlatent_size": 8, "mapping_layers": 2},
    "discriminator": {"fmap_base": 64, "fmap_max": 8},
    "schedule.lod_initial_resolution": 4,
    "schedule.minibatch_base": 8,
    "schedule.minibatch_dict": {},
    "schedule.tick_kimg_base": 0.1,
    "schedule.tick_kimg_dict": {},
    "image_grid": "4x2",
}


def train(data: Path, outdir: Path, devices: int, kimg: float, resolution: int) -> subprocess.Popen:
    """Begins the run in `outdir`, or continues it: all resolutions from 4 on and the fades between take as long."""
    phases = 2 * resolution.bit_length() - 5
    lengths = dict.fromkeys(("schedule.lod_training_kimg", "schedule.lod_transition_kimg"), kimg / phases)
    settings = [f"--set={field}={json.dumps(value)}" for field, value in {**SETTINGS, **lengths}.items()]
    command = [sys.executable, "run_training.py", f"--data={data}", f"--outdir={outdir}", f"--gpus={devices}"]
    command += [f"--kimg={kimg}", "--seed=7", "--resume=auto", *settings]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def undisturbed(data: Path, outdir: Path, *run: float) -> tuple[float, float]:
    """Lets the run end, arguments as for `train`; seconds until its first tick, and from there to the end."""
    started = time.monotonic()
    process = train(data, outdir, *run)
    wait_for_tick(process, outdir, 0)
    first = time.monotonic()
    _, errors = process.communicate()
    if process.returncode:
        raise ValueError(f"the undisturbed run ended with status {process.returncode}\n{errors}")
    return first - started, time.monotonic() - first


def disturbed(data: Path, outdir: Path, *run: float, attacks: list[tuple[signal.Signals, bool, float]]) -> int:
    """Sends signals, each to a process of its own, then lets the run end.

    Args:
        data, outdir, run: As for `train`.
        attacks: Each a signal, whether the process may reach a tick first, and the seconds to wait from there, or from
            its start.

    Returns:
        How many of them hit before the end.

    Raises:
        ValueError: A process ended with an error of its own.
    """
    hits = 0
    for number, later, moment in [*attacks, (None, False, 0)]:
        before = ticks(outdir)
        process = train(data, outdir, *run)
        if number is not None:
            if later:
                wait_for_tick(process, outdir, before)
            time.sleep(moment)
            hits += process.poll() is None
            process.send_signal(number)
        _, errors = process.communicate()
        if process.returncode not in (0, STOPPED, -signal.SIGKILL, -signal.SIGTERM):
            raise ValueError(f"{outdir}: a process ended with status {process.returncode}\n{errors}")
    return hits


def ticks(outdir: Path) -> int:
    """How many ticks the processes of a run have reported, those included that were lost again."""
    return sum(path.read_text(encoding="utf-8").count("\ntick ") for path in outdir.glob("*/log.txt"))


def wait_for_tick(process: subprocess.Popen, outdir: Path, before: int) -> None:
    """Until a process has reported a tick, or has ended."""
    while process.poll() is None and ticks(outdir) <= before:
        time.sleep(0.05)


def final_weights(outdir: Path) -> tuple[str, dict]:
    """Name and arrays of the last checkpoint."""
    from stylegan_tf.arrays import read_arrays

    path = max(outdir.glob("*/checkpoint-*.safetensors"))
    return path.name, read_arrays(path)[0]


def main(arguments: list[str] | None = None) -> None:
    parser = argument_parser(__doc__, EXAMPLES)
    parser.add_argument("--kills", type=int, default=20, help="how often SIGKILL is sent (default: 20)")
    parser.add_argument("--terminations", type=int, default=5, help="how often SIGTERM is sent (default: 5)")
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2], help="on how many devices (default: 1 2)")
    parser.add_argument("--kimg", type=float, default=20.0, help="length of the run (default: 20)")
    parser.add_argument("--resolution", type=int, choices=[8, 16, 32], default=16, help="of the run (default: 16)")
    parser.add_argument("--seed", type=int, default=0, help="decides the moments (default: 0)")
    options = parser.parse_args(arguments)
    random.seed(options.seed)
    with friendly_errors(), tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        folder = Path(folder)
        data = folder / "portraits"
        command = ["create_openmoji", data, "--subset=portraits", f"--resolution={options.resolution}"]
        subprocess.run([sys.executable, "dataset_tool.py", *command], check=True, stdout=subprocess.DEVNULL)
        for devices in options.devices:
            run = devices, options.kimg, options.resolution
            start, rest = undisturbed(data, folder / f"calm-{devices}", *run)
            print(f"{devices} devices: {start:.0f} s to the first tick, {rest:.0f} s from there", flush=True)
            signals = [signal.SIGKILL] * options.kills + [signal.SIGTERM] * options.terminations
            random.shuffle(signals)
            attacks = []  # a third of them while a process starts, the others all over the run
            for number in signals:
                later = random.random() > 1 / 3
                attacks.append((number, later, random.uniform(0, rest / len(signals) if later else start)))
            hits = disturbed(data, folder / f"chaos-{devices}", *run, attacks=attacks)
            (name, arrays), (other, expected) = (
                final_weights(folder / f"{kind}-{devices}") for kind in ("chaos", "calm")
            )
            same = name == other and arrays.keys() == expected.keys()
            same = same and all(arrays[key].tobytes() == expected[key].tobytes() for key in expected)
            print(
                f"{devices} devices: {hits} of {len(signals)} signals hit; {name}; equal to the bit: {same}", flush=True
            )
            if not same:
                sys.exit(1)


if __name__ == "__main__":
    main()
