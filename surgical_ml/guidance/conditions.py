"""What is to be announced of deviations and of the gate, in words; priorities come from the risk table."""

from surgical_ml.calibration.validity import Doubt
from surgical_ml.geometry import Scene
from surgical_ml.guidance import risk
from surgical_ml.guidance.advisory import Condition, Guidance, Kind, Reason
from surgical_ml.guidance.gate import GateView
from surgical_ml.workflow import Certainty, Deviation, Protocol, WorkflowEstimate, spoken
from surgical_ml.workflow.recognition import SURE_PPM

_SENTENCES = {
    # At most four words each beside the names of a subject and of a phase, which may have four of their own.
    "order": "Unexpected phase: {subject} after {phase}",
    "skipped": "Step skipped: {subject} before {phase}",
    "repeated": "Phase repeated: {subject} after {phase}",
    "too-long": "Phase longer than usual: {subject}",
    "too-short": "Phase shorter than usual: {subject}",
    "tool-mismatch": "Unexpected instrument: {subject} during {phase}",
    "prerequisite": "Not seen before {phase}: {subject}",
    "instrument-lost": "Instrument out of view: {subject}",
    "unsafe-place": "Instrument near {subject} during {phase}",
    "novelty": "Picture unlike training: {subject}",
    "stream": "Video disturbed: {subject}",
}
"""By the kind of a deviation: every row of the risk table has its sentence."""

_OF_THE_INPUT = frozenset({"novelty", "stream"})
"""Departures of the video, not of the operation."""

_TECHNICAL = {
    # reason of the gate: (words, what clears it)
    "starting": ("Assistance starting", "one second of good video"),
    "restarted": ("Assistance restarting: earlier findings of this case are lost", "good video again"),
    "paused": ("Assistance paused by a person", "a person resumes it"),
    "stale": ("Assistance withheld: no new video frames", "frames arrive again"),
    "no-signal": ("Assistance withheld: no video signal", "a video signal"),
    "black": ("Assistance withheld: picture is black", "a visible picture"),
    "saturated": ("Assistance withheld: picture is saturated", "a visible picture"),
    "colour-bars": ("Assistance withheld: test pattern instead of video", "the endoscope's picture"),
    "frozen": ("Assistance withheld: picture is frozen", "a moving picture"),
    "blurred": ("Assistance withheld: picture is blurred", "a sharp picture"),
    "wrong-size": ("Assistance withheld: picture size has changed", "the size the case began with"),
    "out-of-body": ("Assistance withheld: endoscope outside the body", "the endoscope inside"),
    "unlike-training": ("Assistance withheld: input unlike training", "a picture like the training data"),
    "engine-fault": ("Assistance failed: the network engine reports a fault", "a restart"),
    "unrecorded": ("Assistance withheld: records cannot be written", "records become durable again"),
    "stalled": ("Assistance withheld: judging has stopped", "frames are judged again"),
}
UNSAFE = "unsafe-place"
TECHNICAL_CODE = "assistance-withheld"
CALIBRATION_DOUBTFUL = "calibration-doubtful"
"""What the gate calls the poor quality, and the code of the advisory."""


def conditions_from(
    deviations: tuple[Deviation, ...],
    view: GateView,
    announced: frozenset[tuple[str, str]],
    doubts: tuple[Doubt, ...] = (),
    scene: Scene | None = None,
) -> tuple[Condition, ...]:
    """Everything that has to be announced now.

    While the gate withholds, a deviation that was announced before stays listed, marked as no longer judged; a new one is
    not announced.

    Args:
        deviations: present ones.
        view: the gate's answer to this event.
        announced: (code, subject) of the advisories that are active already.
        doubts: what speaks against the camera's calibration.
        scene: of this event, for the zones that something is in.
    """
    found = []
    shown = view.reason == ""
    for one in deviations:
        if shown or (one.kind, one.subject) in announced:
            found.append(_procedural(one, view.degraded if shown else (view.reason,)))
    if shown and scene is not None:
        found.extend(_unsafe(scene, view.degraded))
    if view.reason in _TECHNICAL:
        found.append(technical_condition(view.reason, view.since_ns))
    if doubts and view.reason != "no-case":
        found.append(_calibration_doubtful(doubts))
    return tuple(found)


def technical_condition(reason: str, since_ns: int) -> Condition:
    """That assistance is withheld, and why, in words."""
    text, clears = _TECHNICAL[reason]
    priority = risk.TECHNICAL[reason].priority
    why = Reason(f"gate/{reason}", ("judged video",), (reason,), (), "high", (), clears)
    return Condition(TECHNICAL_CODE, reason, Kind.TECHNICAL, priority, since_ns, text, why)


def _calibration_doubtful(doubts: tuple[Doubt, ...]) -> Condition:
    expected, observed = zip(
        *((f"{one.source} {one.expected}".strip(), f"{one.source} {one.found}".strip()) for one in doubts), strict=True
    )
    rule = "calibration/" + "+".join(dict.fromkeys(one.check for one in doubts))
    why = Reason(rule, expected, observed, (), "high", (), "values as calibrated again, or a new calibration")
    since_ns = min(one.since_ns for one in doubts)
    text = "Camera calibration is doubtful: rely on distances in pixels only"
    return Condition(CALIBRATION_DOUBTFUL, "camera", Kind.TECHNICAL, risk.CALIBRATION.priority, since_ns, text, why)


def _unsafe(scene: Scene, degraded: tuple[str, ...]) -> list[Condition]:
    """Instruments in no-go zones, each zone once: the nearest one in the picture, or else what an arm says of itself."""
    found: dict[str, Condition] = {}
    for d in scene.distances:
        if d.within_ns is not None and d.structure not in found:
            track = next(one for one in scene.tracks if one.id == d.track)
            certainty = Certainty.HIGH if track.score_ppm >= SURE_PPM else Certainty.MEDIUM
            observed = (f"{d.instrument} at {d.distance_px} px",)
            frames = (track.last_index,)
            found[d.structure] = _in_zone(d.instrument, d.structure, d.within_ns, observed, frames, certainty, degraded)
    for m in scene.metric:
        if m.within_ns is not None and m.structure not in found:
            told = f"{m.instrument} at {m.interval.low_um / 1000:.1f} to {m.interval.high_um / 1000:.1f} mm"
            certainty = Certainty.HIGH if m.interval.mid_um == 0 else Certainty.MEDIUM
            found[m.structure] = _in_zone(m.instrument, m.structure, m.within_ns, (told,), (), certainty, ())
    return list(found.values())


def _in_zone(
    who: str,
    zone: str,
    since_ns: int,
    observed: tuple[str, ...],
    frames: tuple[int, ...],
    certainty: Certainty,
    degraded: tuple[str, ...],
) -> Condition:
    expected, clears = (f"no instrument in {zone}, or within its margin",), f"{who} out of {zone} and of its margin"
    why = Reason(f"zones/{zone}", expected, observed, frames, certainty.value, degraded, clears)
    text = f"No-go zone: {spoken(who)} at {spoken(zone)}"
    return Condition(UNSAFE, zone, Kind.PROCEDURAL, risk.PROCEDURAL[UNSAFE].priority, since_ns, text, why)


def _procedural(one: Deviation, degraded: tuple[str, ...]) -> Condition:
    text = _SENTENCES[one.kind].format(subject=spoken(one.subject), phase=spoken(one.phase))
    reason = Reason(
        one.rule, one.expected, one.observed, one.evidence_frames, one.certainty.value, degraded, one.clears
    )
    priority = risk.PROCEDURAL[one.kind].priority
    kind = Kind.TECHNICAL if one.kind in _OF_THE_INPUT else Kind.PROCEDURAL
    return Condition(one.kind, one.subject, kind, priority, one.onset_ns, text, reason)


def make_guidance(
    protocol: Protocol,
    estimate: WorkflowEstimate,
    scene: Scene,
    valid_until_ns: int,
    degraded: tuple[str, ...] = (),
) -> Guidance:
    """What is suggested now, and what of it a reader should not rely on."""
    uncertain = []
    if estimate.committed is None:
        uncertain.append("phase not established yet")
    elif estimate.certainty is Certainty.LOW:
        uncertain.append("phase is doubtful")
    if estimate.candidate is not None and estimate.committed is not None:
        uncertain.append(f"phase may be changing to {estimate.candidate}")
    uncertain.extend(f"view is poor: {name}" for name in degraded)
    nearest = scene.distances[0] if scene.distances else None
    if nearest is not None and not scene.metric:
        uncertain.append("distance is in pixels of the picture only")
    return Guidance(
        phase=estimate.committed,
        next_phase=estimate.next_phase,
        expected_instruments=() if estimate.committed is None else protocol.phase(estimate.committed).tools.expected,
        nearest=None if nearest is None else (nearest.instrument, nearest.structure, nearest.distance_px),
        progress_ppm=estimate.progress_ppm,
        uncertain=tuple(uncertain),
        valid_until_ns=valid_until_ns,
        metric=scene.metric[0] if scene.metric else None,
        leaving=tuple(track.type for track in scene.tracks if track.leaving and track.seen),
        view=scene.view,
        forecast=estimate.forecast,
    )
