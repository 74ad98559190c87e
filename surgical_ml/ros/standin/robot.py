"""The stand-in as a node: it writes what a dVRK writes, and hears everything the assistant and the watchdog say."""

import functools
import importlib
import math
import time
from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import QoSLivelinessChangedInfo, SubscriptionEventCallbacks
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import String
from surgical_ml_msgs.msg import AdvisoryArray, Guidance, InstrumentArray, Phase, Status

from surgical_ml.errors import InputError
from surgical_ml.ros import qos
from surgical_ml.ros.crtk import CrtkStatus
from surgical_ml.ros.standin.journal import Journal, plain
from surgical_ml.ros.standin.listener import Listener

OUTPUTS = {
    "phase": (Phase, qos.PHASE),
    "instruments": (InstrumentArray, qos.INSTRUMENTS),
    "guidance": (Guidance, qos.GUIDANCE),
    "advisories": (AdvisoryArray, qos.ADVISORIES),
    "watchdog/advisories": (AdvisoryArray, qos.ADVISORIES),
    "status": (Status, qos.STATUS),
    "camera_info": (CameraInfo, qos.CAMERA_INFO),
    "crtk/status": (String, qos.CRTK),
    "crtk/warning": (String, qos.CRTK),
}
"""What is subscribed to, below the assistant's namespace, with the publisher's own profile."""

PICTURES = {"mask": (Image, qos.PREVIEW), "overlay/compressed": (CompressedImage, qos.PREVIEW)}
"""Only where asked for: the assistant makes them while somebody subscribes, and a robot has no use for them."""

JOINTS = ("outer_yaw", "outer_pitch", "outer_insertion", "outer_roll", "outer_wrist_pitch", "outer_wrist_yaw")
TOOL = "LARGE_NEEDLE_DRIVER:400006"
MOVE_S = 0.05
STATE_S = 0.2
CHECK_S = 0.1
CASE_END = "case-end"


class RobotStub(Node):
    """Moves an arm `PSM1` gently, listens, and says what a careful controller would make of what it hears.

    ROS parameters:
        record: file for one JSON line for each message and event; empty for none.
        until: `case-end` to be done once a case has begun and ended; empty to go on until stopped.
        timeout_s: how long that may take; 0 for ever.
        pictures: whether to subscribe to the mask and the overlay as well.
        assistant_namespace: of the assistant and the watchdog.

    Args:
        say: takes each line for a person.
        done: told when `until` is reached or `timeout_s` is over.

    Attributes:
        listener: what was heard.
        succeeded: `until` was reached, or nothing was asked for and no time ran out.

    Raises:
        InputError: a parameter is not what it must be.
    """

    def __init__(self, say: Callable[[str], None], done: Callable[[], None], **arguments: object) -> None:
        super().__init__("robot_stub", **arguments)
        until = self.declare_parameter("until", "").value
        if until not in ("", CASE_END):
            raise InputError("parameter until", f"{CASE_END} or nothing", repr(until))
        self._until = until
        self._timeout_ns = round(1e9 * float(self.declare_parameter("timeout_s", 0.0).value))
        self._journal = Journal(self.declare_parameter("record", "").value)
        pictures = self.declare_parameter("pictures", False).value
        namespace = self.declare_parameter("assistant_namespace", "/surgical_ml").value.rstrip("/")
        self._started_ns = time.monotonic_ns()
        self._print, self._done = say, done
        self.succeeded = not until
        self.listener = Listener(self._say)

        for topic, (kind, profile) in (OUTPUTS | (PICTURES if pictures else {})).items():
            self._listen(f"{namespace}/{topic}", topic, kind, profile)
        self._joints = self.create_publisher(JointState, "/PSM1/measured_js", qos.ROBOT_STREAM)
        self._pose = self.create_publisher(PoseStamped, "/PSM1/measured_cp", qos.ROBOT_STREAM)
        self._tool = self.create_publisher(String, "/PSM1/tool_type", qos.ROBOT_EVENT)
        self._tool.publish(String(data=TOOL))
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(MOVE_S, self._move, clock=steady)
        self.create_timer(CHECK_S, self._check, clock=steady)
        if CrtkStatus.available():
            self._state_kind = importlib.import_module("crtk_msgs.msg").OperatingState
            self._state = self.create_publisher(self._state_kind, "/PSM1/operating_state", qos.ROBOT_EVENT)
            self._listen(f"{namespace}/crtk/operating_state", "crtk/operating_state", self._state_kind, qos.CRTK)
            self.create_timer(STATE_S, self._tell_state, clock=steady)
        self._say(f"the robot stand-in listens to {namespace or '/'}")

    def finish(self) -> None:
        """Say and record the summary, and close the journal."""
        for line in self.listener.summary_in_words():
            self._print(line)
        self._journal.write("summary", time.monotonic_ns(), **self.listener.summary())
        self._journal.close()

    def _listen(self, name: str, topic: str, kind: type, profile: Any) -> None:
        events = SubscriptionEventCallbacks()
        if topic in ("phase", "advisories", "watchdog/advisories"):
            events.deadline = lambda _: self._notice(topic, "deadline-missed")
        if topic == "phase":
            events.liveliness = self._lease_changed
        self.create_subscription(kind, name, functools.partial(self._hear, topic), profile, event_callbacks=events)

    def _hear(self, topic: str, message: Any) -> None:
        now_ns = time.monotonic_ns()
        self._journal.write("message", now_ns, topic=topic, fields=plain(message))
        self.listener.hear(topic, message, now_ns, self._ros_ns())
        if self._until and self.listener.ended:
            self.succeeded = True
            self._done()

    def _lease_changed(self, event: QoSLivelinessChangedInfo) -> None:
        self._notice("phase", "lease-held" if event.alive_count > 0 else "lease-lost")

    def _notice(self, topic: str, event: str) -> None:
        now_ns = time.monotonic_ns()
        self._journal.write("event", now_ns, topic=topic, event=event)
        self.listener.notice(topic, event, now_ns, self._ros_ns())

    def _check(self) -> None:
        now_ns = time.monotonic_ns()
        self.listener.check(now_ns, self._ros_ns())
        if self._timeout_ns and now_ns - self._started_ns > self._timeout_ns:
            self._say(f"time is over: {self._timeout_ns / 1e9:g} s")
            self.succeeded = False
            self._done()

    def _say(self, line: str) -> None:
        now_ns = time.monotonic_ns()
        self._journal.write("said", now_ns, line=line)
        self._print(f"[{(now_ns - self._started_ns) / 1e9:7.2f} s] {line}")

    def _ros_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _move(self) -> None:
        turn = (time.monotonic_ns() - self._started_ns) / 1e9
        stamp = self.get_clock().now().to_msg()
        joints = JointState(name=list(JOINTS), position=[0.1 * math.sin(turn + k) for k in range(len(JOINTS))])
        joints.header.stamp = stamp
        self._joints.publish(joints)
        pose = PoseStamped()
        pose.header.stamp, pose.header.frame_id = stamp, "ECM"
        pose.pose.position.x, pose.pose.position.y = 0.01 * math.cos(turn), 0.01 * math.sin(turn)
        pose.pose.position.z, pose.pose.orientation.w = 0.1, 1.0
        self._pose.publish(pose)

    def _tell_state(self) -> None:
        state = self._state_kind(state="ENABLED", is_homed=True)
        state.header.stamp = self.get_clock().now().to_msg()
        self._state.publish(state)
