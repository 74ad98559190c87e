"""Phases in numbers: the confusion matrix, each phase, and every convention beside the others."""

from collections.abc import Sequence
from itertools import groupby
from xml.etree.ElementTree import Element

import numpy as np

from surgical_ml.evaluation.markup import Inside, tag
from surgical_ml.evaluation.report_drawing import FAINT, SILENT, chip
from surgical_ml.evaluation.report_words import count, spaced
from surgical_ml.evaluation.study.shape import ConfusionShape, ConventionShape, IntervalShape, RankShape, StudyShape
from surgical_ml.evaluation.study_report.axes import Axis
from surgical_ml.evaluation.study_report.numbers import cell, defined, interval_cell, method, number
from surgical_ml.evaluation.study_report.parts import absent, folded, row, section, table

_ADDED_UP = {
    "strict": "each case by itself: mean over its phases, then over cases; a phase that is shown but not there counts as 0",
    "per-phase": "each phase by itself: mean over cases, then over phases",
    "pooled": "all frames of all cases in one matrix, then the mean over phases",
    "official": "the field's relaxed script with its defects: 10 s around a transition are forgiven, in part at the wrong end",
    "corrected": "the relaxed script with that mistake put right",
}
_MEASURES = ("accuracy", "precision", "recall", "jaccard", "f1")
_NO_TRUTH = "No case has labelled phases, so there is nothing to compare the shown phases with."


def confusion(study: StudyShape) -> list[Element]:
    """The section: what was shown for each true phase."""
    if study.confusion is None:
        return absent("confusion", "What was taken for what", _NO_TRUTH)
    said = (
        "A row is a true phase, a column what was predicted for its frames: in percent of the row, with the number of frames "
        "below. The darker, the more; what lies in the outlined diagonal is right."
    )
    return section("confusion", "What was taken for what", said, _matrix(study.confusion))


def _matrix(one: ConfusionShape) -> Element:
    counts = np.array(one.counts, np.int64)
    wholes = counts.sum(axis=1)
    heads: list[Inside] = ["True phase"]
    for k, name in enumerate(one.column_names):
        phase = k < len(one.row_names)
        heads.append(tag("abbr", chip(k + 1), title=spaced(name)) if phase else spaced(name))
    heads.append("Frames")
    rows = []
    for k, (name, values, whole) in enumerate(zip(one.row_names, counts.tolist(), wholes.tolist(), strict=True)):
        cells = [_square(value, whole, right=k == j) for j, value in enumerate(values)]
        rows.append(_named(k + 1, name, *cells, tag("td", f"{whole:,}", class_="number")))
    caption = f"Frames by true phase (rows) and prediction (columns), all cases together, {int(wholes.sum()):,} in all"
    return table(caption, heads, [rows], class_="confusion")


def _named(number_: int, name: str, *cells: Element) -> Element:
    """A row under the number and the name of a phase."""
    return tag("tr", tag("th", chip(number_), spaced(name), scope="row"), *cells)


def _square(value: int, whole: int, *, right: bool) -> Element:
    share = value / whole if whole else 0.0
    # Only at this shade do white and pure black both have a contrast of 4.5.
    blue = 0.92 * share
    colour = "#ffffff" if blue > 0.73 else "#000000"
    written = number(100 * share) if whole else "–"
    return tag(
        "td",
        written,
        " ",
        tag("span", f"{value:,}", class_="below"),
        class_="square right" if right else "square",
        style=f"background: {_mixed(blue)}; color: {colour}",
    )


def _mixed(share: float) -> str:
    """White with so much of the darkest blue in it."""
    parts = (round(255 + (dark - 255) * share) for dark in (0, 74, 122))
    return "#" + "".join(f"{part:02x}" for part in parts)


def each_phase(study: StudyShape) -> list[Element]:
    """The section: a table of phases for each convention there is, and how they are cut into segments."""
    if not study.per_phase:
        return absent("phases", "Each phase", _NO_TRUTH)
    tables = []
    for convention, group in groupby(study.per_phase, key=lambda one: one.convention):
        rows = [
            _named(
                study.phases.index(one.phase) + 1,
                one.phase,
                *(cell(value) for value in (one.precision, one.recall, one.jaccard, one.f1)),
                tag("td", f"{one.cases:,}", class_="number"),
            )
            for one in group
        ]
        caption = (
            f"Convention {convention}: {_ADDED_UP.get(convention, 'as its script does')}. Percent; cases are those whose "
            f"truth has the phase. Undefined values: {study.nan_policy}."
        )
        heads = ("Phase", "Precision", "Recall", "Jaccard", "F1", "Cases")
        tables.append(table(caption, heads, [rows]))
    others = [folded("The same by the other conventions", *tables[1:])] if tables[1:] else []
    return section("phases", "Each phase", tables[0], *others, *_segments(study))


def _segments(study: StudyShape) -> list[Element]:
    one = study.segments
    if one is None:
        return []
    late = one.transition_latency
    scores = (
        ("Edit score, %", one.edit, 1, "order of the segments, whatever their length; 100 is best"),
        ("F1@10, %", one.f1_10, 1, "segments that overlap a true one of their phase by 10 % or more"),
        ("F1@25, %", one.f1_25, 1, "the same, by 25 % or more"),
        ("F1@50, %", one.f1_50, 1, "the same, by 50 % or more"),
        ("Segments, predicted over true", one.over_segmentation, 2, "1 is best; more means flicker"),
    )
    rows = [row(name, interval_cell(value, digits), tag("td", said)) for name, value, digits, said in scores]
    caption = f"Segments: stretches of one phase, {count(one.cases, 'case')} at {number(one.fps)} frames/s"
    said = (
        f"The median latency of {count(late.transitions, 'true transition')} is {number(late.median_s)} s, that of nine in ten "
        f"{number(late.p90_s)} s at most; {count(late.misses, 'was', 'were')} missed. A phase counts as shown once it held "
        f"for {late.hold_s:g} s. A phase was begun wrongly {count(late.false_starts, 'time')}."
    )
    return [
        tag("h3", "In segments"),
        tag("p", said),
        table(caption, ("Measure", "Value", "What it is"), [rows], class_="measures", words=1),
    ]


def conventions(study: StudyShape) -> list[Element]:
    """The section: the same predictions by every convention, and who would win by which."""
    title = "The same predictions, by every convention"
    if not study.conventions:
        return absent("conventions", title, _NO_TRUTH)
    said = (
        "One set of predictions, added up in each way that papers of this field do. Two numbers from different rows must "
        "never be put side by side: the difference between rows is arithmetic, not skill."
    )
    axis = _scale([one.jaccard for one in study.conventions.values()])
    rows = [
        row(
            tag("span", tag("strong", name), tag("span", _ADDED_UP.get(name, one.protocol), class_="below")),
            *(interval_cell(getattr(one, measure)) for measure in _MEASURES),
            tag("td", _whisker(one.jaccard, axis), class_="plot"),
        )
        for name, one in study.conventions.items()
    ]
    intervals = [v for one in study.conventions.values() for m in _MEASURES if (v := getattr(one, m)) is not None]
    caption = (
        f"Percent, with {method(intervals)}; {_base(list(study.conventions.values()))}. The relaxed scripts have no F1."
    )
    heads: tuple[Inside, ...] = (
        "Convention",
        "Accuracy",
        "Precision",
        "Recall",
        "Jaccard",
        "F1",
        _scaled("Jaccard, %", axis),
    )
    rules = [tag("li", tag("strong", name), f": {one.nan_policy}") for name, one in study.conventions.items()]
    return section(
        "conventions",
        title,
        said,
        table(caption, heads, [rows], class_="figured conventions"),
        folded("What each convention does with undefined values", tag("ul", *rules)),
        *_ranking(study.ranking, study.ranking_flips),
    )


def _base(all_: Sequence[ConventionShape]) -> str:
    first = all_[0]
    return f"{count(first.cases, 'case')}, {count(first.frames, 'frame')} at {number(first.fps)} frames/s"


def _scale(intervals: Sequence[IntervalShape]) -> Axis:
    """Tens around all of the intervals, over the width of a cell."""
    ends = [float(v) for one in intervals for v in (one.estimate, one.low, one.high) if defined(v)] or [0.0, 100.0]
    low, high = 10 * np.floor(min(ends) / 10), 10 * np.ceil(max(ends) / 10)
    return Axis(float(low), float(max(high, low + 10)), 8, 172)


def _scaled(label: str, axis: Axis) -> Element:
    """The head of a column of drawings: what is drawn, from where to where."""
    ends = tag("span", tag("span", f"{axis.low:g}"), tag("span", f"{axis.high:g}"), class_="ends")
    return tag("span", label, ends, class_="scale")


def _whisker(one: IntervalShape, axis: Axis) -> Element:
    grid = "".join(f"M{axis.place(value)} 0V24" for value, _ in axis.ticks())
    shapes = [tag("path", d=grid, stroke=FAINT)]
    if defined(one.low, one.high):
        d = f"M{axis.place(float(one.low))} 12H{axis.place(float(one.high))}"
        shapes.append(tag("path", d=d, stroke=SILENT, stroke_width=2))
    if defined(one.estimate):
        shapes.append(tag("circle", cx=axis.place(float(one.estimate)), cy=12, r=4.5, fill="#0072b2"))
    return tag("svg", *shapes, width=180, height=24, viewBox="0 0 180 24", aria_hidden="true")


def _ranking(ranking: Sequence[RankShape], flips: Sequence[str]) -> list[Element]:
    if not ranking:
        return [tag("p", "There is nothing to rank: only one predictor was scored.", class_="absent")]
    usually = [(one, next(iter(one.ranks.values()), None)) for one in ranking]
    rows = [
        row(_capital(name), *(_placed(one, name, moved=one.ranks.get(name) != usual) for one, usual in usually))
        for name in ranking[0].values
    ]
    said: list[Element] = (
        [
            tag("p", tag("strong", "The conclusion depends on the convention:")),
            tag("ul", *(tag("li", f) for f in flips)),
        ]
        if flips
        else [tag("p", tag("strong", "The order of the predictors is the same by every convention."))]
    )
    caption = (
        f"Percent, and the place among the {len(ranking)} predictors; underlined where it is not that of the first row"
    )
    return [
        tag("h3", "Who is ahead, by which convention"),
        *said,
        table(caption, ("Convention and measure", *(one.predictor for one in ranking)), [rows]),
    ]


def _capital(name: str) -> str:
    """A measure as papers spell it."""
    spelt = name.replace("jaccard", "Jaccard").replace("f1", "F1")
    return spelt[:1].upper() + spelt[1:]


def _placed(one: RankShape, name: str, *, moved: bool) -> Element:
    rank = one.ranks.get(name)
    place = tag("span", "no place" if rank is None else f"place {rank}", class_="below moved" if moved else "below")
    return tag("td", number(one.values.get(name)), " ", place, class_="number")
