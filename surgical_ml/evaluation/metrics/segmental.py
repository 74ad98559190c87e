"""How a prediction is cut into segments: order, overlap, fragments, and how late transitions are seen.

Segments are runs of equal labels; undefined ones are left out, in truth and prediction. With n predicted and m true
segments:

    edit    = 100 (1 - Levenshtein(labels of segments) / max(n, m))
    F1@k    = 100 * 2 TP / (2 TP + FP + FN); a predicted segment is a hit if its IoU with the true segment of its label
              that it overlaps best is at least k %, and no earlier one has hit that segment
    over-segmentation = n / m

These are the definitions and the code of Lea et al., "Temporal Convolutional Networks for Action Segmentation and
Detection" (2017); a predicted segment whose best true segment is taken is a false positive there and here, even if it
reaches k % of another one.

    latency = t - t0 for a true transition into phase b at t0: t is the first time from t0 - 10 s on, and before b ends,
              at which b is predicted and goes on being predicted for h s (for as long as b lasts, if that is less, or
              until the case ends); none is a miss
    false start = a predicted run of at least h s that begins outside [t0 - 10 s, end) of every true segment of its
    phase
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import surgical_ml
from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics.cases import UNDEFINED, LabelledCase, Labels, Numbers, check_cases, segments
from surgical_ml.evaluation.metrics.summary import Summary, plain_number, quantile, summarise

OVERLAPS = (10, 25, 50)
"""The k of F1@k, percent."""

EARLY_S = 10
"""So long before a true transition the new phase is no error yet."""

NAN_POLICY = "undefined segments are left out; a case without true segments has no edit, F1 and over-segmentation"


@dataclass(frozen=True, slots=True)
class SegmentalScores:
    """Segmental scores of a set of cases.

    Attributes:
        fps, hold_s: samples/s; how long a phase must be predicted to count as seen, s.
        version: of the code.
        cases, frames: names, and samples of each.
        edit: (cases,) percent.
        f1: (cases, 3) percent, for each of `OVERLAPS`.
        counts: (cases, 3, 3) TP, FP, FN for each of `OVERLAPS`.
        over_segmentation: (cases,).
        latencies_s: every true transition's, infinite for a miss; in the order of cases and time.
        false_starts: (cases,).
    """

    fps: float
    hold_s: float
    version: str
    cases: tuple[str, ...]
    frames: tuple[int, ...]
    edit: Numbers
    f1: Numbers
    counts: npt.NDArray[np.int64]
    over_segmentation: Numbers
    latencies_s: Numbers
    false_starts: npt.NDArray[np.int64]

    @property
    def summaries(self) -> dict[str, Summary]:
        """Mean and sd over cases."""
        good = {"edit": self.edit} | {f"f1@{k}": self.f1[:, j] for j, k in enumerate(OVERLAPS)}
        bad = {"over_segmentation": self.over_segmentation, "false_starts": self.false_starts.astype(np.float64)}
        return {name: summarise(one, "cases") for name, one in good.items()} | {
            name: summarise(one, "cases", worse="high") for name, one in bad.items()
        }

    @property
    def pooled_f1(self) -> dict[str, float]:
        """F1@k, percent, from the hits and errors of all cases together."""
        total = self.counts.sum(axis=0)
        return {f"f1@{k}": float(_f1(total[j])) for j, k in enumerate(OVERLAPS)}

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        misses = int(np.isinf(self.latencies_s).sum())
        return {
            "protocol": "segmental",
            "fps": self.fps,
            "hold_s": self.hold_s,
            "nan_policy": NAN_POLICY,
            "version": self.version,
            "cases": len(self.cases),
            "frames": sum(self.frames),
            **{name: summary.to_json() for name, summary in self.summaries.items()},
            "pooled": {name: plain_number(value) for name, value in self.pooled_f1.items()},
            "latency_s": {
                "transitions": len(self.latencies_s),
                "misses": misses,
                "median": plain_number(quantile(self.latencies_s, 0.5)),
                "p90": plain_number(quantile(self.latencies_s, 0.9)),
            },
            "per_case": [
                {
                    "case": name,
                    "frames": self.frames[k],
                    "edit": plain_number(self.edit[k]),
                    **{f"f1@{o}": plain_number(self.f1[k, j]) for j, o in enumerate(OVERLAPS)},
                    "over_segmentation": plain_number(self.over_segmentation[k]),
                    "false_starts": int(self.false_starts[k]),
                }
                for k, name in enumerate(self.cases)
            ],
        }


def score_segments(cases: Sequence[LabelledCase], *, fps: float, hold_s: float = 2.0) -> SegmentalScores:
    """Score how predictions are cut into segments; see the formulas above.

    Args:
        cases: truth and prediction, ids from 0 or `UNDEFINED`.
        fps: samples/s.
        hold_s: how long a phase must be predicted to count as seen, s.

    Raises:
        InputError: the cases are not what `check_cases` allows; the rate or the time is not above 0.
    """
    if not (np.isfinite(fps) and fps > 0 and np.isfinite(hold_s) and hold_s > 0):
        raise InputError("fps and hold_s", "numbers above 0", f"{fps} and {hold_s}")
    check_cases(cases, 1 << 31)
    counts, edits, ratios, latencies, false_starts = [], [], [], [], []
    for case in cases:
        truth, prediction = (_defined(segments(labels)) for labels in (case.truth, case.prediction))
        counts.append(overlap_counts(truth, prediction))
        edits.append(edit_score(truth[:, 2], prediction[:, 2]) if len(truth) else np.nan)
        ratios.append(len(prediction) / len(truth) if len(truth) else np.nan)
        late, false = _transitions(truth, prediction, len(case.truth), fps, hold_s)
        latencies += late
        false_starts.append(false)
    table = np.array(counts, np.int64)
    edit = np.array(edits)
    f1 = np.where(np.isnan(edit)[:, None], np.nan, _f1(table))
    return SegmentalScores(
        fps,
        hold_s,
        surgical_ml.__version__,
        tuple(case.name for case in cases),
        tuple(len(case.truth) for case in cases),
        edit,
        f1,
        table,
        np.array(ratios),
        np.array(latencies, np.float64),
        np.array(false_starts, np.int64),
    )


def edit_score(truth: Labels, prediction: Labels) -> float:
    """100 (1 - Levenshtein / max(n, m)) of two sequences of labels, percent; 100 for two empty ones.

    Args:
        truth: (m,) labels of the true segments.
        prediction: (n,) labels of the predicted ones.
    """
    longest = max(len(truth), len(prediction))
    if longest == 0:
        return 100.0
    places = np.arange(len(prediction) + 1)
    row = places.copy()
    for done, label in enumerate(truth, 1):
        above = np.minimum(row[1:] + 1, row[:-1] + (prediction != label))
        # what comes from the left is a running minimum, once each place is counted off
        row = np.minimum.accumulate(np.concatenate(([done], above)) - places) + places
    return 100.0 * (1 - int(row[-1]) / longest)


def overlap_counts(truth: npt.NDArray[np.int64], prediction: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Hits and errors of predicted segments.

    Args:
        truth, prediction: segments as `segments` gives them.

    Returns:
        (3, 3): TP, FP, FN for each of `OVERLAPS`.
    """
    n, m = len(prediction), len(truth)
    if n == 0 or m == 0:
        return np.tile(np.array([0, n, m], np.int64), (len(OVERLAPS), 1))
    ends = np.minimum(prediction[:, 1, None], truth[None, :, 1])
    starts = np.maximum(prediction[:, 0, None], truth[None, :, 0])
    inner = np.where(prediction[:, 2, None] == truth[None, :, 2], np.maximum(ends - starts, 0), 0)
    outer = (prediction[:, 1] - prediction[:, 0])[:, None] + (truth[:, 1] - truth[:, 0])[None, :] - inner
    best = (inner / outer).argmax(axis=1)
    mine = np.arange(n)
    part, whole = inner[mine, best], outer[mine, best]
    rows = []
    for percent in OVERLAPS:
        # of all that reach the same true segment the first is the hit: so many segments are hit as are reached
        hits = len(np.unique(best[100 * part >= percent * whole]))
        rows.append((hits, n - hits, m - hits))
    return np.array(rows, np.int64)


def _f1(counts: npt.NDArray[np.int64]) -> Numbers:
    """(..., 3) TP, FP, FN -> (...,) percent; NaN where there is nothing."""
    hits, false, missed = counts[..., 0], counts[..., 1], counts[..., 2]
    with np.errstate(invalid="ignore"):
        return np.asarray(200.0 * hits / (2 * hits + false + missed), np.float64)


def _defined(runs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.asarray(runs[runs[:, 2] != UNDEFINED])


def _transitions(
    truth: npt.NDArray[np.int64], prediction: npt.NDArray[np.int64], n: int, fps: float, hold_s: float
) -> tuple[list[float], int]:
    """Latency of each true transition in seconds, and the number of false starts."""
    early, hold = round(EARLY_S * fps), max(1, round(hold_s * fps))
    starts, ends, labels = prediction.T
    latencies = []
    for start, end, label in truth[1:]:
        seen = np.maximum(starts, start - early)
        long_enough = (ends - seen >= min(hold, end - start)) | ((ends == n) & (ends > seen))
        held = (labels == label) & (seen < end) & long_enough
        latencies.append((int(seen[held.argmax()]) - int(start)) / fps if held.any() else np.inf)
    wanted = (starts[:, None] >= truth[None, :, 0] - early) & (starts[:, None] < truth[None, :, 1])
    wanted &= labels[:, None] == truth[None, :, 2]
    return latencies, int(((ends - starts >= hold) & ~wanted.any(axis=1)).sum())
