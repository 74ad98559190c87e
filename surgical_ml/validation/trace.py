"""From needs to results and back: which test proves which requirement and control, and what is missing."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from surgical_ml.errors import InputError
from surgical_ml.validation.items import Items

Outcome = Literal["passed", "failed", "skipped"]
PROOFS = ("implementation", "effectiveness")
"""Of a control: that it works; and that without it the hazard appears."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One test of a run.

    Attributes:
        test: its node id.
        outcome: `passed`, `failed` (an error counts as that) or `skipped`.
        reason: why it was skipped; empty otherwise.
        requirements: ids that it is marked with.
        controls: (id, proof) that it is marked with.
    """

    test: str
    outcome: Outcome
    reason: str
    requirements: tuple[str, ...]
    controls: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """The matrix and its holes.

    Attributes:
        items: what is traced.
        evidence: tests with a mark.
        problems: what must not be, one line each; empty where everything is proved.
        unproved_here: requirements and proofs of which every test was skipped, with the reason: not run on this machine.
    """

    items: Items
    evidence: tuple[Evidence, ...]
    problems: tuple[str, ...]
    unproved_here: tuple[str, ...]

    def tests_of(self, name: str) -> tuple[Evidence, ...]:
        """Tests that are marked with a requirement or a control."""
        return tuple(
            one for one in self.evidence if name in one.requirements or name in {control for control, _ in one.controls}
        )

    def rows(self) -> list[dict[str, str]]:
        """A row a requirement and test: need, hazard, control, software item, test and result, both ways readable."""
        found = []
        for one in self.items.requirements.values():
            controls = [control for control in self.items.controls.values() if one.id in control.requirements]
            names = {control.id for control in controls}
            hazards = [hazard.id for hazard in self.items.hazards.values() if names & set(hazard.controls)]
            tests = [*self.tests_of(one.id), *(test for name in sorted(names) for test in self.tests_of(name))]
            unique = {test.test: test for test in tests}.values()
            for test in unique or [None]:
                found.append(
                    {
                        "needs": " ".join(one.needs),
                        "requirement": one.id,
                        "text": one.text,
                        "hazards": " ".join(hazards),
                        "controls": " ".join(sorted(names)),
                        "item": one.item,
                        "path": self.items.architecture[one.item].path,
                        "test": "" if test is None else test.test,
                        "result": "" if test is None else test.outcome,
                    }
                )
        return found

    def to_json(self) -> dict[str, Any]:
        """Forwards from each need, backwards from each test, and the holes."""
        return {
            "schema": 1,
            "requirements": [
                one.model_dump(mode="json")
                | {"tests": [{"test": test.test, "result": test.outcome} for test in self.tests_of(one.id)]}
                for one in self.items.requirements.values()
            ],
            "controls": [
                one.model_dump(mode="json")
                | {
                    "tests": [
                        {"test": test.test, "result": test.outcome, "proves": proof}
                        for test in self.evidence
                        for control, proof in test.controls
                        if control == one.id
                    ]
                }
                for one in self.items.controls.values()
            ],
            "hazards": [one.model_dump(mode="json") for one in self.items.hazards.values()],
            "needs": [one.model_dump(mode="json") for one in self.items.needs.values()],
            "architecture": [one.model_dump(mode="json", by_alias=True) for one in self.items.architecture.values()],
            "tests": [
                {
                    "test": one.test,
                    "result": one.outcome,
                    "reason": one.reason,
                    "requirements": list(one.requirements),
                    "controls": [list(pair) for pair in one.controls],
                }
                for one in self.evidence
            ],
            "problems": list(self.problems),
            "unproved_here": list(self.unproved_here),
        }

    def to_csv(self) -> str:
        """`rows` as CSV."""
        rows = self.rows()
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()


def trace(items: Items, evidence: Sequence[Evidence], suspects: Sequence[str] = ()) -> Trace:
    """Hold the tests of a run against what they must prove.

    Args:
        items: everything that is traced.
        evidence: of one run, tests without a mark left out or not.
        suspects: links that nobody looked at since an end changed.
    """
    marked = tuple(one for one in evidence if one.requirements or one.controls)
    problems = [f"suspect link: {one}" for one in suspects]
    unproved: list[str] = []
    for one in marked:
        for name in (*one.requirements, *(control for control, _ in one.controls)):
            if name not in items.requirements and name not in items.controls:
                problems.append(f"{one.test}: marked with {name}, which is not there")
        problems += [f"{one.test}: proves {proof} of {name}" for name, proof in one.controls if proof not in PROOFS]
        if one.outcome == "failed":
            problems.append(f"{one.test}: failed")
        if one.outcome == "skipped" and not one.reason.strip():
            problems.append(f"{one.test}: skipped without a reason")
    for name in items.requirements:
        _judge(f"{name}", [one for one in marked if name in one.requirements], problems, unproved)
    for name in items.controls:
        for proof in PROOFS:
            tests = [one for one in marked if (name, proof) in one.controls]
            _judge(f"{name}, {proof}", tests, problems, unproved)
    return Trace(items, marked, tuple(problems), tuple(unproved))


def _judge(what: str, tests: Sequence[Evidence], problems: list[str], unproved: list[str]) -> None:
    if not tests:
        problems.append(f"{what}: no test")
    elif all(one.outcome == "skipped" for one in tests):
        unproved.append(f"{what}: {tests[0].reason}")


def read_evidence(path: Path) -> list[Evidence]:
    """What the pytest plugin wrote with `--evidence`.

    Raises:
        InputError: the file is missing, or is none.
    """
    try:
        values = json.loads(path.read_text("utf-8"))
        return [
            Evidence(
                str(one["test"]),
                one["outcome"],
                str(one["reason"]),
                tuple(str(name) for name in one["requirements"]),
                tuple((str(name), str(proof)) for name, proof in one["controls"]),
            )
            for one in values["tests"]
        ]
    except OSError as error:
        raise InputError(path, "the evidence of a test run", error.strerror or "no file") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(path, "the evidence of a test run", f"{type(error).__name__}: {error}") from error
