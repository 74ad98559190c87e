"""Whether a calibration still holds: a check of twenty seconds when a case starts, and quiet checks during the case.

Both are fed with residuals (`residuals`, `field`, `measure`), stamped, in thousandths of their unit. Every second counts once,
by its median. The quiet check looks at the last `WINDOW` seconds in which each stream was heard: what their mean is off,
bounded so that single outliers do not pile up (Huber, 1964), squared and over its variance, is that stream's weight; the
weights of all streams together are held against the chi-squared distribution of as many streams (Hotelling, 1947). A
bump that no stream shows clearly shows in their sum. The variance is that of values that follow each other with
correlation `CORRELATED`, about an offset that each case has of its own. All that is kept and compared is integers.

What may be too old or too warm is no matter of noise: `LIMITS` are doubtful as soon as they are passed.
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt
from statistics import median_low
from typing import Literal

from surgical_ml.calibration.model import Validity
from surgical_ml.errors import InputError

SECOND_NS = 1_000_000_000
START_NS = 20 * SECOND_NS
START_SECONDS = 10
"""Of the twenty that a stream must have said something in, before the check at the start judges by it."""

START_LIMIT = 2500
"""How far the median of the first twenty seconds may be off, in thousandths of a standard deviation."""

WINDOW, FEWEST = 18, 9
"""Seconds of a stream that are looked at: twenty after a bump, all of them are later. And the least that say anything."""

FARTHEST = 2000
"""From the median of its window: how far a second counts, in thousandths of a standard deviation."""

CORRELATED, OFFSET, ROUGH = 0.6, 0.25, 1.08
"""Correlation of one second with the next; a case's own offset in standard deviations; what bounded outliers add."""

STRICTNESS = 5.0
"""Standard deviations of the sum of weights, made normal (Wilson and Hilferty, 1931): 600 simulated hours reached 4.7."""

NAMED = 9000
"""Weight, in thousandths, from which a stream is named as a reason: three standard deviations."""


@dataclass(frozen=True, slots=True)
class Check:
    """One kind of residual.

    Attributes:
        words: what is measured, for a person.
        unit: of its values.
        expected_milli: what it is of a calibration that holds, in thousandths.
        sd_milli: standard deviation of one second's median about that.
    """

    words: str
    unit: str
    expected_milli: int
    sd_milli: int


CHECKS: Mapping[str, Check] = {
    "epipolar": Check("distance of matched points from their epipolar lines", "px", 340, 300),
    "shaft-angle": Check("angle between seen and predicted shaft", "degrees", 0, 300),
    "shaft-offset": Check("distance between seen and predicted shaft", "px", 0, 4000),
    "shaft-along": Check("distance between seen and predicted tip along the shaft", "px", 0, 4000),
    "shaft-width": Check("difference between seen and predicted width of the shaft", "px", 0, 1000),
    "field-x": Check("place of the field of view across", "px", 0, 350),
    "field-y": Check("place of the field of view down", "px", 0, 350),
    "field-radius": Check("radius of the field of view", "px", 0, 350),
    "field-notch": Check("turn of the field of view's notch", "degrees", 0, 300),
}
"""What is expected of points matched to half a pixel, of kinematics after hand-eye calibration, of a rim of a 1080p picture."""

HOUR = timedelta(hours=1)

LIMITS: Mapping[str, tuple[str, str]] = {
    "age": ("time past the calibration's last day", "hours"),
    "temperature": ("temperature of the camera head outside of what was calibrated", "degrees Celsius"),
}
"""What must not be above 0: its words and its unit."""


@dataclass(frozen=True, slots=True)
class Residual:
    """One measurement; an event of a `Session`. Of a check that does not exist it raises an InputError.

    Attributes:
        stamp_ns: of the pictures it was made from.
        check: one of `CHECKS` or of `LIMITS`.
        source: which of several, such as the robot's arm; empty where there is one.
        value_milli: thousandths of the check's unit; of `field-...`, the difference from the calibrated field.
    """

    stamp_ns: int
    check: str
    value_milli: int
    source: str = ""

    def __post_init__(self) -> None:
        if self.check not in CHECKS and self.check not in LIMITS:
            raise InputError("residual", f"one of {', '.join([*CHECKS, *LIMITS])}", repr(self.check))


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a calibration is not to be relied on: what was measured, what was expected, what was found, since when."""

    check: str
    source: str
    expected: str
    found: str
    since_ns: int


@dataclass(frozen=True, slots=True)
class StartFinding:
    """What the check at the start says of one stream; `silent` where it was heard in too few of the twenty seconds."""

    check: str
    source: str
    verdict: Literal["holds", "doubtful", "silent"]
    expected: str
    found: str


_Key = tuple[str, str]
"""Check and source of a stream."""


class _Stream:
    """One residual over time. What it remembers is in thousandths of a standard deviation."""

    def __init__(self, check: str, source: str) -> None:
        self.check, self.source = check, source
        self._kind = CHECKS[check]
        self._second: int | None = None
        self._values: list[int] = []
        self._seconds: deque[tuple[int, int]] = deque()
        self._sorted: list[int] = []
        self._level = 0
        self.weight: int | None = None
        """In thousandths; None while too little was heard."""

    def tell(self, stamp_ns: int, value_milli: int) -> bool:
        closed = self.pass_time(stamp_ns)
        if self._second is None:
            self._second = stamp_ns // SECOND_NS
        self._values.append(value_milli)
        return closed

    def pass_time(self, stamp_ns: int) -> bool:
        """Close the second that is over, if one is. Time without values changes nothing: no evidence is no evidence."""
        if self._second is None or stamp_ns // SECOND_NS <= self._second:
            return False
        off = 1000 * (median_low(self._values) - self._kind.expected_milli) // self._kind.sd_milli
        self._seconds.append((self._second, off))
        insort(self._sorted, off)
        if len(self._seconds) > WINDOW:
            self._sorted.remove(self._seconds.popleft()[1])
        self._second, self._values = None, []
        self._weigh()
        return True

    def _weigh(self) -> None:
        offs, heard = self._sorted, len(self._sorted)
        if heard < FEWEST:
            return
        middle = offs[(heard - 1) // 2]
        low, high = middle - FARTHEST, middle + FARTHEST
        first, last = bisect_left(offs, low), bisect_right(offs, high)
        self._level = (first * low + sum(offs[first:last]) + (heard - last) * high) // heard
        self.weight = 1000 * self._level * self._level // _VARIANCE[heard]

    def begun_ns(self) -> int:
        """Since when the values have been off: from the second on after which they are it the most, taken together."""
        sign = 1 if self._level >= 0 else -1
        half, most, since, total = abs(self._level) // 2, 0, self._seconds[-1][0], 0
        for second, off in reversed(self._seconds):
            total += max(-FARTHEST, min(FARTHEST, sign * off - half))
            if total > most:
                most, since = total, second
        return since * SECOND_NS

    def doubt(self, since_ns: int) -> Doubt:
        latest = median_low([off for _, off in list(self._seconds)[-5:]])
        found = self._kind.expected_milli + latest * self._kind.sd_milli // 1000
        return Doubt(self.check, self.source, _wanted(self._kind), _said(self._kind, found), since_ns)


class ValidityWatch:
    """The check at the start and the quiet checks of one case. It reads no clock: time passes by the stamps it is told."""

    def __init__(self) -> None:
        self._streams: dict[_Key, _Stream] = {}
        self._limits: dict[_Key, Doubt] = {}
        self._since_ns: dict[_Key, int] = {}
        self._from_start_ns: dict[_Key, int] = {}
        self._begun_ns: int | None = None
        self._early: list[Residual] | None = []

    def tell(self, residual: Residual) -> None:
        """Take one measurement."""
        key = (residual.check, residual.source)
        if residual.check in LIMITS:
            self._hold_to_limit(key, residual)
            return
        if self._early is not None:
            self._early.append(residual)
        if key not in self._streams:
            self._streams[key] = _Stream(*key)
        if self._streams[key].tell(residual.stamp_ns, residual.value_milli):
            self._judge()

    def close_start(self, stamp_ns: int) -> tuple[StartFinding, ...] | None:
        """What the check at the start found, once: at the first call that is twenty seconds after the first; None otherwise.

        A stream that it finds doubtful stays so until the quiet checks find it near to what is expected.
        """
        if self._begun_ns is None:
            self._begun_ns = stamp_ns
        if self._early is None or stamp_ns - self._begun_ns < START_NS:
            return None
        findings, self._early = check_start(self._early), None
        begun_ns = self._begun_ns
        self._from_start_ns = {(one.check, one.source): begun_ns for one in findings if one.verdict == "doubtful"}
        return findings

    def pass_time(self, stamp_ns: int) -> tuple[Doubt, ...]:
        """Everything that speaks against the calibration at this instant: limits, then streams as they were first heard."""
        closed = [stream.pass_time(stamp_ns) for stream in self._streams.values()]
        if any(closed):
            self._judge()
        doubted = self._since_ns | self._from_start_ns
        streams = (stream.doubt(doubted[key]) for key, stream in self._streams.items() if key in doubted)
        return (*self._limits.values(), *streams)

    def _judge(self) -> None:
        weights = {key: stream.weight for key, stream in self._streams.items() if stream.weight is not None}
        total, alarm = sum(weights.values()), _ALARM[min(len(weights), len(_ALARM) - 1)]
        # It takes clearly less to go on doubting than to begin: trust is not to come and go every second.
        if not weights or total < (alarm // 2 if self._since_ns else alarm):
            self._since_ns = {}
        else:
            heaviest = max(weights, key=weights.__getitem__)
            named = [key for key, weight in weights.items() if weight >= NAMED or key == heaviest]
            self._since_ns = {key: self._since_ns.get(key, self._streams[key].begun_ns()) for key in named}
        for key in [key for key in self._from_start_ns if weights.get(key, NAMED) < NAMED // 2]:
            del self._from_start_ns[key]

    def _hold_to_limit(self, key: _Key, residual: Residual) -> None:
        if residual.value_milli <= 0:
            self._limits.pop(key, None)
            return
        words, unit = LIMITS[residual.check]
        since_ns = self._limits[key].since_ns if key in self._limits else residual.stamp_ns
        found = f"{residual.value_milli / 1000:.2f} {unit}"
        self._limits[key] = Doubt(*key, f"{words}: none", found, since_ns)


def _variances() -> tuple[int, ...]:
    """Of the mean of so many seconds, in millionths of one second's variance; index 0 is not used."""
    found = [0]
    for heard in range(1, WINDOW + 1):
        shared, power = 0.0, 1.0
        for apart in range(1, heard):
            power *= CORRELATED
            shared += (1 - apart / heard) * power
        found.append(round(1e6 * (ROUGH * (1 + 2 * shared) / heard + OFFSET * OFFSET)))
    return tuple(found)


_VARIANCE = _variances()


def _alarm(streams: int) -> int:
    """The sum of so many streams' weights, in thousandths, from which a calibration is doubtful."""
    spread = 2 / (9 * streams)
    root = 1 - spread + STRICTNESS * sqrt(spread)
    return round(1000 * streams * root * root * root)


_ALARM = (0, *(_alarm(streams) for streams in range(1, 65)))


def check_start(residuals: Sequence[Residual]) -> tuple[StartFinding, ...]:
    """The check at the start of a case, of everything measured in its first twenty seconds.

    A stream is doubtful if the median of its seconds is off by more than `START_LIMIT`.

    Args:
        residuals: in any order; those later than twenty seconds after the first are not looked at.

    Returns:
        A finding a stream, by name. A calibration of which every finding is `silent` was not checked.
    """
    begun_ns = min((one.stamp_ns for one in residuals), default=0)
    seconds: dict[tuple[str, str], dict[int, list[int]]] = {}
    for one in residuals:
        after_ns = one.stamp_ns - begun_ns
        if after_ns < START_NS and one.check in CHECKS:
            stream = seconds.setdefault((one.check, one.source), {})
            stream.setdefault(after_ns // SECOND_NS, []).append(one.value_milli)
    found = []
    for (check, source), heard in sorted(seconds.items()):
        kind = CHECKS[check]
        if len(heard) < START_SECONDS:
            found.append(StartFinding(check, source, "silent", f"{START_SECONDS} seconds of 20", f"{len(heard)}"))
            continue
        value = median_low([median_low(values) for values in heard.values()])
        holds = 1000 * abs(value - kind.expected_milli) <= START_LIMIT * kind.sd_milli
        found.append(StartFinding(check, source, "holds" if holds else "doubtful", _wanted(kind), _said(kind, value)))
    return tuple(found)


def stamp_residuals(
    stamp_ns: int, validity: Validity, now: str | None, temperature_c: float | None
) -> tuple[Residual, ...]:
    """How far age and temperature are beyond what a calibration holds for; of what was not stated there is none.

    Args:
        stamp_ns: on the clock of the frames.
        validity: of the calibration.
        now: the present instant, as `2026-11-25T08:00:00Z`; None where it is not known.
        temperature_c: of the camera head; None where it is not known.
    """
    found = []
    if validity.valid_until is not None and now is not None:
        past = datetime.fromisoformat(now) - datetime.fromisoformat(validity.valid_until)
        found.append(Residual(stamp_ns, "age", max(0, 1000 * past // HOUR)))
    if validity.temperature_c is not None and temperature_c is not None:
        low, high = validity.temperature_c
        found.append(
            Residual(stamp_ns, "temperature", round(1000 * max(0.0, low - temperature_c, temperature_c - high)))
        )
    return tuple(found)


def _wanted(kind: Check) -> str:
    spread = START_LIMIT * kind.sd_milli // 1000
    return f"{kind.words}: {kind.expected_milli / 1000:.2f} {kind.unit}, give or take {spread / 1000:.2f}"


def _said(kind: Check, value_milli: int) -> str:
    return f"{value_milli / 1000:.2f} {kind.unit}"
