"""A mean with what it is a mean of, and numbers that JSON can hold."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from surgical_ml.evaluation.metrics.cases import Numbers

WORST_SHARE = 0.1
"""Of cases, whose mean is the CVaR."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A mean.

    Attributes:
        mean: NaN where nothing is defined.
        sd: standard deviation with n - 1; None where the values are one pool.
        over: what the sd is taken over; None where there is no sd.
        n: how many values the mean is taken over.
        worst, cvar10: the worst value, and the mean of the worst tenth, rounded up; None where the values are not
            cases.
    """

    mean: float
    sd: float | None
    over: str | None
    n: int
    worst: float | None = None
    cvar10: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        sd = None if self.sd is None else plain_number(self.sd)
        values: dict[str, Any] = {"mean": plain_number(self.mean), "sd": sd, "sd_over": self.over, "n": self.n}
        if self.worst is not None and self.cvar10 is not None:
            values |= {"worst": plain_number(self.worst), "cvar10": plain_number(self.cvar10)}
        return values

    def __str__(self) -> str:
        mean = f"{self.mean:.2f}"
        worst = "" if self.worst is None else f", worst {self.worst:.2f}, worst tenth {self.cvar10:.2f}"
        if self.sd is None or self.n < 2:
            return mean
        return f"{mean} +- {self.sd:.2f} (sd over {self.n} {self.over}{worst})"


def summarise(values: Numbers, over: str, *, worse: Literal["low", "high"] = "low") -> Summary:
    """Mean and sd of the defined values; the sd of fewer than two is NaN. Of cases, the worst ones too.

    Args:
        values: (n,), NaN where undefined.
        over: what they are, in the plural.
        worse: which end of the values is the bad one.
    """
    defined = np.sort(values[~np.isnan(values)])
    if len(defined) == 0:
        return Summary(math.nan, math.nan, over, 0)
    sd = float(np.std(defined, ddof=1)) if len(defined) > 1 else math.nan
    worst = worst_of(defined, worse) if over == "cases" else (None, None)
    return Summary(float(np.mean(defined)), sd, over, len(defined), *worst)


def worst_of(values: Numbers, worse: Literal["low", "high"] = "low") -> tuple[float, float]:
    """The worst value and the mean of the worst tenth, rounded up.

    Args:
        values: (n,) with n above 0, without NaN.
        worse: which end of the values is the bad one.
    """
    ordered = np.sort(values) if worse == "low" else np.sort(values)[::-1]
    return float(ordered[0]), float(ordered[: math.ceil(WORST_SHARE * len(ordered))].mean())


def plain_number(value: float) -> float | str:
    """A number for JSON; `NaN`, `Inf` and `-Inf` as strings, which `float` of most languages reads back."""
    value = float(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return value


def quantile(values: Numbers, share: float) -> float:
    """A quantile by linear interpolation that knows infinity: one that leans on an infinite value is infinite.

    Args:
        values: (n,), without NaN.
        share: from 0 to 1.

    Returns:
        The quantile; NaN of no values.
    """
    if len(values) == 0:
        return math.nan
    ordered = np.sort(values)
    place = (len(ordered) - 1) * share
    low, high = math.floor(place), math.ceil(place)
    if low == high or ordered[low] == ordered[high]:
        return float(ordered[low])
    return float(ordered[low] + (ordered[high] - ordered[low]) * (place - low))
