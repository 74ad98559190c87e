"""The assistant as a lifecycle node: `python -m surgical_ml.ros.assistant`."""

import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import TypeVar

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from surgical_ml_msgs.msg import AdvisoryArray, Guidance, InstrumentArray, Phase, Status

from surgical_ml.audit import AuditError
from surgical_ml.decision import Decision
from surgical_ml.errors import InputError
from surgical_ml.events import RecordFailure
from surgical_ml.guidance import Advisory, announce, technical_condition
from surgical_ml.ros import parameters, qos
from surgical_ml.ros.capture import CaptureFeed, Feed, TopicFeed
from surgical_ml.ros.case_control import CaseControl
from surgical_ml.ros.convert import WITHHELD, time_of
from surgical_ml.ros.crtk import CrtkStatus
from surgical_ml.ros.latency import TOTAL
from surgical_ml.ros.lifecycle import logged_transition
from surgical_ml.ros.preview import Preview
from surgical_ml.ros.publication import STALLED, UNRECORDED, Publication, Shown
from surgical_ml.ros.records import Records
from surgical_ml.ros.reports import camera_info_message, diagnostics_message, status_message
from surgical_ml.ros.robot_inputs import RobotInputs
from surgical_ml.ros.running_case import RunningCase
from surgical_ml.ros.services import Services
from surgical_ml.ros.spinning import spin
from surgical_ml.session import Assets

SWITCH_INTERVAL_S = 0.0005
"""How long one thread may keep the interpreter. The default, 5 ms, adds up to 15 ms to each call that lets go of it."""

EXPECTED_MS = 120.0
T = TypeVar("T")


class Assistant(LifecycleNode):
    """Judges a case's video and publishes what may be shown of each decision; the robot is listened to and never told to.

    Configuring loads and warms everything and opens the source; activating only lets publishers speak. Cases are started
    and ended by service, or by `auto_case`. Status is published from the first moment to the last, in every state.

    Threads: this one (ROS), the source's, the worker of the running case, the writer of its record; and two that no
    decision waits for: previews, and the services.
    """

    def __init__(self, **keywords) -> None:  # type: ignore[no-untyped-def]
        super().__init__("assistant", namespace=keywords.pop("namespace", "surgical_ml"), **keywords)
        parameters.declare(self)
        self._settings: parameters.Settings | None = None
        self._assets: Assets | None = None
        self._control: CaseControl | None = None
        self._robot: RobotInputs | None = None
        self._publication: Publication | None = None
        self._shown_of: RunningCase | None = None
        self._newest: Decision | None = None
        self._advised: tuple[Advisory, ...] = ()
        self._withheld = ""
        self._state, self._reason = Status.STATE_INIT, "not-configured"
        self._active = False
        self._said = ""
        self._run = uuid.uuid4().hex

        self._status = self.create_publisher(Status, "status", qos.STATUS)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        self._phase = self.create_lifecycle_publisher(Phase, "phase", qos.PHASE)
        self._instruments = self.create_lifecycle_publisher(InstrumentArray, "instruments", qos.INSTRUMENTS)
        self._guidance = self.create_lifecycle_publisher(Guidance, "guidance", qos.GUIDANCE)
        self._advisories = self.create_lifecycle_publisher(AdvisoryArray, "advisories", qos.ADVISORIES)
        self._camera_info = self.create_lifecycle_publisher(CameraInfo, "camera_info", qos.CAMERA_INFO)
        mask = self.create_lifecycle_publisher(Image, "mask", qos.PREVIEW)
        overlay = self.create_lifecycle_publisher(CompressedImage, "overlay/compressed", qos.PREVIEW)
        self._preview = Preview(mask, overlay, self.get_logger().warning)
        self._crtk = CrtkStatus(self) if CrtkStatus.available() else None
        if self._crtk is None:
            self.get_logger().info("crtk_msgs is not installed: nothing is published below crtk/")
        # Triggered by the writer's thread when a record is durable; whatever waits for it is published at once.
        self._ready = self.create_guard_condition(self._publish_pending)
        self._last_status = self._make_status()
        self.create_timer(0.1, self._publish_status)
        self.create_timer(0.2, self._publish_advisories)
        self.create_timer(0.025, self._publish_pending)
        self.create_timer(1.0, self._publish_diagnostics)
        self._case_services = Services(
            self, lambda: self._control if self._active else None, lambda: self._last_status.state
        )

    # Transitions

    @logged_transition
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load, check and warm everything; nothing is read or built after this."""
        self._enter(Status.STATE_SELFTEST, "configuring")
        try:
            settings = parameters.read(self)
            records = Records(settings.records)
            self._assets = assets = self._meanwhile(lambda: Assets.load(settings.config))
            feed = self._open(settings)
            self._control = CaseControl(
                assets,
                feed,
                records,
                frame_id=settings.frame_id,
                ros_now_ns=self._ros_now_ns,
                ready=self._ready.trigger,
                log=self.get_logger().info,
            )
            self._robot = RobotInputs(self, settings.robot_topics, self._hear, feed.now_ns)
        except InputError as refused:
            self._let_go()
            self._enter(Status.STATE_FAULT, f"not-configured: {refused}")
            raise
        self._settings = settings
        self._enter(Status.STATE_READY, "inactive")
        return TransitionCallbackReturn.SUCCESS

    @logged_transition
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let the publishers speak, and begin what is to begin by itself."""
        result = super().on_activate(state)
        settings, control = self._settings, self._control
        if settings is None or control is None:
            raise RuntimeError("active before it was configured")
        self._active = True
        interrupted = control.records.interrupted()
        self._enter(Status.STATE_READY, f"interrupted-case: {interrupted}" if interrupted else "no-case")
        self._publish_camera_info()
        if settings.auto_case:
            name = interrupted or settings.case_id
            control.start(name, "", "auto_case", resume=bool(interrupted))
        return result

    @logged_transition
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End a running case, then fall silent; what was decided until then is published first."""
        self._end_case("deactivate")
        self._active = False
        self._enter(Status.STATE_READY, "inactive")
        return super().on_deactivate(state)

    @logged_transition
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back."""
        self._let_go()
        self._enter(Status.STATE_INIT, "not-configured")
        return TransitionCallbackReturn.SUCCESS

    @logged_transition
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End a running case and give everything back."""
        self._end_case("shutdown")
        self._active = False
        self._let_go()
        self._enter(Status.STATE_INIT, "shut-down")
        return TransitionCallbackReturn.SUCCESS

    @logged_transition
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After an exception in a transition: give everything back, and say FAULT."""
        self._active = False
        self._let_go()
        self._enter(Status.STATE_FAULT, "a transition failed; see the log")
        if self._crtk is not None:
            # No timer runs during a transition, and what follows this one hides the fault again.
            self._crtk.publish()
        return TransitionCallbackReturn.SUCCESS

    def start_by_itself(self) -> None:
        """Configure and activate, where the parameter `autostart` asks for it; a failure is in the log and the status."""
        if not self.get_parameter("autostart").value:
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def destroy_node(self) -> None:
        """Also stop every thread; a case that still runs stays marked as interrupted."""
        self._case_services.close()
        self._preview.close()
        self._let_go()
        super().destroy_node()

    def _open(self, settings: parameters.Settings) -> Feed:
        if settings.source.startswith(parameters.ROS_SOURCE):
            return TopicFeed(self, settings.source.removeprefix(parameters.ROS_SOURCE))
        return CaptureFeed(settings.source, settings.source_fps, self.get_logger().warning)

    def _meanwhile(self, work: Callable[[], T]) -> T:
        """Do something slow on another thread, while status goes on from this one."""
        done: list[T] = []
        failed: list[BaseException] = []

        def run() -> None:
            try:
                done.append(work())
            except BaseException as error:  # raised again below, on the thread that asked
                failed.append(error)

        thread = threading.Thread(target=run, name="configure", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(0.1)
            self._publish_status()
        if failed:
            raise failed[0]
        return done[0]

    def _end_case(self, actor: str) -> None:
        control = self._control
        if control is None or control.case is None:
            return
        try:
            self._meanwhile(lambda: control.end(actor))
        except InputError as error:
            self.get_logger().error(str(error))
        self._publish_pending()

    def _let_go(self) -> None:
        if self._robot is not None:
            self._robot.close()
        if self._control is not None:
            self._control.close()
        if self._shown_of is not None:
            self._shown_of.finish()
        self._robot = self._control = self._assets = None
        self._publication = self._shown_of = self._newest = None
        self._advised, self._withheld = (), ""

    def _enter(self, state: int, reason: str) -> None:
        self._state, self._reason = state, reason
        self._publish_status()

    # What a running case says

    def _publish_pending(self) -> None:
        """Publish every decision that may be shown now, in order, and make silence explicit."""
        now_ns = time.monotonic_ns()
        case = None if self._control is None else self._control.case
        if self._publication is not None:
            for shown in self._publication.take(now_ns):
                self._show(shown, now_ns)
            self._report_unrecorded()
            self._watch(now_ns)
        if case is not self._shown_of and (self._publication is None or not self._publication.waiting):
            self._turn_to(case, now_ns)

    def _turn_to(self, case: RunningCase | None, now_ns: int) -> None:
        if self._shown_of is not None:
            self._shown_of.finish()
        self._shown_of, self._newest, self._withheld = case, None, ""
        self._advised = ()
        if case is None:
            self._publication = None
            if self._robot is not None:
                self._robot.stop()
            self._enter(Status.STATE_READY, "no-case" if self._active else "inactive")
            return
        settings = self._settings
        if settings is not None:
            self._publication = Publication(case, settings.max_age_ns, now_ns)
        if self._robot is not None:
            self._robot.start()

    def _show(self, shown: Shown, now_ns: int) -> None:
        case, judged, withheld = self._shown_of, shown.judged, shown.withheld
        if case is None or self._assets is None or self._publication is None or not self._active:
            return
        decision = judged.decision
        self._newest = decision
        if judged.frame is not None:
            phases = self._assets.protocol.phase_names
            self._phase.publish(case.converter.phase(decision, self._assets.protocol.name, phases, withheld))
            self._instruments.publish(case.converter.instruments(decision, withheld))
            self._guidance.publish(case.converter.guidance(decision, withheld))
            published_ns = time.monotonic_ns()
            stages = dict(judged.stages_us)
            stages["durable"] = (now_ns - judged.decided_ns) // 1000
            stages[TOTAL] = self._publication.age_ns(judged, published_ns) // 1000
            case.note_timing(judged, stages)
            self._preview.show(judged.frame, decision, case.converter.header(decision.stamp_ns))
        arisen = UNRECORDED if withheld == UNRECORDED else ""
        changed = decision.advisories != self._advised
        if changed or arisen != self._withheld:
            self._advised, self._withheld = decision.advisories, arisen
            self._publish_advisories()
        if changed and self._crtk is not None:
            self._crtk.warning("; ".join(one.text for one in decision.advisories))

    def _report_unrecorded(self) -> None:
        lost = None if self._publication is None else self._publication.newly_unrecorded
        if lost is None or self._shown_of is None:
            return
        ticket = lost.decision.ticket
        why = (ticket.failed if ticket is not None else "") or "not durable in time"
        self.get_logger().error(f"case {self._shown_of.name}: the record of decision {lost.decision.seq}: {why}")
        self._shown_of.tell(RecordFailure(self._shown_of.feed.now_ns(), lost.decision.seq, why))

    def _watch(self, now_ns: int) -> None:
        """The worker's end is the process's end, so that it is started anew; its silence is said."""
        case, publication = self._shown_of, self._publication
        if case is None or publication is None:
            return
        if case.failure:
            raise RuntimeError(f"case {case.name}: judging failed:\n{case.failure}")
        running = self._control is not None and self._control.case is case
        stalled = running and publication.stalled(now_ns)
        if stalled and not self._withheld:
            self._withheld = STALLED
            self._publish_advisories()
        elif not stalled and self._withheld == STALLED:
            self._withheld = ""

    def _publish_advisories(self) -> None:
        if not self._active:
            return
        published = self._now()
        case, decision = self._shown_of, self._newest
        if case is None or decision is None:
            reason = self._reason if case is None else "starting"
            name = "" if case is None else case.name
            self._advisories.publish(
                AdvisoryArray(
                    validity=WITHHELD, withheld_reason=reason, published=published, case_id=name, sender="assistant"
                )
            )
            return
        extra: tuple[Advisory, ...] = ()
        if self._withheld:
            publication = self._publication
            lost_ns = None if publication is None else publication.unrecorded_since_ns
            since_ns = decision.stamp_ns if lost_ns is None else lost_ns
            extra = (announce(technical_condition(self._withheld, since_ns), since_ns),)
        self._advisories.publish(
            case.converter.advisories(decision, case.name, published, withheld=self._withheld, extra=extra)
        )

    # What the node says of itself

    def _publish_status(self) -> None:
        self._last_status = self._make_status()
        self._status.publish(self._last_status)
        if self._crtk is not None:
            said = self._last_status.withheld_reason or "judging"
            if said != self._said:
                self._said = said
                self._crtk.status(said)

    def _make_status(self) -> Status:
        healthy = self._publication is None or self._publication.unrecorded_since_ns is None
        return status_message(
            self._run,
            self._state,
            self._reason,
            self._now(),
            "" if self._settings is None else self._settings.frame_id,
            assets=self._assets,
            case=self._shown_of,
            newest=self._newest,
            withheld=self._withheld,
            paused=self._control is not None and self._control.paused,
            audit_healthy=healthy,
            robot=[] if self._robot is None else list(self._robot.sources()),
        )

    def _publish_diagnostics(self) -> None:
        self._diagnostics.publish(diagnostics_message(self._last_status, self._shown_of, EXPECTED_MS))

    def _publish_camera_info(self) -> None:
        if self._assets is None or self._assets.calibration is None or self._settings is None:
            return
        header = Header(stamp=self._now(), frame_id=self._settings.frame_id)
        message = camera_info_message(self._assets.calibration, header)
        if message is not None:
            self._camera_info.publish(message)

    def _hear(self, event) -> None:  # type: ignore[no-untyped-def]
        case = None if self._control is None else self._control.case
        if case is not None:
            case.tell(event)

    def _ros_now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _now(self):  # type: ignore[no-untyped-def]
        return time_of(self._ros_now_ns())


def main() -> None:
    """Run the node until it is stopped."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    rclpy.init()
    node = Assistant()
    try:
        node.start_by_itself()
        spin(node)
    except AuditError as error:
        node.get_logger().fatal(str(error))
        sys.exit(1)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
