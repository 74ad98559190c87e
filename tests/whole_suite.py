"""The whole suite, as `make test` runs it: the core tests on every core, then those on live ROS graphs with nothing beside.

Both parts run whatever becomes of the first. At the end stands, in a few lines, what became of each.
"""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

TESTS = Path(__file__).parent
MOST_WORKERS = 4  # a worker may need 2 GiB, and the longest module decides from there on
PARTS = {
    # What a module prepares for its tests is prepared once where one worker has the whole module.
    "core": (
        f"{TESTS}",
        f"--ignore={TESTS / 'ros'}",
        "--dist=loadscope",
        f"-n{min(MOST_WORKERS, os.cpu_count() or 1)}",
    ),
    # A live graph keeps time; the other tests would make it late.
    "ros": (f"{TESTS / 'ros'}",),
}


def main(parts: Mapping[str, Sequence[str]]) -> int:
    """Run every part, and tell of all of them at the end; 0 where all of them passed."""
    worst, told = 0, []
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in parts.items():
            report = Path(folder) / f"{name}.xml"
            print(f"{name} tests", flush=True)
            command = [sys.executable, "-m", "pytest", f"--junit-xml={report}", *arguments]
            status = subprocess.call(command, cwd=TESTS.parent)
            worst = max(worst, abs(status))
            told += (
                summary(name, report) if report.exists() else [f"{name}: pytest ended with {status}, without a report"]
            )
    print("\n".join(["", *told]), flush=True)
    return min(worst, 255)


def summary(name: str, report: Path) -> list[str]:
    """The counts of a part, and a line for each test that failed and for each reason why tests were not run."""
    seconds, failed, reasons, passed = 0.0, [], Counter[str](), 0
    for suite in ElementTree.parse(report).getroot():
        seconds += float(suite.get("time", 0))
        for case in suite.iter("testcase"):
            wrong = [one for kind in ("failure", "error") for one in case.iter(kind)]
            skipped = case.find("skipped")
            if wrong:
                said = wrong[0].get("message", "").partition("\n")[0]
                failed.append(f"FAILED {case.get('classname')}::{case.get('name')}: {said[:200]}")
            elif skipped is not None:
                reasons[skipped.get("message", "").partition("\n")[0]] += 1
            else:
                passed += 1
    counts = f"{name}: {passed} passed, {len(failed)} failed, {reasons.total()} not run in {seconds:.0f} s"
    return [counts, *failed, *(f"not run ({count}): {reason}" for reason, count in reasons.items())]


if __name__ == "__main__":
    sys.exit(main(PARTS))
