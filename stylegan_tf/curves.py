"""The course of a training run as a picture: losses, scores and speed over kimg, growth as shaded bands."""

import itertools
import json
import os
from pathlib import Path

from matplotlib.figure import Figure

from stylegan_tf.arrays import atomic_file

PANELS = {  # title of the y axis -> {key of a row: (name in the legend, colour)}
    "loss": {"loss_g": ("generator", "#3366cc"), "loss_d": ("discriminator", "#dc3912")},
    "score": {"score_real": ("real images", "#109618"), "score_fake": ("generated images", "#990099")},
    "images a second": {"images_per_second": ("while training", "#555555")},
}


def read_stats(path: str | os.PathLike) -> list[dict]:
    """Reads a run's `stats.jsonl`, one JSON object a line; a last line that a crash cut off is left out.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Another line is no JSON; the message names it.
    """
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number < len(lines):
                raise ValueError(f"{path}, line {number} is no JSON ({error}). Remove the line.") from error
    return rows


def training_curves(rows: list[dict], path: str | os.PathLike, resolution: int | None = None) -> None:
    """Draws the curves into a PNG file.

    Args:
        rows: One dict a tick, with `kimg` (thousands of real images seen) and any of the keys in `PANELS`;
            `level` gives the bands. What is missing is not drawn.
        path: File name; written atomically.
        resolution: Full resolution in pixels, to name the bands by; None names them by their level.

    Raises:
        ValueError: No row has a `kimg`.
    """
    rows = [row for row in rows if row.get("kimg") is not None]
    if not rows:
        raise ValueError(f"no statistics to draw for {path}: has the run finished its first tick?")
    panels = {
        title: curves
        for title, curves in PANELS.items()
        if any(row.get(key) is not None for key in curves for row in rows)
    }
    figure = Figure(figsize=(8, 0.8 + 2.2 * max(1, len(panels))), dpi=120, layout="constrained")
    all_axes = figure.subplots(max(1, len(panels)), sharex=True, squeeze=False)[:, 0]
    for axes, (title, curves) in zip(all_axes, panels.items(), strict=False):
        _draw_panel(axes, rows, title, curves)
    _draw_bands(all_axes, rows, resolution)
    all_axes[-1].set_xlabel("real images shown to the discriminator, in thousands (kimg)")
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_panel(axes, rows, title, curves):
    for key, (name, color) in curves.items():
        points = [(row["kimg"], row[key]) for row in rows if row.get(key) is not None]
        if points:
            marker = "o" if len(points) < 40 else None
            axes.plot(*zip(*points, strict=True), color=color, label=name, marker=marker, markersize=3, lw=1.4)
    axes.set_ylabel(title)
    axes.grid(axis="y", color="0.85", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="best", frameon=False, fontsize="small", ncols=2)


def _draw_bands(all_axes, rows, resolution):
    """Shades the stretch of each level, every second one darker, and names it above the first panel."""
    bands, start = [], 0
    for level, group in itertools.groupby((row for row in rows if "level" in row), key=lambda row: row["level"]):
        end = list(group)[-1]["kimg"]
        if end > start:
            bands.append((level, start, end))
        start = end
    for index, (level, start, end) in enumerate(bands):
        for axes in all_axes:
            axes.axvspan(start, end, color="0.93" if index % 2 else "0.98", zorder=0, linewidth=0)
        name = f"{resolution >> level}²" if resolution else f"level {level}"
        position = ((start + end) / 2, 1.02)
        transform = all_axes[0].get_xaxis_transform()
        all_axes[0].text(*position, name, transform=transform, ha="center", va="bottom", fontsize="small")
