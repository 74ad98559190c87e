"""Frames from a `sensor_msgs/Image` topic."""

from collections.abc import Callable

import cv2
import numpy as np
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from surgical_ml.errors import InputError
from surgical_ml.ros.qos import IMAGE
from surgical_ml.video import Frame

CHANNELS = {"bgr8": 3, "rgb8": 3, "mono8": 1}
"""The encodings that are understood, and their bytes a pixel."""

NS_PER_S = 1_000_000_000


def frame_from(message: Image, index: int) -> Frame:
    """The picture in a message; for `bgr8` without padding it shares the message's memory.

    Args:
        message: with encoding `bgr8`, `rgb8` or `mono8`, and its acquisition stamp.
        index: of the frame in its source.

    Raises:
        InputError: the stamp is zero (CRTK's sign for invalid data), the encoding is not understood, or size, step and
            data disagree.
    """
    stamp = message.header.stamp
    stamp_ns = stamp.sec * NS_PER_S + stamp.nanosec
    if stamp_ns <= 0:
        raise InputError("image", "an acquisition stamp", f"{stamp_ns} ns")
    channels = CHANNELS.get(message.encoding)
    if channels is None:
        raise InputError("image encoding", " or ".join(CHANNELS), repr(message.encoding))
    height, width, step, data = message.height, message.width, message.step, message.data
    row = width * channels
    if row == 0 or height == 0:
        raise InputError("image", "at least one pixel", f"{width}x{height}")
    if step < row:
        raise InputError("image step", f"at least {row} bytes for {width} pixels of {message.encoding}", f"{step}")
    if len(data) != step * height:
        raise InputError("image data", f"{step * height} bytes for {height} rows of {step}", f"{len(data)}")

    rows = np.frombuffer(data, np.uint8).reshape(height, step)
    picture = np.ascontiguousarray(rows[:, :row]).reshape(height, width, channels)
    if message.encoding == "rgb8":
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    elif message.encoding == "mono8":
        picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    return Frame(image=picture, stamp_ns=stamp_ns, index=index)


class ImageSource:
    """Hands every acceptable picture of a topic on, and counts and logs the others.

    Subscriptions are not part of a node's lifecycle: messages arrive from the moment of creation and are ignored until
    `start`. Its methods and `deliver` run on the thread that spins the node.

    Args:
        node: that subscribes.
        topic: to subscribe to.
        deliver: takes each frame, at once; such as `Slot.put`.
        qos: of the subscription.
        callback_group: of the subscription; the node's default where None.

    Attributes:
        received: messages since `start`; also the index of the next frame, so that a refused one leaves a gap.
        rejected: of these, how many were refused.
        frame_id: of the latest accepted message; empty before there is one.
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        deliver: Callable[[Frame], None],
        *,
        qos: QoSProfile = IMAGE,
        callback_group: CallbackGroup | None = None,
    ) -> None:
        self._node = node
        self._deliver = deliver
        self._started = False
        self._last_ns = 0
        self.received = 0
        self.rejected = 0
        self.frame_id = ""
        self._subscription = node.create_subscription(Image, topic, self._take, qos, callback_group=callback_group)

    def start(self) -> None:
        """Deliver frames from now on, counted from 0."""
        self.received = self.rejected = self._last_ns = 0
        self.frame_id = ""
        self._started = True

    def stop(self) -> None:
        """Deliver nothing more until the next `start`; the counts stay."""
        self._started = False

    def close(self) -> None:
        """Stop and unsubscribe."""
        self.stop()
        self._node.destroy_subscription(self._subscription)

    def _take(self, message: Image) -> None:
        if not self._started:
            return
        index = self.received
        self.received += 1
        try:
            frame = frame_from(message, index)
            if frame.stamp_ns <= self._last_ns:
                raise InputError("image stamp", f"one after {self._last_ns} ns", f"{frame.stamp_ns} ns")
        except InputError as refused:
            self.rejected += 1
            self._node.get_logger().warning(
                f"{self._subscription.topic_name}: {refused} ({self.rejected} refused)", throttle_duration_sec=1.0
            )
            return
        self._last_ns = frame.stamp_ns
        self.frame_id = message.header.frame_id
        self._deliver(frame)
