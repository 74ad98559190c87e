"""Phases of each case, truth above what was shown, on one scale of time."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from surgical_ml.evaluation.markup import tag
from surgical_ml.evaluation.report_drawing import (
    FAINT,
    INK,
    SILENT,
    chip,
    key,
    on_phase,
    patterns,
    phase_colour,
    tick_s,
    words_inside,
)
from surgical_ml.evaluation.report_words import clock, length, share, spaced
from surgical_ml.evaluation.study.shape import CaseShape, Span, StudyShape
from surgical_ml.evaluation.study_report.numbers import cell, number
from surgical_ml.evaluation.study_report.parts import drawing, folded, row, section, table

MOST_OPEN = 10
"""Cases that are shown without being asked for, the worst ones first."""

MOST_DRAWN = 200
"""Cases that are drawn at all; the table has every one."""

_COLUMNS = 720
_LEFT, _RIGHT, _TOP = 176, 104, 36
_BAR, _PITCH = 15, 54
_SHOWN = ("OK", "DEGRADED")


def ribbons(study: StudyShape) -> list[Element]:
    """The section; cases without truth show only what the module showed."""
    names = [spaced(name) for name in study.phases]
    ordered = sorted(study.cases, key=_accuracy)
    longest_s = max(float(case.duration_s) for case in ordered)
    true = [case for case in ordered if case.ribbons.truth]
    said = (
        "Above, the phase it truly was; below, the phase the module showed. All cases share one scale of time; the case with "
        "the lowest accuracy comes first. The black bars mark where something wrong was shown; a bar that is less high "
        "fills only that part of its step."
        if true
        else "Nobody has labelled the phases of these cases: only what the module showed can be drawn, and nothing here says "
        "whether it was right."
    )
    open_, rest = ordered[:MOST_OPEN], ordered[MOST_OPEN:MOST_DRAWN]
    parts: list[Element | str] = [
        said,
        drawing(*_drawn(open_, longest_s, names, patterned=True), wide=True),
        _signs(names, bool(true)),
    ]
    if rest:
        label = f"The other {len(rest)} cases" if len(ordered) <= MOST_DRAWN else f"The next {len(rest)} cases"
        parts += [
            folded(label, *(drawing(*_drawn(group, longest_s, names), wide=True) for group in _tens(rest))),
        ]
    parts.append(folded(f"All {len(ordered)} cases as a table", _table(ordered)))
    return section("course", "Course of the operations", *parts)


def _tens(cases: Sequence[CaseShape]) -> Iterator[Sequence[CaseShape]]:
    """Ten at a time: as many as fit on a sheet of paper."""
    for first in range(0, len(cases), 10):
        yield cases[first : first + 10]


def _accuracy(case: CaseShape) -> tuple[bool, float, str]:
    value = float(case.scores.get("accuracy", math.nan))
    return math.isnan(value), value, case.name


def _signs(names: Sequence[str], truth: bool) -> Element:
    chips = [tag("li", chip(k), name) for k, name in enumerate(names, 1)]
    hatch = tag("rect", width=26, height=13, fill="url(#hatching)")
    none = tag("rect", x=0.5, y=0.5, width=25, height=12, fill="#ffffff", stroke=SILENT)
    signs = [key(hatch, "withheld: nothing was shown"), key(none, "no phase" if truth else "no phase established")]
    if truth:
        signs.append(key(tag("rect", y=4, width=26, height=5, fill=INK), "a wrong phase was shown"))
    return tag("ul", *chips, *signs, class_="key")


def _drawn(
    cases: Sequence[CaseShape], longest_s: float, names: Sequence[str], *, patterned: bool = False
) -> tuple[float, float, str, Element]:
    """Width, height, what it shows, and the shapes of a drawing of some cases."""
    height = _TOP + _PITCH * len(cases)
    shapes = [patterns()] if patterned else []
    step_s = tick_s(longest_s)
    for second in range(0, int(longest_s) + 1, step_s):
        x = _LEFT + second * _COLUMNS / longest_s
        shapes.append(tag("path", d=f"M{x:.1f} 30V{height - 8}", stroke=FAINT, stroke_width=0.8))
        shapes.append(tag("text", clock(second * 10**9, tenths=False), x=f"{x:.1f}", y=25, class_="tick"))
    shapes.append(tag("text", "time of the case, min:s", x=_LEFT + _COLUMNS / 2, y=9, class_="tick"))
    if any("accuracy" in case.scores for case in cases):
        shapes.append(tag("text", "accuracy, %", x=_LEFT + _COLUMNS + 10, y=25, class_="quiet small"))
    for k, case in enumerate(cases):
        shapes += _case(case, _TOP + _PITCH * k, longest_s, names)
    label = f"Phases of {', '.join(case.name for case in cases)}: truth above, shown below"
    return _LEFT + _COLUMNS + _RIGHT, height, label, tag("g", *shapes)


def _case(case: CaseShape, top: float, longest_s: float, names: Sequence[str]) -> Iterator[Element]:
    steps = max(1, round(_COLUMNS * float(case.duration_s) / longest_s))
    course = over_steps(case, steps)
    shown = case.name if len(case.name) <= 16 else case.name[:15] + "…"
    yield tag("text", tag("title", case.name), shown, x=0, y=top + 12, class_="strong")
    yield tag("text", length(round(float(case.duration_s) * 10**9)), x=0, y=top + 28, class_="quiet small")
    below = top
    if course.truth is not None:
        yield tag("text", "truth", x=_LEFT - 10, y=top + 12, class_="label quiet small")
        yield from _bar(course.truth, top, "True", names)
        below = top + _BAR + 2
    yield tag("text", "shown", x=_LEFT - 10, y=below + 12, class_="label quiet small")
    yield from _bar(course.shown, below, "Shown", names)
    if course.truth is not None:
        yield from _wrong(course.wrong, below + _BAR + 2)
    if "accuracy" in case.scores:
        yield tag("text", number(case.scores["accuracy"]), x=_LEFT + _COLUMNS + 10, y=top + 19, class_="strong")


def _bar(steps: Sequence[int | str | None], top: float, which: str, names: Sequence[str]) -> Iterator[Element]:
    for what, run in groupby(range(len(steps)), key=steps.__getitem__):
        indices = list(run)
        start, end = _LEFT + indices[0], _LEFT + indices[-1] + 1
        box = {"x": start, "y": top, "width": end - start, "height": _BAR}
        if isinstance(what, int):
            # A hair of white between neighbours, for those to whom their colours are alike.
            box["width"] = end - start - (end - start > 3)
            name, phase = names[what], what + 1
            yield tag("rect", tag("title", f"{which}: {phase} {name}"), **box, fill=phase_colour(phase))
            choices = (f"{phase} {name}", str(phase))
            yield from words_inside(start, end, top, _BAR, choices, f"small {on_phase(phase)}".strip())
        elif what is not None:
            yield tag("rect", tag("title", "Withheld: nothing was shown"), **box, fill="url(#hatching)")
        elif end - start > 2:
            box |= {"x": start + 0.5, "y": top + 0.5, "width": end - start - 1, "height": _BAR - 1}
            yield tag("rect", tag("title", f"{which}: no phase"), **box, fill="#ffffff", stroke=SILENT)


def _wrong(shares: npt.NDArray[np.float64], top: float) -> Iterator[Element]:
    """Where something wrong was shown: a bar as high as its share of each step."""
    tall = 8
    highs = np.ceil(shares * tall - 1e-9).astype(int).tolist()
    bars = ""
    for high, run in groupby(range(len(highs)), key=highs.__getitem__):
        indices = list(run)
        if high:
            bars += f"M{_LEFT + indices[0]} {top}h{len(indices)}v{high}h-{len(indices)}z"
    if bars:
        yield tag("path", tag("title", "A wrong phase was shown"), d=bars, fill=INK)


@dataclass(frozen=True, slots=True)
class Course:
    """A case in equal steps of time.

    Attributes:
        truth: for each step the true phase that fills most of it, None for none; None where the case has no truth.
        shown: the same of what was shown; `WITHHELD` where mostly nothing was.
        wrong: (steps,) share of each step in which a phase was shown that is not the true one.
    """

    truth: list[int | str | None] | None
    shown: list[int | str | None]
    wrong: npt.NDArray[np.float64]


def over_steps(case: CaseShape, steps: int) -> Course:
    """Add up a case within equal steps, exactly: nothing is sampled, so nothing short vanishes from `wrong`.

    Args:
        case: with its spans in order.
        steps: how many.
    """
    whole = float(case.duration_s)
    spans = [case.ribbons.truth or [], case.ribbons.committed, case.ribbons.validity]
    bounds = [float(edge) for group in spans for span in group for edge in span[:2]]
    edges = np.unique(np.clip(np.concatenate((bounds, np.linspace(0, whole, steps + 1))), 0, whole))
    widths = np.diff(edges)
    middles = edges[:-1] + widths / 2
    step = np.minimum((middles / whole * steps).astype(int), steps - 1)
    truth, committed, validity = (_looked_up(group, middles) for group in spans)
    visible = np.array([what in _SHOWN for what in validity], bool)
    shown = [what if seen else "WITHHELD" for what, seen in zip(committed, visible, strict=True)]
    differs = [
        seen and right is not None and what is not None and right != what
        for seen, right, what in zip(visible, truth, committed, strict=True)
    ]
    wrong = np.bincount(step, weights=widths * np.array(differs, bool), minlength=steps) / (whole / steps)
    return Course(
        _longest(truth, widths, step, steps) if case.ribbons.truth else None,
        _longest(shown, widths, step, steps),
        np.minimum(wrong, 1.0),
    )


def _looked_up(spans: Sequence[Span], times: npt.NDArray[np.float64]) -> list[int | str | None]:
    """What each time lies in; None between spans."""
    starts = np.array([float(span[0]) for span in spans])
    places = np.searchsorted(starts, times, side="right") - 1
    return [
        spans[place][2] if place >= 0 and time < float(spans[place][1]) else None
        for place, time in zip(places.tolist(), times.tolist(), strict=True)
    ]


def _longest(
    what: Sequence[int | str | None], widths: npt.NDArray[np.float64], step: npt.NDArray[np.int64], steps: int
) -> list[int | str | None]:
    """For each step, what fills most of it."""
    kinds = list(dict.fromkeys(what))
    filled = np.zeros((len(kinds), steps))
    np.add.at(filled, (np.array([kinds.index(one) for one in what], np.int64), step), widths)
    return [kinds[k] for k in filled.argmax(axis=0).tolist()]


def _table(cases: Sequence[CaseShape]) -> Element:
    measures = ("accuracy", "jaccard", "f1", "edit", "f1@50", "over_segmentation")
    heads = (
        "Case",
        "Length",
        "Frames",
        "Shown",
        "Accuracy, %",
        "Jaccard, %",
        "F1, %",
        "Edit, %",
        "F1@50, %",
        "Segments",
    )
    rows = [
        row(
            case.name,
            tag("td", length(round(float(case.duration_s) * 10**9)), class_="number"),
            tag("td", f"{case.frames:,}", class_="number"),
            tag("td", share(sum(case.validity.get(one, 0) for one in _SHOWN), case.frames), class_="number"),
            *(cell(case.scores.get(one), 2 if one == "over_segmentation" else 1) for one in measures),
        )
        for case in cases
    ]
    caption = "Each case, strict convention; segments: predicted over true ones, 1 is best"
    return table(caption, heads, [rows], class_="figured dense")
