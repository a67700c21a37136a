"""What every script at the top level owes its user, whatever it does."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
DOORS = sorted(path.name for path in REPOSITORY.glob("*.py"))


def call(door, *options):
    command = [sys.executable, door, *options]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=os.environ)


@pytest.mark.parametrize("door", DOORS)
def test_help_answers_within_half_a_second_and_gives_examples(door):
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        done = call(door, "--help")
        seconds.append(time.perf_counter() - start)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Examples:" in done.stdout
    assert min(seconds) < 0.5


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("option", ["--no-such-option", "--hel"])
def test_unknown_and_abbreviated_options_are_refused(door, option):
    done = call(door, option)
    assert done.returncode == 2
    assert "usage:" in done.stderr
    assert "Traceback" not in done.stderr
