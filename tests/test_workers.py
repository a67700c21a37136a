"""Two worker processes on loopback train one network, and survive the loss and return of one."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from record_data import noise, write

from stylegan_tf.arrays import read_arrays

ROOT = Path(__file__).parent.parent


@pytest.fixture
def start(tmp_path):
    """A function that starts both workers on a run directory; what still runs at the end is killed."""
    data, processes = write(tmp_path / "data", noise(20, size=8)), []

    def both(run_dir):
        addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
        for index in (0, 1):
            task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            environment = {
                **os.environ,
                "TF_CONFIG": json.dumps(task),
                "PYTHONPATH": str(ROOT),
                "TF_CPP_MIN_LOG_LEVEL": "3",
            }
            command = [sys.executable, ROOT / "tests" / "worker_script.py", data, run_dir]
            with open(tmp_path / f"worker{index}.txt", "a") as output:
                processes.append(subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT))
        return processes[-2:]

    yield both
    for process in processes:
        process.kill()
        process.wait()


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


def wait(processes, tmp_path, statuses):
    found = [process.wait(timeout=240) for process in processes]
    assert found == statuses, "".join((tmp_path / f"worker{index}.txt").read_text() for index in (0, 1))


def final(run_dir):
    """Weights and moments at the end of the run."""
    return read_arrays(run_dir / "checkpoint-000000304.safetensors")[0]


def test_two_workers_survive_the_loss_and_return_of_one(start, tmp_path):
    run = tmp_path / "run"
    workers = start(run)
    wait_for_checkpoint(run, workers)
    workers[1].kill()
    wait(workers, tmp_path, [3, -signal.SIGKILL])
    assert "Another worker is gone" in (tmp_path / "worker0.txt").read_text()
    wait(start(run), tmp_path, [0, 0])
    assert final(run)


@pytest.mark.slow
def test_an_interrupted_run_of_two_workers_ends_as_an_undisturbed_one(start, tmp_path):
    run, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
    for number, (end, statuses) in enumerate([("kill", [3, -signal.SIGKILL]), ("terminate", [3, 3])]):
        workers = start(run)
        wait_for_checkpoint(run, workers, newer_than=len(list(run.glob("fakes*"))) if number else 0)
        getattr(workers[1], end)()
        wait(workers, tmp_path, statuses)
    wait(start(run), tmp_path, [0, 0])
    wait(start(undisturbed), tmp_path, [0, 0])
    arrays, expected = final(run), final(undisturbed)
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


def wait_for_checkpoint(run, workers, newer_than=0):
    """Until a tick has passed: its picture is there, and a checkpoint."""
    deadline = time.monotonic() + 240
    while len(list(run.glob("fakes*"))) <= newer_than + 1 or not list(run.glob("checkpoint-*")):
        assert time.monotonic() < deadline
        assert not any(worker.poll() for worker in workers)
        time.sleep(0.05)
