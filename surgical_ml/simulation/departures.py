"""Operations with several departures from the ordinary course, each with the time from which it can be seen."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from surgical_ml.errors import InputError
from surgical_ml.simulation.plan import (
    NEVER,
    PHASES,
    CasePlan,
    Injected,
    Segment,
    Split,
    ToolUse,
    phase_tools,
    plan_case,
)

STRUCTURAL = ("order", "skipped", "repeated", "prerequisite")
"""Departures of the course; a case has one of them, so that each can be told from the others."""

DEPARTURES = (*STRUCTURAL, "tool-mismatch", "too-long", "too-short", "instrument-lost")

AGAIN_SHARE = 0.08
"""How long a phase that is done again takes, of the case."""

AWAY_S = 14.0
"""How long nothing is in view where an instrument is lost."""

_CALOT, _CLIPPING, _DISSECTION, _PACKAGING, _CLEANING, _RETRACTION = range(1, 7)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds of the case from which a phase is too long, and up to which it is too short; by phase, where there are any."""

    too_long: Mapping[int, float]
    too_short: Mapping[int, float]


def depart(
    seed: int, kinds: tuple[str, ...], *, duration_s: float, bounds: Bounds, split: Split = "held-out"
) -> CasePlan:
    """A case with the departures asked for, as far as there is room for them: each that is in it is listed.

    `order`: dissection without clipping. `skipped`: clipping without the dissection of Calot's triangle. `repeated`: the
    gallbladder is dissected again after packaging. `prerequisite`: nothing is packed before it is retracted, or (every
    second seed) nothing is clipped in the clipping phase. `tool-mismatch`: a tool where it has no business, for 6 to 10 s;
    asked for twice, there are two. `too-long`, `too-short`: a phase that is beyond its bound, where the case has room.
    `instrument-lost`: nothing in view.

    Args:
        seed: names the case.
        kinds: of `DEPARTURES`, at most one of them of `STRUCTURAL`.
        duration_s: expected length without the departures.
        bounds: of the durations; from a protocol, and the case's time scale.
        split: which family of appearances.

    Raises:
        InputError: a kind is unknown, or two are structural.
    """
    unknown = sorted(set(kinds) - set(DEPARTURES))
    if unknown or sum(kind in STRUCTURAL for kind in kinds) > 1:
        raise InputError("departures", f"of {list(DEPARTURES)}, one of the course at most", ", ".join(kinds))
    normal = plan_case(seed, duration_s=duration_s, split=split)
    rng = np.random.default_rng([seed, 41])
    course = [(segment.phase, segment.end_s - segment.start_s) for segment in normal.segments]
    structural = next((kind for kind in kinds if kind in STRUCTURAL), "")
    no_clips = structural == "prerequisite" and seed % 2 == 1
    course = _changed_course(course, "" if no_clips else structural, duration_s)
    taken = _structural_places(course, structural, no_clips)
    lengths = {}
    for kind in ("too-long", "too-short"):
        if kind in kinds:
            place = _resized(course, kind, bounds, taken, rng)
            if place is not None:
                lengths[place] = kind
                taken.add(place)
    segments = _laid_out(course)
    tools = [use for segment in segments for use in phase_tools(segment, rng)]
    injected = _course_events(segments, structural, no_clips)
    injected += [_duration_event(segments[place], kind, bounds) for place, kind in lengths.items()]
    if no_clips:
        tools = [replace(use, tool="scissors") if use.tool == "clipper" else use for use in tools]
    free = [k for k in range(1, len(segments) - 1) if k not in taken]
    for kind in [one for one in kinds if one in ("tool-mismatch", "instrument-lost")]:
        needed_s = 12.0 if kind == "tool-mismatch" else AWAY_S + 10.0
        roomy = [k for k in free if segments[k].end_s - segments[k].start_s >= needed_s]
        if not roomy:
            continue
        place = int(rng.choice(roomy))
        free.remove(place)
        tools, event = (_odd_tool if kind == "tool-mismatch" else _nothing_in_view)(segments[place], tools, rng)
        injected.append(event)
    clip = [use for use in tools if use.tool == "clipper" and _within(use, segments, _CLIPPING)]
    cut = [use for use in tools if use.tool == "scissors" and _within(use, segments, _CLIPPING)]
    return replace(
        normal,
        segments=tuple(segments),
        tools=tuple(sorted(tools, key=lambda use: (use.start_s, use.slot, use.tool))),
        deviations=tuple(sorted(injected, key=lambda one: (one.onset_s, one.kind))),
        clipped_s=0.5 * (clip[0].start_s + clip[0].end_s) if clip else float("inf"),
        cut_s=cut[0].start_s + 0.6 * (cut[0].end_s - cut[0].start_s) if cut else float("inf"),
        duration_s=segments[-1].end_s,
    )


def _changed_course(course: list[tuple[int, float]], kind: str, duration_s: float) -> list[tuple[int, float]]:
    length = dict(course)
    match kind:
        case "order":
            return [one for one in course if one[0] != _CLIPPING]
        case "skipped":
            return [one for one in course if one[0] != _CALOT]
        case "prerequisite":
            return [(k, length[k]) for k in (0, _CALOT, _CLIPPING, _DISSECTION, _CLEANING, _RETRACTION)]
        case "repeated":
            at = [phase for phase, _ in course].index(_PACKAGING) + 1
            return [*course[:at], (_DISSECTION, AGAIN_SHARE * duration_s), *course[at:]]
    return course


def _event_place(course: list[tuple[int, float]], kind: str, no_clips: bool) -> int:
    """Which segment begins the departure of the course."""
    phases = [phase for phase, _ in course]
    match kind:
        case "skipped":
            return phases.index(_CLIPPING)
        case "prerequisite" if not no_clips:
            return phases.index(_RETRACTION)
        case "repeated":
            return phases.index(_PACKAGING) + 1
    return phases.index(_DISSECTION)


def _structural_places(course: list[tuple[int, float]], kind: str, no_clips: bool) -> set[int]:
    """The segments that a departure of the course needs as they are: its own, and the one before it."""
    if not kind:
        return set()
    place = _event_place(course, kind, no_clips)
    return {place - 1, place}


def _course_events(segments: list[Segment], kind: str, no_clips: bool) -> list[Injected]:
    if not kind:
        return []
    segment = segments[_event_place([(one.phase, 0.0) for one in segments], kind, no_clips)]
    subject = {
        "order": PHASES[_DISSECTION],
        "skipped": PHASES[_CALOT],
        "repeated": PHASES[_DISSECTION],
        "prerequisite": "clipper" if no_clips else PHASES[_PACKAGING],
    }[kind]
    return [Injected(kind, subject, segment.start_s, segment.end_s)]


def _resized(
    course: list[tuple[int, float]], kind: str, bounds: Bounds, taken: set[int], rng: np.random.Generator
) -> int | None:
    """Make one phase, if any can be, too long or too short; which one."""
    middle = [k for k in range(1, len(course) - 1) if k not in taken]
    if kind == "too-long":
        fit = [k for k in middle if bounds.too_long.get(course[k][0], np.inf) <= 90.0]
    else:
        fit = [k for k in middle if bounds.too_short.get(course[k][0], 0.0) >= 12.0]
    if not fit:
        return None
    place = int(rng.choice(fit))
    phase = course[place][0]
    length = bounds.too_long[phase] + 12.0 if kind == "too-long" else 0.7 * bounds.too_short[phase]
    course[place] = (phase, float(length))
    return place


def _duration_event(segment: Segment, kind: str, bounds: Bounds) -> Injected:
    if kind == "too-long":
        return Injected(kind, PHASES[segment.phase], segment.start_s + bounds.too_long[segment.phase], segment.end_s)
    return Injected(kind, PHASES[segment.phase], segment.end_s, segment.end_s)


def _laid_out(course: list[tuple[int, float]]) -> list[Segment]:
    ends = np.cumsum([length for _, length in course]).tolist()
    starts = [0.0, *ends[:-1]]
    return [Segment(phase, start, end) for (phase, _), start, end in zip(course, starts, ends, strict=True)]


def _within(use: ToolUse, segments: list[Segment], phase: int) -> bool:
    return any(one.phase == phase and one.start_s <= use.start_s < one.end_s for one in segments)


def _without(tools: list[ToolUse], slots: tuple[int, ...], start_s: float, end_s: float) -> list[ToolUse]:
    """Tools that leave some hands before a time and come back after another."""
    kept = []
    for use in tools:
        if use.slot not in slots or use.end_s <= start_s or use.start_s >= end_s:
            kept.append(use)
            continue
        if use.start_s < start_s - 1.0:
            kept.append(replace(use, end_s=start_s - 0.4))
        if use.end_s > end_s + 1.0:
            kept.append(replace(use, start_s=end_s + 0.4))
    return kept


def _odd_tool(segment: Segment, tools: list[ToolUse], rng: np.random.Generator) -> tuple[list[ToolUse], Injected]:
    tool, length = str(rng.choice(NEVER[segment.phase])), float(rng.uniform(6.0, 10.0))
    onset = segment.start_s + float(rng.uniform(0.3, 0.6)) * (segment.end_s - segment.start_s - length) + 1.0
    end = min(onset + length, segment.end_s - 0.5)
    kept = [*_without(tools, (1,), onset, end), ToolUse(tool, 1, onset, end)]
    return kept, Injected("tool-mismatch", tool, onset, end)


def _nothing_in_view(
    segment: Segment, tools: list[ToolUse], rng: np.random.Generator
) -> tuple[list[ToolUse], Injected]:
    slack = segment.end_s - segment.start_s - AWAY_S - 8.0
    onset = segment.start_s + 5.0 + float(rng.uniform(0.0, 1.0)) * slack
    return _without(tools, (0, 1, 2), onset, onset + AWAY_S), Injected("instrument-lost", "any", onset, onset + AWAY_S)
