"""What the workflow room says about each moment."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from surgical_ml.errors import InputError


class Certainty(StrEnum):
    """How far a statement may be relied on; people read bands better than numbers."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class CertaintyBands:
    """From which probability on a phase is certain (`high_ppm`), and fairly so (`medium_ppm`)."""

    high_ppm: int = 900_000
    medium_ppm: int = 600_000

    @classmethod
    def told_by(cls, metadata: Mapping[str, str], where: object) -> "CertaintyBands":
        """Those that a phase network's metadata state under `certainty_bands`; the usual ones where it states none.

        Raises:
            InputError: what is stated is not a probability for each of the two.
        """
        told = metadata.get("certainty_bands", "{}")
        try:
            bands = json.loads(told)
            return cls(round(1e6 * bands["high"]), round(1e6 * bands["medium"])) if bands else cls()
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise InputError(f"{where}: certainty_bands", "probabilities for high and medium", told) from error

    def of(self, probability: float) -> Certainty:
        """The band of a probability from 0 to 1."""
        ppm = 1e6 * probability
        return Certainty.HIGH if ppm >= self.high_ppm else Certainty.MEDIUM if ppm >= self.medium_ppm else Certainty.LOW


@dataclass(frozen=True, slots=True)
class Forecast:
    """How long things will take, nanoseconds of the case, in whole milliseconds.

    Attributes:
        next_ns: until the committed phase is left, the median; 0 while there is none.
        remaining_ns: until the case ends, the median.
        low_ns, high_ns: it ends between these two with 80 % probability, as far as the protocol's durations hold.
        clock_ns: what a clock alone would say: the protocol's median length of a case, less what has passed of this one.
    """

    next_ns: int
    remaining_ns: int
    low_ns: int
    high_ns: int
    clock_ns: int


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
        forecast: when the phase and the case will be over; None where nobody computed it.
        evidence_mnat: log-likelihood of each phase in this frame, thousandths of a nat, 0 for the likeliest; empty where the
            event is no evidence.
        odds_mnat: log-odds, thousandths of a nat, that frames have gathered for the candidate against the committed phase;
            0 without a candidate.
        needed_mnat: what a candidate needs of them.
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
    forecast: Forecast | None = None
    evidence_mnat: tuple[int, ...] = ()
    odds_mnat: int = 0
    needed_mnat: int = 0


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
