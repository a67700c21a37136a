"""Comparisons with `tests/golden`, and the table in FIDELITY.md that says how they come out.

Every comparison is a call of `assert_close`. It fails beyond the tolerance in `COMPONENTS`, and also when FIDELITY.md
claims less than what is measured. After a run of whole test files `missing_and_stale` names the rows of the table that
nobody measured any more, and the other way round. `make fidelity` writes the table anew.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FILE = Path(__file__).parent.parent / "FIDELITY.md"
BEGIN, END = "<!-- begin of what `make fidelity` writes -->\n", "<!-- end of what `make fidelity` writes -->\n"
# another processor rounds differently: an error may be four times the claim, or a quarter of the tolerance
SLACK, FLOOR = 4, 0.25
FLOAT32 = 2.0**-23  # where the original adds up in float32 numbers below 2
REMEDY = "if this is right, run `make fidelity` and look at the difference in FIDELITY.md"


@dataclass(frozen=True)
class Component:
    """One row of the table.

    Attributes:
        title: What is compared.
        test: The test file that does.
        absolute: Largest difference allowed.
        relative: The same, times the largest absolute value expected.
        each: The same, times the absolute value of each element; the three add up.
        elements: Share of the elements of an array that must keep to this.
    """

    title: str
    test: str
    absolute: float = 0.0
    relative: float = 0.0
    each: float = 0.0
    elements: float = 1.0

    def allowed(self, expected):
        """Largest difference allowed from each element of an array."""
        magnitude = np.abs(expected)
        return self.absolute + self.relative * magnitude.max(initial=0) + self.each * magnitude

    @property
    def rule(self):
        """The tolerance in words."""
        terms = {"": self.absolute, " of the largest value": self.relative, " of each value": self.each}
        text = " + ".join(f"{number:.2g}{of_what}" for of_what, number in terms.items() if number) or "exact"
        return text if self.elements == 1 else f"{text}, for {100 * self.elements:g} % of the elements"


COMPONENTS = {
    "ops": Component("single operations: value, first and second derivative", "test_ops.py", 2e-5),
    "mapping": Component("mapping network: w", "test_golden_networks.py", 5e-5),
    "synthesis": Component("synthesis network: images", "test_golden_networks.py", relative=5e-5),
    "style": Component("generator: images", "test_golden_networks.py", relative=5e-5),
    "style_dlatents": Component("generator: w", "test_golden_networks.py", 5e-5),
    "dlatent_avg": Component("generator: running mean of w", "test_golden_networks.py", 1e-6),
    "dbasic": Component("discriminator: scores", "test_golden_networks.py", 2e-5),
    "progan_G": Component("Progressive GAN generator: images", "test_progan.py", relative=5e-5),
    "progan_D": Component("Progressive GAN discriminator: scores", "test_progan.py", 2e-5),
    "progan_ops": Component("Progressive GAN: single operations, as above", "test_progan.py", 2e-5),
    "variables": Component("variables: names and layouts, loaded and read back", "test_official.py"),
    "pickle_variables": Component("pickles: number and sum of variables", "test_official_pickle.py", each=1e-12),
    "pickle_images": Component("pickles: images", "test_official_pickle.py", relative=5e-5),
    "pickle_bytes": Component("pickles: images as bytes", "test_official_pickle.py", 1),
    "pickle_scores": Component("pickles: scores", "test_official_pickle.py", 2e-5),
    "loss": Component("losses: values, scores, mean of w", "test_losses.py", 2e-5),
    "loss_images": Component("losses: generated and mixed images", "test_losses.py", relative=5e-5),
    "loss_gradients": Component("losses: gradients", "test_losses.py", 1e-6, relative=1e-4),
    "penalties": Component("penalties and gradients, against images of the full size", "test_losses.py", relative=1e-4),
    "adam": Component("Adam: variables", "test_training_golden.py", 1e-9, each=1e-6),
    "step_losses": Component("whole steps: losses, decay of the average", "test_training_golden.py", each=1e-5),
    "step_average": Component("whole steps: running mean of w", "test_training_golden.py", 1e-6),
    "step_variables": Component("three whole steps: G, D, Gs", "test_training_golden.py", 1e-5, elements=0.999),
    "step_strays": Component("three whole steps: the remaining elements", "test_training_golden.py", 2e-3),
    "reals": Component("processing of real images", "test_training_golden.py", 2e-6),
    "schedule": Component("schedule: lod, minibatch, rates, ticks", "test_schedule.py", each=1e-12),
    "records": Component("records: bytes written, images read", "test_records.py"),
    "dataset": Component("data set: images and labels", "test_dataset.py"),
    "dataset_tool": Component("dataset tool: bytes written", "test_dataset_tool.py"),
    "images": Component("grids, bytes of pictures", "test_images.py"),
    "fid_mean": Component("FID: mean of features", "test_metrics_golden.py", FLOAT32),
    "fid_covariance": Component("FID: their covariance", "test_metrics_golden.py", each=1e-12),
    "fid": Component("FID: Fréchet distances", "test_metrics_golden.py", 1e-13, each=1e-7),
    "ppl_lerp": Component("PPL: lines; distances without outliers", "test_metrics_golden.py"),
    "ppl_normalize": Component("PPL: unit vectors", "test_metrics_golden.py", FLOAT32),
    "ppl_slerp": Component("PPL: arcs", "test_metrics_golden.py", 2 * FLOAT32),
    "ppl_mean": Component("PPL: mean of the original's distances", "test_metrics_golden.py", each=FLOAT32),
    "ppl_distances": Component("PPL: distances of a network (1e8 x rounding)", "test_metrics_golden.py", each=3e-4),
    "ppl": Component("PPL of a network", "test_metrics_golden.py", each=1e-4),
    "ls_table": Component("linear separability: joint distributions", "test_metrics_golden.py", each=1e-15),
    "ls_entropies": Component("linear separability: entropies", "test_metrics_golden.py", FLOAT32),
    "ls": Component("linear separability: scores", "test_metrics_golden.py", each=1e-6),
}
TESTS = {component.test for component in COMPONENTS.values()}


@dataclass(frozen=True)
class Row:
    """What was measured for one component and one golden file."""

    component: str
    file: str
    outputs: int
    error: str
    share: float  # percent of the tolerance, two digits

    @classmethod
    def of(cls, component, file, comparisons):
        """Sum up comparisons, each (error, share of the tolerance)."""
        errors, shares = zip(*comparisons, strict=True)
        error = f"{max(errors):.1e}" if max(errors) else "0"
        return cls(component, file, len(comparisons), error, float(f"{100 * max(shares):.2g}"))


class Session:
    """What the running process knows.

    Attributes:
        measuring: Whether FIDELITY.md is to be written anew, so that it cannot be held against anyone.
        item: The running test, which carries its comparisons in `user_properties` to where reports are gathered.
    """

    measuring = False
    item = None


def assert_close(component, file, actual, expected, what=""):
    """Compare with values of the original, and note how far apart they are.

    Args:
        component: Key in `COMPONENTS`.
        file: Name below `tests/golden`.
        actual, expected: Arrays of one shape, numbers, or bytes.
        what: Which of the file's outputs it is, for the message.
    """
    rule = COMPONENTS[component]
    assert Session.item.path.name == rule.test, f"{component} is said to be compared in {rule.test}"
    actual, expected = (np.asarray(_numbers(values), np.float64) for values in (actual, expected))
    assert actual.shape == expected.shape, f"{file} {what}: shape {actual.shape}, expected {expected.shape}"
    difference, allowed = np.abs(actual - expected), rule.allowed(expected)
    shares = np.divide(difference, allowed, out=np.where(difference == 0, 0.0, np.inf), where=allowed > 0)
    error, share = (float(_largest(values, rule.elements)) for values in (difference, shares))
    assert share <= 1, f"{file} {what}: the largest difference is {error:.3g}, but {rule.title}: {rule.rule}"
    Session.item.user_properties.append(("fidelity", (component, file, error, share)))
    if not Session.measuring:
        row = claims().get((component, file))
        assert row, f"FIDELITY.md has no row for {component} and {file}; {REMEDY}"
        told = f"{file} {what}: {100 * share:.2g} % of the tolerance, FIDELITY.md says {row.share:g} %"
        assert share <= max(SLACK * row.share / 100, FLOOR), f"{told}; {REMEDY}"


def _numbers(values):
    return np.frombuffer(values, np.uint8) if isinstance(values, bytes) else values


def _largest(values, elements):
    """The largest value, or the largest that this share of the elements has."""
    return values.max(initial=0) if elements == 1 else np.quantile(values, elements, method="inverted_cdf")


@functools.cache
def claims():
    """Rows of the table in FIDELITY.md: {(component, file): Row}."""
    rows = {}
    for line in FILE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].splitlines():
        cells = [cell.strip(" `") for cell in line.strip("|").split("|")]
        if cells[0] in COMPONENTS:
            component, file, outputs, error, share = cells
            rows[component, file] = Row(component, file, int(outputs), error, float(share.removesuffix(" %")))
    return rows


def rows_of(comparisons):
    """Comparisons (component, file, error, share) to rows, in the order of `COMPONENTS`."""
    groups = {}
    for component, file, *numbers in comparisons:
        groups.setdefault((component, file), []).append(numbers)
    order = list(COMPONENTS)
    keys = sorted(groups, key=lambda key: (order.index(key[0]), key[1]))
    return {key: Row.of(*key, groups[key]) for key in keys}


def missing_and_stale(rows, tests):
    """What is wrong with the table's rows of some test files, given what these have measured: a list of sentences."""
    told = {key: row for key, row in claims().items() if COMPONENTS[key[0]].test in tests}
    problems = [f"{file} is no longer compared ({component})" for component, file in told.keys() - rows.keys()]
    for key in told.keys() & rows.keys():
        if told[key].outputs != rows[key].outputs:
            counts = f"{rows[key].outputs} outputs compared, FIDELITY.md says {told[key].outputs}"
            problems.append(f"{key[1]} ({key[0]}): {counts}")
    return sorted(problems)


def table(rows):
    """What stands between the markers, from rows."""
    lines = [
        "| component | files | outputs compared | largest error | share of the tolerance | tolerance | test |",
        "| --- | --- | ---: | ---: | ---: | --- | --- |",
    ]
    for component, rule in COMPONENTS.items():
        mine = [row for row in rows.values() if row.component == component]
        if mine:
            worst, share = max((row.error for row in mine), key=float), max(row.share for row in mine)
            files = f"`{mine[0].file}`" if len(mine) == 1 else f"{len(mine)} files"
            cells = [rule.title, files, sum(row.outputs for row in mine), worst, f"{share:g} %", rule.rule]
            lines.append(f"| {' | '.join(map(str, cells))} | `tests/{rule.test}` |")
    lines += ["", "<details><summary>Each file by itself</summary>", ""]
    lines += ["| component | file | outputs compared | largest error | share of the tolerance |"]
    lines += ["| --- | --- | ---: | ---: | ---: |"]
    for row in rows.values():
        lines.append(f"| {row.component} | `{row.file}` | {row.outputs} | {row.error} | {row.share:g} % |")
    return "\n".join([*lines, "", "</details>", ""])


def write(rows):
    """Put the table of `rows` into FIDELITY.md, in one go."""
    text = FILE.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{FILE} lacks the lines {BEGIN.strip()} and {END.strip()}; put them around the table")
    temporary = FILE.with_suffix(".md.partial")
    temporary.write_text(f"{before}{begin}{table(rows)}{end}{after}", encoding="utf-8")
    temporary.replace(FILE)
