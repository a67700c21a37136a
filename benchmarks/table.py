"""Results of contenders as a table, a JSON file and a plot."""

import dataclasses
import json
import statistics

from benchmarks.contenders import take_turns
from benchmarks.measuring import machine

CONVOLUTION = "convolution, "  # what the names of bare convolutions begin with; the type follows


def measure(options, title, what, tasks_of):
    """Measure, print and save one group of contenders after the other.

    Args:
        options: Of `parse_choices`.
        title: Of a table, with places for {size} and {batch}.
        what: Of which the plot shows the cost.
        tasks_of: Function of the options, a size and a batch to the tasks of `take_turns`.
    """
    groups = []
    for size in options.sizes:
        for batch in options.batches:
            results = take_turns(tasks_of(options, size, batch), options.repeats)
            groups.append({"size": size, "batch": batch, "results": results})
            print_group(title.format(size=size, batch=batch), results)
    save(options, groups, what)


def print_group(title, results):
    """Print a table of {name: `Result`}; times are compared with those of the first, turn by turn."""
    first = next(iter(results.values()))
    columns = f"{'ms':>9} {'(min to max)':>18} {'images/s':>9} {'of first':>9} {'G/s':>7} {'of conv':>8} {'GiB':>6}"
    print(f"\n{title}\n{'':24}{columns} {'first turn':>11}", flush=True)
    for name, result in results.items():
        low, median, high = (1000 * f(result.seconds) for f in (min, statistics.median, max))
        spread, images = f"({low:.0f} to {high:.0f})", 1000 * result.facts["images"] / median
        pace = statistics.median(a / b for a, b in zip(result.seconds, first.seconds, strict=True))
        text = f"{name:24}{median:9.1f} {spread:>18} {images:9.2f} {pace:9.2f} {rate(result):7.0f} "
        print(text + f"{share(name, results):>8} {result.memory / 2**30:6.2f} {result.first:9.1f} s", flush=True)


def rate(result):
    """Billions of operations a second, those that the layers need."""
    return result.facts["operations"] / statistics.median(result.seconds) / 1e9


def share(name, results):
    """Share of the rate of the bare convolution of the same type, as text."""
    dtype = "bfloat16" if "bfloat16" in name else "float32"
    bare = results.get(CONVOLUTION + dtype)
    return f"{rate(results[name]) / rate(bare):.0%}" if bare else ""


def save(options, groups, what):
    """Write what `--out` and `--plot` ask for.

    Args:
        options: Of a command line.
        groups: List of {"size", "batch", "results"}.
        what: Of which the plot shows the cost.
    """
    if options.out:
        rows = [
            {"size": group["size"], "batch": group["batch"], "contender": name, **dataclasses.asdict(result)}
            for group in groups
            for name, result in group["results"].items()
        ]
        options.out.write_text(json.dumps({"rows": rows, "machine": machine()}, indent=2))
    if options.plot:
        plot(options.plot, groups, what)


def plot(path, groups, what):
    """PNG of seconds an image against size and against batch, one line a contender."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(10, 4), layout="constrained")
    names = dict.fromkeys(name for group in groups for name in group["results"] if not name.startswith(CONVOLUTION))
    for axes, (key, label, other) in zip(
        figure.subplots(1, 2), (("size", "pixels", "batch"), ("batch", "images a turn", "size")), strict=True
    ):
        fixed = groups[0][other]
        chosen = [group for group in groups if group[other] == fixed]
        for name in names:
            points = [
                (group[key], statistics.median(result.seconds) / result.facts["images"])
                for group in chosen
                if (result := group["results"].get(name))
            ]
            if points:
                axes.loglog(*zip(*points, strict=True), "o-", label=name, base=2)
        axes.set(xlabel=label, ylabel=f"seconds an image of a {what}", title=f"{other} {fixed}")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    figure.savefig(path, dpi=120)
