"""The risk table: what each finding can lead to, and from that its priority and how patiently it is announced.

A priority comes from the harm that follows if nobody responds and from how soon it follows (IEC 60601-1-8), never from how
sure a model is. How sure it is stands in the reason, as a band.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from surgical_ml.guidance.advisory import Priority

SECOND_NS = 1_000_000_000


class Harm(StrEnum):
    """The worst that follows if nobody responds."""

    NONE = "none"
    MINOR = "minor injury or discomfort"
    REVERSIBLE = "reversible injury"
    IRREVERSIBLE = "death or irreversible injury"


class Onset(StrEnum):
    """How soon it follows."""

    IMMEDIATE = "immediate"
    PROMPT = "prompt"
    DELAYED = "delayed"


_PRIORITY: Mapping[Harm, Mapping[Onset, Priority]] = {
    Harm.NONE: dict.fromkeys(Onset, Priority.NONE),
    Harm.MINOR: {Onset.IMMEDIATE: Priority.MEDIUM, Onset.PROMPT: Priority.LOW, Onset.DELAYED: Priority.LOW},
    Harm.REVERSIBLE: {Onset.IMMEDIATE: Priority.HIGH, Onset.PROMPT: Priority.MEDIUM, Onset.DELAYED: Priority.LOW},
    Harm.IRREVERSIBLE: {Onset.IMMEDIATE: Priority.HIGH, Onset.PROMPT: Priority.HIGH, Onset.DELAYED: Priority.MEDIUM},
}

HAZARDS: Mapping[str, str] = {
    "HAZ-01": "a step is left out, or done out of its order, and nobody notices",
    "HAZ-02": "an instrument is used where it does not belong, and nobody notices",
    "HAZ-03": "an instrument comes near what must not be touched, and nobody notices",
    "HAZ-04": "an instrument is moved, or left, where nobody sees it",
    "HAZ-05": "a step takes far longer or shorter than it should, and nobody notices",
    "HAZ-06": "something is shown of a picture that does not show the operation",
    "HAZ-07": "something is shown of a picture that the networks were never trained for",
    "HAZ-08": "something old is shown as if it were so now",
    "HAZ-09": "something is shown that a faulty network computed",
    "HAZ-10": "something is shown that cannot be proved afterwards",
    "HAZ-11": "nothing is judged, and silence is taken for safety",
    "HAZ-12": "a distance is wrong because the camera's calibration no longer holds",
    "HAZ-13": "something is shown on the strength of a moment's good picture, and taken back again",
    "HAZ-14": "people are worn out by what is announced, and miss what matters",
}
"""What can go wrong, by id; the gate's transitions and the risk table refer to these."""


@dataclass(frozen=True, slots=True)
class Risk:
    """One row: what a finding can lead to, and how it is announced.

    Attributes:
        hazard: one of `HAZARDS`.
        harm, onset: what follows if nobody responds, and how soon.
        delay_ns: the finding must last this long before it is announced; 0 where whoever found it was patient already.
        clear_ns: it must be away this long before it counts as gone.
        deferrable: it may wait for the next boundary of phases.
        escalates_ns: unanswered for this long, it is announced once more, one priority higher; 0 for never.
    """

    hazard: str
    harm: Harm
    onset: Onset
    delay_ns: int = 0
    clear_ns: int = 0
    deferrable: bool = False
    escalates_ns: int = 0

    @property
    def priority(self) -> Priority:
        """Of an advisory about it."""
        return _PRIORITY[self.harm][self.onset]


PROCEDURAL: Mapping[str, Risk] = {
    # Skipping a step, clipping and cutting above all, can harm a patient for good; an odd tool rarely does.
    "order": Risk("HAZ-01", Harm.IRREVERSIBLE, Onset.PROMPT),
    # A step that the protocol does not call critical: one that it does makes the departure one of order.
    "skipped": Risk("HAZ-01", Harm.REVERSIBLE, Onset.PROMPT),
    "prerequisite": Risk("HAZ-01", Harm.IRREVERSIBLE, Onset.PROMPT),
    "repeated": Risk("HAZ-01", Harm.REVERSIBLE, Onset.DELAYED),
    "too-long": Risk("HAZ-05", Harm.REVERSIBLE, Onset.DELAYED),
    "too-short": Risk("HAZ-05", Harm.REVERSIBLE, Onset.DELAYED, deferrable=True),
    "tool-mismatch": Risk("HAZ-02", Harm.REVERSIBLE, Onset.PROMPT),
    "instrument-lost": Risk("HAZ-04", Harm.REVERSIBLE, Onset.DELAYED, clear_ns=SECOND_NS, escalates_ns=60 * SECOND_NS),
    "unsafe-place": Risk("HAZ-03", Harm.REVERSIBLE, Onset.PROMPT, delay_ns=SECOND_NS // 5, clear_ns=SECOND_NS),
    "novelty": Risk("HAZ-07", Harm.MINOR, Onset.DELAYED, clear_ns=SECOND_NS, deferrable=True),
    "stream": Risk("HAZ-08", Harm.MINOR, Onset.DELAYED, clear_ns=SECOND_NS),
}
"""By the kind of a deviation."""

_MISSING = Risk("HAZ-11", Harm.REVERSIBLE, Onset.PROMPT)
_LESS = Risk("HAZ-11", Harm.REVERSIBLE, Onset.DELAYED)
_KNOWN = Risk("HAZ-11", Harm.NONE, Onset.DELAYED)

TECHNICAL: Mapping[str, Risk] = {
    "starting": _KNOWN,
    "restarted": _MISSING,
    "paused": _LESS,
    "stale": _MISSING,
    "no-signal": _MISSING,
    "black": _MISSING,
    "saturated": _MISSING,
    "colour-bars": _MISSING,
    "frozen": _MISSING,
    "blurred": _LESS,
    "wrong-size": _MISSING,
    "out-of-body": _KNOWN,
    "unlike-training": _LESS,
    "engine-fault": Risk("HAZ-09", Harm.REVERSIBLE, Onset.IMMEDIATE),
    "unrecorded": Risk("HAZ-10", Harm.REVERSIBLE, Onset.IMMEDIATE),
    "stalled": _MISSING,
}
"""By the reason for which the gate withholds."""

CALIBRATION = Risk("HAZ-12", Harm.REVERSIBLE, Onset.PROMPT)
INACTIVE = Risk("HAZ-14", Harm.REVERSIBLE, Onset.DELAYED)
"""That people have switched the signals off, or paused them."""

_OTHERS: Mapping[str, Risk] = {"calibration-doubtful": CALIBRATION, "signals-inactive": INACTIVE}


def risk_of(code: str, subject: str) -> Risk:
    """The row of an advisory; that of the gate's reasons stands under `assistance-withheld`."""
    if code == "assistance-withheld":
        return TECHNICAL[subject]
    return PROCEDURAL[code] if code in PROCEDURAL else _OTHERS[code]
