"""How long a phase goes on when it has gone on for so long: a log-normal duration as a chain of ages.

A visit to a phase enters at age 0, grows older one age after the other, and is left from whichever age it has reached. Each age
is passed at a constant rate, so that any stretch of time is the sum of its parts. The rates are those of the log-normal:
the share of the visits that ends within an age is what the log-normal says, with the spread and the delay taken out that the
chain adds by itself. Its distribution function stays within 0.09 of the log-normal's for spreads of 0.4 and more, most of
which is `ANY_LENGTH`; a chain of so few ages cannot be much narrower than 0.3.
"""

from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]

_STANDARD = NormalDist()
_YOUNG = 4
"""Ages of equal width up to the first of `_SHARES`: few visits are over by then, and none grows old at once."""

_SHARES = (0.02, 0.06, 0.12, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97)
"""The other ages end when this share of the visits is over; the last one has no end."""

AGES = _YOUNG + len(_SHARES)
_MEDIAN = _YOUNG + _SHARES.index(0.5)

ANY_LENGTH = 0.1
"""A visit is also left at any age with this share of the rate 1 / mean: some last only seconds, whatever a protocol says."""

_LEAST_SHARE = 1e-12


@dataclass(frozen=True, slots=True)
class Ageing:
    """Rates of one phase, per second.

    Attributes:
        leave: (`AGES`,) from each age out of the phase.
        grow: (`AGES` - 1,) from each age to the next.
        spent_s: (`AGES`,) mean time that one visit spends in each age, seconds; their sum is the mean length of a visit.
    """

    leave: Float
    grow: Float
    spent_s: Float


def ageing(median_s: float, spread: float) -> Ageing:
    """The chain of a log-normal duration.

    Args:
        median_s: seconds.
        spread: standard deviation of the natural logarithm.
    """
    edges = [median_s * exp(spread * _STANDARD.inv_cdf(share)) for share in _SHARES]
    edges = [edges[0] * k / _YOUNG for k in range(_YOUNG)] + edges
    widths = np.diff(edges)
    # Each age lasts exponentially long and not exactly so: the variance of those up to the median is not asked for again.
    own = float((widths[:_MEDIAN] ** 2).sum()) / median_s**2
    narrowed = sqrt(max(spread**2 - own, 0.1 * spread**2))
    # A visit that ends within an age passes, on average, half of it too much.
    centre = log(median_s - float(widths[_MEDIAN - 1 : _MEDIAN + 1].sum()) / 4)
    over = np.array([_share_over(edge, centre, narrowed) for edge in edges])
    ends = 1.0 - over[1:] / over[:-1]
    leave = np.append(ends / widths, 1.0 / _rest_s(edges[-1], centre, narrowed, float(over[-1])))
    leave += ANY_LENGTH / (median_s * exp(spread**2 / 2))
    grow = (1.0 - ends) / widths
    return Ageing(leave, grow, _spent(leave, grow))


def _share_over(age_s: float, centre: float, spread: float) -> float:
    if age_s <= 0:
        return 1.0
    return max(_LEAST_SHARE, 1.0 - _STANDARD.cdf((log(age_s) - centre) / spread))


def _rest_s(age_s: float, centre: float, spread: float, over: float) -> float:
    """How much longer those visits last, on average, that have reached an age."""
    beyond = exp(centre + spread**2 / 2) * _STANDARD.cdf((centre + spread**2 - log(age_s)) / spread)
    return max(beyond / over - age_s, 1e-3 * age_s)


def _spent(leave: Float, grow: Float) -> Float:
    out, reached = np.empty(AGES), 1.0
    for k in range(AGES):
        onward = grow[k] if k < AGES - 1 else 0.0
        out[k] = reached / (leave[k] + onward)
        reached = out[k] * onward
    return out
