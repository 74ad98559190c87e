"""A recorded case, run again: the same events through the same software, and every decision compared by digest.

With the video, the networks look at each frame again. Without it, or from the first frame on that was not kept, what they
had seen is taken from the record, and everything after them is computed again.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from surgical_ml.audit import MemoryRecorder, read
from surgical_ml.config import CaseConfig
from surgical_ml.decision import Decision
from surgical_ml.errors import InputError
from surgical_ml.perception import Observation, Perceiver, Stage
from surgical_ml.record import FRAME, decision_digest, read_event, read_observation, write_decision, write_observation
from surgical_ml.session import CASE_START, DECISION, Assets, Session
from surgical_ml.video import Frame, open_source


@dataclass(frozen=True, slots=True)
class Difference:
    """One decision that came out otherwise.

    Attributes:
        seq, event: its number, and what it answered.
        recorded, computed: both sides, as the record tells them.
        why: where the two part: at the picture, in the networks, or after them.
    """

    seq: int
    event: dict[str, Any]
    recorded: dict[str, Any]
    computed: dict[str, Any]
    why: str


@dataclass(frozen=True, slots=True)
class Changed:
    """Something that the case does not run with any more: its name, and both digests or versions."""

    name: str
    recorded: str
    found: str


@dataclass(frozen=True, slots=True)
class RecordReplay:
    """What a replay of a record found.

    Attributes:
        compared: decisions that were computed again.
        differences: those that came out otherwise; the first matters most, since each case has a memory.
        missing_frames: indices of judged frames that the video does not hold.
        from_record: judged frames that were not looked at again: what the networks had seen was taken from the record.
        changed: what is not as it was recorded, and may be why decisions differ.
        session: that computed them; the last one, where the assistant was restarted.
    """

    compared: int
    differences: tuple[Difference, ...]
    missing_frames: tuple[int, ...]
    from_record: tuple[int, ...]
    changed: tuple[Changed, ...]
    session: Session = field(compare=False, repr=False)

    @property
    def same(self) -> bool:
        """Every decision was computed again and is the recorded one, and the video held every judged frame."""
        return not self.differences and not self.missing_frames


def replay_record(
    audit: Path,
    video: str | None = None,
    *,
    fps: float | None = None,
    case: str | None = None,
    changes: Mapping[str, Any] | None = None,
    observe: Callable[[Decision, Frame | None], None] | None = None,
) -> RecordReplay:
    """Run a recorded case again.

    Frames are taken from the video by their index, and given the stamps that the record holds; frames that were dropped
    while the case ran are dropped again, because the record never names them. Where the assistant was restarted within
    the case, so is the session, and the video. The networks have a memory: once a judged frame is missing, they are not
    asked again.

    Args:
        audit: the folder of the log.
        video: what the case was recorded from, as `open_source` takes it; None to take what was seen from the record.
        fps: frame rate to assume, frames/s; None believes the source.
        case: which case of the log; its first one if None.
        changes: settings of the configuration to be other than recorded, by name.
        observe: shown each decision that was computed again, and its frame where one was looked at.

    Raises:
        InputError: the log holds no such case, or nothing is recorded of what the networks saw of a frame.
    """
    run: _Run | None = None
    differences, changed = list[Difference](), dict[str, Changed]()
    missing, from_record, compared = list[int](), list[int](), 0
    with ExitStack() as opened:
        for _, entry in read(audit):
            if entry["type"] == CASE_START and case in (None, entry["case"]):
                case = str(entry["case"])
                opened.close()
                frames = None if video is None else iter(opened.enter_context(open_source(video, fps=fps)))
                run = _Run(audit, case, entry["body"], frames, changes or {}, None if run is None else run.assets)
                changed |= {one.name: one for one in run.changed}
            if entry["type"] != DECISION or run is None or entry["case"] != case:
                continue
            body = entry["body"]
            frame, decision = run.step(body)
            if body["event"]["kind"] == FRAME and frame is None:
                from_record.append(body["event"]["index"])
            compared += 1
            if decision_digest(decision) != body["decision"]["sha256"]:
                why = _why(body["seen"], decision, list(changed.values()), differences)
                computed = write_decision(decision)
                differences.append(Difference(decision.seq, body["event"], body["decision"], computed, why))
            if observe is not None:
                observe(decision, frame)
            missing += run.missed()
    if run is None:
        raise InputError(audit, f"a recorded case {case or ''}".rstrip(), "none")
    return RecordReplay(
        compared, tuple(differences), tuple(missing), tuple(from_record), tuple(changed.values()), run.session
    )


class _Memory(Perceiver):
    """Stands where the networks stand: looks, or gives again what was seen when it is told.

    Args:
        networks: that look.
    """

    def __init__(self, networks: Perceiver) -> None:
        self._networks = networks
        self.seen: Observation | None = None

    def reset(self) -> None:
        """Forget everything that was seen: a new case."""
        self._networks.reset()

    def perceive(self, frame: Frame, stage: Stage = lambda _: None) -> Observation:
        """Give what was put into `seen`, or look."""
        return self._networks.perceive(frame, stage) if self.seen is None else self.seen


class _Run:
    """One session of a recorded case, from its start or from a restart of the assistant."""

    def __init__(
        self,
        audit: Path,
        case: str,
        start: dict[str, Any],
        frames: Iterator[Frame] | None,
        changes: Mapping[str, Any],
        assets: Assets | None,
    ) -> None:
        config = CaseConfig.of(json.loads(start["config"]) | dict(changes), f"{audit}: case-start: config")
        self.assets = assets if assets is not None and assets.config == config else Assets.load(config)
        self._memory = _Memory(self.assets.perceiver)
        own = replace(self.assets, perceiver=self._memory)
        self.session = own.open(MemoryRecorder(), case=case, resumed=start["resumed"])
        found = self.session.identity()
        recorded = start["identity"]
        self.changed = [
            Changed(name, str(recorded.get(name, "none")), value)
            for name, value in found.items()
            if recorded.get(name) != value
        ]
        self._audit = audit
        self._frames, self._ahead = frames, None if frames is None else next(frames, None)
        self._lost = False
        self._missing: list[int] = []
        self._blank: dict[tuple[int, int], Any] = {}

    def step(self, body: dict[str, Any]) -> tuple[Frame | None, Decision]:
        """The decision of a recorded event, and the frame where one was looked at."""
        event = body["event"]
        if event["kind"] != FRAME:
            other = read_event(event)
            if other is None:
                raise InputError(self._audit, "an event that can be run again", str(event["kind"]))
            return None, self.session.step(other)
        found = self._take(event["index"])
        if found is None or self._lost:
            self._lost = True
            return None, self.session.step(self._remembered(body))
        frame = replace(found, stamp_ns=event["stamp_ns"])
        return frame, self.session.step(frame)

    def missed(self) -> list[int]:
        """The judged frames that the video turned out not to hold since this was asked last."""
        missing, self._missing = self._missing, []
        return missing

    def _take(self, index: int) -> Frame | None:
        """The frame of that index, skipping those before it; None when there is none."""
        if self._frames is None:
            return None
        while self._ahead is not None and self._ahead.index < index:
            self._ahead = next(self._frames, None)
        if self._ahead is None or self._ahead.index != index:
            self._missing.append(index)
            return None
        return self._ahead

    def _remembered(self, body: dict[str, Any]) -> Frame:
        """A blank frame of the right size, for which the memory gives what was seen of the real one."""
        event = body["event"]
        try:
            seen = read_observation(body["seen"], event["index"], event["stamp_ns"], self._structures())
        except ValueError as error:
            raise InputError(f"{self._audit}: frame {event['index']}", "what was seen of it", str(error)) from error
        self._memory.seen = seen
        width, height = seen.size_px
        if seen.size_px not in self._blank:
            self._blank[seen.size_px] = np.zeros((height, width, 3), np.uint8)
        return Frame(self._blank[seen.size_px], event["stamp_ns"], event["index"])

    def _structures(self) -> tuple[str, ...]:
        return tuple(self.session.model.manifest.structures)


def _why(seen: dict[str, Any] | None, decision: Decision, changed: list[Changed], before: list[Difference]) -> str:
    """Where a decision parts from the recorded one: the first of picture, networks, and what comes after them."""
    now = None if decision.observation is None else write_observation(decision.observation)
    if seen is not None and now is not None:
        if seen["input_sha256"] != now["input_sha256"]:
            return "another picture"
        names = [name for name in seen if seen[name] != now.get(name)]
        if names:
            other = [one.name for one in changed if one.name == "model"]
            return f"the networks saw otherwise: {', '.join(names)}" + (" (another model)" if other else "")
    if before:
        return f"the same was seen; follows from decision {before[0].seq}"
    names = [one.name for one in changed]
    return f"the same was seen; changed: {', '.join(names)}" if names else "the same was seen, and judged otherwise"
