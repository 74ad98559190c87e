"""How sure a number is. The unit is the case: frames of one case are not independent.

A statistic is a function from cases to a number, for many draws of cases at once: it takes (draws, n) indices and gives
(draws,) values, so that the whole of it is computed again for each draw.

    percentile interval: the quantiles of the statistic over draws with replacement
    BCa interval:        the same, at levels moved for bias z0 (the share of draws below the estimate) and
    acceleration a
                         (from leaving out one case at a time); Efron 1987
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics.cases import Numbers
from surgical_ml.evaluation.metrics.summary import plain_number

Indices = npt.NDArray[np.int64]
Statistic = Callable[[Indices], Numbers]
Method = Literal["bca", "percentile"]

DRAWS = 2000
LEVEL = 0.95

LEAST_CASES = 20
LEAST_EVENTS = 30
"""A subgroup with fewer of either is insufficient: its number says nothing, good or bad."""

_NORMAL = NormalDist()
_AT_ONCE = 1 << 22


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its interval.

    Attributes:
        estimate, low, high: NaN where undefined; a single case has an estimate and no interval.
        level: of the interval, 0.95.
        method: `bca` or `percentile`.
        draws: bootstrap draws that had a value; others are left out.
        n: cases.
    """

    estimate: float
    low: float
    high: float
    level: float
    method: Method
    draws: int
    n: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "estimate": plain_number(self.estimate),
            "low": plain_number(self.low),
            "high": plain_number(self.high),
            "level": self.level,
            "method": self.method,
            "draws": self.draws,
            "n": self.n,
        }

    def __str__(self) -> str:
        return f"{self.estimate:.2f} [{self.low:.2f}, {self.high:.2f}] ({self.method}, n = {self.n})"


def mean_of(values: Numbers) -> Statistic:
    """The mean of a value a case, over the cases where it is defined.

    Args:
        values: (n,), NaN where undefined.
    """
    defined = ~np.isnan(values)
    if defined.all():
        return lambda cases: np.asarray(values[cases].mean(axis=1), np.float64)
    filled = np.where(defined, values, 0.0)

    def statistic(cases: Indices) -> Numbers:
        with np.errstate(invalid="ignore"):
            return np.asarray(filled[cases].sum(axis=1) / defined[cases].sum(axis=1), np.float64)

    return statistic


def bootstrap(
    statistic: Statistic,
    n: int,
    *,
    seed: int,
    method: Method = "bca",
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Interval:
    """An interval by resampling cases.

    Args:
        statistic: of the cases.
        n: how many cases there are.
        seed: of the draws; the same seed gives the same interval.
        method: `bca`, or `percentile`, which BCa becomes where no case can be left out.
        draws: 2,000 or more.
        level: of the two-sided interval.

    Raises:
        InputError: there is no case, or fewer than 2,000 draws, or a level outside (0, 1).
    """
    _check(n, draws, level)
    return _interval(statistic, n, _drawn(statistic, n, draws, seed), method, level)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same cases.

    Attributes:
        difference: of the first model from the second, with its interval.
        p: two-sided, from the share of draws on the other side of 0.
    """

    difference: Interval
    p: float


def compare(
    first: Statistic, second: Statistic, n: int, *, seed: int, method: Method = "bca", draws: int = DRAWS
) -> Comparison:
    """Paired bootstrap: both models are computed on the same drawn cases.

    Args:
        first, second: the same statistic of two models.
        n: cases.
        seed, method, draws: as in `bootstrap`.

    Raises:
        InputError: as `bootstrap`.
    """

    def difference(cases: Indices) -> Numbers:
        return np.asarray(first(cases) - second(cases), np.float64)

    _check(n, draws, LEVEL)
    values = _drawn(difference, n, draws, seed)
    interval = _interval(difference, n, values, method, LEVEL)
    values = values[~np.isnan(values)]
    sides = (int((values <= 0).sum()), int((values >= 0).sum()))
    return Comparison(interval, min(1.0, 2 * (min(sides) + 1) / (len(values) + 1)))


def not_inferior(comparison: Comparison, margin: float) -> bool:
    """Whether the first model is not worse than the second by the margin or more, where higher is better.

    It is not if the lower bound of the 95 % interval of the difference lies above minus the margin: a one-sided test at
    2.5 %. The margin is fixed before anybody looks.

    Args:
        comparison: of `compare`.
        margin: in the unit of the statistic, above 0.

    Raises:
        InputError: the margin is not above 0.
    """
    if not margin > 0:
        raise InputError("margin", "a number above 0", str(margin))
    return comparison.difference.low > -margin


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values of a family of tests, adjusted by Holm's step-down method.

    Args:
        p_values: name -> p.

    Returns:
        Name -> adjusted p, in the order given.

    Raises:
        InputError: a p is outside [0, 1].
    """
    for name, p in p_values.items():
        if not 0 <= p <= 1:
            raise InputError(f"p of {name}", "a number from 0 to 1", str(p))
    adjusted, running = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = running
    return {name: adjusted[name] for name in p_values}


@dataclass(frozen=True, slots=True)
class Subgroup:
    """One row of a subgroup table.

    Attributes:
        name: of the group.
        cases, events: how many; `events` is None for a statistic without events.
        interval: of the statistic in the group; None where the group is insufficient.
    """

    name: str
    cases: int
    events: int | None
    interval: Interval | None

    @property
    def sufficient(self) -> bool:
        """Whether there are enough cases and events to say anything."""
        return self.interval is not None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "group": self.name,
            "cases": self.cases,
            "events": self.events,
            "verdict": "sufficient" if self.sufficient else "insufficient",
            "interval": None if self.interval is None else self.interval.to_json(),
        }


def subgroups(
    groups: Mapping[str, Sequence[int]],
    statistic: Statistic,
    *,
    seed: int,
    events: Numbers | None = None,
    method: Method = "bca",
) -> list[Subgroup]:
    """The statistic in each group of cases; a group that is too small has no number.

    Args:
        groups: name -> indices of its cases.
        statistic: of cases.
        seed: of the draws.
        events: (n,) events of each case, where the statistic counts events.
        method: of the intervals.
    """
    rows = []
    for name, members in groups.items():
        chosen = np.array(members, np.int64)
        count = None if events is None else int(events[chosen].sum())
        enough = len(chosen) >= LEAST_CASES and (count is None or count >= LEAST_EVENTS)

        def inside(cases: Indices, chosen: Indices = chosen) -> Numbers:
            return statistic(chosen[cases])

        interval = bootstrap(inside, len(chosen), seed=seed, method=method) if enough else None
        rows.append(Subgroup(name, len(chosen), count, interval))
    return rows


@dataclass(frozen=True, slots=True)
class Gate:
    """A release gate: `verdict` is `pass`, `blocked` or `insufficient`; `worst` is the group that decided."""

    verdict: Literal["pass", "blocked", "insufficient"]
    worst: str
    drop: float
    insufficient: tuple[str, ...]


def release_gate(overall: float, rows: Sequence[Subgroup], largest_drop: float) -> Gate:
    """Whether the worst group is close enough to the whole, where higher is better.

    One group below the limit blocks. Otherwise one group too small to judge makes the whole insufficient: it never
    passes.

    Args:
        overall: the statistic over all cases.
        rows: the subgroup table.
        largest_drop: how far a group may lie below `overall`, in the statistic's unit.

    Raises:
        InputError: there are no groups.
    """
    if not rows:
        raise InputError("subgroups", "at least one", "none")
    insufficient = tuple(row.name for row in rows if not row.sufficient)
    drops = {row.name: overall - row.interval.estimate for row in rows if row.interval is not None}
    worst = max(drops, key=lambda name: drops[name], default=insufficient[0] if insufficient else "")
    drop = drops.get(worst, math.nan)
    # a drop that is not a number is no pass
    if drops and not all(one <= largest_drop for one in drops.values()):
        return Gate("blocked", worst, drop, insufficient)
    return Gate("insufficient" if insufficient else "pass", worst, drop, insufficient)


def _check(n: int, draws: int, level: float) -> None:
    if n < 1 or draws < DRAWS or not 0 < level < 1:
        expected = f"cases, {DRAWS} draws or more, a level between 0 and 1"
        raise InputError("bootstrap", expected, f"{n}, {draws}, {level}")


def _interval(statistic: Statistic, n: int, values: Numbers, method: Method, level: float) -> Interval:
    """The interval of drawn values, those without a value left out."""
    estimate = float(statistic(np.arange(n)[None])[0])
    values = values[~np.isnan(values)]
    if n < 2 or math.isnan(estimate) or len(values) == 0:
        return Interval(estimate, math.nan, math.nan, level, method, len(values), n)
    bound = widened_quantile(level, n)
    if method == "bca":
        levels = _bca_levels(statistic, n, estimate, values, bound)
    else:
        levels = [_NORMAL.cdf(-bound), _NORMAL.cdf(bound)]
    low, high = np.quantile(values, levels)
    return Interval(estimate, float(low), float(high), level, method, len(values), n)


def _drawn(statistic: Statistic, n: int, draws: int, seed: int) -> Numbers:
    """The statistic over draws with replacement, in portions that fit into memory."""
    rng = np.random.default_rng(seed)
    portion = max(1, _AT_ONCE // n)
    parts = [statistic(rng.integers(0, n, (min(portion, draws - done), n))) for done in range(0, draws, portion)]
    return np.concatenate(parts)


def widened_quantile(level: float, n: int) -> float:
    """The normal quantile that bounds an interval, widened for few cases; 1.96 of many cases at 0.95.

    Args:
        level: of the interval, such as 0.95.
        n: cases, two or more.
    """
    z = _NORMAL.inv_cdf((1 + level) / 2)
    # Student's t by its expansion in powers of 1 / degrees of freedom (Abramowitz and Stegun 26.7.5)
    f = n - 1
    t = (
        z
        + (z**3 + z) / (4 * f)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * f**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * f**3)
    )
    return t * math.sqrt(n / f)


def _bca_levels(statistic: Statistic, n: int, estimate: float, values: Numbers, bound: float) -> list[float]:
    """Levels of the percentile interval between normal quantiles -bound and bound, moved for bias and acceleration."""
    below = (float((values < estimate).sum()) + float((values <= estimate).sum())) / 2 / len(values)
    if not 0 < below < 1:
        return [_NORMAL.cdf(-bound), _NORMAL.cdf(bound)]
    bias = _NORMAL.inv_cdf(below)
    left = _without_each(statistic, n)
    left = left[~np.isnan(left)]
    gaps = left.mean() - left if len(left) else left
    spread = float((gaps**2).sum()) ** 1.5
    acceleration = float((gaps**3).sum()) / (6 * spread) if spread > 0 else 0.0
    moved = []
    for z in (bias - bound, bias + bound):
        # beyond 1 / acceleration the transformation turns round: all of that side is inside
        shrunk = 1 - acceleration * z
        moved.append(_NORMAL.cdf(bias + z / shrunk) if shrunk > 0 else float(z > 0))
    return moved


def _without_each(statistic: Statistic, n: int) -> Numbers:
    """The statistic with one case left out, for each case."""
    places = np.arange(n - 1)
    portion = max(1, _AT_ONCE // n)
    parts = []
    for first in range(0, n, portion):
        out = np.arange(first, min(n, first + portion))[:, None]
        parts.append(statistic(places + (places >= out)))
    return np.concatenate(parts)
