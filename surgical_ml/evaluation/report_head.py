"""What a case report says first: what the video is, how much was shown, and what was announced."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from surgical_ml.evaluation.case_story import URGENCY, CaseStory
from surgical_ml.evaluation.markup import tag
from surgical_ml.evaluation.report_drawing import sign
from surgical_ml.evaluation.report_groups import Group, numbered
from surgical_ml.evaluation.report_words import clock, count, length, share
from surgical_ml.guidance import Kind, Validity

MOST_AT_A_GLANCE = 6

_WORDS = {
    Validity.OK: ("OK", "judged and shown"),
    Validity.DEGRADED: ("Degraded", "shown as poorly seen"),
    Validity.WITHHELD: ("Withheld", "with only the reason why"),
    Validity.FAULT: ("Fault", "in which the module itself had failed"),
}


def header(story: CaseStory, procedural: Sequence[Group]) -> Element:
    """The head of the page."""
    summary, frames = story.summary, story.frames
    judged = f"{count(frames.total(), 'frame')} judged"
    each = "" if summary.every == 1 else f", one in {summary.every}"
    rate = "" if summary.fps is None else f" at {summary.fps:g} frames/s"
    figures = [
        tag(
            "div",
            tag("dt", name),
            tag("dd", share(frames[validity.value], frames.total()), class_="figure"),
            tag("dd", f"{count(frames[validity.value], 'frame')} {meaning}"),
        )
        for validity, (name, meaning) in _WORDS.items()
        if validity is not Validity.FAULT or frames[validity.value]
    ]
    sections = ("Course", "Advisories", "Withheld", "Latency", "Pictures", "Identity")
    return tag(
        "header",
        tag("p", "Case report", class_="kicker"),
        tag("h1", summary.video),
        tag("p", f"{length(story.axis.length_ns)} of video{rate}. {judged}{each}.", class_="lead"),
        tag(
            "div",
            tag(
                "p",
                tag("strong", "This module advises. No advisory never means safe."),
                " It moves nothing and replaces nobody's judgement. Where it shows nothing, it has not looked or could "
                "not tell; where it announces nothing, it has found nothing it knows how to find.",
            ),
            class_="notice",
        ),
        tag("dl", *figures, class_="figures"),
        *_glance(story, procedural),
        tag("nav", *(tag("a", name, href=f"#{name.lower()}") for name in sections)),
    )


def _glance(story: CaseStory, procedural: Sequence[Group]) -> list[Element]:
    """What was announced about the operation: how much, and the first few."""
    priorities = [one.priority for one in story.episodes if one.told.kind is Kind.PROCEDURAL]
    if not priorities:
        frames = story.frames.total()
        shown = frames - story.withheld_frames.total()
        words = (
            f"No advisory about the operation was announced in the {share(shown, frames)} of frames that were shown."
            if shown
            else "No advisory about the operation could be announced: nothing was shown in the whole case."
        )
        return [tag("p", tag("strong", words))]
    by_priority = ", ".join(f"{priorities.count(one)} {one.upper()}" for one in URGENCY if one in priorities)
    head = f"{count(len(priorities), 'advisory', 'advisories')} about the operation: {by_priority}."
    listed = [
        tag(
            "li",
            sign(one.priority),
            tag("span", clock(one.told.announced_ns - story.axis.begin_ns), class_="at"),
            tag("a", next(iter(one.sentences)), href=f"#advisory-{number}"),
        )
        for number, one in numbered(procedural)
    ]
    more = len(priorities) - len(listed[:MOST_AT_A_GLANCE])
    if more:
        listed[MOST_AT_A_GLANCE:] = [tag("li", f"and {more:,} more", class_="quiet")]
    return [tag("p", tag("strong", head)), tag("ul", *listed, class_="glance")]
