"""How long something takes, as a protocol file says it: with its unit, and as a distribution."""

import re
from math import exp, log
from statistics import NormalDist
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_WITH_UNIT = re.compile(r"\s*(?P<number>\d{1,9}(?:\.\d{1,9})?)\s*(?P<unit>s|min|h)\s*")

LONGEST_S = 86_400.0
"""A day: nothing in an operation takes longer."""

STANDARD = NormalDist()


def seconds(text: Any) -> float:
    """`120 s`, `2 min` or `1.5 h` in seconds, to the nanosecond, so that what is written again is read as the same.

    Raises:
        ValueError: a number without a unit, another unit, or no duration at all.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        raise ValueError(f"{text} has no unit: write '{text} s' or '{text} min'")
    match = _WITH_UNIT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is not a number and a unit of {', '.join(_UNITS)}: '120 s', '2 min'")
    return round(float(match["number"]) * _UNITS[match["unit"]], 9)


def with_unit(value_s: float) -> str:
    """Seconds as a protocol file has them: `93.5 s`."""
    return f"{value_s:.9f}".rstrip("0").rstrip(".") + " s"


Seconds = Annotated[float, BeforeValidator(seconds), PlainSerializer(with_unit, when_used="json")]
"""Seconds in the program, a number and a unit in the file."""


class Duration(BaseModel):
    """A log-normal distribution of durations.

    Attributes:
        median_s: seconds; half of them are shorter. `median: 2 min` in the file.
        spread: standard deviation of the natural logarithm: 0.5 means that about two of three lie between 0.6 and 1.65
            times the median.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    median_s: Seconds = Field(alias="median", gt=0, le=LONGEST_S)
    spread: float = Field(gt=0, le=3, strict=True, allow_inf_nan=False)

    @property
    def mean_s(self) -> float:
        """The mean, seconds: median x exp(spread^2 / 2)."""
        return self.median_s * exp(self.spread**2 / 2)

    def quantile_s(self, share: float) -> float:
        """Seconds within which this share of them, above 0 and below 1, is over."""
        return self.median_s * exp(self.spread * STANDARD.inv_cdf(share))

    def share_over(self, elapsed_s: float) -> float:
        """Share of them that last longer than so many seconds."""
        if elapsed_s <= 0:
            return 1.0
        return STANDARD.cdf((log(self.median_s) - log(elapsed_s)) / self.spread)
