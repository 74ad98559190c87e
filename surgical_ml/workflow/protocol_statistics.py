"""What so many cases support: log-normal durations and shares, each with its 95 % interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, fsum, log, sqrt

from surgical_ml.workflow.protocol_duration import STANDARD

Z = STANDARD.inv_cdf(0.975)

NARROWEST, WIDEST = 0.05, 3.0
"""A spread of a log-normal is kept between these: no phase takes the same time in all operations."""

SHORTEST_S = 0.1
"""A visit counts as this long at least."""


@dataclass(frozen=True, slots=True)
class LogNormal:
    """What is known of a log-normal: a normal-inverse-gamma distribution of its mean and variance.

    Attributes:
        centre: mean of the logarithm of seconds.
        spread: standard deviation of the logarithm.
        weight: of how many visits the centre is the mean.
        freedom: degrees of freedom of the spread.
        error: standard error of the centre.
        groups: cases that the visits come from, which are independent of each other; the visits of one are not.
    """

    centre: float
    spread: float
    weight: float
    freedom: float
    error: float
    groups: float

    @property
    def median_s(self) -> float:
        """Seconds."""
        return exp(self.centre)

    @property
    def median_interval_s(self) -> tuple[float, float]:
        """Between which seconds the median lies, 95 %."""
        off = student(self.groups - 1) * self.error
        return exp(self.centre - off), exp(self.centre + off)

    @property
    def spread_interval(self) -> tuple[float, float]:
        """Between which values the spread lies, 95 %."""
        low, high = (chi_square(self.freedom, share) for share in (0.025, 0.975))
        return self.spread * sqrt(self.freedom / high), self.spread * sqrt(self.freedom / low)


def fit(cases: Sequence[Sequence[float]]) -> LogNormal:
    """The log-normal of the visits of at least two cases, with the visits of one case taken as dependent.

    Args:
        cases: of each case, how many seconds each of its visits took; none is empty.
    """
    logs = [[log(max(seconds, SHORTEST_S)) for seconds in case] for case in cases]
    n, groups = sum(map(len, logs)), len(logs)
    centre = fsum(value for case in logs for value in case) / n
    squares = fsum((value - centre) ** 2 for case in logs for value in case)
    together = fsum(fsum(value - centre for value in case) ** 2 for case in logs)
    spread = sqrt(squares / (n - 1))
    kept = min(max(spread, NARROWEST), WIDEST)
    error = max(sqrt(groups / (groups - 1) * together) / n, NARROWEST / sqrt(n))
    return LogNormal(centre, kept, n, n - 1, error, groups)


def update(median_s: float, spread: float, weight: float, seconds: Sequence[float]) -> LogNormal:
    """The conjugate update of a log-normal that counts as `weight` visits by new ones.

    centre = (w m + n x) / (w + n), and the variance, of w + n degrees of freedom,
    (w s^2 + sum (x_i - x)^2 + w n / (w + n) (x - m)^2) / (w + n), x being the mean logarithm of the n new visits.
    """
    logs = [log(max(value, SHORTEST_S)) for value in seconds]
    n, before = len(logs), log(median_s)
    mean = fsum(logs) / n if n else before
    total = weight + n
    squares = weight * spread**2 + fsum((value - mean) ** 2 for value in logs)
    squares += weight * n / total * (mean - before) ** 2
    kept = min(max(sqrt(squares / total), NARROWEST), WIDEST)
    return LogNormal((weight * before + n * mean) / total, kept, total, total, kept / sqrt(total), total + 1)


def wilson(count: float, of: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share; 0 to 1 where there is nothing to go by."""
    if of <= 0:
        return 0.0, 1.0
    share = count / of
    centre = (share + Z**2 / (2 * of)) / (1 + Z**2 / of)
    half = Z / (1 + Z**2 / of) * sqrt(share * (1 - share) / of + Z**2 / (4 * of**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean of shares, one a case, and its 95 % interval, within 0 and 1; the whole range of a single one."""
    n = len(values)
    mean = fsum(values) / n
    if n < 2:
        return mean, 0.0, 1.0
    off = student(n - 1) * sqrt(fsum((value - mean) ** 2 for value in values) / (n - 1) / n)
    return mean, max(0.0, mean - off), min(1.0, mean + off)


def student(freedom: float) -> float:
    """The 97.5 % point of Student's t; a series in 1 / degrees of freedom, right to 1 % from 4 on."""
    v = max(freedom, 1.0)
    terms = (
        Z,
        (Z**3 + Z) / (4 * v),
        (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * v**2),
        (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / (384 * v**3),
    )
    return fsum(terms)


def chi_square(freedom: float, share: float) -> float:
    """A quantile of chi-square, after Wilson and Hilferty; right to 10 % from 4 degrees of freedom on."""
    part = 2 / (9 * freedom)
    return freedom * max(1e-3, 1 - part + STANDARD.inv_cdf(share) * sqrt(part)) ** 3


def rounded_shares(shares: Sequence[float], digits: int = 4) -> list[float]:
    """Shares that add up to 1, rounded so that they still do, none of them to 0."""
    units = 10**digits
    exact = [share * units for share in shares]
    whole = [max(1, int(value)) for value in exact]
    by_rest = sorted(range(len(exact)), key=lambda k: (whole[k] - exact[k], k))
    for k in range(units - sum(whole)):
        whole[by_rest[k % len(by_rest)]] += 1
    whole[whole.index(max(whole))] -= max(0, sum(whole) - units)
    return [value / units for value in whole]
