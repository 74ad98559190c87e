"""What a reader must know before anything else: what was run, on what, how well, and whether it may be released."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from surgical_ml.evaluation.markup import Inside, tag
from surgical_ml.evaluation.report_words import count, length, share
from surgical_ml.evaluation.study.shape import GateShape, IntervalShape, StudyShape
from surgical_ml.evaluation.study_report.numbers import bounds, defined, number

_SIGNS = {"pass": "✓", "blocked": "✕", "insufficient": "?"}
_MOST_NAMED = 6


def header(study: StudyShape, sections: list[tuple[str, str]]) -> Element:
    """The head of the page.

    Args:
        study: the whole.
        sections: id and title of each section, for the way there.
    """
    seconds = sum(float(case.duration_s) for case in study.cases)
    rate = "" if study.fps is None else f", scored at {number(study.fps)} frames/s"
    pace = (
        "at the video's own pace, as in the operating room"
        if study.mode == "realtime"
        else "as fast as it went, which says nothing of latency"
    )
    cases, frames = count(study.data.cases, "case"), count(study.data.frames, "judged frame")
    lead = f"{cases}, {length(round(seconds * 10**9))} of video, {frames}{rate}. Judged {pace}."
    return tag(
        "header",
        tag("p", "Evaluation report", class_="kicker"),
        tag("h1", f"{study.model.name}, version {study.model.version}"),
        tag("p", lead, class_="lead"),
        *_notes(study),
        _gate(study),
        tag("dl", *_figures(study), class_="figures"),
        *_worst_case(study),
        tag("nav", *(tag("a", title, href=f"#{id_}") for id_, title in sections), aria_label="Sections"),
    )


def _notes(study: StudyShape) -> list[Element]:
    """What the study says of its own numbers comes first; a number that is read without it is misread."""
    if not study.notes:
        return []
    first = sorted(study.notes, key=lambda note: "synthetic" not in note)
    return [tag("ul", *(tag("li", note) for note in first), class_="notes")]


def _gate(study: StudyShape) -> Element:
    gate = study.gate
    if gate is None:
        words = (
            "No release gate was applied: there were no groups to compare, or nobody said how far the worst may lie below "
            "the whole."
        )
        return tag("div", tag("p", words), class_="notice")
    verdict = tag(
        "strong",
        tag("span", _SIGNS[gate.verdict], class_="sign", aria_hidden="true"),
        f"Release gate: {gate.verdict}. ",
    )
    return tag("div", tag("p", verdict, " ".join(_reasons(gate, study))), class_=f"notice gate {gate.verdict}")


def _reasons(gate: GateShape, study: StudyShape) -> Iterator[str]:
    statistic = {f"{b.by}: {one.group}": b.statistic for b in study.subgroups for one in b.rows}.get(
        gate.worst, "its statistic"
    )
    limit = f"{gate.largest_drop:g} points are allowed"
    if defined(gate.drop):
        drop = float(gate.drop)
        side = f"{number(drop)} points below" if drop >= 0 else f"{number(-drop)} points above"
        yield f"The worst group, {gate.worst}, lies {side} all cases in {statistic}; {limit}."
    else:
        yield f"No group is large enough to be judged; {limit}."
    if gate.insufficient:
        named = ", ".join(gate.insufficient[:_MOST_NAMED])
        more = len(gate.insufficient) - _MOST_NAMED
        rest = f" and {more} more" if more > 0 else ""
        yield f"Too small to be judged, which is never a pass: {named}{rest}."


def _figures(study: StudyShape) -> Iterator[Element]:
    """Up to four numbers, each with its interval and its convention."""
    strict = study.conventions.get("strict")
    if strict is not None:
        yield _figure("Accuracy, strict", strict.accuracy, " %")
        yield _figure("Jaccard, strict", strict.jaccard, " %")
    else:
        yield _box("Phases", "not scored", "no case has labelled phases")
    one = study.deviations
    if one is not None:
        found = one.deviations - len(one.misses)
        below = (
            f"sensitivity {number(one.sensitivity.estimate, 2)}; {one.sensitivity.level * 100:g} % interval "
            f"{bounds(one.sensitivity, 2)}"
        )
        yield _box("Deviations announced", f"{found} / {one.deviations}", below)
    else:
        yield _box("Deviations", "not scored", "nobody said which there were")
    frames = sum(case.frames for case in study.cases)
    shown = sum(case.validity.get(validity, 0) for case in study.cases for validity in ("OK", "DEGRADED"))
    yield _box("Shown", share(shown, frames), f"{shown:,} of {frames:,} judged frames; the rest was withheld")


def _figure(name: str, one: IntervalShape, unit: str) -> Element:
    value = f"{number(one.estimate)}{unit}" if defined(one.estimate) else "undefined"
    return _box(name, value, f"{one.level * 100:g} % interval {bounds(one)}; {count(one.n, 'case')}")


def _box(name: str, value: str, below: str) -> Element:
    inside: list[Inside] = [tag("dt", name), tag("dd", value, class_="figure"), tag("dd", below)]
    return tag("div", *inside)


def _worst_case(study: StudyShape) -> list[Element]:
    """The worst case beside the mean: a mean alone hides it."""
    one = study.mean_worst.get("accuracy")
    if one is None or not defined(one.mean, one.worst, one.cvar10):
        return []
    lowest = min(
        (case for case in study.cases if defined(case.scores.get("accuracy", "NaN"))),
        key=lambda case: float(case.scores["accuracy"]),
        default=None,
    )
    name = "" if lowest is None else f" ({lowest.name})"
    words = (
        f"Beside the mean accuracy of {number(one.mean)} %: the worst case{name} has {number(one.worst)} %, the worst tenth of "
        f"cases {number(one.cvar10)} %."
    )
    return [tag("p", words)]
