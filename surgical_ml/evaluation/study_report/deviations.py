"""Departures from the protocol and the advisories that announce them: when, how many, how often for nothing."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from xml.etree.ElementTree import Element

from surgical_ml.evaluation.markup import tag
from surgical_ml.evaluation.report_drawing import FAINT, INK, SILENT, key, tick_s
from surgical_ml.evaluation.report_words import clock, count, spaced
from surgical_ml.evaluation.study.shape import (
    AdvisoryShape,
    CaseShape,
    DeviationsShape,
    EventShape,
    Number,
    StudyShape,
)
from surgical_ml.evaluation.study_report.axes import Axis
from surgical_ml.evaluation.study_report.curve import operating_curve
from surgical_ml.evaluation.study_report.numbers import at, cell, defined, interval_cell, method, number
from surgical_ml.evaluation.study_report.parts import absent, drawing, folded, row, section, table

MOST_OPEN = 20
"""Cases of the timeline, and false advisories, that are shown without being asked for."""

MOST_DRAWN = 200
"""Cases of the timeline that are drawn at all; the tables have every miss and every false advisory."""

_TITLE = "Deviations and their advisories"
_COLUMNS, _LEFT, _RIGHT, _TOP, _PITCH = 660, 176, 164, 36, 34
_FOUND, _FALSE = "#0072b2", "#d55e00"
_LETTER, _LABEL_PX = 6.0, 14


def deviations(study: StudyShape) -> list[Element]:
    """The section; without true deviations, only what was announced."""
    timeline = _timeline(study.cases)
    one = study.deviations
    if one is None:
        why = (
            "Nobody has said which deviations truly happened in these cases, so there is no sensitivity, and no advisory can "
            "be called right or false."
        )
        return [*absent("deviations", _TITLE, why), *timeline]
    return section(
        "deviations",
        _TITLE,
        _summary(one),
        *timeline,
        tag("h3", "How well"),
        _measured(one),
        tag("h3", "What another setting would have given"),
        *operating_curve(one.curve),
        tag("h3", "By kind"),
        _kinds(one),
        tag("h3", "Every miss"),
        _misses(one),
        tag("h3", "Every false advisory"),
        *_false(one),
    )


def _summary(one: DeviationsShape) -> Element:
    found = one.deviations - len(one.misses)
    false = count(len(one.false), "advisory", "advisories")
    hours = number(one.clean_hours, 2)
    return tag(
        "p",
        tag("strong", f"{found} of {count(one.deviations, 'deviation')} announced, {len(one.misses)} missed. "),
        f"{false} for nothing. The cases without a deviation last {hours} h together; false advisories per hour are counted "
        f"in those only. {_late('Half', one.delay_median_s)} "
        f"{_late('95 %', one.delay_p95_s)}",
    )


def _late(share: str, delay_s: Number) -> str:
    """A quantile of the delay in words; a miss is infinitely late, so that with enough of them there is no such delay."""
    if defined(delay_s):
        return f"{share} of the deviations were announced within {number(delay_s)} s of the onset."
    return f"So many were missed that no delay covers {share.lower()} of them."


def _measured(one: DeviationsShape) -> Element:
    rows = [
        row("Sensitivity", interval_cell(one.sensitivity, 2), tag("td", "share of deviations that were announced")),
        row("Precision", interval_cell(one.precision, 2), tag("td", "share of advisories that announced one")),
        row("F1", interval_cell(one.f1, 2), tag("td", "both together")),
    ]
    rates = one.false_per_hour.items()
    for priority, rate in rates:
        said = tag("td", "false advisories per hour of cases without a deviation")
        rows.append(row(f"False per hour, {priority.upper()}", interval_cell(rate, 2), said))
    intervals = [one.sensitivity, one.precision, one.f1, *one.false_per_hour.values()]
    caption = (
        f"Matching: {one.protocol}. Shares from 0 to 1, {method(intervals)}; {count(one.cases, 'case')}. "
        f"{one.nan_policy.capitalize()}."
    )
    return table(caption, ("Measure", "Value", "What it is"), [rows], class_="measures", words=1)


def _kinds(one: DeviationsShape) -> Element:
    rows = [
        row(
            spaced(kind.kind),
            *(tag("td", f"{n:,}", class_="number") for n in (kind.true, kind.found, kind.advisories, kind.false)),
            cell(kind.sensitivity, 2),
            cell(kind.delay_median_s),
        )
        for kind in one.by_kind
    ]
    heads = ("Kind", "Deviations", "Announced", "Advisories", "False", "Sensitivity", "Median delay, s")
    return table("Deviations by kind; a median over misses may be infinite", heads, [rows])


def _misses(one: DeviationsShape) -> Element:
    if not one.misses:
        return tag("p", "None: every deviation was announced." if one.deviations else "None: there was no deviation.")
    rows = [
        row(
            miss.case,
            *(
                tag("td", words)
                for words in (spaced(miss.kind), spaced(miss.subject), at(miss.onset_s), at(miss.end_s))
            ),
        )
        for miss in one.misses
    ]
    return table(
        "Deviations that nothing announced", ("Case", "Kind", "What", "Onset", "End"), [rows], class_="listed", words=4
    )


def _false(one: DeviationsShape) -> list[Element]:
    if not one.false:
        return [tag("p", "None.")]
    rows = [
        row(
            wrong.case,
            *(
                tag("td", words)
                for words in (spaced(wrong.kind), spaced(wrong.subject), wrong.priority.upper(), at(wrong.at_s))
            ),
        )
        for wrong in one.false
    ]
    heads = ("Case", "Kind", "What", "Priority", "At")
    parts = [table("Advisories that announced no deviation", heads, [rows[:MOST_OPEN]], class_="listed", words=4)]
    if rows[MOST_OPEN:]:
        more = table(
            "Advisories that announced no deviation, continued", heads, [rows[MOST_OPEN:]], class_="listed", words=4
        )
        parts.append(folded(f"The other {len(rows) - MOST_OPEN}", more))
    return parts


def _timeline(cases: Sequence[CaseShape]) -> list[Element]:
    """Every case in which something happened or was announced: those with a miss first, then those with a false one."""
    told = [case for case in cases if case.events or case.advisories]
    if not told:
        return [tag("p", "No case has a deviation or an advisory about the operation.")]
    told.sort(key=lambda case: (not _missed(case), all(one.matched is not False for one in case.advisories), case.name))
    longest_s = max(float(case.duration_s) for case in told)
    silent = len(cases) - len(told)
    bar = {"y": 2.5, "width": 25, "height": 8}
    signs = [
        key(tag("rect", x=0.5, **bar, fill="#9fb4c4", stroke=INK), "deviation that was announced"),
        key(
            tag("rect", x=0.5, **bar, fill="#ffffff", stroke=_FALSE, stroke_width=1.6, stroke_dasharray="4 2"), "missed"
        ),
        key(_sign(13, 6.5, matched=True), "advisory that announces it"),
        key(_sign(13, 6.5, matched=False), "false advisory"),
    ]
    if any(one.matched is None for case in told for one in case.advisories):
        signs.append(key(_sign(13, 6.5, matched=None), "advisory that nobody can judge"))
    parts = [drawing(*_drawn(told[:MOST_OPEN], longest_s), wide=True), tag("ul", *signs, class_="key")]
    rest = told[MOST_OPEN:MOST_DRAWN]
    if rest:
        groups = (rest[k : k + MOST_OPEN] for k in range(0, len(rest), MOST_OPEN))
        parts.append(
            folded(f"{len(rest)} more cases", *(drawing(*_drawn(group, longest_s), wide=True) for group in groups))
        )
    if silent:
        parts.append(
            tag("p", f"{count(silent, 'case has', 'cases have')} neither a deviation nor an advisory.", class_="quiet")
        )
    return parts


def _missed(case: CaseShape) -> list[EventShape]:
    """Deviations that no advisory of the case is matched to, by its time less its delay."""
    told = {
        (one.kind, round(float(one.at_s) - float(one.delay_s), 3))
        for one in case.advisories
        if one.matched and one.delay_s is not None
    }
    return [one for one in case.events or () if (one.kind, round(float(one.onset_s), 3)) not in told]


def _sign(x: float, y: float, *, matched: bool | None) -> Element:
    """A disc for what was matched, a cross for what was false, a ring for what nobody can judge."""
    if matched is None:
        return tag("circle", cx=x, cy=y, r=4.5, fill="#ffffff", stroke=SILENT, stroke_width=2)
    if matched:
        return tag("circle", cx=x, cy=y, r=5, fill=_FOUND, stroke="#ffffff")
    d = f"M{x - 4.5} {y - 4.5}l9 9M{x + 4.5} {y - 4.5}l-9 9"
    return tag("path", d=d, stroke=_FALSE, stroke_width=3)


def _drawn(cases: Sequence[CaseShape], longest_s: float) -> tuple[float, float, str, Element]:
    height = _TOP + _PITCH * len(cases)
    axis = Axis(0, longest_s, _LEFT, _LEFT + _COLUMNS)
    shapes = [tag("text", "time of the case, min:s", x=_LEFT + _COLUMNS / 2, y=9, class_="tick")]
    for second in range(0, int(longest_s) + 1, tick_s(longest_s)):
        x = axis.place(second)
        shapes.append(tag("path", d=f"M{x} 30V{height - 6}", stroke=FAINT, stroke_width=0.8))
        shapes.append(tag("text", clock(second * 10**9, tenths=False), x=x, y=25, class_="tick"))
    for k, case in enumerate(cases):
        shapes += _case(case, _TOP + _PITCH * k, axis)
    label = f"Deviations and advisories of {', '.join(case.name for case in cases)}"
    return _LEFT + _COLUMNS + _RIGHT, height, label, tag("g", *shapes)


def _case(case: CaseShape, top: float, axis: Axis) -> Iterator[Element]:
    shown = case.name if len(case.name) <= 22 else case.name[:21] + "…"
    yield tag("text", tag("title", case.name), shown, x=0, y=top + 18, class_="strong")
    yield tag(
        "path", d=f"M{axis.begin} {top + 14}H{axis.place(float(case.duration_s))}", stroke=SILENT, stroke_width=0.8
    )
    missed = _missed(case)
    labels: list[tuple[float, str]] = []
    for event in case.events or ():
        left, right = axis.place(float(event.onset_s)), axis.place(float(event.end_s))
        box = {"x": left, "y": top + 9, "width": max(round(right - left, 1), 3), "height": 10}
        words = f"{spaced(event.kind)}, {spaced(event.subject)}"
        late = event in missed
        look: dict[str, object] = (
            {"fill": "#ffffff", "stroke": _FALSE, "stroke_width": 1.6, "stroke_dasharray": "4 2"}
            if late
            else {"fill": "#9fb4c4", "stroke": INK, "stroke_width": 0.8}
        )
        said = f"{'Missed' if late else 'Announced'}: {words}, {at(event.onset_s)} to {at(event.end_s)}"
        yield tag("rect", tag("title", said), **box, **look)
        labels.append((left, f"missed: {words}" if late else words))
    for one in case.advisories:
        x = axis.place(float(one.at_s))
        yield tag("g", tag("title", _said(one)), _sign(x, top + 14, matched=one.matched))
        if not one.matched:
            labels.append(
                (x - 5, f"{'' if one.matched is None else 'false: '}{spaced(one.kind)}, {spaced(one.subject)}")
            )
    yield from _labelled(labels, top + 31)


def _said(one: AdvisoryShape) -> str:
    verdict = {True: "Announced", False: "False", None: "Advisory"}[one.matched]
    late = "" if one.delay_s is None else f", {number(one.delay_s)} s after the onset"
    return f"{verdict}: {spaced(one.kind)}, {spaced(one.subject)}, {one.priority.upper()}, at {at(one.at_s)}{late}"


def _labelled(labels: Sequence[tuple[float, str]], y: float) -> Iterator[Element]:
    """Words below their marks; those that would cover each other are left to the titles."""
    free = 0.0
    for _, group in groupby(sorted(labels), key=lambda one: round(one[0])):
        x, words = next(iter(group))
        if x >= free:
            yield tag("text", words, x=x, y=y, class_="quiet small")
            free = x + len(words) * _LETTER + _LABEL_PX
