"""The course of a case: its drawing, its phases, and why nothing was shown."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from surgical_ml.evaluation.case_story import COLUMNS, URGENCY, CaseStory, Trace
from surgical_ml.evaluation.markup import tag
from surgical_ml.evaluation.report_chart import Flag, course, lettered
from surgical_ml.evaluation.report_drawing import chip, key, mark
from surgical_ml.evaluation.report_groups import Group, numbered
from surgical_ml.evaluation.report_page import figured
from surgical_ml.evaluation.report_words import clock, length, share, spaced


def course_section(story: CaseStory, procedural: Sequence[Group]) -> list[Element]:
    """The section: the drawing with its key, and a table of the phases."""
    flags = [Flag(number, one.told.announced_ns, one.priority) for number, one in numbered(procedural)]
    hatch = tag("rect", width=26, height=13, fill="url(#hatching)")
    step_ns = story.axis.length_ns // COLUMNS
    signs = [
        key(hatch, "withheld, with its reason"),
        key(
            tag("rect", x=0.5, y=0.5, width=25, height=12, fill="#56b4e9", fill_opacity=0.45, stroke="#5b6670"),
            "candidate: a phase that gathers evidence",
        ),
    ]
    if story.advisories:
        colour = "#5b6670"
        signs += [
            key(tag("rect", y=10, width=26, height=3, fill=colour), "evidence gathered"),
            key(tag("rect", width=26, height=13, fill=colour), "on"),
            key(
                tag("rect", x=0.5, y=0.5, width=25, height=12, fill="#ffffff", stroke=colour),
                "latched: its condition has gone",
            ),
        ]
        signs += [key(mark(one, 13, 6.5), one.upper()) for one in URGENCY if one in {flag.priority for flag in flags}]
    return [
        tag("h2", "Course of the operation", id="course"),
        tag(
            "p",
            f"Time runs from the first frame. One step of the axis is {length(step_ns)}; a bar that is less high fills "
            "only that part of its step.",
            class_="quiet",
        ),
        tag("div", course(story, flags), class_="drawing"),
        tag("ul", *signs, class_="key"),
        _phases(story),
    ]


def _phases(story: CaseStory) -> Element:
    rows = [
        tag(
            "tr",
            tag("th", chip(number), spaced(name), scope="row"),
            *_stretches(story, trace),
        )
        for number, (name, trace) in enumerate(story.committed.items(), 1)
    ]
    if story.unsettled.total_ns:
        rows.append(tag("tr", tag("th", "No phase established yet", scope="row"), *_stretches(story, story.unsettled)))
    return figured(("Committed phase", *_STRETCHES), rows)


_STRETCHES = ("First at", "Stretches", "Longest", "Time", "Share of the case")


def _stretches(story: CaseStory, trace: Trace) -> list[Element]:
    if trace.first_ns is None:
        return [tag("td", "not seen", class_="number quiet"), *(tag("td", class_="number") for _ in _STRETCHES[1:])]
    return [
        tag("td", words, class_="number")
        for words in (
            clock(trace.first_ns - story.axis.begin_ns),
            f"{trace.stretches:,}",
            length(trace.longest_ns),
            length(trace.total_ns),
            share(trace.total_ns, story.axis.length_ns),
        )
    ]


def silence(story: CaseStory) -> list[Element]:
    """The section: reasons for which nothing was shown, and inputs that were poor while something was."""
    found: list[Element] = [tag("h2", "Why nothing was shown", id="withheld")]
    rows = [
        tag(
            "tr",
            tag("th", tag("strong", letter), f" {reason}", scope="row"),
            tag("td", f"{story.withheld_frames[reason]:,}", class_="number"),
            *_stretches(story, story.withheld[reason]),
        )
        for reason, letter in lettered(story.withheld).items()
    ]
    if rows:
        found.append(figured(("Reason", "Frames", *_STRETCHES), rows))
    else:
        found.append(tag("p", "Something was shown for every judged frame."))
    if story.degraded:
        poor = [
            tag("tr", tag("th", name, scope="row"), *_stretches(story, trace)) for name, trace in story.degraded.items()
        ]
        found += [tag("h3", "What was poor while something was shown"), figured(("Input", *_STRETCHES), poor)]
    return found
