"""How comparisons get from the tests, in whatever process, to the table in FIDELITY.md; registered in `conftest.py`."""

import fidelity


class FidelityPlugin:
    """Gathers the comparisons of all tests; at the end holds them against the table, or writes it with --fidelity.

    Only whole test files are held against it, and only when everything passed.
    """

    def __init__(self, config):
        self.config = config
        self.comparisons = []  # (component, file, error, share of the tolerance)
        self.tests = set()  # names of the test files that took part
        self.news = ""
        fidelity.Session.measuring = config.getoption("fidelity")

    def pytest_ignore_collect(self, collection_path):
        """With --fidelity only tests that compare with golden files run."""
        others = collection_path.name.startswith("test_") and collection_path.name not in fidelity.TESTS
        return True if fidelity.Session.measuring and others else None

    def pytest_runtest_setup(self, item):
        fidelity.Session.item = item

    def pytest_runtest_logreport(self, report):
        self.tests.add(report.location[0].rpartition("/")[2])
        if report.when == "call":
            self.comparisons += [value for name, value in report.user_properties if name == "fidelity"]

    def pytest_sessionfinish(self, session, exitstatus):
        if hasattr(self.config, "workerinput"):  # only the process that hears from all workers knows the whole
            return
        rows = fidelity.rows_of(self.comparisons)
        whole = exitstatus == 0 and not self.narrowed()
        problems = fidelity.missing_and_stale(rows, self.tests) if whole else []
        if fidelity.Session.measuring:
            if whole and self.tests >= fidelity.TESTS:
                fidelity.write(rows)
                self.news = f"FIDELITY.md: {len(self.comparisons)} comparisons, {len(rows)} rows written"
            else:
                self.news = "FIDELITY.md is as it was: not every comparison was made, or not every test passed"
        elif problems:
            self.news = "\n".join(["FAILED: FIDELITY.md and the tests disagree", *problems, fidelity.REMEDY])
            session.exitstatus = 1

    def narrowed(self):
        """Whether the command line leaves out some tests of a file."""
        option = self.config.option
        other_marks = option.markexpr not in self.config.getini("addopts")
        names = any("::" in name for name in self.config.args)
        return bool(option.keyword or option.deselect or getattr(option, "lf", False) or other_marks or names)

    def pytest_terminal_summary(self, terminalreporter):
        if self.news:
            terminalreporter.write_line(self.news, red="FAILED" in self.news)
