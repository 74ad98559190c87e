"""What is wrong with a data set, and the decisions that let it pass all the same."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from surgical_ml.errors import InputError
from surgical_ml.labels import read_json


class Severity(StrEnum):
    """BLOCK: nobody trains on it unless the finding is waived. WARN: a reader should know."""

    BLOCK = "block"
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect.

    Attributes:
        code: of the kind of defect, such as `labels-longer-than-video`.
        severity: what follows from it.
        subject: the case, the file, or `dataset`.
        expected, found: what should be, and what is.
        waived_by: who decided that it may be, and why; empty where nobody did.
    """

    code: str
    severity: Severity
    subject: str
    expected: str
    found: str
    waived_by: str = ""

    @property
    def blocks(self) -> bool:
        """Whether it stands in the way of training."""
        return self.severity is Severity.BLOCK and not self.waived_by

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "subject": self.subject,
            "expected": self.expected,
            "found": self.found,
            "waived_by": self.waived_by,
        }

    def __str__(self) -> str:
        head = f"{'waived' if self.waived_by else self.severity.value:6} {self.code} {self.subject}"
        tail = f" (waived: {self.waived_by})" if self.waived_by else ""
        return f"{head}: expected {self.expected}, found {self.found}{tail}"


def block(code: str, subject: object, expected: str, found: str) -> Finding:
    """A finding that blocks."""
    return Finding(code, Severity.BLOCK, str(subject), expected, found)


def warn(code: str, subject: object, expected: str, found: str) -> Finding:
    """A finding to know of."""
    return Finding(code, Severity.WARN, str(subject), expected, found)


class Waiver(BaseModel):
    """A person's decision that one finding may be: which, who, when, why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = Field(min_length=1)
    subject: str = Field(min_length=1)
    by: str = Field(min_length=1)
    on: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    why: str = Field(min_length=1)


class Waivers(BaseModel):
    """The file `waivers.json` of a data set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Literal[1] = Field(alias="schema")
    waivers: tuple[Waiver, ...]


def read_waivers(path: Path) -> tuple[Waiver, ...]:
    """The decisions recorded in a file; none where there is no file.

    Raises:
        InputError: it is no such file; names the first thing that is wrong.
    """
    if not path.exists():
        return ()
    try:
        return Waivers.model_validate(read_json(path, "waivers")).waivers
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "waivers"
        raise InputError(path, "waivers with code, subject, by, on and why", f"{place}: {first['msg']}") from error


def apply_waivers(findings: Iterable[Finding], waivers: Iterable[Waiver]) -> list[Finding]:
    """Findings with the decisions about them; a decision about nothing is a finding of its own.

    Args:
        findings: of the checks.
        waivers: decisions.
    """
    decided = {(one.code, one.subject): one for one in waivers}
    used = set()
    result = []
    for finding in findings:
        waiver = decided.get((finding.code, finding.subject))
        if waiver is None or finding.severity is not Severity.BLOCK:
            result.append(finding)
            continue
        used.add((finding.code, finding.subject))
        why = f"{waiver.by} on {waiver.on}: {waiver.why}"
        result.append(Finding(finding.code, finding.severity, finding.subject, finding.expected, finding.found, why))
    for key, waiver in decided.items():
        if key not in used:
            result.append(warn("waiver-unused", waiver.subject, f"a finding {waiver.code} that blocks", "none"))
    return result
