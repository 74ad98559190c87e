"""The course of a case as one drawing: phases, silence, instruments and advisories on one time axis."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from string import ascii_lowercase
from xml.etree.ElementTree import Element

from surgical_ml.evaluation.case_story import COLUMNS, GATHERING, CaseStory, Trace, Traces
from surgical_ml.evaluation.markup import tag
from surgical_ml.evaluation.report_drawing import (
    FAINT,
    INK,
    PRIORITY_COLOURS,
    SILENT,
    mark,
    on_phase,
    patterns,
    phase_colour,
    tick_s,
    words_inside,
)
from surgical_ml.evaluation.report_words import clock, count, length, share, spaced
from surgical_ml.guidance import Presence, Priority

MOST_ROWS = 16
"""Advisories that get a row of their own; a protocol has about that many kinds."""

_LEFT, _RIGHT = 150, 118
_WIDTH = _LEFT + COLUMNS + _RIGHT
_LABEL = 24
_HIGH = 13
_TOOL = "#34495e"
_FLAGS_APART = 18


@dataclass(frozen=True, slots=True)
class Flag:
    """Where an advisory was announced: its number in the report, the time, and how urgent it was."""

    number: int
    stamp_ns: int
    priority: Priority


def lettered(withheld: Traces) -> dict[str, str]:
    """The reasons for which nothing was shown, the longest first, each with its letter; empty past the alphabet."""
    reasons = sorted(withheld, key=lambda reason: (-withheld[reason].total_ns, reason))
    return dict(zip_longest(reasons, ascii_lowercase[: len(reasons)], fillvalue=""))


def course(story: CaseStory, flags: Sequence[Flag]) -> Element:
    """Draw the course of a case.

    Its size is bounded by the width of the axis, not by the length of the case: what is shorter than a step of the axis
    is added up within it, so that nothing vanishes and nothing is drawn larger than its share, rounded up to a pixel.
    """
    rows = _Rows(story)
    rows.flags(flags)
    rows.phases()
    rows.silence()
    rows.instruments()
    rows.advisories()
    return rows.drawing()


class _Rows:
    """The rows of a drawing, one below the other."""

    def __init__(self, story: CaseStory) -> None:
        self._story = story
        self._y = 20
        self._parts: list[Element] = []
        self._numbers = {name: k for k, name in enumerate(dict.fromkeys([*story.committed, *story.candidates]), 1)}
        self._letters = lettered(story.withheld)
        self._flagged: list[tuple[float, float]] = []

    def drawing(self) -> Element:
        """Everything so far, before its time axis."""
        height = self._y + 4
        lines = [
            tag("path", d=f"M{x} {top}V{height - 4}", stroke=INK, stroke_width=0.8, opacity=0.45)
            for x, top in self._flagged
        ]
        label = "Phases, withheld stretches, instruments and advisories over the time of the case"
        return tag(
            "svg",
            patterns(),
            *self._axis(height),
            *self._parts,
            *lines,
            viewBox=f"0 0 {_WIDTH} {height}",
            role="img",
            aria_label=label,
        )

    def flags(self, flags: Sequence[Flag]) -> None:
        """Where advisories were announced; those that would cover each other share one sign, the most urgent."""
        ordered = sorted(flags, key=lambda flag: flag.stamp_ns)
        groups: list[list[Flag]] = []
        for flag in ordered:
            if groups and self._x(flag.stamp_ns) - self._x(groups[-1][0].stamp_ns) < _FLAGS_APART:
                groups[-1].append(flag)
            else:
                groups.append([flag])
        urgent = list(Priority)
        for group in groups:
            x, y = self._x(group[0].stamp_ns), self._y + 10
            self._flagged.append((x, y + 5))
            self._parts.append(mark(max((flag.priority for flag in group), key=urgent.index), x, y))
            numbers = [flag.number for flag in group]
            words = str(numbers[0]) if len(group) == 1 else f"{min(numbers)}-{max(numbers)}"
            self._parts.append(tag("text", words, x=x + 9, y=y + 4, class_="strong"))
        self._y += 24 if flags else 6

    def phases(self) -> None:
        """The ribbon: the committed phase, hatched where nothing was shown; below it what might replace it."""
        story, top, tall = self._story, self._y, 46
        self._label("Phase", top + tall / 2 + 4)
        self._parts.append(tag("rect", x=_LEFT, y=top, width=COLUMNS, height=tall, fill="none", stroke=FAINT))
        phases = {f"phase {name}": trace for name, trace in story.committed.items()}
        silent = {f"withheld {reason}": trace for reason, trace in story.withheld.items()}
        for run, start, end in _runs(_longest({"unsettled ": story.unsettled} | phases | silent)):
            kind, _, name = run.partition(" ")
            if kind == "phase":
                number = self._numbers[name]
                self._box(start, end, top, tall, phase_colour(number), f"{number} {spaced(name)}")
                self._words(start, end, top, tall, (f"{number} {spaced(name)}", str(number)), on_phase(number))
            elif kind == "withheld":
                self._box(start, end, top, tall, "url(#hatching)", f"Withheld: {name}")
                self._words(start, end, top, tall, (name, self._letters[name]), "halo")
            else:
                self._box(start, end, top, tall, "#ffffff", "No phase established yet")
                self._words(start, end, top, tall, ("no phase yet",), "")
        self._y = top + tall + 5
        self._label("Candidate", self._y + 10, "quiet")
        for name, start, end in _runs(_longest(story.candidates)):
            number = self._numbers[name]
            said = f"Candidate: {spaced(name)}"
            self._box(start, end, self._y, 13, phase_colour(number), said, fill_opacity=0.45, stroke=SILENT)
            self._words(start, end, self._y, 13, (str(number),), "small")
        self._y += 22

    def silence(self) -> None:
        """When nothing was shown, and when something was shown of a poor view."""
        self._row("Withheld", self._story.silent, SILENT)
        if self._story.poor.total_ns:
            self._row("Degraded", self._story.poor, SILENT)

    def instruments(self) -> None:
        """One row for each instrument."""
        if self._story.tools:
            self._heading("Instruments")
        for name, trace in self._story.tools.items():
            self._row(spaced(name), trace, _TOOL)

    def advisories(self) -> None:
        """One row for each kind of advisory about the operation."""
        shown = list(self._story.advisories.items())[:MOST_ROWS]
        if shown:
            self._heading("Advisories")
        for (code, subject), traces in shown:
            self._advisory(code, subject, traces)
        more = len(self._story.advisories) - len(shown)
        if more:
            self._label(f"and {count(more, 'more kind')}", self._y + 12, "quiet")
            self._y += 18

    def _advisory(self, code: str, subject: str, traces: Traces) -> None:
        own = [e for e in self._story.episodes if (e.told.code, e.told.subject) == (code, subject)]
        colour = PRIORITY_COLOURS[max((e.priority for e in own), key=list(Priority).index)]
        top, tall = self._y + 4, 14
        self._label(spaced(subject), top + 6)
        self._label(spaced(code).lower(), top + 17, "quiet small")
        for name, start, end in _runs(
            _first((Presence.ON, Presence.ACKNOWLEDGED, GATHERING, Presence.LATCHED), traces)
        ):
            said = {GATHERING: "Evidence gathered, not announced yet"}.get(name, name.capitalize())
            if name == GATHERING:
                self._box(start, end, top + tall - 3, 3, colour, said)
            elif name == Presence.ON:
                self._box(start, end, top, tall, colour, said)
            elif name == Presence.ACKNOWLEDGED:
                self._box(start, end, top + tall / 2, tall / 2, colour, said)
            else:
                self._box(start, end, top + 0.5, tall - 1, "#ffffff", said, stroke=colour)
        on = traces[Presence.ON].total_ns + traces[Presence.ACKNOWLEDGED].total_ns
        self._value(f"on {length(on)}", top + 11)
        self._y += 30

    def _row(self, name: str, trace: Trace, colour: str) -> None:
        """A row whose bars are as high as their share of each step of the axis."""
        top, total_ns = self._y, trace.total_ns
        self._label(name, top + 11, "" if total_ns else "quiet")
        self._parts.append(tag("path", d=f"M{_LEFT} {top + _HIGH + 0.5}h{COLUMNS}", stroke=FAINT))
        bars = ""
        for high, run in groupby(enumerate(trace.shares(_HIGH)), key=lambda pair: pair[1]):
            steps = [step for step, _ in run]
            if high:
                bars += f"M{_LEFT + steps[0]} {top + _HIGH - high}h{len(steps)}v{high}h-{len(steps)}z"
        if bars:
            self._parts.append(tag("path", tag("title", f"{name}: {length(total_ns)}"), d=bars, fill=colour))
        self._value(
            f"{length(total_ns)} · {share(total_ns, self._story.axis.length_ns)}" if total_ns else "none", top + 11
        )
        self._y += 18

    def _axis(self, height: int) -> Iterator[Element]:
        length_ns = self._story.axis.length_ns
        step_s = tick_s(length_ns / 1e9)
        for k in range(int(length_ns / (step_s * 1e9)) + 1):
            x = _LEFT + k * step_s * 1e9 * COLUMNS / length_ns
            yield tag("path", d=f"M{x:.1f} 18V{height - 4}", stroke=FAINT, stroke_width=0.8)
            yield tag("text", clock(k * step_s * 1_000_000_000, tenths=False), x=f"{x:.1f}", y=12, class_="tick")

    def _x(self, stamp_ns: int) -> float:
        return round(_LEFT + self._story.axis.column(stamp_ns), 1)

    def _label(self, words: str, y: float, class_: str = "") -> None:
        shown = words if len(words) <= _LABEL else words[: _LABEL - 1] + "…"
        self._parts.append(tag("text", shown, x=_LEFT - 10, y=y, class_=f"label {class_}".strip()))

    def _value(self, words: str, y: float) -> None:
        self._parts.append(tag("text", words, x=_LEFT + COLUMNS + 8, y=y, class_="quiet small"))

    def _heading(self, words: str) -> None:
        self._y += 12
        self._parts.append(tag("text", words, x=_LEFT - 10, y=self._y + 8, class_="label heading"))
        self._y += 16

    def _box(
        self, start: int, end: int, top: float, tall: float, fill: str, said: str, **attributes: str | float
    ) -> None:
        box = {"x": _LEFT + start, "y": top, "width": end - start, "height": tall, "fill": fill}
        self._parts.append(tag("rect", tag("title", said), **box, **attributes))

    def _words(self, start: int, end: int, top: float, tall: float, choices: Sequence[str], class_: str) -> None:
        """The first of the texts that fits into a box, on as many lines as it has room for."""
        self._parts += words_inside(_LEFT + start, _LEFT + end, top, tall, choices, class_)


def _longest(traces: Mapping[str, Trace]) -> list[str | None]:
    """For each step of the axis, what filled most of it."""
    steps: list[str | None] = []
    for step in range(COLUMNS):
        name = max(traces, key=lambda name: traces[name].columns[step], default=None)
        steps.append(name if name is not None and traces[name].columns[step] else None)
    return steps


def _first(names: Sequence[str], traces: Mapping[str, Trace]) -> list[str | None]:
    """For each step of the axis, the first of the names that was so at any time in it."""
    present = [(name, traces[name].columns) for name in names if name in traces]
    return [next((name for name, columns in present if columns[step]), None) for step in range(COLUMNS)]


def _runs(steps: Sequence[str | None]) -> Iterator[tuple[str, int, int]]:
    """Equal steps that follow each other: what, from, to."""
    for name, run in groupby(range(len(steps)), key=steps.__getitem__):
        indices = list(run)
        if name is not None:
            yield name, indices[0], indices[-1] + 1
