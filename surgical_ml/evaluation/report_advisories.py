"""Every advisory of a case: from its onset to its end, and why it was given."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from surgical_ml.evaluation.case_story import CaseStory, Episode
from surgical_ml.evaluation.markup import Inside, tag
from surgical_ml.evaluation.report_drawing import sign
from surgical_ml.evaluation.report_groups import Group
from surgical_ml.evaluation.report_words import clock, count, spaced


def advisories(
    story: CaseStory,
    procedural: Sequence[Group],
    procedural_left: int,
    technical: Sequence[Group],
    technical_left: int,
) -> list[Element]:
    """The section: what was said about the operation, then about the module; with how many of each are not listed."""
    found: list[Element] = [tag("h2", "Advisories", id="advisories")]
    found.append(tag("h3", "About the operation"))
    if procedural:
        found.append(_listed(story, procedural, numbered=True))
    else:
        found.append(tag("p", "None was announced. That does not mean that nothing departed from the expected course."))
    found += _left(procedural_left)
    found.append(tag("h3", "About the module and its inputs"))
    found.append(_listed(story, technical, numbered=False) if technical else tag("p", "None was announced."))
    found += _left(technical_left)
    return found


def _listed(story: CaseStory, groups: Sequence[Group], *, numbered: bool) -> Element:
    names = ("", "Priority", "Onset", "Announced", "Condition gone", "Ended", "Presence reached", "Advisory")
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in names)))
    bodies = []
    for group in groups:
        rows = [_episode(story, one, number if numbered else None) for number, one in group.listed.items()]
        if group.more:
            last = clock(group.last.told.onset_ns - story.axis.begin_ns)
            words = (
                f"and {count(group.more, 'more', 'more')} that say the same for the same reason, the last from {last}"
            )
            rows.append(tag("tr", tag("td"), tag("td", words, colspan=len(names) - 1, class_="quiet")))
        first = next(iter(group.listed.values()))
        why = tag("tr", tag("td"), tag("td", _reason(story, first), colspan=len(names) - 1), class_="why")
        bodies.append(tag("tbody", *rows, why))
    return tag("div", tag("table", head, *bodies, class_="advisories"), class_="scroll")


def _episode(story: CaseStory, one: Episode, number: int | None) -> Element:
    def at(stamp_ns: int | None, still: str) -> Element:
        return tag("td", still if stamp_ns is None else clock(stamp_ns - story.axis.begin_ns), class_="time")

    ended = f"not yet, still {one.presences[-1]}"
    return tag(
        "tr",
        tag("td", None if number is None else str(number), class_="number"),
        tag("td", sign(one.priority), one.priority.upper(), class_="time"),
        at(one.told.onset_ns, ""),
        at(one.told.announced_ns, ""),
        at(one.gone_ns, "not yet"),
        at(one.ended_ns, ended),
        tag("td", ", ".join(one.presences)),
        tag("td", "; then: ".join(one.sentences), class_="sentence"),
        id=None if number is None else f"advisory-{number}",
    )


def _reason(story: CaseStory, one: Episode) -> Element:
    reason = one.told.reason
    pictures = [
        index
        for index, stamp_ns in story.keyframes_ns.items()
        if one.told.onset_ns <= stamp_ns <= one.told.announced_ns
    ]
    rows: list[tuple[str, Inside]] = [
        ("Rule", tag("code", reason.rule)),
        ("Certainty", reason.certainty),
        ("Expected", ", ".join(map(spaced, reason.expected)) or "nothing"),
        ("Evidence frames", ", ".join(f"{index:,}" for index in reason.evidence_frames) or "none named"),
        ("Observed", ", ".join(map(spaced, reason.observed)) or "nothing"),
        ("Degraded inputs", ", ".join(one.degraded) or "none"),
        ("Clears with", reason.clears),
    ]
    for index in pictures[:1]:
        rows.append(("Picture", tag("a", f"frame {index:,}", href=f"#frame-{index}")))
    inside = [part for name, words in rows for part in (tag("dt", name), tag("dd", words))]
    return tag("dl", *inside, class_="reason")


def _left(number: int) -> list[Element]:
    if not number:
        return []
    words = (
        f"{count(number, 'less urgent advisory is', 'less urgent advisories are')} not listed; decisions.jsonl has all."
    )
    return [tag("p", words, class_="quiet")]
