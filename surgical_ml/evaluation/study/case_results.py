"""One case of a study: its ribbons, its deviations and advisories, its own scores."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from surgical_ml.evaluation.metrics import segments
from surgical_ml.evaluation.metrics.summary import plain_number
from surgical_ml.evaluation.study.decided import VALIDITIES, Ids
from surgical_ml.evaluation.study.deviation_results import advisories_json
from surgical_ml.evaluation.study.evaluated import EvaluatedCase
from surgical_ml.labels import UNDEFINED

STEPS = 2000
"""A ribbon with more runs than this is drawn from so many even samples: no page is wider."""


def case_json(
    case: EvaluatedCase,
    scores: Mapping[str, Any],
    groups: Mapping[str, Mapping[str, str]],
    group_scores: Mapping[str, Mapping[str, float]],
) -> dict[str, Any]:
    """As `CaseShape`.

    Args:
        case: of the study.
        scores: of `case_scores`, or empty.
        groups: property -> case -> group.
        group_scores: property -> group -> value in this case.
    """
    decided, truth = case.decided, case.truth
    every = decided.stamp_ns
    counts = np.bincount(decided.validity, minlength=len(VALIDITIES))
    silent = np.bincount(decided.withheld, minlength=len(decided.reasons))
    return {
        "name": case.name,
        "frames": len(decided.index),
        "scored": 0 if truth.phases is None else int((truth.phases != UNDEFINED).sum()),
        "duration_s": plain_number(case.seconds),
        "fps": plain_number(decided.fps / decided.summary.every),
        "validity": {name: int(n) for name, n in zip(VALIDITIES, counts, strict=True) if n},
        "withheld": {name: int(n) for name, n in zip(decided.reasons, silent, strict=True) if name and n},
        "groups": {by: of[case.name] for by, of in groups.items() if case.name in of},
        "ribbons": {
            "truth": None if truth.phases is None else _ribbon(truth.phases, every[truth.rows], every, case.fps),
            "committed": _ribbon(decided.committed, every, every, case.fps),
            "network": _ribbon(decided.network, every, every, case.fps),
            "validity": _ribbon(decided.validity, every, every, case.fps, VALIDITIES),
        },
        "events": None
        if truth.deviations is None
        else [
            {
                "kind": one.kind,
                "subject": one.subject,
                "onset_s": plain_number(one.onset_s),
                "end_s": plain_number(one.end_s),
            }
            for one in truth.deviations
        ],
        "advisories": advisories_json(case),
        "scores": dict(scores),
        "group_scores": {by: {g: plain_number(v) for g, v in of.items()} for by, of in group_scores.items()},
    }


def _ribbon(
    labels: Ids, stamps_ns: Ids, every_ns: Ids, fps: float, words: Sequence[str] = ()
) -> list[list[float | int | str | None]]:
    """Runs of equal labels: from, to, what; seconds since the first judged frame."""
    if (np.diff(labels) != 0).sum() > STEPS:
        kept = np.unique(np.linspace(0, len(labels) - 1, STEPS).round().astype(np.int64))
        labels, stamps_ns = labels[kept], stamps_ns[kept]
    starts: npt.NDArray[np.float64] = (stamps_ns - every_ns[0]) / 1e9
    over = float(stamps_ns[-1] - every_ns[0]) / 1e9 + 1 / fps
    spans: list[list[float | int | str | None]] = []
    for start, end, label in segments(labels).tolist():
        what = None if label == UNDEFINED else words[label] if words else label
        spans.append(
            [round(float(starts[start]), 3), round(float(starts[end]) if end < len(starts) else over, 3), what]
        )
    return spans
