"""What is true of an evaluated case, wherever its folder of labels keeps it; what is not there is not scored."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError
from surgical_ml.evaluation.external import read_tips, true_deviations
from surgical_ml.evaluation.metrics import TrueEvent
from surgical_ml.evaluation.metrics.tools import Tips
from surgical_ml.evaluation.study.decided import DecidedCase, Ids
from surgical_ml.labels import (
    CHOLEC80_TOOLS,
    LabelTrack,
    ScoreTrack,
    Vocabulary,
    check_even,
    member,
    read_json,
    read_phase_text,
    read_tool_text,
)

PHASES = ("{}/video-phase.txt", "{}-phase.txt", "phase_annotations/{}-phase.txt")
TOOLS = ("{}/video-tool.txt", "{}-tool.txt", "tool_annotations/{}-tool.txt")
PLANS, TIPS, MASKS = ("{}/case.json",), ("{}/tips.csv",), ("{}/masks",)
"""Where a case's truth may lie below the folder of labels: beside its synthetic video, or in Cholec80's layout."""

ENDS_TOGETHER = 0.01
"""Share of its length, or one second, by which the labels of a case may be longer or shorter than its video."""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Something that makes the picture worse, seconds of the case."""

    kind: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class CaseTruth:
    """What is known to be true of one case; None is not known.

    Attributes:
        rows: (m,) judged frames that have a true phase, or all judged frames where no phase is known.
        phases: (m,) ids, -1 = undefined.
        tool_rows: (k,) judged frames of `tools`.
        tools: (k, 7) bool, of `CHOLEC80_TOOLS`.
        tips: of every frame.
        deviations: in the order of their onset.
        duration_s: as the plan has it.
        disturbances: of the picture.
        masks: a folder of label maps.
        synthetic: nobody was operated on.
    """

    rows: Ids
    phases: Ids | None = None
    tool_rows: Ids | None = None
    tools: npt.NDArray[np.bool_] | None = None
    tips: Tips | None = None
    deviations: tuple[TrueEvent, ...] | None = None
    duration_s: float | None = None
    disturbances: tuple[Disturbance, ...] | None = None
    masks: Path | None = None
    synthetic: bool = False


def read_truth(labels: Path | None, case: DecidedCase, vocabulary: Vocabulary) -> CaseTruth:
    """Read whatever there is of one case, on its judged frames.

    Args:
        labels: folder of all cases; None where nothing is known.
        case: as it was decided.
        vocabulary: of the phases.

    Raises:
        InputError: a file is not what it must be; its frame numbers skip; or it is much longer or shorter than what was
            judged, as labels at another rate than the video's are.
    """
    everything = np.arange(len(case.index))
    if labels is None:
        return CaseTruth(everything)
    rows, phases, tool_rows, tools = everything, None, None, None
    if path := _first(labels, PHASES, case.name):
        track = read_phase_text(path, vocabulary, case.name)
        rows, mine = _common(case, track)
        phases = track.labels[mine]
    if path := _first(labels, TOOLS, case.name):
        presence = read_tool_text(path, CHOLEC80_TOOLS, case.name)
        tool_rows, mine = _common(case, presence)
        tools = presence.as_truth()[mine]
    tips = read_tips(path) if (path := _first(labels, TIPS, case.name)) else None
    masks = path if (path := _first(labels, MASKS, case.name)) and path.is_dir() else None
    plan = _first(labels, PLANS, case.name)
    if plan is None:
        return CaseTruth(rows, phases, tool_rows, tools, tips, masks=masks)
    values = read_json(plan, "the plan of a case")
    duration_s, deviations = true_deviations(values, str(plan))
    return CaseTruth(
        rows,
        phases,
        tool_rows,
        tools,
        tips,
        deviations,
        duration_s,
        _disturbances(values, str(plan)),
        masks,
        values.get("synthetic") is True,
    )


def is_any_known(truth: CaseTruth) -> bool:
    """Whether anything at all is known of a case."""
    known = (truth.phases, truth.tools, truth.tips, truth.deviations, truth.masks)
    return any(one is not None for one in known)


def _first(labels: Path, places: tuple[str, ...], name: str) -> Path | None:
    """The one place that is there."""
    return next((path for place in places if (path := labels / place.format(name)).exists()), None)


def _common(case: DecidedCase, track: LabelTrack | ScoreTrack) -> tuple[Ids, Ids]:
    """Judged frames that the track has, and their places in it."""
    check_even(track.frames, track.path)
    last, labelled = int(case.index[-1]), int(track.frames[-1])
    slack = max(case.fps, ENDS_TOGETHER * last, case.summary.every, float(np.diff(track.frames[:2]).max(initial=1)))
    if abs(last - labelled) > slack:
        ratio = (max(last, labelled) + 1) / (min(last, labelled) + 1)
        hint = f": {ratio:.4g} times as many, as at another rate" if ratio > 1.5 else ""
        expected = f"labels up to frame {last} of the video, which is the last one judged"
        raise InputError(track.path, expected, f"up to frame {labelled}{hint}")
    _, rows, mine = np.intersect1d(case.index, track.frames, assume_unique=True, return_indices=True)
    if len(rows) == 0:
        raise InputError(track.path, "labels of judged frames", f"none of the {len(case.index)} that were judged")
    return rows.astype(np.int64), mine.astype(np.int64)


def _disturbances(plan: Any, where: str) -> tuple[Disturbance, ...]:
    found = []
    for k, one in enumerate(member(plan, "disturbances", list, where)):
        place = f"{where}, disturbance {k}"
        start, end = (float(member(one, key, (int, float), place)) for key in ("start_s", "end_s"))
        found.append(Disturbance(member(one, "kind", str, place), start, end))
    return tuple(found)
