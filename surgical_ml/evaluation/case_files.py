"""What the files of a case folder say, checked as they are read, one line at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from surgical_ml.errors import InputError
from surgical_ml.guidance import Kind, Presence, Priority, Validity

SUMMARY, DECISIONS, TIMINGS = "summary.json", "decisions.jsonl", "timings.jsonl"

_TAIL_BYTES = 1 << 16
_SHOWN = 80


class _Told(BaseModel):
    """Types are taken as they are, never converted; what a later version adds is passed over."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class ReasonTold(_Told):
    """The `reason` of an advisory; see `guidance.Reason`."""

    rule: str
    expected: tuple[str, ...]
    observed: tuple[str, ...]
    evidence_frames: tuple[int, ...]
    certainty: str
    degraded_inputs: tuple[str, ...]
    clears: str


class AdvisoryTold(_Told):
    """One of the `advisories`; see `guidance.Advisory`."""

    code: str
    subject: str
    kind: Kind
    priority: Priority
    presence: Presence
    onset_ns: int
    announced_ns: int
    text: str
    reason: ReasonTold


class PhaseTold(_Told):
    """What a report needs of `phase`."""

    committed: str | None
    candidate: str | None


class InstrumentTold(_Told):
    """What a report needs of one of the `instruments`."""

    type: str


class DecisionTold(_Told):
    """What a report needs of one line of `decisions.jsonl`; see `Decision.to_json`."""

    schema_: Literal[1] = Field(alias="schema")
    event: str
    index: int | None
    stamp_ns: int
    validity: Validity
    withheld: str
    degraded: tuple[str, ...]
    phase: PhaseTold | None
    instruments: tuple[InstrumentTold, ...]
    advisories: tuple[AdvisoryTold, ...]


class TimingTold(_Told):
    """One line of `timings.jsonl`: how long each stage of one frame took, in microseconds."""

    index: int
    stages_us: dict[str, Annotated[int, Field(ge=0)]]


class SoftwareTold(_Told):
    """What judged."""

    name: str
    version: str


class ModelTold(_Told):
    """The networks it judged with."""

    name: str
    version: str
    sha256: str


class ProtocolTold(_Told):
    """The protocol it judged against."""

    name: str
    sha256: str


class AuditTold(_Told):
    """What the check of the audit log found when the case was over."""

    entries: int
    head: str
    ok: bool


class KeyframeTold(_Told):
    """One kept picture; the file lies in the case folder."""

    index: int
    file: Annotated[str, Field(pattern=r"^keyframes/[A-Za-z0-9_-]+\.jpg$")]
    caption: str


class SummaryTold(_Told):
    """What a report needs of `summary.json`; `platform` is empty where the replay did not name its device.

    A case in real time has no `frames_per_s`: its frames came at their own pace.
    """

    schema_: Literal[1] = Field(alias="schema")
    video: str
    frames: Annotated[int, Field(ge=1)]
    every: Annotated[int, Field(ge=1)]
    fps: Annotated[float, Field(gt=0)] | None
    frames_per_s: float | None = None
    engine: str
    platform: str = ""
    software: SoftwareTold
    model: ModelTold
    config_sha256: str
    protocol: ProtocolTold
    phases: tuple[str, ...]
    tools: tuple[str, ...]
    keyframes: tuple[KeyframeTold, ...]
    audit: AuditTold


_Line = TypeVar("_Line", bound=_Told)


def read_summary(folder: Path) -> SummaryTold:
    """The summary of a case.

    Raises:
        InputError: the folder is no case folder, or `summary.json` is not what it must be.
    """
    for name in (SUMMARY, DECISIONS, TIMINGS):
        if not (folder / name).is_file():
            found = f"no {name}" if folder.is_dir() else "no folder"
            raise InputError(folder, f"a case folder with {SUMMARY}, {DECISIONS} and {TIMINGS}", found)
    return _checked(SummaryTold, (folder / SUMMARY).read_bytes(), folder / SUMMARY)


def read_decisions(folder: Path) -> Iterator[DecisionTold]:
    """Every decision of a case, in order, one at a time.

    Raises:
        InputError: names the line that is not what it must be.
    """
    return _lines(DecisionTold, folder / DECISIONS)


def read_timings(folder: Path) -> Iterator[TimingTold]:
    """The timings of every judged frame, in order, one at a time.

    Raises:
        InputError: names the line that is not what it must be.
    """
    return _lines(TimingTold, folder / TIMINGS)


def last_decision(folder: Path) -> DecisionTold:
    """The last decision of a case, found from the end of the file.

    Raises:
        InputError: there is none, or its line is not what it must be.
    """
    path = folder / DECISIONS
    tail = b""
    with path.open("rb") as file:
        at = file.seek(0, 2)
        while at > 0 and b"\n" not in tail.rstrip():
            step = min(_TAIL_BYTES, at)
            at = file.seek(at - step)
            tail = file.read(step) + tail
    if not tail.strip():
        raise InputError(path, "at least one decision", "none")
    return _checked(DecisionTold, tail.rstrip().rpartition(b"\n")[2], f"{path}: last line")


def _lines(kind: type[_Line], path: Path) -> Iterator[_Line]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            yield _checked(kind, line, f"{path}: line {number}")


def _checked(kind: type[_Line], line: bytes, where: object) -> _Line:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            raise InputError(where, "one JSON object", first["msg"]) from error
        key = ".".join(str(part) for part in first["loc"])
        found = repr(first["input"])
        found = found if len(found) <= _SHOWN else found[:_SHOWN] + "..."
        raise InputError(f"{where}: {key}" if key else where, first["msg"], found) from error
