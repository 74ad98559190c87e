"""What the robot says of itself: taken as events, thinned, marked where it is invalid, and never answered."""

import json
import math
import sys

import pytest
from geometry_msgs.msg import PoseStamped
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import Bool, String
from waiting import PATIENCE_S, wait_until

from surgical_ml.audit.canonical import encode
from surgical_ml.errors import InputError
from surgical_ml.events import RobotState
from surgical_ml.record import write_event
from surgical_ml.ros import qos
from surgical_ml.ros.robot_inputs import RobotInputs, fields_of

MS = 1_000_000


def joints(sec: int = 7, **fields: object) -> JointState:
    message = JointState(name=["outer_yaw", "outer_pitch"], position=[0.1, -0.25], **fields)
    message.header.stamp.sec = sec
    return message


class Robot:
    """A robot and an assistant on one graph; the assistant's clock stands still until it is moved."""

    def __init__(self, make_node, *names: str) -> None:
        self.assistant, self.node = make_node("assistant", namespace="/surgical_ml"), make_node("robot")
        self.now_ns = 1_000 * MS
        self.events = []
        self.inputs = RobotInputs(self.assistant, names, self.events.append, lambda: self.now_ns)
        self.publishers = {}

    def send(self, topic: str, message: object) -> None:
        """Write a message and wait until the assistant has had it."""
        stream = topic.rsplit("/", 1)[-1].startswith("measured")
        if topic not in self.publishers:
            profile = qos.ROBOT_STREAM if stream else qos.ROBOT_EVENT
            self.publishers[topic] = self.node.create_publisher(type(message), topic, profile)
            wait_until(self.publishers[topic].get_subscription_count, PATIENCE_S, self.node, self.assistant, what=topic)
        [before] = [one.received for one in self.inputs.sources() if f"/{one.name}" == topic]
        self.publishers[topic].publish(message)
        wait_until(lambda: self.source(topic).received > before, PATIENCE_S, self.node, self.assistant, what=topic)

    def source(self, topic: str):
        [found] = [one for one in self.inputs.sources() if f"/{one.name}" == topic]
        return found


def test_a_message_becomes_an_event_with_its_fields_as_text(make_node):
    robot = Robot(make_node, "/PSM1/measured_js")
    robot.inputs.start()
    robot.send("/PSM1/measured_js", joints())
    [event] = robot.events
    assert (event.source, event.valid, event.stamp_ns) == ("PSM1/measured_js", True, 1_000 * MS)
    assert event.values == (
        ("header.stamp.sec", "7"),
        ("header.stamp.nanosec", "0"),
        ("header.frame_id", ""),
        ("name", '["outer_yaw", "outer_pitch"]'),
        ("position", "[0.1, -0.25]"),
        ("velocity", "[]"),
        ("effort", "[]"),
    )


def test_every_kind_of_topic_is_understood(make_node):
    robot = Robot(make_node, "/PSM1/measured_cp", "/PSM1/tool_type", "/MTMR_PSM1/following", "/footpedals/coag")
    robot.inputs.start()
    pose = PoseStamped()
    pose.header.stamp.sec, pose.header.frame_id, pose.pose.position.x = 3, "ECM", 0.125
    pressed = Joy(buttons=[1])
    pressed.header.stamp.sec = 3
    robot.send("/PSM1/measured_cp", pose)
    robot.send("/PSM1/tool_type", String(data="LARGE_NEEDLE_DRIVER:400006"))
    robot.send("/MTMR_PSM1/following", Bool(data=True))
    robot.send("/footpedals/coag", pressed)
    cp, tool, following, pedal = (dict(event.values) for event in robot.events)
    assert cp["pose.position.x"] == "0.125"
    assert cp["header.frame_id"] == "ECM"
    assert tool == {"data": "LARGE_NEEDLE_DRIVER:400006"}
    assert following == {"data": "true"}
    assert pedal["buttons"] == "[1]"
    assert all(event.valid for event in robot.events)


def test_a_zero_stamp_means_invalid(make_node):
    robot = Robot(make_node, "/PSM1/measured_js")
    robot.inputs.start()
    robot.send("/PSM1/measured_js", joints(sec=0))
    assert [event.valid for event in robot.events] == [False]
    source = robot.source("/PSM1/measured_js")
    assert (source.received, source.rejected, source.fresh) == (1, 1, False)


def test_a_stream_is_thinned_to_ten_a_second_but_a_change_of_validity_passes(make_node):
    robot = Robot(make_node, "/PSM1/measured_js")
    robot.inputs.start()
    for sec in (1, 2, 3):
        robot.send("/PSM1/measured_js", joints(sec))
        robot.now_ns += 40 * MS
    assert len(robot.events) == 1
    robot.send("/PSM1/measured_js", joints(0))
    robot.send("/PSM1/measured_js", joints(0))
    robot.send("/PSM1/measured_js", joints(4))
    assert [event.valid for event in robot.events] == [True, False, True]
    robot.now_ns += 100 * MS
    robot.send("/PSM1/measured_js", joints(5))
    assert len(robot.events) == 4
    assert robot.source("/PSM1/measured_js").received == 7


def test_what_is_written_on_change_is_never_thinned(make_node):
    robot = Robot(make_node, "/MTMR_PSM1/following")
    robot.inputs.start()
    for pressed in (True, False, True, False):
        robot.send("/MTMR_PSM1/following", Bool(data=pressed))
    assert [dict(event.values)["data"] for event in robot.events] == ["true", "false", "true", "false"]


def test_nothing_is_delivered_before_start_and_after_stop(make_node):
    robot = Robot(make_node, "/PSM1/measured_js", "/PSM1/tool_type")
    robot.inputs.start()
    robot.send("/PSM1/measured_js", joints())
    robot.send("/PSM1/tool_type", String(data="one"))
    robot.inputs.stop()
    robot.publishers["/PSM1/measured_js"].publish(joints())
    robot.publishers["/PSM1/tool_type"].publish(String(data="two"))
    heard = robot.assistant.create_subscription(String, "/PSM1/tool_type", robot.events.append, qos.ROBOT_EVENT)
    wait_until(lambda: len(robot.events) >= 3, PATIENCE_S, robot.node, robot.assistant, what="the topic itself")
    robot.assistant.destroy_subscription(heard)
    assert [event.source for event in robot.events[:2]] == ["PSM1/measured_js", "PSM1/tool_type"]
    assert [type(event) for event in robot.events[2:]] == [String]


def test_what_the_robot_wrote_on_change_before_the_start_is_delivered_at_the_start(make_node):
    robot = Robot(make_node, "/PSM1/measured_js", "/PSM1/tool_type")
    robot.inputs.start()
    robot.send("/PSM1/measured_js", joints())
    robot.send("/PSM1/tool_type", String(data="scissors"))
    robot.inputs.stop()
    robot.events.clear()
    robot.now_ns += 60_000 * MS
    robot.inputs.start()
    [event] = robot.events
    assert (event.source, event.stamp_ns) == ("PSM1/tool_type", robot.now_ns)
    assert event.values == (("data", "scissors"),)
    source = robot.source("/PSM1/tool_type")
    assert (source.received, source.age.sec, source.fresh) == (1, 60, True)


def test_a_robot_that_spoke_before_the_assistant_came_is_heard(make_node):
    robot = Robot(make_node)
    latched = robot.node.create_publisher(String, "/PSM1/tool_type", qos.ROBOT_EVENT)
    latched.publish(String(data="clipper"))
    late = RobotInputs(robot.assistant, ["/PSM1/tool_type"], robot.events.append, lambda: 5)
    late.start()
    wait_until(lambda: robot.events, PATIENCE_S, robot.node, robot.assistant)
    assert robot.events[0].values == (("data", "clipper"),)


def test_a_stream_that_stops_is_not_fresh(make_node):
    robot = Robot(make_node, "/PSM1/measured_js")
    robot.inputs.start()
    assert not robot.source("/PSM1/measured_js").fresh
    robot.send("/PSM1/measured_js", joints())
    assert robot.source("/PSM1/measured_js").fresh
    robot.now_ns += 1_001 * MS
    stale = robot.source("/PSM1/measured_js")
    assert (stale.fresh, stale.age.sec, stale.age.nanosec) == (False, 1, MS)


def test_a_message_too_large_for_the_record_is_delivered_as_invalid_without_its_fields(make_node):
    robot = Robot(make_node, "/PSM1/measured_js", "/PSM1/tool_type")
    robot.inputs.start()
    robot.send("/PSM1/measured_js", JointState(position=[math.pi] * 5_000))
    robot.send("/PSM1/tool_type", String(data="x" * 100_000))
    assert [(event.valid, event.values) for event in robot.events] == [(False, ()), (False, ())]
    assert robot.source("/PSM1/tool_type").rejected == 1


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("/PSM1/servo_cp", "robot topic /PSM1/servo_cp: expected a name ending in measured_js"),
        ("/PSM1/", "robot topic /PSM1/: expected a name ending in"),
        ("", "robot topic : expected a name ending in"),
        (
            "/PSM 1/measured_js",
            "robot topic /PSM 1/measured_js: expected the name of a topic, found Invalid topic name",
        ),
    ],
)
def test_a_name_that_means_nothing_is_refused_by_name(make_node, name, complaint):
    node = make_node("assistant")
    with pytest.raises(InputError) as refused:
        RobotInputs(node, ["/PSM1/tool_type", name], print, lambda: 0)
    assert str(refused.value).startswith(complaint)
    assert "/PSM1/tool_type" not in [subscription.topic_name for subscription in node.subscriptions]


def test_the_same_topic_twice_is_refused(make_node):
    with pytest.raises(InputError, match="robot topic /a/tool_type: expected each topic once, found it twice"):
        RobotInputs(make_node("assistant"), ["/a/tool_type", "/a/tool_type"], print, lambda: 0)


def test_a_type_that_is_not_installed_is_refused_by_name(make_node, monkeypatch):
    for module in ("crtk_msgs", "crtk_msgs.msg"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"/PSM1/operating_state: expected the package crtk_msgs.*found none"):
        RobotInputs(make_node("assistant"), ["/PSM1/operating_state"], print, lambda: 0)


def test_it_never_publishes(make_node):
    node = make_node("assistant")
    before = len(list(node.publishers))
    inputs = RobotInputs(node, ["/PSM1/measured_js", "/PSM1/tool_type", "/footpedals/coag"], print, lambda: 0)
    inputs.start()
    assert len(list(node.publishers)) == before
    inputs.close()
    assert not {"/PSM1/measured_js", "/PSM1/tool_type"} & {each.topic_name for each in node.subscriptions}


@given(
    position=st.lists(st.floats(width=64), max_size=8),
    name=st.lists(
        st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8), max_size=8
    ),
)
def test_the_text_of_any_message_reads_back_and_can_be_recorded(position, name):
    values = fields_of(JointState(name=name, position=position))
    pairs = dict(values)
    assert json.loads(pairs["name"]) == name
    for read, written in zip(json.loads(pairs["position"]), position, strict=True):
        assert read == written or (math.isnan(read) and math.isnan(written))
    assert encode(write_event(RobotState(1, "PSM1/measured_js", True, values)))
