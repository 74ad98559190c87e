"""Tool presence, tool tips, and whether the endoscope is in the body.

Average precision of a class, with precision P(k) and recall R(k) after the k-th distinct score from the top:

    AP = sum over k of (R(k) - R(k - 1)) P(k)

which is scikit-learn's, and ivtmetrics' with `mean over videos, then over classes` (`compute_video_AP`). A class that
never occurs in a video has no AP there and is left out.

    PCK   = share of true tips with a predicted tip of their tool within 5 % of the picture's diagonal
    AUROC = probability that a sample outside the body scores higher than one inside, ties counting half
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import surgical_ml
from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics.cases import Numbers
from surgical_ml.evaluation.metrics.phases import nan_mean
from surgical_ml.evaluation.metrics.summary import Summary, plain_number, summarise

PCK_SHARE = 0.05

Presence = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PresenceCase:
    """One video: `truth` is (n, classes) bool, `scores` (n, classes) floats, higher is more likely.

    Raises:
        InputError: the shapes differ, or a score is not finite.
    """

    name: str
    truth: Presence
    scores: Numbers

    def __post_init__(self) -> None:
        truth, scores = np.asarray(self.truth), np.asarray(self.scores, np.float64)
        if truth.ndim != 2 or truth.dtype != np.bool_ or truth.shape != scores.shape or truth.size == 0:
            expected = "(n, classes) of presence and of scores"
            raise InputError(self.name, expected, f"{truth.shape} {truth.dtype} and {scores.shape}")
        if not np.isfinite(scores).all():
            raise InputError(self.name, "finite scores", "others")
        object.__setattr__(self, "truth", truth)
        object.__setattr__(self, "scores", scores)


@dataclass(frozen=True, slots=True)
class PresenceScores:
    """Average precision in percent.

    Attributes:
        values: (videos, classes), NaN where a class does not occur.
        class_values: (classes,), the mean over videos.
        all_frames: (classes,), of the frames of all videos together: another convention, under its own name.
    """

    version: str
    classes: tuple[str, ...]
    videos: tuple[str, ...]
    frames: tuple[int, ...]
    values: Numbers
    class_values: Numbers
    all_frames: Numbers

    @property
    def summary(self) -> Summary:
        """The video-wise mAP: mean and sd over classes."""
        return summarise(self.class_values, "classes")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "protocol": "video-wise average precision",
            "nan_policy": "a class that does not occur in a video is left out there",
            "version": self.version,
            "unit": "percent",
            "cases": len(self.videos),
            "frames": sum(self.frames),
            "map": self.summary.to_json(),
            "map_all_frames": summarise(self.all_frames, "classes").to_json(),
            "classes": [
                {
                    "class": name,
                    "ap": plain_number(self.class_values[c]),
                    "ap_all_frames": plain_number(self.all_frames[c]),
                }
                for c, name in enumerate(self.classes)
            ],
            "per_case": [
                {"case": name, "frames": self.frames[k], "ap": [plain_number(value) for value in self.values[k]]}
                for k, name in enumerate(self.videos)
            ],
        }


def score_presence(cases: Sequence[PresenceCase], classes: Sequence[str]) -> PresenceScores:
    """Average precision of tool presence, or of any labels of which several can hold at once.

    Args:
        cases: with a column for each class.
        classes: names.

    Raises:
        InputError: there is no case, a name stands there twice, or the number of classes differs.
    """
    if not cases:
        raise InputError("cases", "at least one", "none")
    names = [case.name for case in cases]
    if len(set(names)) != len(names):
        raise InputError("cases", "names that differ", f"{next(n for n in names if names.count(n) > 1)} twice")
    for case in cases:
        if case.truth.shape[1] != len(classes):
            raise InputError(case.name, f"{len(classes)} classes", str(case.truth.shape[1]))
    values = np.array([_average_precisions(case.truth, case.scores) for case in cases])
    together = _average_precisions(
        np.concatenate([case.truth for case in cases]), np.concatenate([case.scores for case in cases])
    )
    return PresenceScores(
        surgical_ml.__version__,
        tuple(classes),
        tuple(names),
        tuple(len(case.truth) for case in cases),
        values,
        nan_mean(values, 0),
        together,
    )


def average_precision(truth: Presence, scores: Numbers) -> float:
    """AP of one class, 0 to 1; NaN where it never occurs.

    Args:
        truth: (n,) bool.
        scores: (n,).
    """
    hits = np.sort(scores[truth])
    if len(hits) == 0:
        return math.nan
    others = np.sort(scores[~truth])
    # Only a threshold at the score of a hit adds to the sum; how many samples reach it needs no common order of both.
    found = len(hits) - np.searchsorted(hits, hits)
    return float((found / (found + len(others) - np.searchsorted(others, hits))).mean())


def _average_precisions(truth: Presence, scores: Numbers) -> Numbers:
    return np.array([100 * average_precision(truth[:, c], scores[:, c]) for c in range(truth.shape[1])])


# --- tips -------------------------------------------------------------------------------------------------------------

Tips = Mapping[tuple[int, str], Sequence[tuple[float, float]]]
"""(frame, tool) -> points in pixels, x and y."""


@dataclass(frozen=True, slots=True)
class TipScores:
    """Tips of a set of cases.

    Attributes:
        pck: (cases,) percent; NaN where the truth has no tip.
        errors_px: distance of every true tip that has a predicted one of its tool.
        truths, missing, extra: true tips; those without a predicted tip of their tool; predicted ones without a true
            one.
    """

    version: str
    cases: tuple[str, ...]
    pck: Numbers
    errors_px: Numbers
    truths: int
    missing: int
    extra: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "protocol": f"PCK at {PCK_SHARE:.0%} of the diagonal",
            "nan_policy": "a case without true tips is left out; a missing tip is not correct and has no pixel error",
            "version": self.version,
            "cases": len(self.cases),
            "pck": summarise(self.pck, "cases").to_json(),
            "median_px": plain_number(float(np.median(self.errors_px)) if len(self.errors_px) else math.nan),
            "truths": self.truths,
            "missing": self.missing,
            "extra": self.extra,
            "per_case": [{"case": name, "pck": plain_number(self.pck[k])} for k, name in enumerate(self.cases)],
        }


def score_tips(cases: Mapping[str, tuple[Tips, Tips]], *, size_px: tuple[int, int]) -> TipScores:
    """Score tool tips; in each frame, true and predicted tips of a tool are paired nearest first, one to one.

    Args:
        cases: name -> true and predicted tips.
        size_px: width and height of the pictures.

    Raises:
        InputError: there is no case, or the size is not above 0.
    """
    if not cases or min(size_px) <= 0:
        raise InputError("cases and size", "at least one case, and a size above 0", f"{len(cases)}, {size_px}")
    reach = PCK_SHARE * math.hypot(*size_px)
    pck, errors, truths, extra = [], [], 0, 0
    for truth, prediction in cases.values():
        found = [error for key, points in truth.items() for error in pair_tips(points, prediction.get(key, ()))]
        count = sum(map(len, truth.values()))
        pck.append(100 * sum(error <= reach for error in found) / count if count else math.nan)
        errors += found
        truths += count
        extra += sum(map(len, prediction.values())) - len(found)
    return TipScores(
        surgical_ml.__version__,
        tuple(cases),
        np.array(pck, np.float64),
        np.array(errors, np.float64),
        truths,
        truths - len(errors),
        extra,
    )


def pair_tips(truths: Sequence[tuple[float, float]], predictions: Sequence[tuple[float, float]]) -> list[float]:
    """Distances of true and predicted points that are paired, nearest first, one to one; in the unit of the points."""
    distances = sorted((math.dist(t, p), i, j) for i, t in enumerate(truths) for j, p in enumerate(predictions))
    used: tuple[set[int], set[int]] = (set(), set())
    found = []
    for distance, i, j in distances:
        if i not in used[0] and j not in used[1]:
            used[0].add(i)
            used[1].add(j)
            found.append(distance)
    return found


# --- outside the body -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OutOfBodyScores:
    """How reliably frames outside the body are told apart.

    Attributes:
        auroc: 0 to 1, of all samples; NaN where there is only one kind.
        recall: share of samples outside that were called so; NaN where there is none.
        leaked_s: (cases,) seconds outside that were not called so.
    """

    version: str
    cases: tuple[str, ...]
    auroc: float
    recall: float
    leaked_s: Numbers

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "protocol": "out of body",
            "nan_policy": "AUROC needs samples of both kinds, recall samples outside",
            "version": self.version,
            "cases": len(self.cases),
            "auroc": plain_number(self.auroc),
            "recall": plain_number(self.recall),
            "leaked_s": summarise(self.leaked_s, "cases", worse="high").to_json(),
            "per_case": [
                {"case": name, "leaked_s": plain_number(self.leaked_s[k])} for k, name in enumerate(self.cases)
            ],
        }


def score_out_of_body(cases: Mapping[str, tuple[Presence, Numbers, Presence]], *, fps: float) -> OutOfBodyScores:
    """Score the detection of frames outside the body.

    Args:
        cases: name -> truth (n,) bool, scores (n,), called outside (n,) bool.
        fps: samples/s.

    Raises:
        InputError: there is no case, lengths differ, or the rate is not above 0.
    """
    if not cases or not (np.isfinite(fps) and fps > 0):
        raise InputError("cases and fps", "at least one case, and a rate above 0", f"{len(cases)}, {fps}")
    for name, parts in cases.items():
        if len({part.shape for part in parts}) != 1 or parts[0].ndim != 1:
            raise InputError(name, "truth, scores and calls of one length", f"{[part.shape for part in parts]}")
    truth, scores, called = (np.concatenate([parts[k] for parts in cases.values()]) for k in range(3))
    outside = truth.astype(bool)
    return OutOfBodyScores(
        surgical_ml.__version__,
        tuple(cases),
        auroc(outside, scores.astype(np.float64)),
        float(called[outside].mean()) if outside.any() else math.nan,
        np.array([float((parts[0] & ~parts[2]).sum()) / fps for parts in cases.values()]),
    )


def auroc(truth: Presence, scores: Numbers) -> float:
    """Area under the ROC curve by ranks, ties at their mean rank; NaN where there is only one kind.

    Args:
        truth: (n,) bool.
        scores: (n,).
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return math.nan
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((rank[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))
