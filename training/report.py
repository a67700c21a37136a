"""A run as one page, `report.html`: state, pictures over time, curves, schedule, settings. Asks no server for anything.

The page is `report_page.html` beside this file, with what is known of the run filled in. Pictures are small copies
inside the page, so it can be mailed or copied alone; those of the page before are used again.
"""

import dataclasses
import html
import json
import math
import re
import time
from pathlib import Path

from stylegan_tf.arrays import atomic_file
from stylegan_tf.curves import read_stats
from stylegan_tf.images import preview
from stylegan_tf.page import definitions, embedded, fill, picture_source
from stylegan_tf.progress_line import clock
from training.config import TrainingConfig, with_values
from training.progress import stretches
from training.schedule import schedule_at

MAX_PICTURES, MAX_BYTES = 64, 14_000_000  # of all pictures as they stand in the page
LONGEST_SIDE = 1280  # of a picture in the page, in pixels
MAX_POINTS = 2000  # of a curve
PAGE = Path(__file__).with_name("report_page.html")
GRID = re.compile(r"fakes(\d+(?:\.\d+)?)\.png")
MARK = '<script type="application/json" id="pictures">'  # where the page has them


def write_report(run_dir, running=False, seconds_left=None, previews=None, encoding_seconds=math.inf):
    """Write `report.html` from the other files of a run directory.

    Args:
        run_dir: The directory, a `Path`, with at least a `run.json`.
        running: Whether the run goes on.
        seconds_left: Time until its end, if known.
        previews: {name of a grid: what `preview` made of it}, which saves reading the file.
        encoding_seconds: After so many seconds no further picture is taken in; the next page goes on with them.

    Returns:
        The file.

    Raises:
        OSError: A file cannot be read or written.
        ValueError: `run.json` or `stats.jsonl` is damaged.
    """
    record = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))
    stats = run_dir / "stats.jsonl"
    rows = read_stats(stats) if stats.exists() else []
    config = with_values(TrainingConfig(), record["config"])
    resolution = record["dataset"]["resolution"]
    last = rows[-1] if rows else {"kimg": 0.0}
    status = "complete" if last["kimg"] >= config.total_kimg else "running" if running else "stopped"
    parts = stretches(config.schedule, resolution, config.total_kimg)
    pictures = _pictures(run_dir, previews or {}, encoding_seconds)
    run = {
        "status": status,
        "written": time.time(),
        "kimg": last["kimg"],
        "total": config.total_kimg,
        "parts": [{**dataclasses.asdict(part), "size": resolution >> part.level} for part in parts],
        "rows": _columns(rows),
    }
    filled = {
        "title": html.escape(run_dir.resolve().name),
        "status": status,
        "facts": _facts(record["dataset"], config, last, seconds_left if status == "running" else None),
        "schedule": _schedule(parts, config, resolution, last["kimg"]),
        "settings": _settings(record["config"]),
        "run": embedded(run),
        "pictures": embedded(pictures),
    }
    path = run_dir / "report.html"
    with atomic_file(path) as temporary:
        temporary.write_text(fill(PAGE, filled), encoding="utf-8")
    return path


def kimg_of(path):
    """The kimg in the name of a grid: 53.0 for fakes000053.png, 0.144 for fakes000000.144.png."""
    return float(GRID.fullmatch(path.name)[1])


def _pictures(run_dir, previews, seconds):
    """{file name: {"stamp", "kimg", "source"}} of some of the grids, evenly spread, and of the real images."""
    known, deadline = _pictures_of_the_page_before(run_dir / "report.html"), time.monotonic() + seconds
    grids = sorted((path for path in run_dir.iterdir() if GRID.fullmatch(path.name)), key=kimg_of)
    taken, step = {}, 1
    while len(grids) > MAX_PICTURES * step:
        step *= 2
    chosen = [*grids[:-1][::step], *grids[-1:]]  # with a power of two, most of a page's pictures are in the next one
    for path in [*run_dir.glob("reals.png"), *chosen[-1:], *chosen[:-1]]:
        facts = path.stat()
        stamp = f"{facts.st_size} {facts.st_mtime_ns}"
        if known.get(path.name, {}).get("stamp") == stamp:
            taken[path.name] = known[path.name]
        elif path.name in previews or time.monotonic() < deadline or len(taken) < 2:
            encoded = previews.get(path.name) or preview(path, LONGEST_SIDE)[0]
            taken[path.name] = {"stamp": stamp, "kimg": None, "source": picture_source("jpeg", encoded)}
    grids = [path for path in chosen if path.name in taken]
    for path in grids:
        taken[path.name]["kimg"] = kimg_of(path)
    while sum(len(entry["source"]) for entry in taken.values()) > MAX_BYTES and len(grids) > 2:
        for path in grids[1:-1:2]:
            del taken[path.name]
        grids = [path for path in grids if path.name in taken]
    return taken


def _pictures_of_the_page_before(page):
    try:
        after = page.read_text(encoding="utf-8").partition(MARK)[2]
        return json.loads(after.partition("</script>")[0])
    except (OSError, ValueError):
        return {}  # there is no page, or another program's: everything is encoded anew


def _columns(rows):
    """Rows of statistics as {name: [number or None]}, thinned out if they are many, five digits each."""
    step = max(1, -(-len(rows) // MAX_POINTS))
    rows = rows[::-step][::-1]  # with the newest
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [_number(row.get(name)) for row in rows] for name in names}


def _number(value):
    finite = isinstance(value, int | float) and math.isfinite(value)
    return float(f"{value:.5g}") if finite else None


def _facts(dataset, config, last, seconds_left):
    share = last["kimg"] / config.total_kimg
    facts = {
        "images shown": f"{last['kimg']:,.1f} of {config.total_kimg:,.1f} kimg ({100 * share:.0f}\u00a0%)",
        "trains at": f"{last['resolution']}×{last['resolution']} of {dataset['resolution']}×{dataset['resolution']}"
        if "resolution" in last
        else "nothing yet",
        "trained for": clock(last.get("minutes", 0) * 60),
        "time left": clock(seconds_left) if seconds_left is not None else None,
        "speed": f"{last['images_per_second']:,.1f} images a second" if last.get("images_per_second") else None,
        "data set": f"{dataset['images']:,} images, {dataset['channels']} channels, {dataset['label_size']} labels",
        "networks": f"{config.G_func} and {config.D_func}, {config.dtype}",
    }
    return definitions(facts.items())


def _schedule(parts, config, resolution, kimg):
    """Rows of the table, one for each stretch."""
    lines, schedule = [], config.schedule
    for part in parts:
        point = schedule_at(part.start * 1000 + 1, config.schedule, resolution, config.num_gpus)
        size = resolution >> part.level
        now = ' aria-current="step"' if part.start <= kimg < part.end else ""
        cells = [
            f"{part.start:,g} – {part.end:,g}",
            f"{size}×{size} {'fades in' if part.fades else 'trains'}",
            point.minibatch,
            f"{schedule.G_lrate_dict.get(size, schedule.G_lrate_base):g}",
            f"{schedule.D_lrate_dict.get(size, schedule.D_lrate_base):g}",
            f"{point.tick_kimg:g}",
        ]
        lines.append(f"<tr{now}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return "\n".join(lines)


def _settings(config):
    """Rows of the table: every field by its name in `--set`; those that differ from the default are marked."""
    defaults = dict(_flat(dataclasses.asdict(TrainingConfig())))
    lines = []
    for name, value in _flat(config):
        text, default = json.dumps(value), json.dumps(defaults.get(name))
        changed = f"<td>{html.escape(default)}</td>" if text != default else "<td></td>"
        mark = ' class="changed"' if text != default else ""
        lines.append(f"<tr{mark}><td>{html.escape(name)}</td><td>{html.escape(text)}</td>{changed}</tr>")
    return "\n".join(lines)


def _flat(values, prefix=""):
    for name, value in values.items():
        if isinstance(value, dict) and prefix == "" and name in ("schedule", "optimizer"):
            yield from _flat(value, f"{name}.")
        else:
            yield f"{prefix}{name}", value
