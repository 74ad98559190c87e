"""Whether a calibration still holds: a check of twenty seconds when a case starts, and quiet checks during the case.

Both are fed with residuals (`residuals`, `field`), stamped, in thousandths of their unit. The quiet check is a two-sided
cumulative sum (Page, 1954) of each stream: every second counts once, by its median; a second weighs what it is off
beyond `ALLOWANCE` standard deviations, at most `FARTHEST`, so that single outliers do not pile up; the sum that reaches
`ALARM` makes the calibration doubtful, and the one that is back at zero makes it trusted again. Everything is an integer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Literal

from surgical_ml.calibration.model import Validity
from surgical_ml.errors import InputError

SECOND_NS = 1_000_000_000
START_NS = 20 * SECOND_NS
START_SECONDS = 10
"""Of the twenty that a stream must have said something in, before the check at the start judges by it."""

ALLOWANCE, FARTHEST, ALARM, START_LIMIT = 1500, 4000, 20_000, 2000
"""In thousandths of a standard deviation. The last: how far the median of the first twenty seconds may be off."""


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
    "field-x": Check("place of the field of view across", "px", 0, 350),
    "field-y": Check("place of the field of view down", "px", 0, 350),
    "field-radius": Check("radius of the field of view", "px", 0, 350),
}
"""What is expected of points matched to half a pixel, of kinematics after hand-eye calibration, of a rim of a 1080p picture."""


@dataclass(frozen=True, slots=True)
class Residual:
    """One measurement; an event of a `Session`. Of a check that does not exist it raises an InputError.

    Attributes:
        stamp_ns: of the pictures it was made from.
        check: one of `CHECKS`.
        source: which of several, such as the robot's arm; empty where there is one.
        value_milli: thousandths of the check's unit; of `field-...`, the difference from the calibrated field.
    """

    stamp_ns: int
    check: str
    value_milli: int
    source: str = ""

    def __post_init__(self) -> None:
        if self.check not in CHECKS:
            raise InputError("residual", f"one of {', '.join(CHECKS)}", repr(self.check))


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


class _Stream:
    """One residual over time. Its sums are in thousandths of a standard deviation."""

    def __init__(self, check: str, source: str) -> None:
        self.check, self.source = check, source
        self._kind = CHECKS[check]
        self._second: int | None = None
        self._values: list[int] = []
        self._latest: list[int] = []
        self._sums = [0, 0]
        self._since_ns = [0, 0]
        self._doubtful = False

    def tell(self, stamp_ns: int, value_milli: int) -> None:
        self.pass_time(stamp_ns)
        if self._second is None:
            self._second = stamp_ns // SECOND_NS
        self._values.append(value_milli)

    def pass_time(self, stamp_ns: int) -> None:
        """Close the second that is over. Time without values changes nothing: no evidence is no evidence."""
        if self._second is not None and stamp_ns // SECOND_NS > self._second:
            self._close(median_low(self._values), self._second * SECOND_NS)
            self._second, self._values = None, []

    def _close(self, value: int, begun_ns: int) -> None:
        self._latest = [*self._latest[-4:], value]
        off = 1000 * (value - self._kind.expected_milli) // self._kind.sd_milli
        off = max(-FARTHEST, min(FARTHEST, off))
        for side, way in enumerate((1, -1)):
            if self._sums[side] == 0:
                self._since_ns[side] = begun_ns
            # Bounded at twice the alarm, so that trust comes back in the time that it took to lose it.
            self._sums[side] = max(0, min(2 * ALARM, self._sums[side] + way * off - ALLOWANCE))
        self._doubtful = max(self._sums) >= ALARM or (self._doubtful and max(self._sums) > 0)

    @property
    def doubt(self) -> Doubt | None:
        if not self._doubtful:
            return None
        side = 0 if self._sums[0] >= self._sums[1] else 1
        found = _said(self._kind, median_low(self._latest))
        return Doubt(self.check, self.source, _wanted(self._kind), found, self._since_ns[side])


class ValidityWatch:
    """The quiet checks of one case. It reads no clock: time passes by the stamps it is told."""

    def __init__(self) -> None:
        self._streams: dict[tuple[str, str], _Stream] = {}

    def tell(self, residual: Residual) -> None:
        """Take one measurement."""
        key = (residual.check, residual.source)
        if key not in self._streams:
            self._streams[key] = _Stream(*key)
        self._streams[key].tell(residual.stamp_ns, residual.value_milli)

    def pass_time(self, stamp_ns: int) -> tuple[Doubt, ...]:
        """Everything that speaks against the calibration at this instant, in the order in which streams were first heard."""
        for stream in self._streams.values():
            stream.pass_time(stamp_ns)
        return tuple(doubt for stream in self._streams.values() if (doubt := stream.doubt) is not None)


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
        if after_ns < START_NS:
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


def stamp_doubts(validity: Validity, now: str, temperature_c: float | None) -> tuple[str, ...]:
    """What age and temperature say against a calibration, one sentence each; nothing where nothing was stated.

    Args:
        validity: of the calibration.
        now: the present instant, as `2026-11-25T08:00:00Z`.
        temperature_c: of the camera head; None where it is not known.
    """
    found = []
    if validity.valid_until is not None and now > validity.valid_until:
        found.append(f"too old: expected use until {validity.valid_until}, found {now}")
    if validity.temperature_c is not None and temperature_c is not None:
        low, high = validity.temperature_c
        if not low <= temperature_c <= high:
            found.append(f"too {'cold' if temperature_c < low else 'warm'}: expected {low:g} to {high:g} degrees Celsius, "
                         f"found {temperature_c:g}")  # fmt: skip
    return tuple(found)


def _wanted(kind: Check) -> str:
    spread = START_LIMIT * kind.sd_milli // 1000
    return f"{kind.words}: {kind.expected_milli / 1000:.2f} {kind.unit}, give or take {spread / 1000:.2f}"


def _said(kind: Check, value_milli: int) -> str:
    return f"{value_milli / 1000:.2f} {kind.unit}"
