"""Numbers of a study as its report writes them, each to the digits that mean something."""

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from surgical_ml.evaluation.markup import tag
from surgical_ml.evaluation.report_words import clock
from surgical_ml.evaluation.study.shape import IntervalShape, Number

NONE = "–"
"""Stands where there is no number."""


def number(value: Number | None, digits: int = 1) -> str:
    """A number to so many decimals, with thousands apart; `–` for none or NaN, `∞` for infinity."""
    if value is None or math.isnan(float(value)):
        return NONE
    value = float(value)
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:,.{digits}f}"


def bounds(interval: IntervalShape, digits: int = 1) -> str:
    """The interval alone, as `84.8 to 87.6`; `no interval` where there is none."""
    low, high = number(interval.low, digits), number(interval.high, digits)
    if NONE in (low, high):
        return "no interval"
    # An interval without width says how few cases there are, not how sure the number is.
    return f"{low} to {high}, all draws alike" if interval.low == interval.high else f"{low} to {high}"


def cell(value: Number | None, digits: int = 1) -> Element:
    """A number as a cell of a table."""
    return tag("td", number(value, digits), class_="number")


def interval_cell(interval: IntervalShape | None, digits: int = 1) -> Element:
    """An estimate with its interval below it, as a cell of a table."""
    if interval is None:
        return tag("td", NONE, class_="number quiet")
    below = tag("span", bounds(interval, digits), class_="below")
    return tag("td", number(interval.estimate, digits), " ", below, class_="number")


def defined(*values: Number) -> bool:
    """Whether all of them are finite numbers."""
    return all(math.isfinite(float(value)) for value in values)


def at(seconds: Number) -> str:
    """A time of a case as `12:07.3`."""
    return clock(round(float(seconds) * 1_000_000_000)) if defined(seconds) else NONE


def method(intervals: Sequence[IntervalShape]) -> str:
    """How intervals were made, in words; empty for none."""
    told = {(one.method, one.level) for one in intervals}
    if not told:
        return ""
    draws = sorted({one.draws for one in intervals if one.draws})
    names = {"bca": "BCa", "percentile": "percentile"}
    words = " and ".join(f"{names[name]} {100 * level:g} % intervals" for name, level in sorted(told))
    many = f"{draws[0]:,}" if draws[:1] == draws[-1:] and draws else f"{draws[0]:,} to {draws[-1]:,}" if draws else "no"
    return f"{words} from a bootstrap over cases, {many} draws"
