"""The worst moments of a study: what a person should look at first, with the frame where the video is at hand."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from surgical_ml.decision import Decision
from surgical_ml.errors import InputError
from surgical_ml.evaluation.case_folder import write_image
from surgical_ml.evaluation.keyframes import WIDTH_PX
from surgical_ml.evaluation.metrics import segments
from surgical_ml.evaluation.metrics.calibration import BOUNDARY_S, near_transitions
from surgical_ml.evaluation.overlay import draw
from surgical_ml.evaluation.study.decided import decision_at
from surgical_ml.evaluation.study.deviation_results import announcements, matches
from surgical_ml.evaluation.study.evaluated import EvaluatedCase
from surgical_ml.geometry import Track
from surgical_ml.guidance import Advisory, GateState, Kind, Presence, Priority, Reason, Validity
from surgical_ml.labels import UNDEFINED
from surgical_ml.video import Frame, Image, open_source
from surgical_ml.workflow import Certainty, WorkflowEstimate

MOST = 12
MOST_OF_A_KIND = 3
"""Each of confident errors, misses and false advisories has so many places; wrong stretches fill what is left."""

FOLDER = "worst"


@dataclass(frozen=True, slots=True)
class Moment:
    """A judged frame of a case, by its row, and in words why it is shown; `rank` is larger for a worse one."""

    case: EvaluatedCase
    row: int
    why: str
    rank: float

    def to_json(self, image: str | None) -> dict[str, Any]:
        """As `WorstShape`."""
        decided = self.case.decided
        at_s, index = decided.seconds(self.row), int(decided.index[self.row])
        return {"case": self.case.name, "at_s": at_s, "index": index, "why": self.why, "image": image}


def worst_moments(cases: Sequence[EvaluatedCase]) -> list[Moment]:
    """At most `MOST`: deviations missed, false advisories, confident errors, and the longest wrong stretches shown."""
    misses, false, confident, stretches = [], [], [], []
    for case in cases:
        if case.truth.deviations is not None:
            misses += _misses(case)
            false += _false(case)
        if case.truth.phases is not None:
            confident += _confident(case)
            stretches += _stretches(case)
    chosen: list[Moment] = []
    for kind in (misses, false, confident):
        chosen += sorted(kind, key=lambda one: -one.rank)[:MOST_OF_A_KIND]
    chosen += sorted(stretches, key=lambda one: -one.rank)[: MOST - len(chosen)]
    return chosen


def _stretches(case: EvaluatedCase) -> list[Moment]:
    """Runs of one wrong phase shown during one true phase; the frame is the one in their middle."""
    rows, phases, names = case.truth.rows, case.truth.phases, case.decided.summary.phases
    assert phases is not None, "only cases with true phases have wrong ones"
    shown = case.decided.committed[rows]
    wrong = (shown != phases) & (shown != UNDEFINED) & (phases != UNDEFINED)
    pair = np.where(wrong, phases * len(names) + shown, UNDEFINED)
    found = []
    for start, end, both in segments(pair).tolist():
        if both == UNDEFINED:
            continue
        seconds = (end - start) / case.fps
        true, said = divmod(both, len(names))
        found.append(
            Moment(
                case, int(rows[(start + end) // 2]), f"{seconds:.1f} s of {names[true]} shown as {names[said]}", seconds
            )
        )
    return found


def _confident(case: EvaluatedCase) -> list[Moment]:
    """The frame where the largest score is largest and wrong, away from the true transitions; one a case."""
    rows, phases, names = case.truth.rows, case.truth.phases, case.decided.summary.phases
    assert phases is not None, "only cases with true phases have wrong ones"
    said, top = case.decided.network[rows], case.decided.scores[rows].max(axis=1)
    away = ~near_transitions(phases, round(BOUNDARY_S * case.fps))
    wrong = (said != phases) & (said != UNDEFINED) & (phases != UNDEFINED) & away
    if not wrong.any():
        return []
    k = int(np.where(wrong, top, -1).argmax())
    why = f"{names[said[k]]} at a score of {top[k] / 1e4:.1f} % in {names[phases[k]]}, {BOUNDARY_S} s or more from a transition"
    return [Moment(case, int(rows[k]), why, float(top[k]))]


def _misses(case: EvaluatedCase) -> list[Moment]:
    found, _ = matches(case)
    return [
        Moment(
            case,
            _row_at(case, (event.onset_s + event.end_s) / 2),
            f"missed: {event.kind} {event.subject}, {event.onset_s:.1f} to {event.end_s:.1f} s",
            event.end_s - event.onset_s,
        )
        for event, advisory in zip(case.truth.deviations or (), found, strict=True)
        if advisory is None
    ]


def _false(case: EvaluatedCase) -> list[Moment]:
    _, matched = matches(case)
    urgency = [priority.value for priority in Priority]
    return [
        Moment(
            case,
            _row_at(case, one.at_s),
            f"false advisory, {one.priority}: {one.kind} {one.subject}",
            float(urgency.index(one.priority)) if one.priority in urgency else 0.0,
        )
        for k, one in enumerate(announcements(case))
        if k not in matched
    ]


def _row_at(case: EvaluatedCase, at_s: float) -> int:
    """The judged frame at a time, or the nearest one before it."""
    stamps = case.decided.stamp_ns
    place = int(np.searchsorted(stamps, stamps[0] + round(at_s * 1e9), side="right")) - 1
    return min(max(place, 0), len(stamps) - 1)


def draw_moments(
    moments: Sequence[Moment], videos: dict[str, Path], folder: Path
) -> tuple[list[str | None], list[str]]:
    """Write the frame of each moment as a JPEG.

    Args:
        moments: of `worst_moments`.
        videos: case -> its video, those that are at hand.
        folder: receives the pictures; made if there is one.

    Returns:
        The file of each moment, or None; and a sentence for each case without pictures.
    """
    files: list[str | None] = [None] * len(moments)
    notes = []
    for name in dict.fromkeys(moment.case.name for moment in moments):
        mine = [k for k, moment in enumerate(moments) if moment.case.name == name]
        if name not in videos:
            notes.append(f"No pictures of {name}: its video is not at hand.")
            continue
        rows = {int(moments[k].case.decided.index[moments[k].row]): moments[k] for k in mine}
        try:
            _write_frames(rows, videos[name], folder)
        except InputError as error:
            notes.append(f"No pictures of {name}: {error}.")
            continue
        for k in mine:
            file = _file(name, int(moments[k].case.decided.index[moments[k].row]))
            files[k] = f"{FOLDER}/{file}" if (folder / file).is_file() else None
    return files, notes


def _write_frames(rows: dict[int, Moment], video: Path, folder: Path) -> None:
    last = max(rows)
    fps = next(iter(rows.values())).case.decided.fps
    with open_source(str(video), fps=fps) as source:
        for frame in source:
            if frame.index in rows:
                moment = rows[frame.index]
                folder.mkdir(exist_ok=True)
                write_image(folder / _file(moment.case.name, frame.index), _picture(frame, moment))
            if frame.index >= last:
                return


def _picture(frame: Frame, moment: Moment) -> Image:
    """The frame as the screen beside the surgeon would have shown it."""
    decision = _decision(decision_at(moment.case.decided, moment.row))
    if decision.withheld:
        # A frame that was not admitted may be one from outside the body, and show people.
        frame = replace(frame, image=np.zeros_like(frame.image))
    drawn = draw(frame, decision)
    height = round(drawn.shape[0] * WIDTH_PX / drawn.shape[1])
    return np.asarray(cv2.resize(drawn, (WIDTH_PX, height), interpolation=cv2.INTER_AREA), np.uint8)


def _decision(told: dict[str, Any]) -> Decision:
    """The decision that a line of `decisions.jsonl` tells, without what was seen."""
    phase, stamp_ns, index = told["phase"], told["stamp_ns"], told["index"]
    estimate = None
    if phase is not None:
        estimate = WorkflowEstimate(
            stamp_ns,
            phase["committed"],
            phase.get("since_ns"),
            phase["candidate"],
            tuple(phase["scores"]),
            Certainty(phase.get("certainty", Certainty.LOW)),
            phase.get("next"),
            0,
            phase.get("progress", 0),
            0,
        )
    tracks = tuple(
        Track(
            one["track"],
            one["type"],
            tuple(one["tip_px"]) if one.get("tip_px") else None,
            0,
            True,
            stamp_ns,
            stamp_ns,
            index,
            one.get("score", 0),
            one.get("area_px", 0),
        )
        for one in told["instruments"]
    )
    return Decision(
        told["seq"],
        told["event"],
        index,
        stamp_ns,
        stamp_ns,
        told["input_sha256"],
        GateState(told["state"]),
        Validity(told["validity"]),
        told["withheld"],
        tuple(told["degraded"]),
        estimate,
        tracks,
        None,
        tuple(_advisory(one) for one in told["advisories"]),
    )


def _advisory(told: dict[str, Any]) -> Advisory:
    reason: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in told["reason"].items()
    }
    return Advisory(
        told["code"],
        told["subject"],
        Kind(told["kind"]),
        Priority(told["priority"]),
        Presence(told["presence"]),
        told["onset_ns"],
        told["announced_ns"],
        told["text"],
        Reason(**reason),
    )


def _file(case: str, index: int) -> str:
    return f"{case}-{index:06d}.jpg"
