"""Whether the module does as well for every group of cases: a forest plot in which too small a group has no number."""

import math
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from surgical_ml.evaluation.markup import tag
from surgical_ml.evaluation.report_drawing import FAINT, SILENT
from surgical_ml.evaluation.study.shape import GroupRow, StudyShape, SubgroupsShape
from surgical_ml.evaluation.study_report.axes import Axis
from surgical_ml.evaluation.study_report.numbers import bounds, defined, method, number
from surgical_ml.evaluation.study_report.parts import absent, section, table

_TITLE = "The same for every group?"
_WIDE, _HIGH = 300, 34


def subgroups(study: StudyShape) -> list[Element]:
    """The section, and in it what the release gate would have allowed."""
    if not study.subgroups:
        why = "No group of cases was named and none was recorded with them, so nothing is known of how even the results are."
        return absent("subgroups", _TITLE, why)
    allowed = (
        ""
        if study.gate is None
        else (
            f" The dotted line is the lowest that the release gate allows, {study.gate.largest_drop:g} points below the whole."
        )
    )
    said = (
        "A disc is the value in a group, the line its interval, the dashed line the value of all cases together."
        f"{allowed} A group of fewer than 20 cases or 30 events is insufficient: its number would say nothing, good or bad, "
        "so there is none."
    )
    axis = _axis(study)
    intervals = [one.interval for block in study.subgroups for one in block.rows if one.interval is not None]
    bodies = [list(_block(block, study, axis)) for block in study.subgroups]
    ends = tag("span", *(tag("span", words) for _, words in axis.ticks()), class_="ends")
    head = tag("span", "percent", ends, class_="scale")
    caption = f"Each group by its statistic, percent{'; ' if intervals else ''}{method(intervals)}"
    heads = ("Group", "Cases", "Events", "Value", "Interval", head)
    return section("subgroups", _TITLE, said, table(caption, heads, bodies, class_="forest"))


def _axis(study: StudyShape) -> Axis:
    """From ten to ten, around everything that is drawn."""
    drop = 0.0 if study.gate is None else study.gate.largest_drop
    values = [float(b.overall) - drop * k for b in study.subgroups for k in (0, 1)]
    for block in study.subgroups:
        for one in block.rows:
            if one.interval is not None:
                values += [float(v) for v in (one.interval.estimate, one.interval.low, one.interval.high)]
    known = [value for value in values if math.isfinite(value)] or [0.0, 100.0]
    low, high = 10 * math.floor(min(known) / 10), 10 * math.ceil(max(known) / 10)
    return Axis(low, max(high, low + 10), 10, _WIDE - 10)


def _block(block: SubgroupsShape, study: StudyShape, axis: Axis) -> Iterator[Element]:
    divided = "whole cases" if block.of == "cases" else "the frames of each case"
    words = f"{block.by[:1].upper()}{block.by[1:]}"
    yield tag(
        "tr",
        tag("th", words, tag("span", f"{block.statistic}, by {divided}", class_="beside"), scope="rowgroup"),
        tag("td", colspan=2),
        tag("td", number(block.overall), class_="number"),
        tag("td", "all together", class_="number quiet"),
        tag("td", _lines(block, study, axis), class_="plot"),
        class_="whole",
    )
    for one in block.rows:
        yield _group(one, block, study, axis)


def _group(one: GroupRow, block: SubgroupsShape, study: StudyShape, axis: Axis) -> Element:
    events = tag("td", "" if one.events is None else f"{one.events:,}", class_="number")
    cases = tag("td", f"{one.cases:,}", class_="number")
    gate = study.gate
    decisive = gate is not None and defined(gate.drop) and gate.worst == f"{block.by}: {one.group}"
    name = tag("th", tag("strong", one.group) if decisive else one.group, scope="row")
    if decisive:
        name.append(tag("span", "decides the gate", class_="beside"))
    if one.interval is None:
        n = f"n = {one.cases:,}" if one.events is None else f"n = {one.cases:,}, {one.events:,} events"
        said = tag("td", f"insufficient, {n}", colspan=2, class_="number")
        return tag("tr", name, cases, events, said, tag("td", _lines(block, study, axis), class_="plot"), class_="few")
    return tag(
        "tr",
        name,
        cases,
        events,
        tag("td", number(one.interval.estimate), class_="number"),
        tag("td", bounds(one.interval), class_="number"),
        tag("td", _lines(block, study, axis, one), class_="plot"),
    )


def _lines(block: SubgroupsShape, study: StudyShape, axis: Axis, one: GroupRow | None = None) -> Element:
    grid = "".join(f"M{axis.place(value)} 0V{_HIGH}" for value, _ in axis.ticks())
    shapes = [tag("path", d=grid, stroke=FAINT)]
    if defined(block.overall):
        whole = float(block.overall)
        shapes.append(_upright(axis.place(whole), SILENT, "6 3"))
        if study.gate is not None:
            shapes.append(_upright(axis.place(whole - study.gate.largest_drop), "#d55e00", "2 3"))
    if one is not None and one.interval is not None:
        known, middle = one.interval, _HIGH / 2
        if defined(known.low, known.high):
            low, high = axis.place(float(known.low)), axis.place(float(known.high))
            d = f"M{low} {middle}H{high}M{low} {middle - 4}v8M{high} {middle - 4}v8"
            shapes.append(tag("path", d=d, stroke="#1d252c", stroke_width=1.6))
        if defined(known.estimate):
            shapes.append(tag("circle", cx=axis.place(float(known.estimate)), cy=middle, r=5, fill="#0072b2"))
    return tag("svg", *shapes, width=_WIDE, height=_HIGH, viewBox=f"0 0 {_WIDE} {_HIGH}", aria_hidden="true")


def _upright(x: float, colour: str, dashes: str) -> Element:
    return tag("path", d=f"M{x} 0V{_HIGH}", stroke=colour, stroke_width=1.6, stroke_dasharray=dashes)
