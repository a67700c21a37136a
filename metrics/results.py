"""Results: numbers with their intervals, as lines of text, as rows of JSON, as tables."""

import dataclasses
import json
from pathlib import Path

from metrics.table import METRICS
from stylegan_tf.arrays import writing
from stylegan_tf.curves import read_stats
from stylegan_tf.progress_line import clock

NAME_COLUMNS, TIME_COLUMNS = 30, 12


@dataclasses.dataclass(frozen=True)
class Result:
    """A number.

    Attributes:
        name: "fid50k"; "fd_mobilenet_v2_50k" with other networks than the published ones.
        value: The number itself.
        low, high: Its interval of 95 %, see `intervals`.
        n: Generated images, or paths.
        kimg: Thousands of real images that the network was trained with; None if unknown.
        seconds: What it took, features of the real images included where they were not stored.
        features: The network that looked at the images.
        network: What to call what was judged.
        digest: Text that another network, other data, another seed ... would change.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    kimg: float | None
    seconds: float
    features: str
    network: str
    digest: str


def result_line(results):
    """One line about the results of a metric, as the original writes it (section 16.1): network, time, values.

    Args:
        results: `Result`s of one metric and one network.
    """
    name = results[0].network
    name = name if len(name) < NAME_COLUMNS else f"...{name[-26:]}"
    values = "".join(f" {result.name} {result.value:<10.4f}" for result in results)
    return f"{name:<{NAME_COLUMNS}} time {clock(results[0].seconds):<{TIME_COLUMNS}}{values}".rstrip()


def record(directory, metric, results):
    """Append results to `metric-<name>.txt` and `metrics.jsonl`.

    Args:
        directory: A `Path`, made if missing.
        metric: What the metric is called with its features and number of images, "fid50k".
        results: Its `Result`s for one network.

    Raises:
        OSError: A file cannot be written; it is named.
    """
    rows = "".join(f"{json.dumps(dataclasses.asdict(result))}\n" for result in results)
    for path, text in (
        (directory / f"metric-{metric}.txt", f"{result_line(results)}\n"),
        (directory / "metrics.jsonl", rows),
    ):
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "a+b") as file:
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)  # a line that a crash cut off
                file.write(text.encode())


def read_results(directory):
    """The results in `metrics.jsonl`, {digest: [`Result`, ...]}; none if there is no such file.

    Raises:
        ValueError: A row is damaged; file and remedy are named.
    """
    path = Path(directory) / "metrics.jsonl"
    found = {}
    if path.exists():
        for row in read_stats(path):
            try:
                result = Result(**row)
            except TypeError as error:
                raise ValueError(f"{path} holds a row that is no result ({error}); move the file away") from error
            same = [other for other in found.get(result.digest, []) if other.name != result.name]
            found[result.digest] = [*same, result]
    return found


def results_table(results):
    """All results as text, one a line."""
    rows = [("network", "metric", "value", "95 % interval", "images", "time")]
    for result in results:
        interval = f"{result.low:.4g} to {result.high:.4g}"
        count = f"{result.n:,}"
        rows.append((result.network, result.name, f"{result.value:.4f}", interval, count, clock(result.seconds)))
    return _aligned(rows)


def metrics_table():
    """What metrics there are, as text, one a line."""
    reals = {"": "none", "sample": "as many", "distinct": "as many, all different", "all": "all"}
    rows = [("metric", "what it tells", "looked at by", "real images", "cost")]
    rows += [(name, row.measures, row.network, reals[row.reals], row.cost) for name, row in METRICS.items()]
    return _aligned(rows)


def _aligned(rows):
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
