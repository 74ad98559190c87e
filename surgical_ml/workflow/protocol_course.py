"""How an operation went: visits to phases, one after the other, with the tools that were seen in them.

This is all that a protocol is learned from. It comes from labels, as the field and `surgical-ml simulate` lay them out, or
from what the assistant decided.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from surgical_ml.errors import InputError
from surgical_ml.labels import (
    PHASE_LAYOUTS,
    UNDEFINED,
    LabelTrack,
    Vocabulary,
    check_even,
    check_rate,
    find_cases,
    member,
    natural,
    read_decisions,
    read_json,
    read_multibypass140,
    read_phase_text,
    read_tool_text,
)
from surgical_ml.workflow.protocol import END, Protocol

CHOLEC80_FPS = 25.0
"""Samples/s of the phases of Cholec80, as published."""

LONGEST_FRAME_S = 1.0
"""No frame stands for more time than this: what was seen before a gap was not seen in it."""

CHOLEC80_PHASES, CHOLEC80_TOOLS = "phase_annotations", "tool_annotations"
"""Folders of Cholec80, as published."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One stretch of a phase.

    Attributes:
        phase: its name.
        start_s, end_s: seconds of the case.
        tools_s: for how many seconds of it each tool was seen; None where nobody looked for tools.
    """

    phase: str
    start_s: float
    end_s: float
    tools_s: Mapping[str, float] | None = None

    @property
    def length_s(self) -> float:
        """Seconds."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class CaseCourse:
    """One operation: its visits, in order; two that follow each other are of two phases."""

    case: str
    visits: tuple[Visit, ...]

    @property
    def steps(self) -> tuple[tuple[str, str], ...]:
        """From which phase to which; the last one leads to `END`."""
        return tuple(pairwise((*(visit.phase for visit in self.visits), END)))


def read_courses(folder: Path, protocol: Protocol, fps: float | None = None) -> tuple[CaseCourse, ...]:
    """The courses of all cases below a folder, in the order of their numbers.

    Args:
        folder: Cholec80 or MultiBypass140 as published, their label files alone, or case folders that `surgical-ml simulate`
            or `surgical-ml replay` wrote.
        protocol: whose phases and tools they are labelled with.
        fps: samples/s of phase text files; not needed for those of Cholec80 as published and of simulated cases.

    Raises:
        InputError: no labels, or of two layouts; labels that the readers refuse, or of other phases; a rate that is missing
            or contradicts the labels.
    """
    courses: list[CaseCourse] = []
    for inner in _label_folders(folder):
        layout, files = find_cases(inner, PHASE_LAYOUTS)
        readers: dict[str, Callable[[Path, str], CaseCourse]] = {
            "MultiBypass140 intervals": partial(_from_intervals, protocol),
            "case folders of surgical-ml replay": partial(decided_course, protocol.phase_names, protocol.tools),
        }
        rate = fps or (CHOLEC80_FPS if inner.name == CHOLEC80_PHASES else None)
        read = readers.get(layout) or partial(_from_text, protocol, rate)
        courses += [read(path, case) for case, path in files.items()]
    return tuple(sorted(courses, key=lambda one: natural(one.case)))


def _label_folders(folder: Path) -> list[Path]:
    """Where the phases lie below the folder of a published data set, or of label files."""
    if (folder / CHOLEC80_PHASES).is_dir():
        return [folder / CHOLEC80_PHASES]
    return sorted(folder.glob("labels/*/labels_by70")) or [folder]


def _phases(protocol: Protocol) -> Vocabulary:
    return Vocabulary(protocol.name, protocol.phase_names)


def _from_intervals(protocol: Protocol, path: Path, case: str) -> CaseCourse:
    phases = _phases(protocol)
    found = []
    for one in read_multibypass140(path, case).phases:
        if (label := phases.id_of(one.name)) is None:
            raise InputError(path, phases.expectation, one.name)
        found.append(Visit(phases.classes[label], one.start_ms / 1000, one.end_ms / 1000))
    return CaseCourse(case, _joined(found))


def _from_text(protocol: Protocol, fps: float | None, path: Path, case: str) -> CaseCourse:
    fps = fps or _told_fps(path.parent / "case.json")
    if fps is None:
        raise InputError(path, "--fps, the samples per second of its phases", "none")
    track = read_phase_text(path, _phases(protocol), case)
    check_rate(track.frames, fps, path)
    check_even(track.frames, path)
    step = int(np.median(np.diff(track.frames))) if len(track.frames) > 1 else 1
    video_fps = fps * step
    visits = _joined(_runs(track, protocol, video_fps, step))
    if not visits:
        raise InputError(path, "at least one phase", "only undefined ones")
    tools = path.with_name(path.name.replace("-phase.txt", "-tool.txt"))
    if path.parent.name == CHOLEC80_PHASES:
        tools = path.parents[1] / CHOLEC80_TOOLS / tools.name
    if not (protocol.tools and tools.is_file()):
        return CaseCourse(case, visits)
    return CaseCourse(case, _with_tools(visits, tools, protocol, case, video_fps))


def _told_fps(path: Path) -> float | None:
    """The rate of a simulated case; None where nothing says it."""
    if not path.is_file():
        return None
    fps = member(read_json(path, "a simulated case"), "fps", (int, float), str(path))
    return float(fps)


def _runs(track: LabelTrack, protocol: Protocol, video_fps: float, step: int) -> list[Visit]:
    """Stretches of one label, without those that are undefined; times from the first frame number."""
    edges = np.flatnonzero(np.diff(track.labels)) + 1
    firsts, lasts = [0, *edges.tolist()], [*(edges - 1).tolist(), len(track.labels) - 1]
    return [
        Visit(
            protocol.phase_names[int(track.labels[a])],
            int(track.frames[a]) / video_fps,
            (int(track.frames[b]) + step) / video_fps,
        )
        for a, b in zip(firsts, lasts, strict=True)
        if track.labels[a] != UNDEFINED
    ]


def _with_tools(
    visits: Sequence[Visit], path: Path, protocol: Protocol, case: str, video_fps: float
) -> tuple[Visit, ...]:
    track = read_tool_text(path, Vocabulary(protocol.name, protocol.tools), case)
    check_even(track.frames, path)
    present, seconds = track.as_truth(), track.frames / video_fps
    period = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.0
    found = []
    for one in visits:
        inside = present[(seconds >= one.start_s) & (seconds < one.end_s)]
        counted = (inside.sum(axis=0) * period).tolist()
        found.append(replace(one, tools_s=dict(zip(protocol.tools, counted, strict=True))))
    return tuple(found)


def decided_course(phases: Sequence[str], tools: Sequence[str], path: Path, case: str) -> CaseCourse:
    """What the assistant saw: the phases that it committed, from when it says that they began, and the instruments in them.

    Moments without a committed phase stand between visits.

    Args:
        phases, tools: of the protocol that it judged against; no tools where it speaks of none.
        path: of its `decisions.jsonl`.
        case: name of the case.

    Raises:
        InputError: as `read_decisions`; a phase is none of them; no phase was ever committed.
    """
    names: list[str] = []
    spans: list[list[float]] = []
    seen: list[dict[str, float]] = []
    first_ns: int | None = None
    last_ns = 0
    for where, values in read_decisions(path):
        if values["event"] != "frame":
            continue
        stamp_ns = int(values["stamp_ns"])
        first_ns, last_ns = (stamp_ns, stamp_ns) if first_ns is None else (first_ns, last_ns)
        dt_s, last_ns = min((stamp_ns - last_ns) / 1e9, LONGEST_FRAME_S), stamp_ns
        phase = member(values, "phase", (dict, type(None)), where)
        name = phase and member(phase, "committed", (str, type(None)), f"{where}, phase")
        if not name:
            continue
        if name not in phases:
            raise InputError(where, f"a phase of {', '.join(phases)}", str(name))
        now_s = (stamp_ns - first_ns) / 1e9
        if not names or names[-1] != name:
            since_ns = phase.get("since_ns")
            since_s = max(0.0, (since_ns - first_ns) / 1e9) if isinstance(since_ns, int) else now_s
            if spans:
                # It began while the one before was still shown.
                spans[-1][1] = max(spans[-1][0], min(spans[-1][1], since_s))
                since_s = max(since_s, spans[-1][1])
            names.append(name)
            spans.append([since_s, now_s])
            seen.append(dict.fromkeys(tools, 0.0))
        spans[-1][1] = now_s
        for kind in {str(one.get("type")) for one in member(values, "instruments", list, where)} & set(tools):
            seen[-1][kind] += dt_s
    visits = [
        Visit(name, start, end, tools_s if tools else None)
        for name, (start, end), tools_s in zip(names, spans, seen, strict=True)
        if end > start
    ]
    if not visits:
        raise InputError(path, "at least one phase that was committed", "none")
    return CaseCourse(case, _joined(visits))


def _joined(visits: Iterable[Visit]) -> tuple[Visit, ...]:
    """Visits of which those of one phase that follow each other, whatever lies between them, are one."""
    joined: list[Visit] = []
    for one in visits:
        if joined and joined[-1].phase == one.phase:
            before, tools = joined.pop(), None
            if before.tools_s is not None and one.tools_s is not None:
                tools = {tool: seconds + before.tools_s[tool] for tool, seconds in one.tools_s.items()}
            joined.append(Visit(one.phase, before.start_s, one.end_s, tools))
        else:
            joined.append(one)
    return tuple(joined)
