"""Marks that say what a test proves, and `--evidence FILE`, which writes what was proved.

@pytest.mark.requirement("SRS-031")
@pytest.mark.control("RC-07", proves="implementation")   # that the control works
@pytest.mark.control("RC-07", proves="effectiveness")    # that without it the hazard appears
"""

import json
from pathlib import Path

import pytest

from surgical_ml.validation.items import load_items
from surgical_ml.validation.trace import PROOFS

_KEY = "surgical_ml.validation"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--evidence FILE`."""
    parser.addoption("--evidence", metavar="FILE", help="write what each marked test proved, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks known, and gather results where they are asked for."""
    config.addinivalue_line("markers", "requirement(*ids): software requirements that the test proves")
    config.addinivalue_line("markers", "control(id, proves): risk control, and what of it the test proves")
    path = config.getoption("--evidence")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Gatherer(Path(path)), _KEY)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every mark must name what is there; what it names travels with the test's report."""
    known = load_items()
    for item in items:
        for mark in item.iter_markers("requirement"):
            for name in mark.args:
                if name not in known.requirements:
                    raise pytest.UsageError(f"{item.nodeid}: expected a requirement that is there, found {name}")
                item.user_properties.append(("requirement", name))
        for mark in item.iter_markers("control"):
            proves = mark.kwargs.get("proves")
            for name in mark.args:
                if name not in known.controls or proves not in PROOFS:
                    raise pytest.UsageError(
                        f"{item.nodeid}: expected a control that is there, and proves= one of {list(PROOFS)}, "
                        f"found {name}, {proves}"
                    )
                item.user_properties.append(("control", f"{name} {proves}"))


class _Gatherer:
    """Keeps the worst outcome of each test, whatever process it ran in."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tests: dict[str, dict[str, object]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Setup, call and teardown of a test, one after the other."""
        requirements = [str(value) for key, value in report.user_properties if key == "requirement"]
        controls = [str(value).split(" ") for key, value in report.user_properties if key == "control"]
        if not requirements and not controls:
            return
        rows = self._tests.setdefault(
            report.nodeid,
            {
                "test": report.nodeid,
                "outcome": "passed",
                "reason": "",
                "requirements": requirements,
                "controls": controls,
            },
        )
        if report.failed:
            rows["outcome"] = "failed"
        elif report.skipped and rows["outcome"] != "failed":
            rows["outcome"] = "skipped"
            where = report.longrepr
            rows["reason"] = str(where[2] if isinstance(where, tuple) else where).removeprefix("Skipped: ")

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write everything, whole or not at all; nothing of a run that was cut short."""
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return
        tests = [self._tests[name] for name in sorted(self._tests)]
        aside = self._path.with_name(self._path.name + ".partial")
        aside.write_text(json.dumps({"schema": 1, "tests": tests}, indent=1) + "\n", "utf-8")
        aside.replace(self._path)
