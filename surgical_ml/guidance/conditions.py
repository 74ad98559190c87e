"""The risk table, and what it makes of deviations and of the gate. Priorities come from here, never from a model."""

from surgical_ml.calibration.validity import Doubt
from surgical_ml.geometry import Scene
from surgical_ml.guidance.advisory import Condition, Guidance, Kind, Priority, Reason
from surgical_ml.guidance.gate import GateView
from surgical_ml.workflow import Certainty, Deviation, Protocol, WorkflowEstimate, spoken

_RISK = {
    # Skipping a step, clipping and cutting above all, can harm a patient; an odd tool rarely does.
    "order": Priority.HIGH,
    "tool-mismatch": Priority.MEDIUM,
}

_TECHNICAL = {
    # reason of the gate: (priority, words, what clears it)
    "starting": (Priority.NONE, "Assistance starting", "one second of good video"),
    "restarted": (Priority.MEDIUM, "Assistance restarting: earlier findings of this case are lost", "good video again"),
    "paused": (Priority.LOW, "Assistance paused by a person", "a person resumes it"),
    "stale": (Priority.MEDIUM, "Assistance withheld: no new video frames", "frames arrive again"),
    "no-signal": (Priority.MEDIUM, "Assistance withheld: no video signal", "a video signal"),
    "black": (Priority.MEDIUM, "Assistance withheld: picture is black", "a visible picture"),
    "saturated": (Priority.MEDIUM, "Assistance withheld: picture is saturated", "a visible picture"),
    "colour-bars": (Priority.MEDIUM, "Assistance withheld: test pattern instead of video", "the endoscope's picture"),
    "frozen": (Priority.MEDIUM, "Assistance withheld: picture is frozen", "a moving picture"),
    "blurred": (Priority.LOW, "Assistance withheld: picture is blurred", "a sharp picture"),
    "wrong-size": (Priority.MEDIUM, "Assistance withheld: picture size has changed", "the size the case began with"),
    "out-of-body": (Priority.NONE, "Assistance withheld: endoscope outside the body", "the endoscope inside"),
    "unlike-training": (Priority.LOW, "Assistance withheld: input unlike training", "a picture like the training data"),
    "engine-fault": (Priority.HIGH, "Assistance failed: the network engine reports a fault", "a restart"),
    "unrecorded": (Priority.HIGH, "Assistance withheld: records cannot be written", "records become durable again"),
    "stalled": (Priority.MEDIUM, "Assistance withheld: judging has stopped", "frames are judged again"),
}
TECHNICAL_CODE = "assistance-withheld"
CALIBRATION_DOUBTFUL = "calibration-doubtful"
"""What the gate calls the poor quality, and the code of the advisory."""


def conditions_from(
    deviations: tuple[Deviation, ...],
    view: GateView,
    announced: frozenset[tuple[str, str]],
    doubts: tuple[Doubt, ...] = (),
) -> tuple[Condition, ...]:
    """Everything that has to be announced now.

    While the gate withholds, a deviation that was announced before stays listed, marked as no longer judged; a new one is
    not announced.

    Args:
        deviations: present ones.
        view: the gate's answer to this event.
        announced: (code, subject) of the advisories that are active already.
        doubts: what speaks against the camera's calibration.
    """
    found = []
    shown = view.reason == ""
    for one in deviations:
        if shown or (one.kind, one.subject) in announced:
            found.append(_procedural(one, view.degraded if shown else (view.reason,)))
    if view.reason in _TECHNICAL:
        found.append(technical_condition(view.reason, view.since_ns))
    if doubts and view.reason != "no-case":
        found.append(_calibration_doubtful(doubts))
    return tuple(found)


def technical_condition(reason: str, since_ns: int) -> Condition:
    """That assistance is withheld, and why, in words."""
    priority, text, clears = _TECHNICAL[reason]
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
    return Condition(CALIBRATION_DOUBTFUL, "camera", Kind.TECHNICAL, Priority.MEDIUM, since_ns, text, why)


def _procedural(one: Deviation, degraded: tuple[str, ...]) -> Condition:
    subject = spoken(one.subject)
    if one.kind == "order":
        text = f"Unexpected phase: {subject} after {spoken(one.phase)}"
    else:
        text = f"Unexpected instrument: {subject} during {spoken(one.phase)}"
    reason = Reason(
        one.rule, one.expected, one.observed, one.evidence_frames, one.certainty.value, degraded, one.clears
    )
    return Condition(one.kind, one.subject, Kind.PROCEDURAL, _RISK[one.kind], one.onset_ns, text, reason)


def make_guidance(protocol: Protocol, estimate: WorkflowEstimate, scene: Scene, valid_until_ns: int) -> Guidance:
    """What is suggested now, and what of it a reader should not rely on."""
    uncertain = []
    if estimate.committed is None:
        uncertain.append("phase not established yet")
    elif estimate.certainty is Certainty.LOW:
        uncertain.append("phase is doubtful")
    if estimate.candidate is not None and estimate.committed is not None:
        uncertain.append(f"phase may be changing to {estimate.candidate}")
    nearest = scene.distances[0] if scene.distances else None
    return Guidance(
        phase=estimate.committed,
        next_phase=estimate.next_phase,
        expected_instruments=() if estimate.committed is None else protocol.phase(estimate.committed).tools,
        nearest=None if nearest is None else (nearest.instrument, nearest.structure, nearest.distance_px),
        progress_ppm=estimate.progress_ppm,
        uncertain=tuple(uncertain),
        valid_until_ns=valid_until_ns,
    )
