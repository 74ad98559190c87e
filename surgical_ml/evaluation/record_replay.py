"""A recorded case, run again: the same events through the same software, and every decision compared by digest."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from surgical_ml.audit import MemoryRecorder, read
from surgical_ml.config import CaseConfig
from surgical_ml.decision import Decision
from surgical_ml.errors import InputError
from surgical_ml.record import FRAME, decision_digest, read_event, write_decision
from surgical_ml.session import CASE_START, DECISION, Assets, Session
from surgical_ml.video import Frame, Source, open_source


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
        session: that computed them; the last one, where the assistant was restarted.
        missing_frames: index of the first judged frame that the source does not hold; nothing after it was compared.
    """

    compared: int
    differences: tuple[Difference, ...]
    missing_frames: tuple[int, ...]
    session: Session = field(compare=False, repr=False)

    @property
    def same(self) -> bool:
        """Every decision was computed again, and is the recorded one."""
        return not self.differences and not self.missing_frames


def replay_record(
    audit: Path,
    video: str,
    *,
    fps: float | None = None,
    case: str | None = None,
    observe: Callable[[Decision, Frame | None], None] | None = None,
) -> RecordReplay:
    """Run a recorded case again.

    Frames are taken from the video by their index, and given the stamps that the record holds; frames that were dropped
    while the case ran are dropped again, because the record never names them. Where the assistant was restarted within
    the case, so is the session, and the video.

    Args:
        audit: the folder of the log.
        video: what the case was recorded from, as `open_source` takes it.
        fps: frame rate to assume, frames/s; None believes the source.
        case: which case of the log; its first one if None.
        observe: shown each decision that was computed again, and its frame where it answers one.

    Raises:
        InputError: the log holds no such case, or the case was run with another model, protocol or configuration.
    """
    run: _Run | None = None
    compared, differences = 0, list[Difference]()
    with ExitStack() as opened:
        for _, entry in read(audit):
            if entry["type"] == CASE_START and case in (None, entry["case"]):
                case = str(entry["case"])
                opened.close()
                source = opened.enter_context(open_source(video, fps=fps))
                run = _Run(audit, case, entry["body"], source, None if run is None else run.assets)
            if entry["type"] != DECISION or run is None or entry["case"] != case:
                continue
            body = entry["body"]
            frame, decision = run.step(body["event"])
            if decision is None:
                return RecordReplay(compared, tuple(differences), (body["event"]["index"],), run.session)
            compared += 1
            if decision_digest(decision) != body["decision"]["sha256"]:
                computed = write_decision(decision)
                differences.append(Difference(decision.seq, body["event"], body["decision"], computed))
            if observe is not None:
                observe(decision, frame)
    if run is None:
        raise InputError(audit, f"a recorded case {case or ''}".rstrip(), "none")
    return RecordReplay(compared, tuple(differences), (), run.session)


class _Run:
    """One session of a recorded case, from its start or from a restart of the assistant."""

    def __init__(self, audit: Path, case: str, start: dict[str, Any], source: Source, assets: Assets | None) -> None:
        config = CaseConfig.of(json.loads(start["config"]), f"{audit}: case-start: config")
        self.assets = assets if assets is not None and assets.config == config else Assets.load(config)
        self.session = self.assets.open(MemoryRecorder(), case=case, resumed=start["resumed"])
        self._audit = audit
        self._frames = iter(source)
        _same_identity(audit, self.session, start)

    def step(self, event: dict[str, Any]) -> tuple[Frame | None, Decision | None]:
        """The frame and the decision of a recorded event; no decision where the source does not hold its frame."""
        if event["kind"] != FRAME:
            other = read_event(event)
            if other is None:
                raise InputError(self._audit, "an event that can be run again", str(event["kind"]))
            return None, self.session.step(other)
        found = _frame(self._frames, event["index"])
        if found is None:
            return None, None
        frame = replace(found, stamp_ns=event["stamp_ns"])
        return frame, self.session.step(frame)


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
