"""`report.html`: one case on one page, for a surgeon, an engineer and a reviewer; nothing outside the file is needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from surgical_ml.evaluation.case_story import COLUMNS, URGENCY, CaseStory, Durations, Episode, Trace, read_story
from surgical_ml.evaluation.keyframes import MOST
from surgical_ml.evaluation.markup import Inside, tag
from surgical_ml.evaluation.report_chart import Flag, course, lettered
from surgical_ml.evaluation.report_drawing import chip, key, mark
from surgical_ml.evaluation.report_page import document, figured, identity, picture, write_page
from surgical_ml.evaluation.report_style import STYLE
from surgical_ml.evaluation.report_words import clock, count, length, share, spaced
from surgical_ml.guidance import Kind, Priority, Validity

REPORT = "report.html"

MOST_GROUPS, MOST_ALIKE = 40, 20
"""How many different advisories are listed, the most urgent ones, and how many of those that say the same."""

MOST_AT_A_GLANCE = 6

_WORDS = {
    Validity.OK: ("OK", "judged and shown"),
    Validity.DEGRADED: ("Degraded", "shown as poorly seen"),
    Validity.WITHHELD: ("Withheld", "with only the reason why"),
    Validity.FAULT: ("Fault", "in which the module itself had failed"),
}


def write_report(folder: Path) -> Path:
    """Write `report.html` into a case folder.

    The files are read a line at a time. Neither the memory this takes nor the file grows with the length of the case: they
    grow with the number of different things that happened in it, and the file only up to a limit that it states.

    Args:
        folder: of a case, as `replay_case` leaves it.

    Returns:
        The path of the report.

    Raises:
        InputError: the folder is no case folder, one of its files is not what it must be, or the report cannot be written.
    """
    return write_page(_document(folder, read_story(folder)), folder / REPORT)


@dataclass(frozen=True, slots=True)
class _Group:
    """Advisories that say the same for the same reason: those that are listed, by number, and how many are not."""

    listed: dict[int, Episode]
    more: int
    last: Episode


def _document(folder: Path, story: CaseStory) -> Element:
    procedural, procedural_left = _groups(story, Kind.PROCEDURAL)
    technical, technical_left = _groups(story, Kind.TECHNICAL)
    main = tag(
        "main",
        *_course(story, procedural),
        *_advisories(story, procedural, procedural_left, technical, technical_left),
        *_silence(story),
        *_latency(story),
        *_pictures(folder, story),
        *_identity(story),
    )
    title = f"Case report: {story.summary.video}"
    return document(title, STYLE, _header(story, procedural), main, _footer())


def _groups(story: CaseStory, kind: Kind) -> tuple[list[_Group], int]:
    """What is listed of one kind, and how many advisories are not; numbers follow the order of announcement."""
    alike: dict[object, list[Episode]] = {}
    for one in story.episodes:
        if one.told.kind is kind:
            said = (one.told.code, one.told.subject, one.told.reason, one.priority, *one.sentences, *one.degraded)
            alike.setdefault(said, []).append(one)
    urgent = sorted(alike.values(), key=lambda group: URGENCY.index(group[0].priority))[:MOST_GROUPS]
    urgent.sort(key=lambda group: group[0].told.announced_ns)
    listed = sorted((one for group in urgent for one in group[:MOST_ALIKE]), key=lambda one: one.told.announced_ns)
    numbers = {id(one): number for number, one in enumerate(listed, 1)}
    groups = [
        _Group({numbers[id(one)]: one for one in group[:MOST_ALIKE]}, len(group[MOST_ALIKE:]), group[-1])
        for group in urgent
    ]
    return groups, sum(map(len, alike.values())) - sum(map(len, urgent))


def _numbered(groups: Sequence[_Group]) -> list[tuple[int, Episode]]:
    """Every listed advisory with its number, in order."""
    return sorted(((k, one) for group in groups for k, one in group.listed.items()), key=lambda pair: pair[0])


def _header(story: CaseStory, procedural: Sequence[_Group]) -> Element:
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


def _glance(story: CaseStory, procedural: Sequence[_Group]) -> list[Element]:
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
            _sign(one.priority),
            tag("span", clock(one.told.announced_ns - story.axis.begin_ns), class_="at"),
            tag("a", next(iter(one.sentences)), href=f"#advisory-{number}"),
        )
        for number, one in _numbered(procedural)
    ]
    more = len(priorities) - len(listed[:MOST_AT_A_GLANCE])
    if more:
        listed[MOST_AT_A_GLANCE:] = [tag("li", f"and {more:,} more", class_="quiet")]
    return [tag("p", tag("strong", head)), tag("ul", *listed, class_="glance")]


def _course(story: CaseStory, procedural: Sequence[_Group]) -> list[Element]:
    flags = [Flag(number, one.told.announced_ns, one.priority) for number, one in _numbered(procedural)]
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


def _advisories(
    story: CaseStory,
    procedural: Sequence[_Group],
    procedural_left: int,
    technical: Sequence[_Group],
    technical_left: int,
) -> list[Element]:
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


def _listed(story: CaseStory, groups: Sequence[_Group], *, numbered: bool) -> Element:
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
        tag("td", _sign(one.priority), one.priority.upper(), class_="time"),
        at(one.told.onset_ns, ""),
        at(one.told.announced_ns, ""),
        at(one.gone_ns, "not yet"),
        at(one.ended_ns, ended),
        tag("td", ", ".join(one.presences)),
        tag("td", "; then: ".join(one.sentences), class_="sentence"),
        id=None if number is None else f"advisory-{number}",
    )


def _sign(priority: Priority) -> Element:
    return tag("svg", mark(priority, 7, 7), width=14, height=14, class_="mark", aria_hidden="true")


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


def _silence(story: CaseStory) -> list[Element]:
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


def _latency(story: CaseStory) -> list[Element]:
    summary = story.summary
    device = f"on {summary.platform}" if summary.platform else "on a device that the summary does not name"
    found: list[Element] = [
        tag("h2", "Latency", id="latency"),
        tag(
            "p",
            f"Measured on this run, {device}, with the engine {summary.engine}; in milliseconds, to three digits. "
            + (
                "Frames came at their own pace, in real time."
                if summary.frames_per_s is None
                else f"When the summary was made, the case was judged at {summary.frames_per_s:g} frames/s."
            )
            + (" Decoding runs beside the rest and is no part of the total." if "decode" in story.durations else ""),
        ),
    ]
    if not story.durations:
        return [*found, tag("p", "No stage was timed.")]
    longest = max(one.percentile_us(99) for one in story.durations.values()) or 1
    rows = [
        tag(
            "tr",
            tag("th", spaced(name), scope="row"),
            *(tag("td", f"{us / 1000:.2f}", class_="number") for us in _percentiles(one)),
            tag("td", f"{one.count:,}", class_="number"),
            tag("td", _spread(one, longest), class_="number"),
        )
        for name, one in story.durations.items()
    ]
    return [*found, figured(("Stage", "p50", "p95", "p99", "max", "Frames", "From p50 to p99"), rows)]


def _percentiles(one: Durations) -> list[int]:
    return [one.percentile_us(50), one.percentile_us(95), one.percentile_us(99), one.max_us]


def _spread(one: Durations, longest_us: int) -> Element:
    """A line from the median to the 99th percentile, on a scale that all stages share."""
    wide = 170
    begin, end = (4 + us * (wide - 8) / longest_us for us in (one.percentile_us(50), one.percentile_us(99)))
    return tag(
        "svg",
        tag("path", d=f"M{begin:.1f} 7H{end:.1f}", stroke="#0072b2", stroke_width=2),
        tag("circle", cx=f"{begin:.1f}", cy=7, r=3.5, fill="#0072b2"),
        width=wide,
        height=14,
        viewBox=f"0 0 {wide} 14",
        aria_hidden="true",
    )


def _pictures(folder: Path, story: CaseStory) -> list[Element]:
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


def _identity(story: CaseStory) -> list[Element]:
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


def _footer() -> Element:
    return tag(
        "footer",
        "Every number here comes from decisions.jsonl, timings.jsonl and summary.json beside this file. Check the log with ",
        tag("code", "surgical-ml audit verify CASE/audit"),
        ".",
    )
