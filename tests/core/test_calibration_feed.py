"""Of a case's own frames and robot states, a session learns that its calibration no longer holds; a record says it again."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scripted_case import PERIOD, PROTOCOL, SECOND, Networks, manifest

sys.path.insert(0, str(Path(__file__).parent / "calibration"))
from seen_by_bumped import LENS, RADIUS_M, SHAFT, picture, within_field

from surgical_ml import record
from surgical_ml.audit import MemoryRecorder
from surgical_ml.calibration.davinci_arm import psm_shaft_m
from surgical_ml.calibration.measure import Arm, Measurer
from surgical_ml.calibration.model import CameraCalibration, FieldOfView, Provenance, Validity
from surgical_ml.calibration.rigid import rigid
from surgical_ml.config import CaseConfig
from surgical_ml.decision import Decision
from surgical_ml.engine import Model
from surgical_ml.evaluation.calibration_feed import CalibrationFeed
from surgical_ml.events import Action, OperatorAction, RobotState
from surgical_ml.guidance import CALIBRATION_DOUBTFUL, Kind
from surgical_ml.perception import Perceiver
from surgical_ml.session import Assets
from surgical_ml.video import Frame

VALIDITY = Validity(
    camera="head 7",
    valid_until="2026-12-01T00:00:00Z",
    temperature_c=(20.0, 40.0),
    field=FieldOfView(x=480.0, y=270.0, radius=255.0),
)
CAMERA = CameraCalibration(
    schema="surgical_ml/camera@1", lens=LENS, provenance=Provenance(made_by="test"), validity=VALIDITY
)
STILL, MOVED = within_field(picture()), within_field(picture(), x=481.5, y=271.5)


def assets():
    networks = Networks()
    config = CaseConfig.of({"nominal_fps": 10, "calibration": "camera.yaml"})
    perceiver = Perceiver(manifest(), networks.frame, networks.phase)
    return Assets(config, Model(Path("none"), manifest(), "m" * 64), PROTOCOL, perceiver, CAMERA, "c" * 64)


def lit(image, index):
    """A picture as bright as no neighbour of it: one that stays the same would be frozen."""
    return (image * (0.8 + 0.05 * (index % 4))).astype(np.uint8)


def run(shown, seconds, utc_now=None):
    """Two frames a second of a case: its session, its decisions and its entries."""
    loaded, recorder = assets(), MemoryRecorder()
    session, feed = loaded.open(recorder, case="case-1"), CalibrationFeed.of(loaded, utc_now)
    decisions = [session.step(OperatorAction(0, Action.START))]
    for k in range(2 * seconds):
        frame = Frame(lit(shown(k / 2), k), k * SECOND // 2, k)
        decisions.append(session.step(frame))
        if feed.due(frame):
            decisions += [session.step(residual) for residual in feed.look(frame, decisions[-1])]
    return session, decisions, recorder.entries


def doubts(decision):
    return [one for one in decision.advisories if one.code == CALIBRATION_DOUBTFUL]


@pytest.fixture(scope="module")
def bumped():
    return run(lambda at_s: STILL if at_s < 12 else MOVED, 30)


def test_a_camera_that_is_bumped_in_the_pictures_is_doubted_within_twenty_seconds(bumped):
    _, decisions, _ = bumped
    first = next(one for one in decisions if doubts(one))
    assert 12 * SECOND < first.stamp_ns <= 32 * SECOND
    (advisory,) = doubts(decisions[-1])
    assert advisory.kind is Kind.TECHNICAL
    assert "pixels only" in advisory.text
    assert advisory.reason.rule == "calibration/field-x+field-y"
    assert CALIBRATION_DOUBTFUL in decisions[-1].degraded


def test_the_check_at_the_start_is_on_record_and_says_what_was_measured(bumped):
    session, _, entries = bumped
    (checked,) = (entry["body"]["calibration_check"] for entry in entries if "calibration_check" in entry["body"])
    assert [one[:3] for one in checked] == [[f"field-{what}", "", "holds"] for what in ("radius", "x", "y")]
    assert [one.verdict for one in session.calibration_check] == ["holds"] * 3


def test_the_record_gives_the_same_decisions_without_measuring_again(bumped):
    _, first, entries = bumped
    session = assets().open(MemoryRecorder(), case="case-1")
    pictures = {one.index for one in first if one.index is not None}
    again = []
    for event in [entry["body"]["event"] for entry in entries if "event" in entry["body"]]:
        if event["kind"] == record.FRAME:
            assert event["index"] in pictures
            image = STILL if event["stamp_ns"] < 12 * SECOND else MOVED
            again.append(session.step(Frame(lit(image, event["index"]), event["stamp_ns"], event["index"])))
        else:
            again.append(session.step(record.read_event(event)))
    assert [record.decision_digest(one) for one in again] == [record.decision_digest(one) for one in first]


def test_a_calibration_that_is_too_old_is_doubted_from_the_first_frame():
    _, decisions, _ = run(lambda _: STILL, 2, utc_now=lambda: "2026-12-02T12:00:00Z")
    (advisory,) = doubts(decisions[-1])
    assert advisory.reason.rule == "calibration/age"
    assert advisory.reason.observed == ("36.00 hours",)


def test_a_camera_head_that_is_too_warm_is_doubted():
    feed = CalibrationFeed(Measurer(CAMERA), VALIDITY)
    feed.hear(RobotState(0, "camera/temperature", True, (("temperature", "43.5"),)))
    found = {one.check: one.value_milli for one in feed.look(Frame(STILL, 0, 0), decision_of(None))}
    assert found["temperature"] == 3500


def decision_of(tip):
    """Of one frame of an admitted case, with an instrument whose tip is there."""
    loaded = assets()
    session = loaded.open(MemoryRecorder(), case="case-1")
    decision = session.step(Frame(STILL, PERIOD, 0))
    if tip is None:
        return decision
    seen = decision.observation
    thing = replace(seen.instruments[0], tip_px=tip)
    return replace(decision, observation=replace(seen, instruments=(thing,)))


def test_a_shaft_is_compared_with_what_the_arms_joints_say():
    joints = np.array([0.4, -0.3, 0.12])
    shaft_m = psm_shaft_m(joints)
    camera_from_base = rigid_that_takes(shaft_m, SHAFT)
    feed = CalibrationFeed(Measurer(CAMERA, {"PSM1": Arm(camera_from_base, 2 * RADIUS_M)}), Validity())
    wrist = {f"pose.position.{axis}": repr(float(value)) for axis, value in zip("xyz", shaft_m[1], strict=True)}
    for stamp_ns in (700_000_000, 800_000_000):
        said = (("name", '["yaw"]'), ("position", json.dumps(joints.tolist())))
        feed.hear(RobotState(stamp_ns, "PSM1/measured_js", True, said))
        feed.hear(RobotState(stamp_ns, "PSM1/local/measured_cp", True, tuple(wrist.items())))
        feed.hear(RobotState(stamp_ns, "PSM1/operating_state", True, (("state", "ENABLED"),)))
    stands = camera_from_base[:3, :3] @ shaft_m.T + camera_from_base[:3, 3:]
    tip = tuple(round(float(value)) for value in LENS.project(stands.T)[1])
    found = feed.look(Frame(picture(shaft_m=stands.T), SECOND, 1), decision_of(tip))
    shaft = {one.check: one.value_milli / 1000 for one in found if one.source == "PSM1"}
    assert set(shaft) == {"shaft-angle", "shaft-offset", "shaft-along", "shaft-width"}
    assert shaft["shaft-angle"] == pytest.approx(0, abs=0.2)
    assert [shaft["shaft-offset"], shaft["shaft-along"], shaft["shaft-width"]] == pytest.approx([0, 0, 0], abs=1.2)


def rigid_that_takes(given, wanted):
    """A motion that takes the second point of one axis to that of another, and its direction as well."""
    one, other = ((axis[1] - axis[0]) / np.linalg.norm(axis[1] - axis[0]) for axis in (given, wanted))
    about = np.cross(one, other)
    about *= np.arccos(np.clip(one @ other, -1, 1)) / np.linalg.norm(about)
    turn = rigid(about, np.zeros(3))
    return rigid(about, wanted[1] - turn[:3, :3] @ given[1])


@pytest.mark.parametrize(
    "values",
    [
        (),
        (("position", "[0.1]"),),
        (("position", "no list"),),
        (("position", '["a", "b", "c"]'),),
        (("position", "{}"),),
    ],
)
def test_joints_of_another_kind_of_robot_say_nothing(values):
    feed = CalibrationFeed(Measurer(CAMERA, {"PSM1": Arm(np.eye(4), 0.008)}), Validity())
    feed.hear(RobotState(0, "PSM1/measured_js", True, values))
    assert {one.source for one in feed.look(Frame(STILL, 1, 0), decision_of((5, 5)))} == {""}


def test_without_a_calibration_of_a_camera_there_is_nothing_to_measure():
    loaded = assets()
    without = Assets(loaded.config, loaded.model, loaded.protocol, loaded.perceiver, None, "")
    assert CalibrationFeed.of(without) is None
    assert isinstance(decision_of(None), Decision)
