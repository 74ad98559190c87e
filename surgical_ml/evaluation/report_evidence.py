"""What a case report rests on: its pictures, and what everything depends on by digest."""

from pathlib import Path
from xml.etree.ElementTree import Element

from surgical_ml.evaluation.case_story import CaseStory
from surgical_ml.evaluation.keyframes import MOST
from surgical_ml.evaluation.markup import Inside, tag
from surgical_ml.evaluation.report_page import identity, picture
from surgical_ml.evaluation.report_words import clock, count


def pictures(folder: Path, story: CaseStory) -> list[Element]:
    """The section; raises InputError for a picture that the summary names and that is not there."""
    found: list[Element] = [tag("h2", "Pictures", id="pictures")]
    figures = []
    for one in story.summary.keyframes[:MOST]:
        stamp_ns = story.keyframes_ns.get(one.index)
        at = "" if stamp_ns is None else f"{clock(stamp_ns - story.axis.begin_ns)}, "
        caption = tag("figcaption", tag("strong", f"{at}frame {one.index:,}"), tag("br"), one.caption)
        image = picture(folder / one.file, "summary", f"Frame {one.index}: {one.caption}")
        figures.append(tag("figure", image, caption, id=f"frame-{one.index}"))
    if not figures:
        return [*found, tag("p", "None was kept.")]
    words = "The first frame of each kind of thing that happened. Frames from outside the body are kept black."
    return [*found, tag("p", words, class_="quiet"), tag("div", *figures, class_="pictures")]


def identified(story: CaseStory) -> list[Element]:
    """The section."""
    summary = story.summary
    verdict = "whole" if summary.audit.ok else "DAMAGED"
    rows: list[tuple[str, list[Inside]]] = [
        ("Software", [f"{summary.software.name} {summary.software.version}"]),
        (
            "Model",
            [f"{summary.model.name}, version {summary.model.version}", tag("br"), tag("code", summary.model.sha256)],
        ),
        ("Protocol", [summary.protocol.name, tag("br"), tag("code", summary.protocol.sha256)]),
        ("Configuration", [tag("code", summary.config_sha256)]),
        ("Audit log", [f"{verdict} when the case was over, {count(summary.audit.entries, 'entry', 'entries')}"]),
        ("Audit head", [tag("code", summary.audit.head)]),
    ]
    return [
        tag("h2", "Identity", id="identity"),
        tag("p", "What this case depends on, by digest (SHA-256).", class_="quiet"),
        identity(rows),
    ]
