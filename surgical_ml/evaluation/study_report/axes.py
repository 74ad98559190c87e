"""Axes of the small diagrams: a frame with ticks, numbers and what they mean, and where a value lies in it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from surgical_ml.evaluation.markup import tag
from surgical_ml.evaluation.report_drawing import FAINT, SILENT


@dataclass(frozen=True, slots=True)
class Axis:
    """A straight axis from one value to another, over pixels that may run backwards.

    Attributes:
        low, high: the values at its ends; they differ.
        begin, end: the pixels there.
        label: what is measured, with its unit.
    """

    low: float
    high: float
    begin: float
    end: float
    label: str = ""

    def place(self, value: float) -> float:
        """The pixel of a value; what lies outside is put at the nearest end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.begin + share * (self.end - self.begin), 1)

    def ticks(self, most: int = 5) -> Iterator[tuple[float, str]]:
        """Round values within the axis, at most so many steps, with how they are written."""
        step = round_step((self.high - self.low) / most)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        for k in range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1):
            yield k * step, f"{k * step:,.{digits}f}"


def round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, ... (and their tenths) that is not below `least`, which is above 0."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))


def round_up(value: float, steps: int = 5) -> float:
    """The first round number from a value on, for the end of an axis that begins at 0; 1 of nothing."""
    if not value > 0:
        return 1.0
    step = round_step(value / steps)
    return step * math.ceil(value / step - 1e-9)


def frame(x: Axis, y: Axis, *, steps: int = 5) -> Iterator[Element]:
    """The grid, the numbers and the names of a pair of axes; `y` begins at its bottom."""
    for value, words in y.ticks(steps):
        yield tag("path", d=f"M{x.begin} {y.place(value)}H{x.end}", stroke=FAINT, stroke_width=0.8)
        yield tag("text", words, x=x.begin - 6, y=y.place(value) + 4, class_="label quiet small")
    for value, words in x.ticks(steps):
        yield tag("path", d=f"M{x.place(value)} {y.begin}v4", stroke=SILENT, stroke_width=0.8)
        yield tag("text", words, x=x.place(value), y=y.begin + 16, class_="tick")
    yield tag("path", d=f"M{x.begin} {y.end}V{y.begin}H{x.end}", fill="none", stroke=SILENT)
    yield tag("text", x.label, x=(x.begin + x.end) / 2, y=y.begin + 33, class_="tick")
    middle = (y.begin + y.end) / 2
    yield tag("text", y.label, x=12, y=middle, transform=f"rotate(-90 12 {middle})", class_="tick")
