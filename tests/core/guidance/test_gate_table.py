"""The gate's table: whole, named, and walked row by row; every fault of the input leads out of showing within its limit."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from surgical_ml.guidance import Gate, GateInput, GateState, gate
from surgical_ml.guidance.gate_table import (
    LIMITS,
    PATIENT_NS,
    RETURN_NS,
    STALE_NS,
    TABLE,
    UNRECORDED_NS,
    Finding,
    as_markdown,
)
from surgical_ml.guidance.risk import HAZARDS
from surgical_ml.perception import Refusal

MS = 1_000_000
DOCS = Path(__file__).parents[3] / "docs"
SHOWN = (GateState.ACTIVE, GateState.DEGRADED_VIEW, GateState.DEGRADED_DROPS)
BAD = (
    *(Finding.NO_CASE, Finding.PAUSED, Finding.UNRECORDED, Finding.ENGINE_FAULT),
    *(Finding.REFUSED, Finding.OUTSIDE, Finding.UNLIKE, Finding.STALE),
)
LOADING = (Finding.LOADED, Finding.PASSED, Finding.FAILED)
PERIODS_MS = [16, 40, 100, 200]


def test_every_row_names_a_hazard_that_is_described():
    assert {row.hazard for row in TABLE.values()} <= set(HAZARDS)


def test_from_every_state_of_a_case_everything_that_speaks_against_showing_ends_it():
    running = [state for state in GateState if state not in (GateState.INIT, GateState.SELFTEST)]
    for state, finding in product(running, BAD):
        assert TABLE[state, finding].after not in SHOWN
        assert finding in LIMITS


def test_nothing_is_shown_but_from_withheld_or_from_what_is_shown_already():
    starts = {state for (state, _), row in TABLE.items() if row.after in SHOWN}
    assert starts == {GateState.WITHHELD, *SHOWN}


def test_every_state_can_be_left_and_every_finding_leads_somewhere():
    assert {state for state, _ in TABLE} == set(GateState)
    assert {finding for _, finding in TABLE} == set(Finding)


def shown_gate(period_ns: int) -> tuple[Gate, int]:
    one, now = Gate(period_ns), 0
    while one.view.state not in SHOWN:
        now += period_ns
        one.update(now, GateInput(frame=True))
        assert now < 10**10
    return one, now


def inputs(finding: Finding) -> list[GateInput]:
    """Events that amount to the finding while the input before them was good."""
    refusals = {
        Finding.ENGINE_FAULT: ["engine-fault"],
        Finding.OUTSIDE: ["out-of-body"],
        Finding.UNLIKE: ["unlike-training"],
    }
    known = {one for listed in refusals.values() for one in listed}
    refusals[Finding.REFUSED] = [one.value for one in Refusal if one.value not in known]
    return {
        Finding.NO_CASE: [GateInput(frame=False, started=False)],
        Finding.PAUSED: [GateInput(frame=False, paused=True)],
        Finding.UNRECORDED: [GateInput(frame=False, record_failed=True)],
        Finding.STALE: [GateInput(frame=False)],
        Finding.GOOD: [GateInput(frame=True)],
        Finding.POOR_VIEW: [GateInput(frame=True, degraded=("smoke",))],
    }.get(finding, [GateInput(frame=True, refusal=one) for one in refusals.get(finding, [])])


@pytest.mark.parametrize("finding", BAD)
@pytest.mark.parametrize("period_ms", PERIODS_MS)
def test_every_fault_of_the_input_ends_showing_within_its_limit(finding, period_ms):
    period_ns = period_ms * MS
    limit_ns = {
        Finding.OUTSIDE: PATIENT_NS + period_ns,
        Finding.UNLIKE: PATIENT_NS + period_ns,
        Finding.STALE: max(STALE_NS, 3 * period_ns) + period_ns,
    }.get(finding, 0)
    for event in inputs(finding):
        one, now = shown_gate(period_ns)
        began = now + period_ns if event.frame else now
        while one.view.state in SHOWN:
            now = max(began, now + (period_ns if limit_ns else 0))
            one.update(now, event)
            assert now - began <= limit_ns
        assert one.view.state is TABLE[GateState.ACTIVE, finding].after


@pytest.mark.parametrize("finding", BAD)
def test_after_every_fault_good_input_has_to_last_before_anything_is_shown(finding):
    for event in inputs(finding):
        one, now = shown_gate(40 * MS)
        for _ in range(12):
            now += 40 * MS
            one.update(now, event)
        over = now
        while one.view.state not in SHOWN:
            now += 40 * MS
            one.update(now, GateInput(frame=True))
        assert now - over >= RETURN_NS
        if finding is Finding.UNRECORDED:
            assert now - over >= UNRECORDED_NS + RETURN_NS


def test_every_row_is_walked_and_no_event_leads_beside_the_table(monkeypatch):
    """A long walk through every kind of input, for short and for long, with gaps that are drops and gaps that are stale."""
    walked = set()

    class Watched(dict):  # type: ignore[type-arg]
        def __getitem__(self, key):  # type: ignore[no-untyped-def]
            walked.add(key)
            return super().__getitem__(key)

    monkeypatch.setattr(gate, "TABLE", Watched(TABLE))
    kinds = [one for finding in (*BAD, Finding.GOOD, Finding.POOR_VIEW) for one in inputs(finding)[:1]]
    draw, now, one = np.random.default_rng(3), 0, Gate(40 * MS)
    for _ in range(4000):
        event = kinds[draw.integers(len(kinds))]
        for event_now in [event] * int(draw.choice([1, 2, 10])) + [GateInput(frame=True)] * int(
            draw.choice([0, 3, 28])
        ):
            now += int(draw.choice([40, 120, 250], p=[0.6, 0.1, 0.3])) * MS
            one.update(now, event_now)
    for first, second in product(kinds, kinds):
        one, now = shown_gate(40 * MS)
        for event, gap_ms in [(first, 40)] * 12 + [(second, 40 if second.frame else 250)] + [(second, 40)] * 20:
            now += gap_ms * MS
            one.update(now, event)
    missing = {key for key in TABLE if key[1] is not Finding.FAILED} - walked
    assert not missing


def test_the_page_shows_this_very_table():
    assert as_markdown() in (DOCS / "guidance.md").read_text("utf-8")
