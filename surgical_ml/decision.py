"""What a `Session` answers to one event."""

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from surgical_ml.audit import Ticket
from surgical_ml.geometry import Track
from surgical_ml.guidance import Advisory, Alerting, GateState, Guidance, Validity
from surgical_ml.perception import Observation
from surgical_ml.workflow import WorkflowEstimate

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer; what may be shown, and why if nothing may.

    A publisher shows it only once `ticket.durable`; two decisions are equal when everything but the ticket is.

    Attributes:
        seq: its number in the case, from 0; one for each event.
        event: what it answers: frame, tick, robot-state, operator-action, record-failure,
            calibration-residual.
        index: the frame's index; None for any other event.
        stamp_ns: the event's.
        judged_ns: stamp of the newest frame that was judged; None before there is one.
        input_sha256: digest of the network's input; empty for any other event than a frame.
        state, validity: the gate's.
        withheld: why nothing is shown, as a code such as `out-of-body`; empty while something is.
        degraded: what is poor while something is shown.
        phase: the workflow's estimate; None while withheld.
        instruments: tracks seen in this frame; empty while withheld.
        guidance: None while withheld.
        advisories: the full active set, most urgent first; technical ones also while withheld.
        alerting: how announcements reach people now.
        ticket: of the decision's record.
        observation: what was seen, whatever the gate says of it; None for any other event than a frame.
    """

    seq: int
    event: str
    index: int | None
    stamp_ns: int
    judged_ns: int | None
    input_sha256: str
    state: GateState
    validity: Validity
    withheld: str
    degraded: tuple[str, ...]
    phase: WorkflowEstimate | None
    instruments: tuple[Track, ...]
    guidance: Guidance | None
    advisories: tuple[Advisory, ...]
    alerting: Alerting = field(default_factory=Alerting)
    ticket: Ticket | None = field(default=None, compare=False, repr=False)
    observation: Observation | None = field(default=None, compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        """The line of `decisions.jsonl`: integers, strings, lists; only what the inputs determine."""
        phase = self.phase
        return {
            "schema": SCHEMA,
            "seq": self.seq,
            "event": self.event,
            "index": self.index,
            "stamp_ns": self.stamp_ns,
            "input_sha256": self.input_sha256,
            "state": self.state.value,
            "validity": self.validity.value,
            "withheld": self.withheld,
            "degraded": list(self.degraded),
            "phase": None
            if phase is None
            else {
                "committed": phase.committed,
                "candidate": phase.candidate,
                "scores": list(phase.belief_ppm),
                "certainty": phase.certainty.value,
                "since_ns": phase.committed_since_ns,
                "next": phase.next_phase,
                "progress": phase.progress_ppm,
                "forecast": _plain(phase.forecast),
                "evidence": list(phase.evidence_mnat),
                "odds": phase.odds_mnat,
                "needed": phase.needed_mnat,
            },
            "instruments": [
                {
                    "track": track.id,
                    "type": track.type,
                    "score": track.score_ppm,
                    "tip_px": None if track.tip_px is None else list(track.tip_px),
                    "area_px": track.area_px,
                }
                for track in self.instruments
            ],
            "guidance": None if self.guidance is None else _plain(self.guidance),
            "advisories": [_plain(advisory) for advisory in self.advisories],
            "alerting": _plain(self.alerting),
        }


def _plain(value: Any) -> Any:
    """Data classes as objects and tuples as lists, so that what is written equals what is read."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    return value
