"""Work on many threads whose results come in the order of the input, with bounded memory."""

import queue
import threading
import time
from collections import deque
from concurrent.futures import Future

GOODBYE = 1.0  # seconds that the threads may take to end; one stuck in the file system is left behind


def map_in_order(function, items, workers, window):
    """Generator of function(item) for each item, in their order.

    Threads and not processes: decoding and resizing leave Python's lock alone, and pixels need not be copied. They are
    daemons: a program that is told to stop does not wait for a picture on a network drive that never comes.

    Args:
        function: Called from several threads at once.
        items: Iterable; only `window` items ahead are taken from it.
        workers: Number of threads; 1 works in the caller's own.
        window: How many items may be in work or waiting to be fetched: what bounds the memory.

    Raises:
        Exception: What `function` raised for an item, at that item's turn.
    """
    if workers == 1:
        yield from map(function, items)
        return
    tasks, pending = queue.SimpleQueue(), deque()
    threads = [threading.Thread(target=_work, args=[function, tasks], daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        for item in items:
            pending.append(Future())
            tasks.put((pending[-1], item))
            if len(pending) == window:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
        for _ in threads:
            tasks.put(None)
        deadline = time.monotonic() + GOODBYE
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))


def _work(function, tasks):
    while (task := tasks.get()) is not None:
        future, item = task
        if not future.set_running_or_notify_cancel():
            continue
        try:
            future.set_result(function(item))
        except BaseException as error:  # handed to the consumer
            future.set_exception(error)
