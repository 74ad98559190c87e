"""The assistant as one more CRTK device, where `crtk_msgs` is installed: its state, and what it says, never `error`.

A robot that hears `error` stops teleoperation; an advisor must not be able to.
"""

import importlib

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import String

from surgical_ml.errors import InputError
from surgical_ml.ros.qos import CRTK

PERIOD_S = 0.2
"""CRTK's client subscribes without the latch, and knows a state only once it is written again."""

PREFIX = "surgical_ml: "

STATES = {
    "unconfigured": "DISABLED",
    "inactive": "PAUSED",
    "active": "ENABLED",
    "errorprocessing": "FAULT",
    # A clean shutdown ends the process soon after; whoever stays here has failed to recover from an error.
    "finalized": "FAULT",
}
"""CRTK's word for each state of the lifecycle."""

BUSY = {
    "configuring": "DISABLED",
    "cleaningup": "DISABLED",
    "activating": "PAUSED",
    "deactivating": "PAUSED",
    "shuttingdown": "DISABLED",
}
"""CRTK's word for each transition under way: what held before it, since nothing may be relied on yet."""


class CrtkStatus:
    """Publishes `crtk/operating_state`, `crtk/status` and `crtk/warning`, five times a second and on change.

    The operating state is read from the node's own state machine each time, so that it cannot be forgotten. The
    subscriber of a CRTK device ignores a state that is not newer than the last: each one has its own stamp.

    Args:
        node: a lifecycle node; the topics are in its namespace.

    Raises:
        InputError: `crtk_msgs` is not installed.
    """

    def __init__(self, node: LifecycleNode) -> None:
        if not self.available():
            raise InputError("crtk", "the package crtk_msgs", "none")
        self._kind = importlib.import_module("crtk_msgs.msg").OperatingState
        self._node = node
        self._status = self._warning = ""
        self._states = node.create_publisher(self._kind, "crtk/operating_state", CRTK)
        self._statuses = node.create_publisher(String, "crtk/status", CRTK)
        self._warnings = node.create_publisher(String, "crtk/warning", CRTK)
        self._timer = node.create_timer(PERIOD_S, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @staticmethod
    def available() -> bool:
        """Whether `crtk_msgs` is installed; without it there is nothing to publish with."""
        try:
            importlib.import_module("crtk_msgs.msg")
        except ImportError:
            return False
        return True

    def status(self, text: str) -> None:
        """Say how the assistant is doing, now and from now on."""
        self._status = text
        self._statuses.publish(String(data=PREFIX + text))

    def warning(self, text: str) -> None:
        """Warn, now and until another text takes its place; an empty one ends the warning, and says so once."""
        if not text and not self._warning:
            return
        self._warning = text
        # Without this word the latch would give the old warning to whoever comes later.
        self._warnings.publish(String(data=PREFIX + (text or "no warning")))

    def publish(self) -> None:
        """Write everything that holds now; also to be called in `on_error`, during which no timer runs."""
        label = self._node._state_machine.current_state[1]
        message = self._kind(state=STATES.get(label) or BUSY[label], is_homed=True, is_busy=label in BUSY)
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._states.publish(message)
        if self._status:
            self._statuses.publish(String(data=PREFIX + self._status))
        if self._warning:
            self._warnings.publish(String(data=PREFIX + self._warning))

    def close(self) -> None:
        """Publish nothing more."""
        self._node.destroy_timer(self._timer)
        for publisher in (self._states, self._statuses, self._warnings):
            self._node.destroy_publisher(publisher)
