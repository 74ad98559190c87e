"""The workflow of one case: where it stands, and what departs from the protocol now."""

from surgical_ml.errors import InputError
from surgical_ml.geometry import Scene
from surgical_ml.perception import Observation
from surgical_ml.workflow.duration import DurationDetector
from surgical_ml.workflow.estimate import CertaintyBands, Deviation, WorkflowEstimate
from surgical_ml.workflow.instrument_lost import InstrumentLostDetector
from surgical_ml.workflow.moment import BLIND_NS, SHORTEST_NS, Course, Detector, Moment
from surgical_ml.workflow.novelty import NoveltyDetector
from surgical_ml.workflow.order import OrderDetector
from surgical_ml.workflow.phases import PhaseFilter, since
from surgical_ml.workflow.prerequisite import PrerequisiteDetector
from surgical_ml.workflow.protocol import Protocol
from surgical_ml.workflow.stream_watch import StreamDetector
from surgical_ml.workflow.tool_mismatch import ToolMismatchDetector


def check_vocabulary(protocol: Protocol, phases: tuple[str, ...], tools: tuple[str, ...]) -> None:
    """Raise `InputError` unless a model's phases and tools are the protocol's, in its order."""
    for what, found, expected in (("phases", phases, protocol.phase_names), ("tools", tools, protocol.tools)):
        if found != expected:
            raise InputError(f"model for {protocol.name}: {what}", str(list(expected)), str(list(found)))


class Workflow:
    """Observations in; an estimate and the present deviations out. Reads no clock: time comes with the stamps.

    Args:
        protocol: of the procedure.
        phases, tools: the model's, which must be the protocol's.
        time_scale: how many times faster than real the case runs.
        bands: from which probability on a phase is certain; those of the model, where it states some.

    Raises:
        InputError: the model speaks of other phases or tools.
    """

    def __init__(
        self,
        protocol: Protocol,
        *,
        phases: tuple[str, ...],
        tools: tuple[str, ...],
        time_scale: float = 1.0,
        bands: CertaintyBands | None = None,
    ) -> None:
        check_vocabulary(protocol, phases, tools)
        self._filter = PhaseFilter(protocol, time_scale, bands)
        self._course = Course()
        self._seen_ns: int | None = None
        self._detectors: tuple[Detector, ...] = (
            OrderDetector(protocol, time_scale),
            PrerequisiteDetector(protocol, time_scale),
            DurationDetector(protocol, time_scale),
            ToolMismatchDetector(protocol),
            InstrumentLostDetector(protocol),
            NoveltyDetector(protocol),
            StreamDetector(protocol),
        )

    def step(
        self, stamp_ns: int, observation: Observation | None, scene: Scene | None
    ) -> tuple[WorkflowEstimate, tuple[Deviation, ...]]:
        """One event. `observation` and `scene` are None when time passed without an admitted frame."""
        seen = observation if observation is not None and observation.admitted else None
        change = self._filter.step(
            stamp_ns,
            None if seen is None else seen.phase_ppm,
            None if seen is None else seen.index,
            0 if seen is None else seen.progress_ppm,
        )
        dt_ns = 0
        if seen is not None:
            # From frame to frame, whatever other events stand between them; a gap is no evidence.
            dt_ns = max(SHORTEST_NS, since(self._seen_ns, stamp_ns))
            if dt_ns >= BLIND_NS:
                self._course = self._course.blind(dt_ns, stamp_ns)
                dt_ns = SHORTEST_NS
            self._seen_ns = stamp_ns
        if change is not None:
            self._course = self._course.changed(change)
        moment = Moment(
            stamp_ns=stamp_ns,
            frame=None if observation is None else observation.index,
            seen=seen,
            scene=scene,
            dt_ns=dt_ns,
            belief=self._filter.belief,
            course=self._course,
            change=change,
        )
        found = [one for detector in self._detectors for one in detector.step(moment)]
        return self._filter.estimate(stamp_ns), tuple(found)
