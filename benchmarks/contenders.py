"""Contenders: processes that each build one task and do it when told to, so that they can take turns.

Each has its own memory, which can be told from that of others, and its own devices.
"""

import contextlib
import multiprocessing
import resource
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from stylegan_tf.console import quiet_tensorflow


@dataclass
class Result:
    """What one contender did.

    Attributes:
        facts: What its builder says of one turn: "images", "operations".
        first: Seconds of building and of the first turn, which compiles.
        seconds: Of each further turn.
        memory: Bytes at most, over those of a process that has imported TensorFlow.
    """

    facts: dict
    first: float
    seconds: list = field(default_factory=list)
    memory: int = 0


class Contender:
    """A process with a task.

    Args:
        build: Function of a module, which returns (function without arguments, its facts).
        options: Its keyword arguments.
        devices: Logical processors that TensorFlow shall see.

    Raises:
        ValueError: The task cannot be built or done; with the process's own traceback.
    """

    def __init__(self, build, options, devices=1):
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_work, args=(other, build, options, devices), daemon=True)
        self._process.start()
        other.close()
        self.result = Result(*self._answer())

    def take_turn(self):
        """Do the task once and note how long it took."""
        self.result.seconds.append(self._answer("go"))

    def finish(self):
        """End the process; returns the `Result`."""
        self.result.memory = self._answer("stop")
        self._process.join()
        return self.result

    def stop(self):
        """End the process at once."""
        self._process.kill()
        self._process.join()

    def _answer(self, wish=None):
        try:
            if wish:
                self._pipe.send(wish)
            answer = self._pipe.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._process.join()
            raise ValueError(
                f"a contender's process ended with status {self._process.exitcode}; -9 is a lack of memory"
            ) from None
        if isinstance(answer, str):
            raise ValueError(f"a contender failed:\n{answer}")
        return answer


def take_turns(tasks, repeats):
    """Let contenders do their tasks in turns; a terminal shows which.

    Args:
        tasks: {name: (build, options, devices)}; one device if the last is left out.
        repeats: Turns of each.

    Returns:
        {name: `Result`}.
    """
    contenders = {}
    with contextlib.ExitStack() as stack:
        for name, task in tasks.items():
            _say(f"{name}: compiling")
            contenders[name] = Contender(*task)
            stack.callback(contenders[name].stop)
        for turn in range(repeats):
            for name, contender in contenders.items():
                _say(f"{name}: turn {turn + 1} of {repeats}")
                contender.take_turn()
        _say("")
        return {name: contender.finish() for name, contender in contenders.items()}


def _say(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _work(pipe, build, options, devices):
    """What the process does: build, then take turns until told to stop."""
    try:
        with quiet_tensorflow():
            import tensorflow as tf

        if devices > 1:
            processor = tf.config.list_physical_devices("CPU")[0]
            tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * devices)
        before, started = _peak(), time.perf_counter()
        run, facts = build(**options)
        run()
        pipe.send((facts, time.perf_counter() - started))
        while pipe.recv() == "go":
            started = time.perf_counter()
            run()
            pipe.send(time.perf_counter() - started)
        pipe.send(_peak() - before)
    except Exception:
        pipe.send(traceback.format_exc())


def _peak():
    """Bytes of memory that this process has had at most."""
    status = Path("/proc/self/status")
    if status.exists():  # where getrusage begins with what the parent had
        return 1024 * next(int(line.split()[1]) for line in status.open() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
