"""A recorded case, run again: the same events through the same software, and every decision compared by digest."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surgical_ml.audit import MemoryRecorder, read
from surgical_ml.config import CaseConfig
from surgical_ml.decision import Decision
from surgical_ml.errors import InputError
from surgical_ml.record import FRAME, decision_digest, read_event, write_decision
from surgical_ml.session import CASE_START, DECISION, Session, open_session
from surgical_ml.video import Frame, Source


@dataclass(frozen=True, slots=True)
class Difference:
    """One decision that came out otherwise: its number, its event, and both sides as the record tells them."""

    seq: int
    event: dict[str, Any]
    recorded: dict[str, Any]
    computed: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecordReplay:
    """What a replay of a record found.

    Attributes:
        compared: decisions that were computed again.
        differences: those that came out otherwise; the first matters most, since each case has a memory.
        missing_frames: indices of judged frames that the source does not hold; nothing after them was compared.
    """

    compared: int
    differences: tuple[Difference, ...]
    missing_frames: tuple[int, ...]

    @property
    def same(self) -> bool:
        """Every decision was computed again, and is the recorded one."""
        return not self.differences and not self.missing_frames


def replay_record(audit: Path, source: Source, *, case: str | None = None) -> RecordReplay:
    """Run a recorded case again.

    Frames are taken from `source` by their index, and given the stamps that the record holds; frames that were dropped
    while the case ran are dropped again, because the record never names them.

    Args:
        audit: the folder of the log.
        source: the video the case was recorded from.
        case: which case of the log; its first one if None.

    Raises:
        InputError: the log holds no such case, or the case was run with another model, protocol or configuration.
    """
    start, decisions = _case(audit, case)
    config = CaseConfig.of(json.loads(start["config"]), f"{audit}: case-start: config")
    session = open_session(config, MemoryRecorder(), case=str(start["case"]))
    _same_identity(audit, session, start)
    frames = iter(source)
    compared, differences = 0, []
    for body in decisions:
        event = body["event"]
        if event["kind"] == FRAME:
            frame = _frame(frames, event["index"])
            if frame is None:
                left = [entry["event"]["index"] for entry in decisions if entry["event"]["kind"] == FRAME]
                missing = tuple(index for index in left if index >= event["index"])
                return RecordReplay(compared, tuple(differences), missing)
            decision: Decision = session.step(Frame(frame.image, event["stamp_ns"], frame.index, frame.right))
        else:
            other = read_event(event)
            if other is None:
                raise InputError(audit, "an event that can be run again", str(event["kind"]))
            decision = session.step(other)
        compared += 1
        if decision_digest(decision) != body["decision"]["sha256"]:
            computed = write_decision(decision)
            differences.append(Difference(decision.seq, event, body["decision"], computed))
    return RecordReplay(compared, tuple(differences), ())


def _case(audit: Path, case: str | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The body of a case's start, and of each of its decisions, in order."""
    start: dict[str, Any] | None = None
    decisions: list[dict[str, Any]] = []
    for _, entry in read(audit):
        if entry["type"] == CASE_START and start is None and case in (None, entry["case"]):
            start = dict(entry["body"]) | {"case": entry["case"]}
        elif entry["type"] == DECISION and start is not None and entry["case"] == start["case"]:
            decisions.append(entry["body"])
    if start is None:
        raise InputError(audit, f"a recorded case {case or ''}".rstrip(), "none")
    return start, decisions


def _frame(frames: Iterator[Frame], index: int) -> Frame | None:
    """The frame of that index, skipping those before it; None when the source has none."""
    for frame in frames:
        if frame.index == index:
            return frame
        if frame.index > index:
            return None
    return None


def _same_identity(audit: Path, session: Session, start: dict[str, Any]) -> None:
    """What was recorded under other digests cannot be compared, and is not."""
    for name, found in session.identity().items():
        if start["identity"][name] != found:
            raise InputError(f"{audit}: {name}", f"the recorded {start['identity'][name]}", found)
