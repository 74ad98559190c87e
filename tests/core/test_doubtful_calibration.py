"""A session that is told the residuals of its calibration says when that is not to be relied on, and why."""

import pytest
from scripted_case import SECOND, ScriptedCase

from surgical_ml import record
from surgical_ml.calibration.validity import Residual
from surgical_ml.events import Action
from surgical_ml.guidance import CALIBRATION_DOUBTFUL, GateState, Kind, Presence, Priority, Validity

CALIBRATION = "c" * 64


def started(**values):
    return ScriptedCase(calibration=CALIBRATION, **values).start()


def watched(case, seconds, value_milli, check="field-x"):
    """Frames for so long, and a residual a second."""
    decision = None
    for _ in range(seconds):
        case.step(Residual(case.now, check, value_milli))
        decision = case.show(1)[-1]
    return decision


def doubts(decision):
    return [one for one in decision.advisories if one.code == CALIBRATION_DOUBTFUL]


def test_a_calibration_that_holds_is_not_mentioned():
    decision = watched(started(), 30, 100)
    assert (decision.validity, decision.degraded, decision.advisories) == (Validity.OK, (), ())


def test_a_bumped_camera_degrades_what_is_shown_and_is_announced_with_its_numbers():
    case = started()
    watched(case, 10, 0)
    bumped_ns = case.now
    decision = watched(case, 20, 2000)
    assert (decision.state, decision.validity) == (GateState.DEGRADED_VIEW, Validity.DEGRADED)
    assert decision.degraded == (CALIBRATION_DOUBTFUL,)
    assert decision.guidance is not None
    (advisory,) = doubts(decision)
    assert (advisory.kind, advisory.priority, advisory.presence) == (Kind.TECHNICAL, Priority.MEDIUM, Presence.ON)
    assert "pixels only" in advisory.text
    assert advisory.reason.rule == "calibration/field-x"
    assert advisory.reason.expected == ("place of the field of view across: 0.00 px, give or take 0.88",)
    assert advisory.reason.observed == ("2.00 px",)
    assert 0 <= advisory.onset_ns - bumped_ns <= SECOND
    assert advisory.announced_ns <= bumped_ns + 20 * SECOND


def test_one_advisory_names_everything_that_speaks_against_the_calibration():
    case = started()
    for _ in range(20):
        case.step(Residual(case.now, "shaft-angle", 1500, "PSM1"))
        case.step(Residual(case.now, "field-y", -2000))
        decision = case.show(1)[-1]
    (advisory,) = doubts(decision)
    assert advisory.reason.rule == "calibration/shaft-angle+field-y"
    assert advisory.reason.observed == ("PSM1 1.50 degrees", "-2.00 px")


def test_a_camera_that_was_put_back_is_no_longer_poor_and_its_advisory_stays_until_it_is_seen():
    case = started()
    watched(case, 20, 2000)
    decision = watched(case, 40, 0)
    assert (decision.validity, decision.degraded) == (Validity.OK, ())
    assert [one.presence for one in doubts(decision)] == [Presence.LATCHED]
    assert doubts(case.act(Action.ACKNOWLEDGE, code=CALIBRATION_DOUBTFUL)) == []


def test_without_a_calibration_there_is_nothing_to_doubt():
    decision = watched(ScriptedCase().start(), 30, 5000)
    assert (decision.validity, decision.advisories) == (Validity.OK, ())


def test_before_a_case_begins_nothing_is_announced():
    case = ScriptedCase(calibration=CALIBRATION)
    assert watched(case, 30, 5000).advisories == ()
    assert [one.code for one in case.act(Action.START).advisories if one.code == CALIBRATION_DOUBTFUL]


def test_a_deviation_that_is_announced_meanwhile_says_that_the_calibration_was_doubtful():
    case = started()
    watched(case, 20, 2000)
    case.show(8, phase="GallbladderPackaging", tools=("grasper", "specimen_bag"))
    reasons = [one.reason.degraded_inputs for one in case.decisions[-1].advisories if one.kind is Kind.PROCEDURAL]
    assert reasons
    assert all(CALIBRATION_DOUBTFUL in degraded for degraded in reasons)


@pytest.mark.parametrize("value_milli", [0, 2000])
def test_the_recorded_residuals_give_the_same_decisions_again(value_milli):
    first = started()
    watched(first, 20, value_milli)
    again = ScriptedCase(calibration=CALIBRATION)
    events = [entry["body"]["event"] for entry in first.entries if "event" in entry["body"]]
    for event in events:
        if event["kind"] == record.FRAME:
            again.show(0.1)
        else:
            again.step(record.read_event(event))
    assert again.decisions == first.decisions
    assert {event["kind"] for event in events} == {"frame", "operator-action", record.CALIBRATION_RESIDUAL}
