"""The risk table: every finding has a hazard, a harm and words; priorities follow from harm and time alone."""

import pytest

from surgical_ml.guidance import Priority, conditions, risk
from surgical_ml.guidance.risk import CALIBRATION, HAZARDS, PROCEDURAL, TECHNICAL, Harm, Onset, Risk
from surgical_ml.perception import Refusal

KINDS = ("order", "skipped", "repeated", "too-long", "too-short", "tool-mismatch", "prerequisite", "instrument-lost",
         "unsafe-place", "novelty", "stream")  # fmt: skip


def test_every_kind_of_deviation_and_every_reason_of_the_gate_has_its_row_and_its_words():
    assert set(KINDS) <= set(PROCEDURAL)
    assert set(conditions._SENTENCES) == set(PROCEDURAL)
    assert set(conditions._TECHNICAL) == set(TECHNICAL)
    assert {one.value for one in Refusal} <= set(TECHNICAL)


def test_every_row_names_a_hazard_that_is_described():
    rows = [*PROCEDURAL.values(), *TECHNICAL.values(), CALIBRATION]
    assert all(row.hazard in HAZARDS for row in rows)


@pytest.mark.parametrize(
    ("harm", "onset", "priority"),
    [
        (Harm.IRREVERSIBLE, Onset.IMMEDIATE, Priority.HIGH),
        (Harm.IRREVERSIBLE, Onset.PROMPT, Priority.HIGH),
        (Harm.IRREVERSIBLE, Onset.DELAYED, Priority.MEDIUM),
        (Harm.REVERSIBLE, Onset.IMMEDIATE, Priority.HIGH),
        (Harm.REVERSIBLE, Onset.PROMPT, Priority.MEDIUM),
        (Harm.REVERSIBLE, Onset.DELAYED, Priority.LOW),
        (Harm.MINOR, Onset.IMMEDIATE, Priority.MEDIUM),
        (Harm.MINOR, Onset.PROMPT, Priority.LOW),
        (Harm.MINOR, Onset.DELAYED, Priority.LOW),
        (Harm.NONE, Onset.IMMEDIATE, Priority.NONE),
    ],
)
def test_the_priority_is_that_of_the_standard_for_harm_and_time(harm, onset, priority):
    assert Risk("HAZ-01", harm, onset).priority is priority


def test_nothing_that_may_wait_for_a_boundary_is_urgent():
    waiting = [row for row in (*PROCEDURAL.values(), *TECHNICAL.values()) if row.deferrable]
    assert waiting
    assert {row.priority for row in waiting} == {Priority.LOW}
    assert risk.PROCEDURAL["order"].delay_ns == 0
