"""What the robot says of itself, read from its CRTK and dVRK topics and never written to."""

import array
import importlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from surgical_ml_msgs.msg import Source

from surgical_ml.errors import InputError
from surgical_ml.events import RobotState
from surgical_ml.ros.convert import duration_of
from surgical_ml.ros.qos import ROBOT_EVENT, ROBOT_STREAM

STREAMS = {
    "measured_js": ("sensor_msgs", "JointState"),
    "measured_cp": ("geometry_msgs", "PoseStamped"),
    "temperature": ("sensor_msgs", "Temperature"),
}
"""Written at a rate: the last part of a topic's name, and its type."""

EVENTS = {
    "operating_state": ("crtk_msgs", "OperatingState"),
    "tool_type": ("std_msgs", "String"),
    "following": ("std_msgs", "Bool"),
    "enabled": ("std_msgs", "Bool"),
    **dict.fromkeys(("clutch", "camera", "cam_plus", "cam_minus", "coag", "bicoag"), ("sensor_msgs", "Joy")),
    "operator_present": ("sensor_msgs", "Joy"),
}
"""Written on change: the last part of a topic's name, and its type."""

THIN_NS = 100_000_000
"""Between two events of a stream. A robot writes up to a thousand times a second, and each event is a recorded decision:
unthinned, the record would hold little else, and the frames would wait. Ten a second follow a hand's movement."""

FRESH_NS = 1_000_000_000
"""A stream without a message for this long has stopped; CRTK's own client gives up after the same time."""

LARGEST_BYTES = 8_192
"""Of one message's fields as text. An entry of the record holds 64 KiB; a robot's message must never fill it."""


def fields_of(message: Any) -> tuple[tuple[str, str], ...]:
    """The fields of a message as text, in its order; nested ones with dots, lists as JSON, floats so that they read back.

    Raises:
        InputError: they are larger than `LARGEST_BYTES`.
    """
    pairs = tuple(_flat("", message))
    size = sum(len(name) + len(text.encode()) for name, text in pairs)
    if size > LARGEST_BYTES:
        raise InputError("robot message", f"at most {LARGEST_BYTES} bytes of fields", f"{size}")
    return pairs


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if hasattr(value, "get_fields_and_field_types"):
        for field in value.get_fields_and_field_types():
            yield from _flat(f"{name}.{field}" if name else field, getattr(value, field))
    elif isinstance(value, str):
        yield name, value
    elif isinstance(value, (array.array, np.ndarray)):
        yield name, json.dumps(value.tolist())
    else:
        yield name, json.dumps(value, ensure_ascii=False)


@dataclass(slots=True)
class _Input:
    """One topic and how it is doing; times are on the clock of the frames."""

    source: str
    stream: bool
    received: int = 0
    rejected: int = 0
    received_ns: int | None = None
    delivered_ns: int | None = None
    valid: bool = False
    values: tuple[tuple[str, str], ...] = ()


class RobotInputs:
    """Hands the robot's messages on as events, and counts them.

    The type of a topic follows from the last part of its name (`STREAMS`, `EVENTS`). Streams are thinned to ten events a
    second, though a change between valid and invalid always passes; what is written on change is never thinned. A
    message whose stamp is zero, CRTK's sign for invalid data, is delivered as invalid and counts as rejected; so is one
    that is too large to record, without its fields.

    Subscriptions are not part of a node's lifecycle: messages arrive from the moment of creation, and nothing is
    delivered until `start`. What was last written on change is kept, since the robot may never write it again, and is
    delivered first. All methods and `deliver` run on the thread that spins the node. Nothing is ever published.

    Args:
        node: that subscribes.
        names: of topics, such as `/PSM1/measured_js`; relative ones are in the node's namespace.
        deliver: takes each event, at once.
        now_ns: the present on the clock of the frames, in nanoseconds.

    Raises:
        InputError: the type of a name is unknown or its package is not installed, a name stands there twice or is no
            name; the error names it.
    """

    def __init__(
        self, node: Node, names: Sequence[str], deliver: Callable[[RobotState], None], now_ns: Callable[[], int]
    ) -> None:
        self._node, self._deliver, self._now_ns = node, deliver, now_ns
        self._started = False
        self._inputs: list[_Input] = []
        self._subscriptions: list[Any] = []
        for name, kind in [(name, _type_of(name)) for name in names]:
            one = _Input(name.strip("/"), name.rsplit("/", maxsplit=1)[-1] in STREAMS)
            if any(one.source == other.source for other in self._inputs):
                self.close()
                raise InputError(f"robot topic {name}", "each topic once", "it twice")
            try:
                subscription = node.create_subscription(
                    kind,
                    name,
                    lambda message, one=one: self._take(one, message),
                    ROBOT_STREAM if one.stream else ROBOT_EVENT,
                )
            except InvalidTopicNameException as error:
                self.close()
                raise InputError(f"robot topic {name}", "the name of a topic", str(error).splitlines()[0]) from error
            self._inputs.append(one)
            self._subscriptions.append(subscription)

    def start(self) -> None:
        """Deliver events from now on, counted from 0; first what the robot last wrote on change."""
        self._started = True
        for one in self._inputs:
            one.received = one.rejected = 0
            one.delivered_ns = None
            if not one.stream and one.received_ns is not None:
                self._count(one)
                self._hand_on(one, self._now_ns())

    def stop(self) -> None:
        """Deliver nothing more until the next `start`; the counts stay."""
        self._started = False

    def close(self) -> None:
        """Stop and unsubscribe."""
        self.stop()
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())

    def sources(self) -> tuple[Source, ...]:
        """How each topic is doing, in the order of the names, for `Status.sources`.

        A stream is fresh while valid messages arrive at least once a second; what is written on change is fresh once it
        is known and valid, however long ago.
        """
        now_ns = self._now_ns()
        return tuple(
            Source(
                name=one.source,
                fresh=one.valid and one.received > 0 and (not one.stream or now_ns - one.received_ns <= FRESH_NS),
                age=duration_of(now_ns - one.received_ns if one.received else 0),
                received=one.received,
                rejected=one.rejected,
            )
            for one in self._inputs
        )

    def _take(self, one: _Input, message: Any) -> None:
        if one.stream and not self._started:
            return
        now_ns = self._now_ns()
        before = one.valid
        try:
            one.values = fields_of(message)
            header = getattr(message, "header", None)
            one.valid = header is None or (header.stamp.sec, header.stamp.nanosec) != (0, 0)
        except InputError as refused:
            one.values, one.valid = (), False
            self._node.get_logger().warning(f"{one.source}: {refused}", throttle_duration_sec=1.0)
        one.received_ns = now_ns
        if not self._started:
            return
        self._count(one)
        early = one.delivered_ns is not None and now_ns - one.delivered_ns < THIN_NS
        if not (one.stream and early and one.valid == before):
            self._hand_on(one, now_ns)

    def _count(self, one: _Input) -> None:
        one.received += 1
        one.rejected += not one.valid

    def _hand_on(self, one: _Input, now_ns: int) -> None:
        one.delivered_ns = now_ns
        self._deliver(RobotState(now_ns, one.source, one.valid, one.values))


def _type_of(name: str) -> type:
    last = name.rsplit("/", maxsplit=1)[-1]
    known = STREAMS.get(last) or EVENTS.get(last)
    if known is None:
        raise InputError(f"robot topic {name}", f"a name ending in {', '.join([*STREAMS, *EVENTS])}", repr(last))
    package, kind = known
    try:
        module = importlib.import_module(f"{package}.msg")
    except ImportError as error:
        raise InputError(f"robot topic {name}", f"the package {package} with its type {kind}", "none") from error
    return getattr(module, kind)
