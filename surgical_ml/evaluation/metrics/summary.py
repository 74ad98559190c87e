"""A mean with what it is a mean of, and numbers that JSON can hold."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from surgical_ml.evaluation.metrics.cases import Numbers


@dataclass(frozen=True, slots=True)
class Summary:
    """A mean.

    Attributes:
        mean: NaN where nothing is defined.
        sd: standard deviation with n - 1; None where the values are one pool.
        over: what the sd is taken over; None where there is no sd.
        n: how many values the mean is taken over.
    """

    mean: float
    sd: float | None
    over: str | None
    n: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        sd = None if self.sd is None else plain_number(self.sd)
        return {"mean": plain_number(self.mean), "sd": sd, "sd_over": self.over, "n": self.n}

    def __str__(self) -> str:
        mean = f"{self.mean:.2f}"
        return mean if self.sd is None else f"{mean} +- {self.sd:.2f} (sd over {self.n} {self.over})"


def summarise(values: Numbers, over: str) -> Summary:
    """Mean and sd of the defined values; the sd of fewer than two is NaN.

    Args:
        values: (n,), NaN where undefined.
        over: what they are, in the plural.
    """
    defined = values[~np.isnan(values)]
    if len(defined) == 0:
        return Summary(math.nan, math.nan, over, 0)
    sd = float(np.std(defined, ddof=1)) if len(defined) > 1 else math.nan
    return Summary(float(np.mean(defined)), sd, over, len(defined))


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
