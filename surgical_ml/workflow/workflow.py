"""The workflow of one case: where it stands, and what departs from the protocol now."""

from dataclasses import dataclass, field

from surgical_ml.errors import InputError
from surgical_ml.geometry import Scene
from surgical_ml.perception import Observation
from surgical_ml.workflow.estimate import Certainty, Deviation, WorkflowEstimate
from surgical_ml.workflow.phases import PhaseChange, PhaseFilter, since
from surgical_ml.workflow.protocol import Protocol

SURE_PPM, DOUBTFUL_PPM = 700_000, 550_000
"""Mean probability over its pixels from which an instrument counts as seen, and up to which it does not count; between the
two it counts in proportion. The presence head is not asked: it has learnt which tools go with which anatomy, and a tool
mismatch is just what it has not learnt."""

PLAUSIBLE = 0.25
"""A tool is no mismatch while phases that it belongs to hold this much of the belief."""

NEAR_NEXT = 2.0
"""A tool of the phase that comes next needs this many times the evidence: it may only be early."""

LONGEST_STEP_NS = 200_000_000


@dataclass(slots=True)
class _Suspicion:
    """A cumulative sum of time in which a tool was where it should not be, less the time in which it was not."""

    seen_ns: int = 0
    onset_ns: int = 0
    raised: bool = False
    phase: str = ""
    frames: list[int] = field(default_factory=list)


def _recognition(seen: Observation) -> dict[str, int]:
    """How well each type in view is recognised, ppm: the score of its largest piece, times that piece's share of its area.

    What is seen as three pieces of one tool between pieces of others is mostly none of them.
    """
    largest: dict[str, tuple[int, int]] = {}
    area: dict[str, int] = {}
    for thing in seen.instruments:
        area[thing.type] = area.get(thing.type, 0) + thing.area_px
        largest[thing.type] = max(largest.get(thing.type, (0, 0)), (thing.area_px, thing.score_ppm))
    return {kind: score * own // area[kind] for kind, (own, score) in largest.items() if area[kind]}


def check_vocabulary(protocol: Protocol, phases: tuple[str, ...], tools: tuple[str, ...]) -> None:
    """Raise `InputError` unless a model's phases and tools are the protocol's, in its order."""
    for what, found, expected in (("phases", phases, protocol.phase_names), ("tools", tools, protocol.tools)):
        if found != expected:
            raise InputError(f"model for {protocol.name}: {what}", str(list(expected)), str(list(found)))


class Workflow:
    """Observations in; an estimate and the present deviations out. Reads no clock: time comes with the stamps.

    Args:
        protocol: of the procedure.
        phases, tools: the model's, which must be the protocol's.
        time_scale: how many times faster than real the case runs.

    Raises:
        InputError: the model speaks of other phases or tools.
    """

    def __init__(
        self, protocol: Protocol, *, phases: tuple[str, ...], tools: tuple[str, ...], time_scale: float = 1.0
    ) -> None:
        check_vocabulary(protocol, phases, tools)
        self._protocol = protocol
        self._filter = PhaseFilter(protocol, time_scale)
        self._suspicion = {tool: _Suspicion() for tool in tools}
        self._order: Deviation | None = None
        self._seen_ns: int | None = None

    def step(
        self, stamp_ns: int, observation: Observation | None, scene: Scene | None
    ) -> tuple[WorkflowEstimate, tuple[Deviation, ...]]:
        """One event. `observation` and `scene` are None when time passed without an admitted frame."""
        seen = observation if observation is not None and observation.admitted else None
        change = self._filter.step(
            stamp_ns,
            None if seen is None else seen.phase_ppm,
            None if seen is None else seen.index,
            0 if seen is None else seen.progress_ppm,
        )
        if change is not None:
            self._order = self._order_deviation(change)
        if seen is not None:
            # From frame to frame, whatever other events stand between them; a gap is no evidence.
            self._tools(seen, min(since(self._seen_ns, stamp_ns), LONGEST_STEP_NS))
            self._seen_ns = stamp_ns
        found = [one for one in (self._order,) if one is not None]
        found.extend(self._mismatch(tool, one) for tool, one in self._suspicion.items() if one.raised)
        return self._filter.estimate(stamp_ns), tuple(found)

    def _order_deviation(self, change: PhaseChange) -> Deviation | None:
        names = self._protocol.phase_names
        expected = (names[0],) if change.before is None else self._protocol.phase(change.before).following
        # A case may be joined anywhere: the first phase that is committed is no departure.
        if change.before is None or change.after in expected:
            return None
        return Deviation(
            kind="order",
            subject=change.after,
            onset_ns=change.onset_ns,
            rule=f"{self._protocol.name}/{change.before}/next",
            phase=change.before,
            expected=expected,
            observed=(change.after,),
            evidence_frames=change.frames,
            certainty=Certainty.HIGH,
            clears="the next ordinary change of phase",
        )

    def _tools(self, seen: Observation, dt_ns: int) -> None:
        committed = self._filter.committed
        if committed is None:
            return
        scores = _recognition(seen)
        phases = (self._protocol.phase(name) for name in self._protocol.phase(committed).following)
        following = {tool for phase in phases for tool in phase.tools.expected}
        for tool, one in self._suspicion.items():
            needed = self._protocol.mismatch_s * (NEAR_NEXT if tool in following else 1.0)
            score = min(scores.get(tool, 0), SURE_PPM) - DOUBTFUL_PPM
            if score > 0 and self._belongs(tool) < PLAUSIBLE:
                if one.seen_ns == 0:
                    one.onset_ns, one.phase, one.frames = seen.stamp_ns, committed, []
                one.seen_ns += dt_ns * score // (SURE_PPM - DOUBTFUL_PPM)
                one.seen_ns = min(one.seen_ns, round(1.5e9 * needed))
                one.frames.append(seen.index)
                if len(one.frames) > 64:
                    one.frames = one.frames[::2]
                one.raised |= one.seen_ns >= round(1e9 * needed)
            elif one.seen_ns:
                one.seen_ns = max(0, one.seen_ns - dt_ns)
                one.raised &= one.seen_ns > 0

    def _belongs(self, tool: str) -> float:
        """How much of the belief lies on phases that the tool belongs to."""
        belief = self._filter.belief
        homes = [phase.tools.admits(tool) for phase in self._protocol.phases]
        return float(sum(share for share, home in zip(belief, homes, strict=True) if home))

    def _mismatch(self, tool: str, one: _Suspicion) -> Deviation:
        return Deviation(
            kind="tool-mismatch",
            subject=tool,
            onset_ns=one.onset_ns,
            rule=f"{self._protocol.name}/{one.phase}/tools",
            phase=one.phase,
            expected=self._protocol.phase(one.phase).tools.expected,
            observed=(tool,),
            evidence_frames=tuple(one.frames[:: max(1, len(one.frames) // 8)][:8]),
            certainty=Certainty.HIGH if self._belongs(tool) < 0.05 else Certainty.MEDIUM,
            clears=f"{tool} out of view, or a phase that it belongs to",
        )
