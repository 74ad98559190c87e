"""Whether a stated probability is a frequency, and what is gained by staying silent when it is low.

With confidence = the largest probability of a sample, and bins (0, 1/15], ... (14/15, 1]:

    ECE           = sum over bins of |B| / n * |accuracy(B) - mean confidence(B)|          (Guo et al. 2017)
    classwise ECE = mean over classes of the same, with the class's probability and frequency  (Kull et al. 2019)
    Brier         = mean over samples of sum over classes of (p - y)^2
    NLL           = mean over samples of -log p(truth), p not below 1e-12
    risk(c)       = share of errors among the share c of samples with the highest confidence
    AURC          = mean of the risk over the coverages 1/n, 2/n, ... 1        (Geifman et al. 2019); equal
    confidences share
                    their errors evenly, so the order of samples does not matter

`boundary` samples lie within 10 s of a true transition, `interior` ones do not: a small ECE over all hides a large
one at the transitions. Samples without truth are left out. Everything is a share from 0 to 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import surgical_ml
from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics.cases import UNDEFINED, Labels, Numbers
from surgical_ml.evaluation.metrics.summary import plain_number

BINS = 15
BOUNDARY_S = 10
COVERAGES = (80, 90)
"""Percent, for the risk at a coverage."""

_LEAST = 1e-12
_HOTTEST = 1e3


@dataclass(frozen=True, slots=True)
class ScoredCase:
    """One case with the probability of every class.

    Attributes:
        name: of the case, unique among those that are scored together.
        truth: (n,) ids from 0, or `UNDEFINED`.
        probabilities: (n, classes), each row sums to 1.

    Raises:
        InputError: the shapes do not fit, an id has no column, or a row is no distribution.
    """

    name: str
    truth: Labels
    probabilities: Numbers

    def __post_init__(self) -> None:
        truth, p = np.asarray(self.truth), np.asarray(self.probabilities, np.float64)
        if truth.ndim != 1 or truth.dtype.kind not in "iu" or p.ndim != 2 or len(p) != len(truth) or p.size == 0:
            raise InputError(self.name, "n ids and (n, classes) probabilities", f"{truth.shape} and {p.shape}")
        if truth.min() < UNDEFINED or truth.max() >= p.shape[1]:
            raise InputError(self.name, f"ids from {UNDEFINED} to {p.shape[1] - 1}", f"{truth.min()} to {truth.max()}")
        wrong = ~((p >= 0).all(axis=1) & (np.abs(p.sum(axis=1) - 1) <= 1e-3))
        if wrong.any():
            k = int(wrong.argmax())
            raise InputError(f"{self.name}, sample {k}", "probabilities that sum to 1", f"{p[k][:5]}")
        object.__setattr__(self, "truth", truth.astype(np.int64))
        object.__setattr__(self, "probabilities", p)


@dataclass(frozen=True, slots=True)
class Bin:
    """One bar of a reliability diagram; accuracy and confidence are NaN in an empty one."""

    low: float
    high: float
    samples: int
    accuracy: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibration of a set of samples; every number is NaN where there are none."""

    samples: int
    ece: float
    classwise_ece: float
    brier: float
    nll: float
    aurc: float
    risk_at: dict[int, float]
    bins: tuple[Bin, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "samples": self.samples,
            "ece": plain_number(self.ece),
            "classwise_ece": plain_number(self.classwise_ece),
            "brier": plain_number(self.brier),
            "nll": plain_number(self.nll),
            "aurc": plain_number(self.aurc),
            **{f"risk_at_{percent}": plain_number(risk) for percent, risk in self.risk_at.items()},
            "bins": [
                [b.low, b.high, b.samples, plain_number(b.accuracy), plain_number(b.confidence)] for b in self.bins
            ],
        }


@dataclass(frozen=True, slots=True)
class CalibrationScores:
    """Calibration of all samples, of those at the true transitions, and of the others."""

    fps: float
    version: str
    cases: tuple[str, ...]
    frames: int
    everywhere: Calibration
    boundary: Calibration
    interior: Calibration

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "protocol": "calibration",
            "fps": self.fps,
            "nan_policy": "samples without truth are left out; a part without samples has no value",
            "version": self.version,
            "cases": len(self.cases),
            "frames": self.frames,
            "everywhere": self.everywhere.to_json(),
            "boundary": self.boundary.to_json(),
            "interior": self.interior.to_json(),
        }


def score_calibration(cases: Sequence[ScoredCase], *, fps: float) -> CalibrationScores:
    """Score the probabilities of a set of cases, all samples together.

    Args:
        cases: all with the same classes.
        fps: samples/s.

    Raises:
        InputError: there is no case, a name stands there twice, the classes differ, or the rate is not above 0.
    """
    _check(cases)
    if not (np.isfinite(fps) and fps > 0):
        raise InputError("fps", "samples per second, above 0", str(fps))
    truth = np.concatenate([case.truth for case in cases])
    p = np.concatenate([case.probabilities for case in cases])
    near = np.concatenate([near_transitions(case.truth, round(BOUNDARY_S * fps)) for case in cases])
    defined = truth != UNDEFINED
    return CalibrationScores(
        fps,
        surgical_ml.__version__,
        tuple(case.name for case in cases),
        int(defined.sum()),
        calibration(truth[defined], p[defined]),
        calibration(truth[defined & near], p[defined & near]),
        calibration(truth[defined & ~near], p[defined & ~near]),
    )


def near_transitions(truth: Labels, reach: int) -> npt.NDArray[np.bool_]:
    """Samples at most `reach` samples from the first one of a new label.

    Args:
        truth: (n,); a change to or from `UNDEFINED` is no transition.
        reach: samples.

    Returns:
        (n,) bool.
    """
    firsts = np.flatnonzero((np.diff(truth) != 0) & (truth[1:] != UNDEFINED) & (truth[:-1] != UNDEFINED)) + 1
    steps = np.zeros(len(truth) + 1, np.int64)
    np.add.at(steps, np.maximum(firsts - reach, 0), 1)
    np.add.at(steps, np.minimum(firsts + reach + 1, len(truth)), -1)
    return np.asarray(steps.cumsum()[:-1] > 0)


def calibration(truth: Labels, probabilities: Numbers) -> Calibration:
    """Calibration of samples that all have a truth.

    Args:
        truth: (n,) ids.
        probabilities: (n, classes).
    """
    n, classes = probabilities.shape
    edges = np.arange(BINS + 1) / BINS
    if n == 0:
        empty = tuple(Bin(edges[k], edges[k + 1], 0, np.nan, np.nan) for k in range(BINS))
        return Calibration(0, *(np.nan,) * 5, dict.fromkeys(COVERAGES, np.nan), empty)
    confidence = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == truth).astype(np.float64)
    counts, accuracy, stated = _binned(confidence, right)
    one_class = [
        _gap(*_binned(np.ascontiguousarray(probabilities[:, c]), (truth == c).astype(np.float64)))
        for c in range(classes)
    ]
    true = probabilities[np.arange(n), truth]
    risks = selective_risk(confidence, 1 - right)
    return Calibration(
        n,
        _gap(counts, accuracy, stated),
        float(np.mean(one_class)),
        float(((probabilities**2).sum(axis=1) - 2 * true + 1).mean()),
        float(-np.log(np.maximum(true, _LEAST)).mean()),
        float(risks.mean()),
        {percent: float(risks[-(-percent * n // 100) - 1]) for percent in COVERAGES},
        tuple(Bin(edges[k], edges[k + 1], int(counts[k]), float(accuracy[k]), float(stated[k])) for k in range(BINS)),
    )


def selective_risk(confidence: Numbers, errors: Numbers) -> Numbers:
    """Share of errors among the k most confident samples, for k = 1 ... n; equal confidences share their errors.

    Args:
        confidence: (n,).
        errors: (n,) 0 or 1.

    Returns:
        (n,).
    """
    order = np.argsort(confidence)[::-1]
    ranked = confidence[order]
    group = np.concatenate(([0], np.cumsum(np.diff(ranked) != 0)))
    shared = np.bincount(group, errors[order]) / np.bincount(group)
    return np.asarray(np.cumsum(shared[group]) / np.arange(1, len(errors) + 1), np.float64)


@dataclass(frozen=True, slots=True)
class Temperature:
    """A temperature, and the names of the cases it was fitted on."""

    value: float
    fitted_on: frozenset[str]

    def apply(self, cases: Sequence[ScoredCase]) -> list[ScoredCase]:
        """Make each p proportional to p^(1/T).

        Raises:
            InputError: a case is one that the temperature was fitted on.
        """
        again = sorted(case.name for case in cases if case.name in self.fitted_on)
        if again:
            raise InputError("temperature", "cases it was not fitted on", ", ".join(again[:3]))
        return [ScoredCase(case.name, case.truth, _softmax(_logarithm(case) / self.value)) for case in cases]


def fit_temperature(validation: Sequence[ScoredCase]) -> Temperature:
    """The temperature with the least NLL on validation cases; the only cases it may be fitted on.

    The NLL is convex in 1 / T; its slope is brought to 0 by bisection, for T from 0.001 to 1000.

    Raises:
        InputError: as `score_calibration`; or no sample has a truth.
    """
    _check(validation)
    logits = np.concatenate([_logarithm(case)[case.truth != UNDEFINED] for case in validation])
    truth = np.concatenate([case.truth[case.truth != UNDEFINED] for case in validation])
    if len(truth) == 0:
        raise InputError("temperature", "samples with a truth", "none")
    true = float(logits[np.arange(len(truth)), truth].mean())

    def slope(sharpness: float) -> float:
        return float((_softmax(logits * sharpness) * logits).sum(axis=1).mean()) - true

    low, high = -np.log(_HOTTEST), np.log(_HOTTEST)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(float(np.exp(middle))) > 0 else (middle, high)
    return Temperature(float(np.exp(-(low + high) / 2)), frozenset(case.name for case in validation))


def _check(cases: Sequence[ScoredCase]) -> None:
    if not cases:
        raise InputError("cases", "at least one", "none")
    names = [case.name for case in cases]
    if len(set(names)) != len(names):
        raise InputError("cases", "names that differ", f"{next(n for n in names if names.count(n) > 1)} twice")
    classes = {case.probabilities.shape[1] for case in cases}
    if len(classes) > 1:
        raise InputError("cases", "the same classes in each", f"{sorted(classes)}")


def _binned(values: Numbers, hits: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Samples, mean of hits and mean of values in each bin; NaN in empty ones."""
    place = np.clip(np.ceil(values * BINS).astype(np.int64) - 1, 0, BINS - 1)
    counts = np.bincount(place, minlength=BINS).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return (
            counts,
            np.bincount(place, hits, minlength=BINS) / counts,
            np.bincount(place, values, minlength=BINS) / counts,
        )


def _gap(counts: Numbers, accuracy: Numbers, stated: Numbers) -> float:
    there = counts > 0
    return float((counts[there] * np.abs(accuracy[there] - stated[there])).sum() / counts.sum())


def _logarithm(case: ScoredCase) -> Numbers:
    return np.asarray(np.log(np.maximum(case.probabilities, _LEAST)), np.float64)


def _softmax(logits: Numbers) -> Numbers:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float64)
