"""One case without pixels through a whole session: its networks are replaced by what they might have said."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from surgical_ml.audit import Ticket
from surgical_ml.config import CaseConfig
from surgical_ml.engine import Model
from surgical_ml.evaluation.announcements import Announced
from surgical_ml.evaluation.metrics import EventCase, TrueEvent
from surgical_ml.events import Action, OperatorAction
from surgical_ml.guidance import Kind, Presence
from surgical_ml.perception import PPM, Observation, Perceiver, SeenInstrument, Stage
from surgical_ml.session import Session
from surgical_ml.simulation import TOOLS, CasePlan, LabelChunk, NoiseModel, stream_observations
from surgical_ml.video import Frame
from surgical_ml.workflow import Protocol

SIZE = (320, 192)
SEEN_FROM = 0.5
"""Score from which a tool is among the instruments that a network finds."""


class ToldPerceiver(Perceiver):
    """Stands where a session's perceiver stands, and says what it was told to."""

    def __init__(self) -> None:
        self.next: Observation | None = None

    def reset(self) -> None:
        """There is nothing to forget."""

    def perceive(self, frame: Frame, stage: Stage = lambda _: None) -> Observation:
        """What it was told, whatever the picture shows."""
        assert self.next is not None
        return self.next


class NoRecorder:
    """Takes every entry and keeps none: a study needs no record."""

    def __init__(self) -> None:
        self._seq = 0

    def append(self, type: str, body: Mapping[str, Any], **_: Any) -> Ticket:
        """Durable at once."""
        ticket = Ticket(self._seq)
        self._seq += 1
        ticket.settle()
        return ticket


@dataclass(frozen=True, slots=True)
class JudgedCase:
    """A case and what was announced in it: true and announced events for the metrics, and how long each one stood."""

    events: EventCase
    stood_s: tuple[float, ...]


def observations(chunks: Iterable[LabelChunk], duration_s: float) -> Iterator[Observation]:
    """What the networks might have said of each frame."""
    index = 0
    for chunk in chunks:
        phase_ppm = np.round(chunk.phase_scores * PPM).astype(np.int64).tolist()
        tool_ppm = np.round(chunk.tool_scores * PPM).astype(np.int64).tolist()
        for stamp_ns, phases, tools in zip(chunk.stamp_ns.tolist(), phase_ppm, tool_ppm, strict=True):
            yield observation(index, stamp_ns, tuple(phases), tools, min(PPM, round(stamp_ns / duration_s / 1e3)))
            index += 1


def observation(
    index: int, stamp_ns: int, phase_ppm: tuple[int, ...], tool_ppm: list[int], progress_ppm: int
) -> Observation:
    """An admitted frame with these scores; each tool that is seen stands in a place of its own."""
    width = SIZE[0] // len(TOOLS)
    seen = tuple(
        SeenInstrument(tool, score, (k * width + width // 2, 90), score, 900, (k * width, 90, width, 90), 1571, True)
        for k, (tool, score) in enumerate(zip(TOOLS, tool_ppm, strict=False))
        if score >= SEEN_FROM * PPM
    )
    return Observation(
        index=index,
        stamp_ns=stamp_ns,
        input_sha256="",
        size_px=SIZE,
        content_shape="full",
        content_box_px=(0, 0, *SIZE),
        refusal=None,
        instruments=seen,
        phase_ppm=phase_ppm,
        progress_ppm=progress_ppm,
        in_body_ppm=PPM,
    )


def judge_plan(
    model: Model, protocol: Protocol, plan: CasePlan, noise: NoiseModel, *, seed: int, fps: int, time_scale: float
) -> JudgedCase:
    """A synthetic case without pixels."""
    stream = observations(stream_observations(plan, fps, noise, seed=seed), plan.duration_s)
    told = announced(model, protocol, stream, fps=fps, time_scale=time_scale)
    truths = tuple(TrueEvent(one.kind, one.subject, one.onset_s, one.end_s) for one in plan.deviations)
    return judged(f"case-{plan.seed}", plan.duration_s, truths, told)


def judged(name: str, duration_s: float, truths: tuple[TrueEvent, ...], told: list[Announced]) -> JudgedCase:
    """True events beside announced ones."""
    events = EventCase(name, duration_s, truths, tuple(one.at(0) for one in told))
    return JudgedCase(events, tuple((one.until_ns - one.at_ns) / 1e9 for one in told))


def announced(
    model: Model, protocol: Protocol, stream: Iterable[Observation], *, fps: float, time_scale: float
) -> list[Announced]:
    """Every advisory about the operation that a session gives, with the time that its condition stood."""
    perceiver = ToldPerceiver()
    config = CaseConfig.of({"nominal_fps": fps, "time_scale": time_scale})
    session = Session(config, model, protocol, perceiver, NoRecorder(), case="study")
    picture = np.zeros((2, 2, 3), np.uint8)
    found: dict[tuple[str, str, int], Announced] = {}
    standing: set[tuple[str, str, int]] = set()
    session.step(OperatorAction(0, Action.START))
    for perceiver.next in stream:
        stamp_ns = perceiver.next.stamp_ns
        decision = session.step(Frame(picture, stamp_ns, perceiver.next.index))
        for one in decision.advisories:
            if one.kind is not Kind.PROCEDURAL:
                continue
            key = one.code, one.subject, one.announced_ns
            if key not in found:
                certainty = one.reason.certainty
                found[key] = Announced(one.code, one.subject, one.priority.value, certainty, stamp_ns, stamp_ns)
                standing.add(key)
            if one.presence is Presence.LATCHED:
                standing.discard(key)
            if key in standing:
                found[key].until_ns = stamp_ns
    return list(found.values())
