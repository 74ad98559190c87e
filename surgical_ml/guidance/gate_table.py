"""The gate as a table: its states, what an event can amount to, what follows, and against which hazard.

`Gate` decides what an event amounts to; where that leads stands here and nowhere else. A pair that the table does not hold
cannot occur, which a test proves by driving the gate through everything that can.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from surgical_ml.guidance.advisory import GateState

STALE_NS = 200_000_000
PATIENT_NS = 300_000_000
"""How long the picture may be odd (out of the body, unlike training) before it is withheld: one odd frame is no reason."""

RETURN_NS = 1_000_000_000
"""Good input must last this long before something is shown again."""

UNRECORDED_NS = 2_000_000_000
DEGRADED_NS = 500_000_000


class Finding(StrEnum):
    """What an event amounts to."""

    LOADED = "model, protocol and calibration are loaded"
    PASSED = "they belong together, and the engines have run once"
    FAILED = "they do not, or an engine has failed"
    NO_CASE = "no case runs"
    PAUSED = "a person has paused the module"
    UNRECORDED = "a record did not become durable"
    ENGINE_FAULT = "an engine has failed"
    REFUSED = "the picture is none of the operation"
    OUTSIDE = "the endoscope is outside the body"
    UNLIKE = "the picture is unlike training"
    STALE = "no frame has come"
    BRIEFLY = "the input is good, and has not been for long enough"
    GOOD = "the input is good"
    POOR_VIEW = "the view is poor, yet tolerable"
    POOR_DROPS = "frames are missing, yet enough come"


@dataclass(frozen=True, slots=True)
class Row:
    """Where a finding leads from a state.

    Attributes:
        after: the next state.
        hazard: id of what the step keeps from happening.
    """

    after: GateState
    hazard: str


_BEFORE_A_CASE = (GateState.INIT, GateState.SELFTEST)
_SHOWN = (GateState.ACTIVE, GateState.DEGRADED_VIEW, GateState.DEGRADED_DROPS)
_NOT_SHOWN = (GateState.READY, GateState.WITHHELD, GateState.FAULT)
_FROM_EVERYWHERE = {
    Finding.NO_CASE: Row(GateState.READY, "HAZ-08"),
    Finding.PAUSED: Row(GateState.WITHHELD, "HAZ-14"),
    Finding.UNRECORDED: Row(GateState.WITHHELD, "HAZ-10"),
    Finding.ENGINE_FAULT: Row(GateState.FAULT, "HAZ-09"),
    Finding.REFUSED: Row(GateState.WITHHELD, "HAZ-06"),
    Finding.OUTSIDE: Row(GateState.WITHHELD, "HAZ-06"),
    Finding.UNLIKE: Row(GateState.WITHHELD, "HAZ-07"),
    Finding.STALE: Row(GateState.WITHHELD, "HAZ-08"),
}
# Nothing is shown from READY or FAULT at once: both pass through WITHHELD, where good input has to last.
_WHERE_GOOD_INPUT_HAS_LASTED = {
    Finding.GOOD: Row(GateState.ACTIVE, "HAZ-11"),
    Finding.POOR_VIEW: Row(GateState.DEGRADED_VIEW, "HAZ-06"),
    Finding.POOR_DROPS: Row(GateState.DEGRADED_DROPS, "HAZ-08"),
}

TABLE: Mapping[tuple[GateState, Finding], Row] = {
    (GateState.INIT, Finding.LOADED): Row(GateState.SELFTEST, "HAZ-09"),
    (GateState.SELFTEST, Finding.PASSED): Row(GateState.READY, "HAZ-09"),
    (GateState.SELFTEST, Finding.FAILED): Row(GateState.FAULT, "HAZ-09"),
    **{
        (state, finding): row
        for finding, row in _FROM_EVERYWHERE.items()
        for state in GateState
        if state not in _BEFORE_A_CASE
    },
    **{(state, Finding.BRIEFLY): Row(GateState.WITHHELD, "HAZ-13") for state in _NOT_SHOWN},
    **{
        (state, finding): row
        for finding, row in _WHERE_GOOD_INPUT_HAS_LASTED.items()
        for state in (GateState.WITHHELD, *_SHOWN)
    },
}

LIMITS: Mapping[Finding, str] = {
    Finding.NO_CASE: "at once",
    Finding.PAUSED: "at once",
    Finding.UNRECORDED: f"at once, for at least {UNRECORDED_NS // 1_000_000_000} s",
    Finding.ENGINE_FAULT: "in the frame it fails on",
    Finding.REFUSED: "in the frame that shows it",
    Finding.OUTSIDE: f"{PATIENT_NS // 1_000_000} ms",
    Finding.UNLIKE: f"{PATIENT_NS // 1_000_000} ms",
    Finding.STALE: f"{STALE_NS // 1_000_000} ms, or three frame periods if that is longer",
    Finding.BRIEFLY: f"until it has been good for {RETURN_NS // 1_000_000} ms",
    Finding.POOR_VIEW: f"at once, until {DEGRADED_NS // 1_000_000} ms after",
    Finding.POOR_DROPS: f"at once, until {DEGRADED_NS // 1_000_000} ms after",
}
"""How long it may take from the finding until the step is taken; a finding without a limit needs none."""


def as_markdown() -> str:
    """The table as a page shows it: rows that differ only in where they start are one."""
    starts: dict[tuple[Finding, Row], list[str]] = {}
    for (state, finding), row in TABLE.items():
        starts.setdefault((finding, row), []).append(state.value)
    lines = ["| what is found | in | leads to | within | hazard |", "|---|---|---|---|---|"]
    for (finding, row), states in starts.items():
        limit = LIMITS.get(finding, "")
        lines.append(f"| {finding.value} | {', '.join(states)} | {row.after.value} | {limit} | {row.hazard} |")
    return "\n".join(lines)
