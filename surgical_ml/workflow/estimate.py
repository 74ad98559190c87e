"""What the workflow room says about each moment."""

from dataclasses import dataclass
from enum import StrEnum


class Certainty(StrEnum):
    """How far a statement may be relied on; people read bands better than numbers."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class WorkflowEstimate:
    """Where the operation stands.

    Attributes:
        stamp_ns: of the event it was made for.
        committed: the phase that the evidence has established; None until there is one.
        committed_since_ns: when that phase is estimated to have begun.
        candidate: a phase that gathers evidence against the committed one; None when there is none.
        belief_ppm: probability of each phase of the protocol, in its order.
        certainty: of the committed phase.
        next_phase: what most likely follows; None at the end.
        next_ppm: its probability among the transitions allowed.
        progress_ppm: share of the operation that has passed.
        evidence_ns: how much admitted video stands behind the committed phase.
    """

    stamp_ns: int
    committed: str | None
    committed_since_ns: int | None
    candidate: str | None
    belief_ppm: tuple[int, ...]
    certainty: Certainty
    next_phase: str | None
    next_ppm: int
    progress_ppm: int
    evidence_ns: int


@dataclass(frozen=True, slots=True)
class Deviation:
    """A departure from the protocol that is present now, with its evidence.

    Attributes:
        kind: `order`, `tool-mismatch`, ...: the detector that found it.
        subject: what departs: a tool, a phase; one kind may have several subjects at once.
        onset_ns: when it is estimated to have begun, which lies before it was established.
        rule: the protocol's rule it breaks, as `protocol/section/name`.
        phase: the phase it happens in.
        expected, observed: what the rule asks for, and what was seen.
        evidence_frames: indices of at most eight frames that carry the evidence, oldest first.
        certainty: how sure the detector is.
        clears: in words, what makes it go away.
    """

    kind: str
    subject: str
    onset_ns: int
    rule: str
    phase: str
    expected: tuple[str, ...]
    observed: tuple[str, ...]
    evidence_frames: tuple[int, ...]
    certainty: Certainty
    clears: str
