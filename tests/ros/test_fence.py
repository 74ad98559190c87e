"""The source says nothing to a robot: every publisher is named in it, below the module's own namespace."""

from pathlib import Path

import pytest
from fence import UNREADABLE, publishings

import surgical_ml.ros

ROOM = Path(surgical_ml.ros.__file__).parent
INSIDE = [path for path in sorted(ROOM.rglob("*.py")) if "standin" not in path.relative_to(ROOM).parts]


@pytest.mark.parametrize("path", INSIDE, ids=lambda path: path.relative_to(ROOM).as_posix())
def test_nothing_outside_the_stand_in_publishes_to_a_robot(path):
    found = publishings(path.read_text(encoding="utf-8"))
    assert [(one.line, one.name, one.objection) for one in found if one.objection] == []


def test_the_lint_sees_what_is_published():
    names = {one.name for path in INSIDE for one in publishings(path.read_text(encoding="utf-8"))}
    assert {"watchdog/advisories", "/diagnostics", "crtk/operating_state", "crtk/status", "crtk/warning"} <= names


def test_the_stand_in_would_not_pass():
    robot = ROOM / "standin" / "robot.py"
    objections = {one.name: one.objection for one in publishings(robot.read_text(encoding="utf-8"))}
    assert objections["/PSM1/measured_js"] == "an absolute name"


@pytest.mark.parametrize(
    ("planted", "objection"),
    [
        ('node.create_publisher(JointState, "/PSM1/measured_js", 10)', "an absolute name"),
        ('node.create_publisher(DiagnosticArray, "/diagnostics_agg", 10)', "an absolute name"),
        ('node.create_publisher(JointState, "servo_jp", 10)', "motion"),
        ('node.create_lifecycle_publisher(PoseStamped, "PSM1/move_cp", 10)', "motion"),
        ('self.create_publisher(Empty, topic="PSM1/hold", qos_profile=10)', "a command"),
        ('node.create_publisher(Empty, "free", 10)', "a command"),
        ('node.create_publisher(StringStamped, "PSM1/state_command", 10)', "a command"),
        ('node.create_publisher(String, "crtk/error", 10)', "what stops teleoperation"),
        ('node.create_publisher(Bool, "console/teleop/enable", 10)', "the robot's console"),
        ('node.create_publisher(Float64MultiArray, "system/beep", 10)', "the robot's console"),
        ('node.create_publisher(Joy, "footpedals/coag", 10)', "the robot's console"),
        ('node.create_publisher(String, "PSM1/" + "error", 10)', UNREADABLE),
        ('node.create_publisher(String, f"{arm}/error", 10)', UNREADABLE),
        ("node.create_publisher(String, name, 10)", UNREADABLE),
        ('make = node.create_publisher\nmake(Empty, "hold", 10)', UNREADABLE),
        ('getattr(node, "create_publisher")(Empty, "hold", 10)', UNREADABLE),
        ('Publisher(handle, Empty, "hold", 10)', UNREADABLE),
    ],
)
def test_a_planted_publisher_is_found(planted, objection):
    assert objection in [one.objection for one in publishings(planted)]


@pytest.mark.parametrize("name", ["advisories", "watchdog/advisories", "/diagnostics", "crtk/warning", "~/debug"])
def test_what_an_advisor_says_passes(name):
    [found] = publishings(f'node.create_publisher(AdvisoryArray, "{name}", 10)')
    assert (found.name, found.objection) == (name, "")


def test_a_word_that_only_resembles_a_command_passes():
    [found] = publishings('node.create_publisher(String, "threshold", 10)')
    assert found.objection == ""
