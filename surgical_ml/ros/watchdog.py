"""The watchdog: a process of its own, without any machine learning, that says when the assistant stops judging frames.

    python -m surgical_ml.ros.watchdog --ros-args -p records_dir:=DIR

It judges by when messages are received, on its own monotonic clock (`watchdog_rules`), and publishes nothing but
`watchdog/advisories` and its own `/diagnostics`. In its AdvisoryArray

- `validity` is OK only while it sees frames of a running case being judged; that says nothing about the operation.
  Otherwise it is WITHHELD, and `withheld_reason` says why: `starting`, `no-case`, `paused`, `assistant-silent`,
  `assistant-lost` or `assistant-absent`. It is FAULT with `unrecorded` while what it says could not be recorded first.
- `header` is that of the last `phase`; `seq` numbers the watchdog's own judgements from 0; `onset` and `announced` are
  times of receipt on the ROS clock; `sender` is `watchdog`.

Its log lies in `<records_dir>/watchdog/<UTC stamp>-<boot>`.
"""

import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import QoSLivelinessChangedInfo, QoSRequestedDeadlineMissedInfo, SubscriptionEventCallbacks
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.time import Time as RosTime
from std_msgs.msg import Header
from surgical_ml_msgs.msg import Advisory, AdvisoryArray, Phase, Reason, Status

import surgical_ml
from surgical_ml.audit import AuditError, AuditWriter, Keyring, Ticket
from surgical_ml.errors import InputError
from surgical_ml.places import default_keys, default_records
from surgical_ml.ros import qos
from surgical_ml.ros.spinning import spin
from surgical_ml.ros.watchdog_rules import (
    SUBJECT,
    Finding,
    Judgement,
    LeaseSeen,
    Limits,
    PhaseSeen,
    StatusSeen,
    WatchdogRules,
    transitions,
)

TICK_S = 0.05
PUBLISH_TICKS = 4
DIAGNOSE_TICKS = 20
"""In ticks, so that one timer keeps one order: judge, record, show."""

RECORD_S = 0.1
"""How long a warning may wait for its record."""

SEGMENT_BYTES = 1024 * 1024
"""A watchdog's log of a case is some kilobytes."""

SENDER = "watchdog"
T = TypeVar("T", int, str)

STARTED, JUDGED, STOPPED = "watchdog-start", "watchdog-judgement", "watchdog-stop"


class Watchdog(Node):
    """Listens to the assistant's `phase` and `status`, records what it makes of them, and shows it.

    Parameters (fixed at start):
        records_dir: the same as the assistant's; empty for surgical_ml/records below ROS_HOME.
        phase_limit_ms: how long a running case may be without a judged frame.
        status_limit_ms: how long the assistant's process may be without a message.
        startup_limit_ms: how long it may take to appear.

    Raises:
        InputError: a limit is not positive, or a parameter has another type.
    """

    def __init__(self, **arguments: object) -> None:
        super().__init__("watchdog", namespace="/surgical_ml", **arguments)
        usual = Limits()
        limits = Limits(
            self._parameter("phase_limit_ms", usual.phase_ms),
            self._parameter("status_limit_ms", usual.status_ms),
            self._parameter("startup_limit_ms", usual.startup_ms),
        )
        records_dir = Path(self._parameter("records_dir", "") or default_records())
        self._writer, self._refused = self._open_log(records_dir, limits)
        self._rules = WatchdogRules(limits, time.monotonic_ns())
        self._judgement = Judgement("starting", "", ())
        self._times: dict[tuple[str, int], tuple[Time, Time]] = {}
        self._seq = -1
        self._ticket: Ticket | None = None
        self._ticks = self._deadlines_missed = 0
        self._header = Header()

        self._advisories = self.create_publisher(AdvisoryArray, "watchdog/advisories", qos.ADVISORIES)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        events = SubscriptionEventCallbacks(deadline=self._deadline_missed, liveliness=self._lease_changed)
        self.create_subscription(Phase, "phase", self._take_phase, qos.PHASE, event_callbacks=events)
        self.create_subscription(Status, "status", self._take_status, qos.STATUS)
        # A steady clock: neither simulated time that stands still nor a step of the system's may hold the watchdog up.
        self.create_timer(TICK_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        """Write the log's last entry and close it."""
        if self._writer is not None:
            self._writer.append(STOPPED, {"judgements": self._seq + 1}, urgent=True)
            self._writer.close()

    def _parameter(self, name: str, default: T) -> T:
        try:
            return self.declare_parameter(name, default, ParameterDescriptor(read_only=True)).value
        except InvalidParameterTypeException as error:
            raise InputError(f"parameter {name}", f"a value such as {default}", "another type") from error

    def _open_log(self, records_dir: Path, limits: Limits) -> tuple[AuditWriter | None, str]:
        """The log, or why there is none: a watchdog that cannot write still warns."""
        boot = uuid.uuid4().hex
        folder = records_dir / "watchdog" / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{boot[:8]}"
        try:
            writer = AuditWriter(folder, keyring=Keyring(default_keys()), boot=boot, segment_bytes=SEGMENT_BYTES)
        except AuditError as error:
            self.get_logger().error(f"nothing can be recorded, warnings will be shown all the same: {error}")
            return None, str(error)
        body = {
            "software": surgical_ml.__version__,
            "phase_ms": limits.phase_ms,
            "status_ms": limits.status_ms,
            "startup_ms": limits.startup_ms,
        }
        writer.append(STARTED, body, urgent=True)
        self.get_logger().info(f"records to {folder}")
        return writer, ""

    def _take_phase(self, message: Phase) -> None:
        self._header = message.header
        self._rules.take(time.monotonic_ns(), PhaseSeen(message.seq, message.frame_index))

    def _take_status(self, message: Status) -> None:
        seen = StatusSeen(message.seq, message.case_id, message.paused, message.withheld_reason, message.run_id)
        self._rules.take(time.monotonic_ns(), seen)

    def _deadline_missed(self, event: QoSRequestedDeadlineMissedInfo) -> None:
        self._deadlines_missed = event.total_count
        self._judge()

    def _lease_changed(self, event: QoSLivelinessChangedInfo) -> None:
        self._rules.take(time.monotonic_ns(), LeaseSeen(event.alive_count > 0))
        self._judge()

    def _tick(self) -> None:
        self._judge()
        if self._ticks % PUBLISH_TICKS == 0:
            self._publish()
        if self._ticks % DIAGNOSE_TICKS == 0:
            self._diagnose()
        self._ticks += 1

    def _judge(self) -> None:
        """Judge; what has changed is recorded and then shown at once."""
        before, now_ns = self._judgement, time.monotonic_ns()
        judgement = self._rules.judge(now_ns)
        if judgement == before and self._seq >= 0:
            return
        self._judgement = judgement
        self._seq += 1
        self._keep_times(judgement, now_ns)
        self._record(before, judgement)
        for code, _, after in transitions(before, judgement):
            self.get_logger().warning(f"{code}: {after}")
        self._publish()

    def _keep_times(self, judgement: Judgement, now_ns: int) -> None:
        """Place each finding on the ROS clock once, so that it does not move when that clock is corrected."""
        behind_ns = self.get_clock().now().nanoseconds - now_ns
        self._times = {
            key: self._times.get(key) or (_time(one.onset_ns + behind_ns), _time(one.announced_ns + behind_ns))
            for one in judgement.findings
            for key in [(one.code.value, one.announced_ns)]
        }

    def _record(self, before: Judgement, judgement: Judgement) -> None:
        """Record a judgement and wait until that is durable, or too late; nothing else is urgent meanwhile."""
        if self._writer is None:
            return
        changes = [[code.value, SUBJECT, old, new] for code, old, new in transitions(before, judgement)]
        body = {"seq": self._seq, **judgement.to_json(), "transitions": changes}
        self._refused = ""
        try:
            self._ticket = self._writer.append(JUDGED, body, case=judgement.case_id, urgent=True)
        except AuditError as error:
            self._ticket, self._refused = None, str(error)
            return
        self._ticket.wait(RECORD_S)

    @property
    def _unrecorded(self) -> str:
        """Why the judgement that is shown is not in the record; empty if it is."""
        if self._ticket is None:
            return self._refused
        if self._ticket.durable:
            return ""
        return self._ticket.failed or "the disk has not answered yet"

    def _publish(self) -> None:
        judgement, unrecorded = self._judgement, self._unrecorded
        listed = [self._advisory(one) for one in judgement.findings]
        validity = AdvisoryArray.VALIDITY_WITHHELD if judgement.withheld else AdvisoryArray.VALIDITY_OK
        self._advisories.publish(
            AdvisoryArray(
                header=self._header,
                seq=self._seq,
                validity=AdvisoryArray.VALIDITY_FAULT if unrecorded else validity,
                withheld_reason="unrecorded" if unrecorded else judgement.withheld,
                published=self.get_clock().now().to_msg(),
                case_id=judgement.case_id,
                sender=SENDER,
                highest_priority=max((one.priority for one in listed), default=Advisory.PRIORITY_NONE),
                advisories=listed,
            )
        )

    def _advisory(self, one: Finding) -> Advisory:
        onset, announced = self._times[one.code.value, one.announced_ns]
        return Advisory(
            code=one.code.value,
            subject=SUBJECT,
            kind=Advisory.KIND_TECHNICAL,
            priority=getattr(Advisory, f"PRIORITY_{one.level.value}"),
            presence=Advisory.PRESENCE_ON,
            onset=onset,
            announced=announced,
            text=one.text,
            reason=Reason(
                rule=one.rule,
                expected=list(one.expected),
                observed=list(one.observed),
                evidence_frames=list(one.evidence_frames),
                certainty=Reason.CERTAINTY_HIGH,
                degraded_inputs=list(one.degraded_inputs),
                clears=one.clears,
            ),
        )

    def _diagnose(self) -> None:
        unrecorded, judgement = self._unrecorded, self._judgement
        level, said = DiagnosticStatus.OK, judgement.withheld or "the assistant is judging frames"
        if unrecorded:
            level, said = DiagnosticStatus.ERROR, f"unrecorded: {unrecorded}"
        elif judgement.findings:
            level, said = DiagnosticStatus.WARN, judgement.findings[0].text
        entries, head = (0, "") if self._writer is None else self._writer.head
        values = {
            "case": judgement.case_id,
            "judgements": self._seq + 1,
            "phase deadlines missed": self._deadlines_missed,
            "audit entries": entries,
            "audit head": head,
        }
        status = DiagnosticStatus(
            level=level,
            name="surgical_ml: watchdog",
            message=said,
            hardware_id="surgical_ml",
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


def _time(ns: int) -> Time:
    return RosTime(nanoseconds=max(0, ns)).to_msg()


def main() -> int:
    """Run the watchdog until it is stopped; 0 then, 2 where a parameter is not what it must be."""
    rclpy.init()
    try:
        watchdog = Watchdog()
    except InputError as refused:
        get_logger("watchdog").fatal(str(refused))
        rclpy.try_shutdown()
        return 2
    except KeyboardInterrupt:  # stopped before there was anything to watch
        rclpy.try_shutdown()
        return 0
    try:
        spin(watchdog)
    finally:
        watchdog.close()
        watchdog.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
