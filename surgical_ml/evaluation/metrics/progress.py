"""Remaining time and progress, beside what a clock alone would say.

    MAE = mean over the samples of a case of |prediction - truth|, then over cases

The clock knows only how long cases last on average: it says `mean duration - elapsed`, not below 0, and as progress
`elapsed / mean duration`, not above 1. A prediction that does not beat it has learned nothing but a clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

import surgical_ml
from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics.cases import Numbers
from surgical_ml.evaluation.metrics.summary import Summary, plain_number, summarise

Quantity = Literal["remaining-time", "progress"]


@dataclass(frozen=True, slots=True)
class TimedCase:
    """A case's prediction: `prediction` is (n,), of remaining seconds or of progress from 0 to 1, at n even samples."""

    name: str
    prediction: Numbers


@dataclass(frozen=True, slots=True)
class ProgressScores:
    """Mean absolute errors of each case: seconds of remaining time, or shares of progress."""

    quantity: Quantity
    version: str
    cases: tuple[str, ...]
    frames: int
    mae: Numbers
    clock_mae: Numbers

    @property
    def summary(self) -> Summary:
        """Mean and sd over cases."""
        return summarise(self.mae, "cases", worse="high")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "protocol": f"{self.quantity} MAE",
            "nan_policy": "none is needed",
            "version": self.version,
            "unit": "s" if self.quantity == "remaining-time" else "share of 1",
            "cases": len(self.cases),
            "frames": self.frames,
            "mae": self.summary.to_json(),
            "clock_mae": summarise(self.clock_mae, "cases", worse="high").to_json(),
            "per_case": [
                {"case": name, "mae": plain_number(self.mae[k]), "clock_mae": plain_number(self.clock_mae[k])}
                for k, name in enumerate(self.cases)
            ],
        }


def score_progress(
    cases: Sequence[TimedCase], quantity: Quantity, *, fps: float, mean_duration_s: float
) -> ProgressScores:
    """Score remaining time or progress; the last sample of a case is its end.

    Args:
        cases: with a prediction for each sample.
        quantity: what is predicted.
        fps: samples/s.
        mean_duration_s: of training cases, for the clock; never of the cases that are scored.

    Raises:
        InputError: there is no case, a case has no sample or one that is not finite, or a number is not above 0.
    """
    if not cases or not (np.isfinite(fps) and fps > 0 and np.isfinite(mean_duration_s) and mean_duration_s > 0):
        found = f"{len(cases)}, {fps}, {mean_duration_s}"
        raise InputError("cases, fps and mean duration", "at least one case, and numbers above 0", found)
    mae, clock = [], []
    for case in cases:
        n = len(case.prediction)
        if case.prediction.ndim != 1 or n == 0 or not np.isfinite(case.prediction).all():
            raise InputError(case.name, "a finite number for each sample", f"{case.prediction.shape}")
        elapsed = np.arange(n) / fps
        if quantity == "remaining-time":
            truth, guess = elapsed[-1] - elapsed, np.maximum(mean_duration_s - elapsed, 0)
        else:
            truth = np.arange(1, n + 1) / n
            guess = np.minimum((elapsed + 1 / fps) / mean_duration_s, 1)
        mae.append(float(np.abs(case.prediction - truth).mean()))
        clock.append(float(np.abs(guess - truth).mean()))
    frames = sum(len(case.prediction) for case in cases)
    names = tuple(case.name for case in cases)
    return ProgressScores(quantity, surgical_ml.__version__, names, frames, np.array(mae), np.array(clock))
