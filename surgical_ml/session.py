"""One case: every event in, one recorded decision out. What was validated is this class, and this class is what runs."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import surgical_ml
from surgical_ml import record
from surgical_ml.audit import Recorder
from surgical_ml.audit.canonical import encode
from surgical_ml.calibration.files import digest, read_any
from surgical_ml.calibration.model import (
    Calibration,
    ConfidenceCalibration,
    HandEyeCalibration,
    WithLens,
    require_camera,
    require_head,
)
from surgical_ml.calibration.validity import Doubt, Residual, StartFinding, ValidityWatch
from surgical_ml.config import CaseConfig
from surgical_ml.decision import Decision
from surgical_ml.engine import Model, load_model, metadata_of, open_engine, warm_up
from surgical_ml.errors import InputError
from surgical_ml.events import Action, Event, OperatorAction, RecordFailure, RobotState
from surgical_ml.geometry import Scene, Tracker, Zones, read_zones
from surgical_ml.guidance import (
    CALIBRATION_DOUBTFUL,
    Activation,
    AdvisoryMachine,
    Gate,
    GateInput,
    Priority,
    Transition,
    Validity,
    conditions_from,
    make_guidance,
)
from surgical_ml.guidance.risk import risk_of
from surgical_ml.perception import Observation, Perceiver, Stage
from surgical_ml.video import Frame
from surgical_ml.workflow import (
    CertaintyBands,
    Deviation,
    Protocol,
    Workflow,
    WorkflowEstimate,
    check_vocabulary,
    load_protocol,
)

CASE_START, DECISION = "case-start", "decision"

GUIDANCE_VALID_NS = 500_000_000
"""Guidance outlives the frame it was made from by half a second: longer than dropped frames, shorter than a phase."""

_SIGNALS = {
    Action.AUDIO_PAUSE: Activation.AUDIO_PAUSED,
    Action.AUDIO_OFF: Activation.AUDIO_OFF,
    Action.SIGNALS_PAUSE: Activation.PAUSED,
    Action.SIGNALS_OFF: Activation.OFF,
    Action.SIGNALS_ON: Activation.ON,
}
_AT_MOST = {Activation.AUDIO_OFF: Activation.AUDIO_PAUSED, Activation.OFF: Activation.PAUSED}


_TURNING = frozenset({Action.START, Action.END, Action.PAUSE, Action.RESUME})
"""What a person asks for here is on record, and signed, at once."""


def _no_stage(_: str) -> None:
    """Nobody is timing."""


class Session:
    """The assistant as one object: perception, geometry, workflow, guidance and the gate, and a record of each step.

    It reads no clock and remembers nothing outside itself: the same events give the same decisions, bit for bit.

    Args:
        config: of the case.
        model: checked against its manifest.
        protocol: of the procedure; its phases and tools must be the model's.
        perceiver: holds the model's two engines, warm.
        recorder: takes the record of each decision; `Decision.ticket` says when it is durable.
        case: a pseudonym of the case, for the record.
        calibration: digest of the camera's calibration; empty without one. confidence: the same of the model's.
        camera: the calibration itself, where it is one of a camera; the first frame must be of its size, the camera that
            the configuration names of its name.
        zones: that must not be entered.
        bands: from which probability on a phase is certain, where the model states it.
        resumed: the case ran before and was interrupted; nothing of that is known here, and the gate says so.
        stage: told the name of each stage of a frame when it is over; whoever times them owns the clock.

    Attributes:
        calibration_check: what the first twenty seconds said of the calibration; empty where nothing was measured, None
            before they are over and without a calibration.

    Raises:
        InputError: protocol and model do not speak of the same phases and tools.
    """

    def __init__(
        self,
        config: CaseConfig,
        model: Model,
        protocol: Protocol,
        perceiver: Perceiver,
        recorder: Recorder,
        *,
        case: str,
        calibration: str = "",
        confidence: str = "",
        camera: WithLens | None = None,
        zones: Zones | None = None,
        bands: CertaintyBands | None = None,
        resumed: bool = False,
        stage: Stage = _no_stage,
    ) -> None:
        manifest = model.manifest
        self.config, self.model, self.protocol, self.case = config, model, protocol, case
        self._perceiver = perceiver
        self._recorder = recorder
        self._stage = stage
        self._tracker = Tracker(zones)
        self._zones = "" if zones is None else zones.sha256
        self._workflow = Workflow(
            protocol,
            phases=manifest.phases,
            tools=manifest.tools,
            time_scale=config.time_scale,
            bands=bands,
        )
        self._gate = Gate(nominal_period_ns=round(1e9 / config.nominal_fps), resumed=resumed)
        self._calibration, self._confidence, self._resumed = calibration, confidence, resumed
        self._unproved = camera
        self._validity = ValidityWatch()
        self.calibration_check: tuple[StartFinding, ...] | None = None
        self._advisories = AdvisoryMachine()
        self._identity = hashlib.sha256(encode(self.identity())).hexdigest()
        self._seq = 0
        self._now_ns = 0
        self._judged_ns: int | None = None
        self._committed: str | None = None
        self._started = self._paused = False
        perceiver.reset()

    def identity(self) -> dict[str, str]:
        """What a decision of this case depends on besides its events, each by digest or version."""
        return {
            "model": self.model.sha256,
            "protocol": self.protocol.digest,
            "config": self.config.digest,
            "calibration": self._calibration,
            "confidence": self._confidence,
            "zones": self._zones,
            "software": surgical_ml.__version__,
        }

    def step(self, event: Event) -> Decision:
        """Take one event; queue its record; answer. A frame costs the networks' time, anything else microseconds.

        Raises:
            InputError: the first frame is not of the size that the camera's calibration is for, or it is another
                camera's; nothing is recorded of it.
        """
        if isinstance(event, Frame) and self._unproved is not None:
            size = (event.width, event.height)
            require_camera(str(self.config.calibration), self._unproved, size, self.config.camera)
            self._unproved = None
        if self._seq == 0:
            self._open(event.stamp_ns)
        # A frame is stamped when it was acquired and arrives later, so that another event may overtake it: time stands
        # still then, and never runs backwards.
        self._now_ns = max(self._now_ns, event.stamp_ns)
        seen = self._perceiver.perceive(event, self._stage) if isinstance(event, Frame) else None
        if isinstance(event, OperatorAction):
            self._obey(event)
        if isinstance(event, Residual) and self._calibration:
            self._validity.tell(event)
        if isinstance(event, RobotState):
            self._hear(event)
        checked = self._validity.close_start(self._now_ns) if self._calibration else None
        doubts = self._validity.pass_time(self._now_ns)
        scene = self._tracker.skip(self._now_ns) if seen is None or not seen.admitted else self._tracker.update(seen)
        self._stage("geometry")
        estimate, deviations = self._workflow.step(self._now_ns, seen if self._running else None, scene)
        self._stage("workflow")
        decision, transitions = self._decide(event, seen, scene, estimate, deviations, doubts)
        self._stage("guidance")
        body = {
            "event": record.write_event(event),
            "seen": None if seen is None else record.write_observation(seen),
            "decision": record.write_decision(decision),
            "transitions": [
                [
                    *(t.code, t.subject, t.before.value, t.after.value, t.cause.value),
                    *(t.priority.value, t.banner, t.delay_ns),
                ]
                for t in transitions
            ],
        }
        changed = {(t.code, t.subject) for t in transitions}
        if changed:
            body["reasons"] = [record.write_reason(a) for a in decision.advisories if (a.code, a.subject) in changed]
        if checked is not None:
            self.calibration_check = checked
            body["calibration_check"] = [[c.check, c.source, c.verdict, c.expected, c.found] for c in checked]
        turning = isinstance(event, OperatorAction) and event.action in _TURNING
        ticket = self._recorder.append(
            DECISION,
            body,
            case=self.case,
            identity=self._identity,
            hazards=sorted({risk_of(*one).hazard for one in changed}),
            urgent=turning or (bool(changed) and any(a.priority is Priority.HIGH for a in decision.advisories)),
        )
        self._stage("record")
        return replace(decision, ticket=ticket)

    @property
    def _running(self) -> bool:
        return self._started and not self._paused

    def _open(self, stamp_ns: int) -> None:
        """The case's first entry says what everything after it depends on."""
        body = {
            "stamp_ns": stamp_ns,
            # A configuration holds a rate and a scale; a record holds no floats.
            "config": json.dumps(self.config.model_dump(by_alias=True), sort_keys=True),
            "identity": self.identity(),
            "resumed": self._resumed,
        }
        self._recorder.append(CASE_START, body, case=self.case, identity=self._identity, urgent=True)

    def _hear(self, event: RobotState) -> None:
        """Where an arm says that its tip is; what cannot be read is as good as not said."""
        arm, _, topic = event.source.rpartition("/")
        if topic != "measured_cp":
            return
        said = dict(event.values)
        try:
            x, y, z = (float(said[f"pose.position.{axis}"]) for axis in "xyz")
        except (KeyError, ValueError):
            x = y = z = math.nan
        known = event.valid and math.isfinite(x + y + z)
        self._tracker.tell_arm(self._now_ns, arm, (x, y, z) if known else None)

    def _obey(self, event: OperatorAction) -> None:
        match event.action:
            case Action.START:
                self._started, self._paused = True, False
            case Action.END:
                self._started = False
            case Action.PAUSE:
                self._paused = True
            case Action.RESUME:
                self._paused = False
            case Action.ACKNOWLEDGE:
                self._advisories.acknowledge(self._now_ns, event.code, event.subject)
            case Action.RESET:
                self._advisories.reset(self._now_ns)
            case signals:
                activation = _SIGNALS[signals]
                if not self.config.signals_off:
                    # Whoever may not switch them off for good still gets the two minutes that anybody may have.
                    activation = _AT_MOST.get(activation, activation)
                self._advisories.activate(self._now_ns, activation)

    def _decide(
        self,
        event: Event,
        seen: Observation | None,
        scene: Scene,
        estimate: WorkflowEstimate,
        deviations: tuple[Deviation, ...],
        doubts: tuple[Doubt, ...],
    ) -> tuple[Decision, tuple[Transition, ...]]:
        now = self._now_ns
        given = GateInput(
            frame=seen is not None,
            refusal="" if seen is None or seen.refusal is None else seen.refusal.value,
            degraded=(*(() if seen is None else seen.degraded), *((CALIBRATION_DOUBTFUL,) if doubts else ())),
            started=self._started,
            paused=self._paused,
            record_failed=isinstance(event, RecordFailure),
        )
        view = self._gate.update(now, given)
        announced = frozenset((a.code, a.subject) for a in self._advisories.active)
        ended, self._committed = self._committed, estimate.committed
        conditions = conditions_from(deviations, view, announced, doubts, scene)
        self._advisories.update(now, conditions, boundary=ended not in (None, estimate.committed))
        shown = view.validity in (Validity.OK, Validity.DEGRADED)
        if seen is not None and seen.admitted:
            self._judged_ns = seen.stamp_ns
        decision = Decision(
            seq=self._seq,
            event=record.event_name(event),
            index=None if seen is None else seen.index,
            stamp_ns=event.stamp_ns,
            judged_ns=self._judged_ns,
            input_sha256="" if seen is None else seen.input_sha256,
            state=view.state,
            validity=view.validity,
            withheld=view.reason,
            degraded=view.degraded,
            phase=estimate if shown else None,
            instruments=tuple(track for track in scene.tracks if track.seen) if shown else (),
            guidance=make_guidance(self.protocol, estimate, scene, now + GUIDANCE_VALID_NS, view.degraded)
            if shown
            else None,
            advisories=self._advisories.active,
            alerting=self._advisories.alerting,
            observation=seen,
        )
        self._seq += 1
        return decision, self._advisories.take_transitions()


@dataclass(frozen=True, slots=True)
class Assets:
    """What a configuration names, loaded, checked against each other and warm; serves one case after the other."""

    config: CaseConfig
    model: Model
    protocol: Protocol
    perceiver: Perceiver
    calibration: Calibration | None
    calibration_sha256: str
    hand_eyes: Mapping[str, HandEyeCalibration] = field(default_factory=dict)
    zones: Zones | None = None
    bands: CertaintyBands | None = None
    confidence_sha256: str = ""

    @classmethod
    def load(cls, config: CaseConfig) -> "Assets":
        """Everything slow: nothing is read, built or allocated once a case runs.

        Raises:
            InputError: the model, the protocol, the engine or the calibration is missing or not what it must be.
        """
        calibration = None if config.calibration is None else read_any(Path(config.calibration))
        if calibration is not None and calibration.provenance.example:
            raise InputError(
                str(config.calibration), "a calibration of the endoscope in use", "an example of the format"
            )
        if calibration is not None:
            require_head(str(config.calibration), calibration, config.camera)
        zones = None if config.zones is None else read_zones(Path(config.zones))
        hand_eyes = {arm: _hand_eye(path) for arm, path in config.hand_eye.items()}
        model = load_model(config.model, key=config.model_key)
        confidence = _confidence(config.confidence, model)
        protocol = load_protocol(config.procedure)
        check_vocabulary(protocol, model.manifest.phases, model.manifest.tools)
        engines = [
            open_engine(
                config.engine,
                model.file("frame"),
                threads=config.threads,
                bf16=config.bf16,
                plan_key=config.plan_key,
            ),
            # A step of the phase network costs any other engine more to call than to compute.
            open_engine("onnxruntime", model.file("phase"), threads=1),
        ]
        for engine in engines:
            warm_up(engine)
        name = "" if calibration is None else digest(calibration)
        phase = model.file("phase")
        bands = CertaintyBands.told_by(metadata_of(phase.read_bytes(), phase), phase)
        if confidence is not None:
            bands = CertaintyBands(high_ppm=confidence.band_ppm(0.98), medium_ppm=confidence.band_ppm(0.90))
        sure = "" if confidence is None else digest(confidence)
        perceiver = Perceiver(model.manifest, *engines)
        return cls(config, model, protocol, perceiver, calibration, name, hand_eyes, zones, bands, sure)

    def open(self, recorder: Recorder, *, case: str, resumed: bool = False, stage: Stage = _no_stage) -> Session:
        """Open a case; the one before it must be over, for they share the engines."""
        return Session(
            self.config,
            self.model,
            self.protocol,
            self.perceiver,
            recorder,
            case=case,
            calibration=self.calibration_sha256,
            confidence=self.confidence_sha256,
            camera=self.calibration if isinstance(self.calibration, WithLens) else None,
            zones=self.zones,
            bands=self.bands,
            resumed=resumed,
            stage=stage,
        )


def _confidence(path: str | None, model: Model) -> ConfidenceCalibration | None:
    if path is None:
        return None
    read = read_any(Path(path))
    if not isinstance(read, ConfidenceCalibration) or read.provenance.example:
        found = "an example of the format" if read.provenance.example else read.schema_
        raise InputError(path, "a confidence calibration of the model in use", found)
    if read.model_sha256 != model.sha256:
        raise InputError(path, f"a confidence calibration of the model {model.sha256}", f"one of {read.model_sha256}")
    return read


def _hand_eye(path: str) -> HandEyeCalibration:
    read = read_any(Path(path))
    if not isinstance(read, HandEyeCalibration) or read.provenance.example:
        found = "an example of the format" if read.provenance.example else read.schema_
        raise InputError(path, "a hand-eye calibration of the robot in use", found)
    return read


def open_session(
    config: CaseConfig, recorder: Recorder, *, case: str, resumed: bool = False, stage: Stage = _no_stage
) -> Session:
    """Load what a configuration names, and open one case.

    Raises:
        InputError: as `Assets.load`.
    """
    return Assets.load(config).open(recorder, case=case, resumed=resumed, stage=stage)
