"""The messages that tell how the assistant itself is doing: Status, and /diagnostics."""

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from surgical_ml_msgs.msg import Source, Status

import surgical_ml
from surgical_ml.calibration.model import Calibration
from surgical_ml.calibration.ros_camera_info import ROS_NAMES
from surgical_ml.decision import Decision
from surgical_ml.places import program_digest
from surgical_ml.ros.convert import WITHHELD, duration_of, validity_of
from surgical_ml.ros.latency import TOTAL
from surgical_ml.ros.running_case import RunningCase
from surgical_ml.session import Assets

FRESH_NS = 200_000_000


def status_message(
    run: str,
    state: int,
    reason: str,
    published: Time,
    frame_id: str,
    *,
    assets: Assets | None,
    case: RunningCase | None,
    newest: Decision | None,
    withheld: str,
    paused: bool,
    audit_healthy: bool,
    robot: list[Source],
) -> Status:
    """What `status` says now.

    Args:
        run: random name of the run of the process.
        state: one of Status.STATE_*, for while there is no decision of a running case.
        reason: why nothing is shown then.
        published: the ROS clock's time.
        frame_id: of the camera.
        assets: of the configured node. case: the running one. newest: its latest decision that was shown.
        withheld: a reason that arose after that decision.
        paused, audit_healthy, robot: as the message has them.
    """
    message = Status(
        header=Header(frame_id=frame_id),
        validity=WITHHELD,
        withheld_reason=reason,
        published=published,
        state=state,
        paused=paused,
        audit_healthy=audit_healthy,
        run_id=run,
        software_version=surgical_ml.__version__,
        software_digest=program_digest(),
    )
    if assets is not None:
        message.model_digest, message.protocol_digest = assets.model.sha256, assets.protocol.digest
        message.config_digest, message.calibration_digest = assets.config.digest, assets.calibration_sha256
    if case is None:
        return message
    message.case_id = case.name
    message.judged_frames, message.dropped_frames = case.judged, case.dropped
    message.sources = [_camera(case), *robot]
    entries, head = case.writer.head
    if entries:
        message.audit_seq, message.audit_hash = entries - 1, head
    if newest is None:
        return message
    message.header = case.converter.header(newest.judged_ns)
    message.seq = newest.seq
    message.validity = WITHHELD if withheld else validity_of(newest.validity)
    message.withheld_reason = withheld or newest.withheld
    message.state = Status.STATE_WITHHELD if withheld else state_of(newest)
    message.degraded = [] if withheld else list(newest.degraded)
    if newest.judged_ns is not None:
        message.has_judged = True
        message.age_of_last_judged_frame = duration_of(case.feed.now_ns() - newest.judged_ns)
    times = case.latencies.of(TOTAL)
    if times is not None:
        message.latency_p50_ms, message.latency_p99_ms, message.latency_max_ms = times.p50, times.p99, times.max
    return message


def state_of(decision: Decision) -> int:
    """The constant of the gate's state."""
    return int(getattr(Status, f"STATE_{decision.state.value}"))


def _camera(case: RunningCase) -> Source:
    feed = case.feed
    age_ns = feed.now_ns() - feed.last_ns if feed.last_ns else 0
    return Source(
        name=feed.name,
        fresh=bool(feed.last_ns) and age_ns <= FRESH_NS,
        age=duration_of(age_ns),
        received=feed.received,
        rejected=feed.rejected,
    )


def diagnostics_message(status: Status, case: RunningCase | None, expected_ms: float) -> DiagnosticArray:
    """One entry each for judging (with the latency of every stage), the input and the record.

    Args:
        status: the latest one.
        case: the running one.
        expected_ms: the longest time from capture to publication that is in order.
    """
    stages = {} if case is None else case.latencies.all()
    values = [("state", _name_of_state(status.state)), ("withheld_reason", status.withheld_reason)]
    values.append(("age_of_last_judged_frame_ms", _ms(status.age_of_last_judged_frame) if status.has_judged else "n/a"))
    total = stages.get(TOTAL)
    values.append(("processing_time_ms", f"{total.p99:.1f}" if total else "n/a"))
    if total:
        values.append(("is_processing_time_ms_in_expected_range", str(total.p99 <= expected_ms)))
    for stage, times in stages.items():
        shown = f"{times.p50:.2f} {times.p95:.2f} {times.p99:.2f} {times.max:.2f}"
        values.append((f"{stage}_ms_p50_p95_p99_max", shown))
    judging = DiagnosticStatus.OK
    if status.case_id and status.validity not in (Status.VALIDITY_OK, Status.VALIDITY_DEGRADED):
        judging = DiagnosticStatus.ERROR if status.validity == Status.VALIDITY_FAULT else DiagnosticStatus.WARN
    elif status.case_id and total and total.p99 > expected_ms:
        judging = DiagnosticStatus.WARN
    listed = [_diagnostic("judging", judging, status.withheld_reason or "judging", values)]
    for source in status.sources:
        level = DiagnosticStatus.OK if source.fresh else DiagnosticStatus.STALE
        told = [("received", str(source.received)), ("rejected", str(source.rejected)), ("age_ms", _ms(source.age))]
        listed.append(_diagnostic(f"input {source.name}", level, "fresh" if source.fresh else "stale", told))
    level = DiagnosticStatus.OK if status.audit_healthy else DiagnosticStatus.ERROR
    told = [("entries", str(status.audit_seq + 1 if status.audit_hash else 0)), ("head", status.audit_hash)]
    told.append(("dropped_frames", str(status.dropped_frames)))
    listed.append(_diagnostic("record", level, "durable" if status.audit_healthy else "not durable in time", told))
    return DiagnosticArray(header=Header(stamp=status.published), status=listed)


def _diagnostic(name: str, level: bytes, message: str, values: list[tuple[str, str]]) -> DiagnosticStatus:
    pairs = [KeyValue(key=key, value=value) for key, value in values]
    return DiagnosticStatus(level=level, name=f"surgical_ml: {name}", message=message, hardware_id="", values=pairs)


def _name_of_state(state: int) -> str:
    names = {getattr(Status, name): name for name in vars(type(Status)) if name.startswith("STATE_")}
    return str(names.get(state, state)).removeprefix("STATE_")


def _ms(duration) -> str:  # type: ignore[no-untyped-def]
    return f"{duration.sec * 1e3 + duration.nanosec / 1e6:.1f}"


def camera_info_message(calibration: Calibration, header: Header) -> CameraInfo | None:
    """The left camera's intrinsics; None where the calibration does not state the image size."""
    lens = calibration.lenses[0]
    if lens.image_size is None:
        return None
    fx, fy, cx, cy = lens.fx, lens.fy, lens.cx, lens.cy
    return CameraInfo(
        header=header,
        width=lens.image_size[0],
        height=lens.image_size[1],
        distortion_model=ROS_NAMES[lens.model],
        d=list(lens.distortion),
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )
