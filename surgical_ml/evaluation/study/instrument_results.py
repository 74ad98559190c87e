"""Tool presence, tips and masks of evaluated cases; each where the truth has it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from surgical_ml.audit import AuditError, read
from surgical_ml.errors import InputError
from surgical_ml.evaluation.case_folder import MASKS
from surgical_ml.evaluation.external import read_classes
from surgical_ml.evaluation.metrics import (
    PresenceCase,
    bootstrap,
    mean_of,
    score_presence,
    score_segmentation,
    score_tips,
)
from surgical_ml.evaluation.metrics.cases import Numbers
from surgical_ml.evaluation.metrics.phases import nan_mean
from surgical_ml.evaluation.metrics.segmentation import LabelMap
from surgical_ml.evaluation.metrics.statistics import Indices
from surgical_ml.evaluation.metrics.summary import plain_number
from surgical_ml.evaluation.metrics.tools import Tips, TipScores
from surgical_ml.evaluation.study.decided import DecidedCase
from surgical_ml.evaluation.study.evaluated import EvaluatedCase
from surgical_ml.evaluation.study.phase_results import SEED
from surgical_ml.labels import CHOLEC80_TOOLS, read_label_map

AUDIT = "audit"


def tools_json(cases: Sequence[EvaluatedCase]) -> dict[str, Any] | None:
    """Average precision of tool presence with its interval; None where no case has the truth, or the model other tools.

    The score of a tool is that of the instrument seen best, 0 where none was, also because nothing was shown.
    """
    names = cases[0].decided.summary.tools
    places = [CHOLEC80_TOOLS.id_of(name) for name in names]
    if sorted(place for place in places if place is not None) != list(range(len(CHOLEC80_TOOLS.classes))):
        return None
    columns = np.argsort([place for place in places if place is not None])
    presence = [
        PresenceCase(case.name, case.truth.tools, case.decided.seen[case.truth.tool_rows][:, columns] / 1e6)
        for case in cases
        if case.truth.tools is not None
    ]
    if not presence:
        return None
    scores = score_presence(presence, CHOLEC80_TOOLS.classes)

    def video_wise(drawn: Indices) -> Numbers:
        return nan_mean(nan_mean(scores.values[drawn], 1), 1)

    per_case = [
        {"case": name, "frames": scores.frames[k]}
        | {tool: plain_number(value) for tool, value in zip(scores.classes, scores.values[k], strict=True)}
        for k, name in enumerate(scores.videos)
    ]
    interval = bootstrap(video_wise, len(presence), seed=SEED)
    return scores.to_json() | {"interval": interval.to_json(), "per_case": per_case}


def tips_json(cases: Sequence[EvaluatedCase]) -> dict[str, Any] | None:
    """Tips on judged frames; None where no case has the truth, or no record says how large the pictures were."""
    parts: list[TipScores] = []
    for case in cases:
        size = None if case.truth.tips is None else picture_size(case.decided)
        if case.truth.tips is None or size is None:
            continue
        judged = set(case.decided.index.tolist())
        truth: Tips = {key: points for key, points in case.truth.tips.items() if key[0] in judged}
        # One case after the other: the points of forty hours would not fit.
        parts.append(score_tips({case.name: (truth, case.decided.tips)}, size_px=size))
    if not parts:
        return None
    whole = TipScores(
        parts[0].version,
        tuple(name for one in parts for name in one.cases),
        np.concatenate([one.pck for one in parts]),
        np.concatenate([one.errors_px for one in parts]),
        *(sum(getattr(one, key) for one in parts) for key in ("truths", "missing", "extra")),
    )
    return whole.to_json() | {"interval": bootstrap(mean_of(whole.pck), len(parts), seed=SEED).to_json()}


def picture_size(case: DecidedCase) -> tuple[int, int] | None:
    """Width and height of the judged pictures, as the record of the case says; None where there is no record of one."""
    try:
        for _, values in read(case.folder / AUDIT):
            seen = values["body"].get("seen")
            if seen is not None:
                width, height = seen["size_px"]
                return int(width), int(height)
    except (AuditError, OSError):
        return None
    return None


def segmentation_json(cases: Sequence[EvaluatedCase]) -> dict[str, Any] | None:
    """Masks of judged frames; None where no case has both the truth and written masks.

    Raises:
        InputError: a picture is not what it must be, or the classes differ.
    """
    videos = {}
    classes: tuple[str, ...] | None = None
    for case in cases:
        mine = case.decided.folder / MASKS
        if case.truth.masks is None or not mine.is_dir():
            continue
        named = read_classes(mine / "classes.json")
        if classes is not None and named != classes:
            raise InputError(mine / "classes.json", f"the classes {', '.join(classes[:6])}", ", ".join(named[:6]))
        classes = named
        names = [f"{index:06d}.png" for index in case.decided.index.tolist()]
        there = [name for name in names if (case.truth.masks / name).is_file() and (mine / name).is_file()]
        if there:
            videos[case.name] = _pairs(case.truth.masks, mine, there)
    return score_segmentation(videos, classes).to_json() if videos and classes else None


def _pairs(truth: Path, mine: Path, names: list[str]) -> Iterator[tuple[LabelMap, LabelMap]]:
    for name in names:
        yield read_label_map(truth / name), read_label_map(mine / name)
