"""What a generator does well and badly, as one page for people: `report.html`. It asks no server for anything and runs
no script; pictures and plots are inside, so it can be mailed or copied alone.

The page is `report_page.html` beside this file, with what `diagnosis` found filled in.
"""

import html
from pathlib import Path

import numpy as np

from metrics import report_sections as sections
from metrics.diagnosis import NEIGHBOURS, Samples, diagnose
from metrics.report_parts import picture, table, viewed
from stylegan_tf.arrays import atomic_file, writing
from stylegan_tf.images import image_grid
from stylegan_tf.page import definitions, fill
from stylegan_tf.record_manifest import read_manifest

PAGE = Path(__file__).with_name("report_page.html")
PSIS = (0.3, 0.5, 0.6, 0.7, 0.85, 1.0)
GRID = 36  # samples in a grid
CLASSES, PER_CLASS = 12, 6  # rows of samples with labels, and their length


def write_report(
    directory,
    subject,
    data,
    features,
    *,
    results=(),
    real_features=None,
    path_lengths=None,
    path_network="",
    num_images=1000,
    psis=PSIS,
    batch_size=8,
    seed=0,
):
    """Write `report.html` into a directory, which is made if missing; takes minutes, and shows how many.

    Args:
        directory: Where the page goes; nothing else in it is touched.
        subject: `metrics.gathering.Subject`: the network.
        data: `metrics.reals.RealData`: the real images, and their labels if there are any.
        features: `metrics.features.FeatureNetwork`.
        results: Metric results, dicts with "name", "value", and if known "low" and "high" (95 % interval) and "images".
        real_features: Features [M, D] of the first M images of the data set in file order, not mirrored, a memory map
            for instance; None to compute them here, of `diagnosis.MAX_REALS` images at most.
        path_lengths: d / ε² of single paths in W, as `Gatherer.path_lengths` gives them, [n]; None leaves them out.
        path_network: Name of the perceptual distance that measured them.
        num_images: Generated images to judge, for each psi.
        psis: Truncations of the curve.
        batch_size: Images computed at a time.
        seed: First seed of the samples, which are those of generate_images.py, and of all random choices.

    Returns:
        The page, a `Path`.

    Raises:
        ValueError: Network and data set do not match, there are too few images, or a number is not finite.
        OSError: The page cannot be written.
    """
    directory = Path(directory)
    if num_images <= NEIGHBOURS:
        raise ValueError(f"a report of {num_images} images says nothing; take {NEIGHBOURS + 1} or more, better 1000")
    samples = Samples(subject, data, num_images, seed, batch_size)
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
    found = diagnose(samples, data, features, real_features, psis)
    parts = {
        "results": ("Metrics", _results(results)),
        "samples": ("Samples", _samples(samples)),
        "classes": ("Samples by label", _classes(samples, data)),
        "memory": ("Is it memorising?", sections.neighbours(samples, data, found)),
        "truncation": ("Truncation against quality", sections.truncation(found, features, num_images)),
        "best": ("Best and worst", sections.best_and_worst(samples, found)),
        "paths": ("Path lengths", sections.paths(path_lengths, path_network)),
    }
    parts = {key: section for key, section in parts.items() if section[1]}
    filled = {
        "title": html.escape(f"Report on {subject.name}"),
        "facts": _facts(samples, subject, data, features, found),
        "contents": "".join(f'<li><a href="#{key}">{title}</a></li>' for key, (title, _) in parts.items()),
        "sections": "\n".join(
            f'<section aria-labelledby="{key}"><h2 id="{key}">{title}</h2>\n{body}\n</section>'
            for key, (title, body) in parts.items()
        ),
    }
    path = directory / "report.html"
    with atomic_file(path) as temporary:
        temporary.write_text(fill(PAGE, filled), encoding="utf-8")
    return path


def _facts(samples, subject, data, features, found):
    generator, size = samples.generator, samples.generator.resolution
    grown = size >> samples.level
    labels = "zero" if generator.label_size and samples.labels is None else "of random real images"
    facts = {
        "resolution": f"{size}×{size}" + (f", grown to {grown}×{grown}" if samples.level else ""),
        "trained for": f"{subject.kimg:,g} kimg" if subject.kimg is not None else None,
        "data set": f"{data.name}: {data.count:,} images, {samples.data_labels.shape[1]} labels",
        "labels of the samples": labels if generator.label_size else None,
        "judged": f"{samples.count:,} samples, seeds {samples.first} to {samples.first + samples.count - 1}",
        "features": f"{features.name} ({features.digest}), {features.width} numbers a picture",
        "precision, recall": "{precision:.3f}, {recall:.3f}".format(**found.untruncated),
        "density, coverage": "{density:.3f}, {coverage:.3f}".format(**found.untruncated),
    }
    return definitions(facts.items())


def _results(results):
    rows = []
    for row in results:
        interval = f"{row['low']:.4g} – {row['high']:.4g}" if row.get("low") is not None else ""
        images = f"{row['images']:,}" if row.get("images") else ""
        rows.append([html.escape(str(row["name"])), f"{row['value']:.4f}", interval, images])
    return table("metrics", ["metric", "value", "95 % interval", "images"], rows) if rows else ""


def _samples(samples):
    count, parts = min(GRID, samples.count), []
    for psi in (None, 0.7) if samples.can_truncate else (None,):
        pictures = [viewed(image) for image in samples.pictures(range(count), psi)]
        words = "no truncation: what the numbers below judge" if psi is None else f"truncation ψ = {psi}"
        alt = f"grid of {count} generated pictures, {words}"
        parts.append(
            f"<figure>{picture(image_grid(np.stack(pictures)), alt, 1280)}<figcaption>{words}</figcaption></figure>"
        )
    last = samples.first + count - 1
    remark = f"Seeds {samples.first} to {last}, in order; nothing is chosen."
    return f'<p class="remark">{remark}</p><div class="grids">{"".join(parts)}</div>'


def _classes(samples, data):
    """A row of samples for each of the most frequent labels."""
    if samples.labels is None:
        return ""
    rows, counts = np.unique(samples.data_labels, axis=0, return_counts=True)
    names = read_manifest(data.directory).get("label_names") or []
    parts = []
    for index in np.argsort(-counts, kind="stable")[:CLASSES]:
        label = rows[index]
        pictures = [viewed(image) for image in samples.pictures(range(PER_CLASS), None, np.tile(label, [PER_CLASS, 1]))]
        words = _label(label, names)
        grid = picture(image_grid(np.stack(pictures), PER_CLASS), f"generated pictures with the label {words}", 1280)
        caption = f"{html.escape(words)} ({counts[index]:,} real images)"
        parts.append(f"<figure>{grid}<figcaption>{caption}</figcaption></figure>")
    remark = f"The same seeds with each of the {len(parts)} most frequent labels of {len(rows):,}; no truncation."
    return f'<p class="remark">{remark}</p><div class="grids">{"".join(parts)}</div>'


def _label(label, names):
    """A label in words."""
    if len(names) == len(label) and set(np.unique(label)) <= {-1, 0, 1}:
        return ", ".join(name for name, value in zip(names, label, strict=True) if value > 0) or "none"
    return ", ".join(f"{value:g}" for value in label)
