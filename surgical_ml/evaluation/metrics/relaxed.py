"""The field's relaxed phase evaluation, as the MATLAB script of Cholec80 and M2CAI16 behaves (TMRNet, `Evaluate.m`).

Around each transition of the truth, confusion with the neighbouring phase is forgiven for 10 s. What the script does
and what it means to do differ in one place: the mask of early transitions is computed on the last samples of a
segment and applied to its first ones. `corrected` applies it where it was computed. The other defects are the
convention: a forgiven sample counts for both phases, so precision and recall pass 100 %; only ids that follow each
other are forgiven; a phase that the truth lacks costs nothing; ten seconds are a number of samples, so a wrong frame
rate moves every number.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics.cases import UNDEFINED, LabelledCase, Numbers, segments

RELAXED_S = 10
"""Seconds around a transition."""


@dataclass(frozen=True, slots=True)
class RelaxedRules:
    """Which confusions a data set's script forgives, by phase id from 1.

    Attributes:
        phases: how many there are.
        late_by_two: phases in whose first samples not only the phase before, but also the one before that is forgiven.
        early_by_two: phases in whose last samples not only the next phase, but also the one after is forgiven.
    """

    phases: int
    late_by_two: frozenset[int]
    early_by_two: frozenset[int]


RELAXED_RULES = {
    "cholec80": RelaxedRules(7, frozenset({6, 7}), frozenset({4, 5, 6, 7})),
    "m2cai16": RelaxedRules(8, frozenset({7, 8}), frozenset({5, 6, 7, 8})),
}


@dataclass(frozen=True, slots=True)
class RelaxedScores:
    """One case, in percent, before clipping; jaccard, precision and recall are (phases,), NaN and infinity included."""

    accuracy: float
    jaccard: Numbers
    precision: Numbers
    recall: Numbers


def relaxed_scores(case: LabelledCase, rules: RelaxedRules, *, fps: float, corrected: bool) -> RelaxedScores:
    """Score one case as the script does.

    With diff = prediction - truth, ids from 1, 0 undefined, t = 10 s clamped to the segment: in each segment of the
    truth first diff -1 (-2) of the first t samples becomes right, then diff +1 (+2) of the last t. A sample without
    truth is right. For phase p, on the samples where truth or prediction is p: TP = those that are right;

        Jaccard = TP / those        precision = TP / predicted p        recall = TP / true p

    All three are NaN where the truth lacks p. Precision is infinite where p is never predicted and TP > 0, NaN where
    TP = 0.

    Args:
        case: ids from 0.
        rules: of the data set.
        fps: samples/s.
        corrected: apply the early mask where it was computed.

    Raises:
        InputError: 10 s are not a whole number of samples; the last samples have no truth or no prediction (the script
            loses them, and then compares arrays of different length).
    """
    t = round(RELAXED_S * fps)
    if t < 1 or abs(t - RELAXED_S * fps) > 1e-9 * t:
        raise InputError("fps", f"a whole number of samples in {RELAXED_S} s", f"{RELAXED_S * fps:g}")
    for what, labels in (("truth", case.truth), ("prediction", case.prediction)):
        trailing = len(labels) - int(np.flatnonzero(labels != UNDEFINED).max(initial=-1)) - 1
        if trailing:
            found = f"the last {trailing} of {len(labels)} undefined"
            raise InputError(f"{case.name}, {what}", "a phase in the last sample", found)
    truth, prediction = case.truth + 1, case.prediction + 1
    right = _forgiven(truth, prediction, t, rules, corrected)
    return _scores(truth, prediction, right, rules.phases)


def clip(values: Numbers) -> Numbers:
    """Values above 100, infinity among them, become 100; NaN stays."""
    return np.where(values > 100, 100.0, values)


def _forgiven(
    truth: npt.NDArray[np.int64], prediction: npt.NDArray[np.int64], t: int, rules: RelaxedRules, corrected: bool
) -> npt.NDArray[np.bool_]:
    """Which samples count as right."""
    diff = prediction - truth
    # the script grows its array with zeros, so what lies in no segment of the truth is right
    diff[truth == 0] = 0
    for start, end, phase in segments(truth):
        if phase == 0:
            continue
        width = min(t, end - start)
        first, last = diff[start : start + width], diff[end - width : end]
        first[(first == -1) | ((first == -2) & (phase in rules.late_by_two))] = 0
        early = (last == 1) | ((last == 2) & (phase in rules.early_by_two))
        (last if corrected else first)[early] = 0
    return np.asarray(diff == 0)


def _scores(
    truth: npt.NDArray[np.int64], prediction: npt.NDArray[np.int64], right: npt.NDArray[np.bool_], n: int
) -> RelaxedScores:
    """Counts by phase, then the ratios in the script's order of operations."""

    def count(ids: npt.NDArray[np.int64]) -> Numbers:
        return np.bincount(ids, minlength=n + 1)[1:].astype(np.float64)

    true, predicted = count(truth), count(prediction)
    same = truth == prediction
    union = true + predicted - count(truth[same])
    hits = count(truth[right]) + count(prediction[right & ~same])
    with np.errstate(invalid="ignore", divide="ignore"):
        jaccard, precision, recall = hits / union * 100, hits * 100 / predicted, hits * 100 / true
    for values in (jaccard, precision, recall):
        values[true == 0] = np.nan
    return RelaxedScores(float(right.sum() / len(truth) * 100), jaccard, precision, recall)
