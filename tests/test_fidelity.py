"""FIDELITY.md tells the truth: its table is that of `COMPONENTS`, every golden file is in it, what it names exists.

That each row is measured, and comes out as it says, is checked where that happens: `fidelity.py`, `fidelity_plugin.py`.
"""

import re
from types import SimpleNamespace

import fidelity
import numpy as np
import pytest
from fidelity import BEGIN, COMPONENTS, END, FILE, Component, assert_close, claims, missing_and_stale, rows_of, table
from golden_data import FOLDER

TESTS = FILE.parent / "tests"
TEXT = FILE.read_text(encoding="utf-8")
DEVIATIONS = TEXT.partition("## Deliberate deviations")[2]
# explanation; what the pickles should give, whose own names are in the table; pictures to make data sets of
RAW = {"README.md", "network_pkl_expected.npz", "dataset_tool/png_rgb", "dataset_tool/png_gray"}


def test_the_table_is_that_of_the_components():
    """Tolerances, tests, order, and sums over files."""
    written = TEXT.partition(BEGIN)[2].partition(END)[0]
    assert written == table(claims()), fidelity.REMEDY


def test_every_component_has_a_row():
    assert {component for component, _ in claims()} == set(COMPONENTS)


def test_every_golden_file_is_compared():
    files = {path.name for path in FOLDER.iterdir() if path.name != "dataset_tool"}
    files |= {f"dataset_tool/{path.name}" for path in (FOLDER / "dataset_tool").iterdir()}
    assert {file for _, file in claims() if not file.startswith("computed at ")} == files - RAW


def test_no_claim_is_beyond_its_tolerance():
    for row in claims().values():
        assert 0 <= row.share <= 100
        assert (row.share == 0) == (float(row.error) == 0)
        assert row.outputs > 0


def test_tests_that_are_named_exist():
    functions = {
        name for path in TESTS.glob("test_*.py") for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    }
    named = set(re.findall(r"`(?:tests/)?(test_\w+)(?:\.py)?`", TEXT))
    assert len(named) > 10
    assert named <= functions | {path.stem for path in TESTS.glob("test_*.py")}


def test_every_deviation_names_a_test_or_says_why_there_is_none():
    lines = [line for line in DEVIATIONS.splitlines() if line.startswith("|")]
    rows = [line.strip("| ").split(" | ") for line in lines if line not in (lines[0], lines[1])]  # not the headings
    assert len(rows) > 20
    for row in rows:
        assert len(row) == 4, row
        assert all(row), row
        assert "`test_" in row[3] or row[3] == "nothing to test", row


# ---------------------------------------------------------------------------------------------------------------------
# The instrument itself


@pytest.fixture
def component(monkeypatch):
    """A component "toy" with claims of its own: `toy.npz` at 10 % of the tolerance 0.5 + 0.1 of each value."""
    monkeypatch.setitem(COMPONENTS, "toy", Component("toys", "test_fidelity.py", 0.5, each=0.1))
    row = fidelity.Row("toy", "toy.npz", 1, "1.0e-01", 10.0)
    monkeypatch.setattr(fidelity, "claims", lambda: {("toy", "toy.npz"): row})
    monkeypatch.setattr(fidelity.Session, "measuring", False)
    item = SimpleNamespace(path=FILE.parent / "tests" / "test_fidelity.py", user_properties=[])
    monkeypatch.setattr(fidelity.Session, "item", item)
    return item


def test_a_comparison_is_noted(component):
    assert_close("toy", "toy.npz", [10.3, 0.0], [10.0, 0.1])
    ((kind, (name, file, error, share)),) = component.user_properties
    assert (kind, name, file, error) == ("fidelity", "toy", "toy.npz", pytest.approx(0.3))
    assert share == pytest.approx(0.2)  # 0.3 / 1.5; 0.1 / 0.51 is less


@pytest.mark.parametrize(
    ("actual", "complaint"),
    [
        ([10.0, 0.7], "largest difference is 0.7, but toys: 0.5 \\+ 0.1 of each value"),
        ([10.0, np.nan], "largest difference is nan"),
        ([10.0, 0.0, 0.0], r"shape \(3,\), expected \(2,\)"),
        (
            [10.7, 0.0],
            "toy.npz it: 47 % of the tolerance, FIDELITY.md says 10 %; if this is right, run `make fidelity`",
        ),
    ],
)
def test_a_comparison_fails_beyond_its_tolerance_or_its_claim(component, actual, complaint):
    with pytest.raises(AssertionError, match=complaint):
        assert_close("toy", "toy.npz", actual, [10.0, 0.0], "it")


def test_a_file_that_the_table_lacks_fails(component):
    with pytest.raises(AssertionError, match=r"no row for toy and new\.npz"):
        assert_close("toy", "new.npz", [1.0], [1.0])


def test_a_comparison_in_another_file_than_the_table_says_fails(component, monkeypatch):
    component.path = component.path.with_name("test_elsewhere.py")
    with pytest.raises(AssertionError, match=r"toy is said to be compared in test_fidelity\.py"):
        assert_close("toy", "toy.npz", [1.0], [1.0])


def test_rows_that_nobody_measures_or_that_have_other_outputs_are_found(component):
    measured = rows_of([("toy", "toy.npz", 0.1, 0.1), ("toy", "toy.npz", 0.0, 0.0)])
    assert missing_and_stale({}, {"test_fidelity.py"}) == ["toy.npz is no longer compared (toy)"]
    assert missing_and_stale({}, {"test_ops.py"}) == []
    complaint = "toy.npz (toy): 2 outputs compared, FIDELITY.md says 1"
    assert missing_and_stale(measured, {"test_fidelity.py"}) == [complaint]


def test_exact_means_exact():
    exact = Component("toys", "test_fidelity.py")
    assert exact.rule == "exact"
    assert not exact.allowed(np.ones(3)).any()


def test_a_share_of_the_elements_may_go_astray(component, monkeypatch):
    monkeypatch.setitem(COMPONENTS, "toy", Component("toys", "test_fidelity.py", 0.5, elements=0.75))
    assert_close("toy", "toy.npz", [0, 0, 0, 9], [0, 0, 0, 0])
    with pytest.raises(AssertionError, match=r"0\.5, for 75 % of the elements"):
        assert_close("toy", "toy.npz", [0, 0, 9, 9], [0, 0, 0, 0])


def test_what_is_written_is_what_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(fidelity, "FILE", tmp_path / "FIDELITY.md")
    comparisons = [("ops", "ops.npz", 1.23e-6, 0.0617), ("mapping", "mapping_a.npz", 0.0, 0.0)]
    comparisons.append(("mapping", "mapping_b.npz", 2e-6, 0.04))
    rows = rows_of(comparisons)
    fidelity.FILE.write_text(f"# Before\n{BEGIN}old{END}After\n", encoding="utf-8")
    claims.cache_clear()
    try:
        fidelity.write(rows)
        assert claims() == rows
    finally:
        claims.cache_clear()
    text = fidelity.FILE.read_text(encoding="utf-8")
    assert text == f"# Before\n{BEGIN}{table(rows)}{END}After\n"
    assert "| mapping network: w | 2 files | 2 | 2.0e-06 | 4 % | 5e-05 | `tests/test_golden_networks.py` |" in text
    assert "| ops | `ops.npz` | 1 | 1.2e-06 | 6.2 % |" in text
    assert [path.name for path in tmp_path.iterdir()] == ["FIDELITY.md"]
    fidelity.FILE.write_text("no marks", encoding="utf-8")
    with pytest.raises(ValueError, match="lacks the lines"):
        fidelity.write(rows)
