"""Phases and steps as intervals of time: the JSON files of MultiBypass140."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError
from surgical_ml.labels.files import member, read_json
from surgical_ml.labels.track import LONGEST_CASE_S, LabelTrack
from surgical_ml.labels.vocabulary import MULTIBYPASS140_PHASES, UNDEFINED

OVERLAYS = {12: "out_of_body", 13: "severe_index"}
"""Labels among the phases that lie over them and are not phases."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A label from `start_ms` until just before `end_ms`, milliseconds of the video."""

    start_ms: int
    end_ms: int
    label: int
    name: str


@dataclass(frozen=True, slots=True)
class IntervalLabels:
    """One operation: phases and steps, each in order and without overlap, and the overlays."""

    case: str
    path: Path
    phases: tuple[Interval, ...]
    steps: tuple[Interval, ...]
    overlays: tuple[Interval, ...]


def read_multibypass140(path: Path, case: str) -> IntervalLabels:
    """Read the JSON file of one operation.

    Raises:
        InputError: not such a file; an interval of no length, or later than any operation lasts; phases or steps that
            overlap; a name that does not belong to its id.
    """
    values = read_json(path, "phases and steps")
    phases = _intervals(values, "phases", path)
    steps = _intervals(values, "steps", path)
    names = dict(enumerate(MULTIBYPASS140_PHASES.classes)) | OVERLAYS
    for one in phases:
        if names.get(one.label) != one.name:
            expected = f"{one.label} to be {names[one.label]}" if one.label in names else f"ids from 0 to {max(names)}"
            raise InputError(f"{path}, phases", expected, f"{one.label} {one.name}")
    for one in steps:
        if not one.name.startswith(f"s{one.label}_"):
            raise InputError(f"{path}, steps", f"a name that begins with s{one.label}_", one.name)
    overlays = tuple(one for one in phases if one.label in OVERLAYS)
    real = tuple(one for one in phases if one.label not in OVERLAYS)
    for what, sequence in (("phases", real), ("steps", steps)):
        for before, after in pairwise(sequence):
            if after.start_ms < before.end_ms:
                found = f"{after.name} from {after.start_ms} ms inside {before.name} until {before.end_ms} ms"
                raise InputError(f"{path}, {what}", "intervals that do not overlap", found)
    if not real:
        raise InputError(path, "at least one phase", "none")
    return IntervalLabels(case, path, real, steps, overlays)


def sample(intervals: Sequence[Interval], fps: float) -> npt.NDArray[np.int64]:
    """Labels at the times k / fps, until the last interval is over; `UNDEFINED` where none holds.

    Args:
        intervals: in order, without overlap.
        fps: samples/s.

    Returns:
        (n,) int64.
    """
    end_ms = max(one.end_ms for one in intervals)
    labels = np.full(int(np.ceil(end_ms * fps / 1000)), UNDEFINED, np.int64)
    for one in intervals:
        first, last = (int(np.ceil(ms * fps / 1000)) for ms in (one.start_ms, one.end_ms))
        labels[first:last] = one.label
    return labels


def sampled_phases(labels: IntervalLabels, fps: float) -> LabelTrack:
    """The phases of one operation at a rate, as the other readers give them.

    Raises:
        InputError: the rate is not above 0.
    """
    if not (np.isfinite(fps) and fps > 0):
        raise InputError("fps", "samples per second, above 0", str(fps))
    sampled = sample(labels.phases, fps)
    return LabelTrack(labels.case, labels.path, np.arange(len(sampled), dtype=np.int64), sampled)


def _intervals(values: object, key: str, path: Path) -> tuple[Interval, ...]:
    found = []
    for k, one in enumerate(member(values, key, list, str(path))):
        where = f"{path}, {key} {k}"
        start, end = member(one, "start", int, where), member(one, "end", int, where)
        if not 0 <= start < end:
            raise InputError(where, "a start before its end, in ms", f"{start} and {end}")
        if end > LONGEST_CASE_S * 1000:
            raise InputError(where, f"an end within {LONGEST_CASE_S // 3600} hours, in ms", str(end))
        found.append(Interval(start, end, member(one, "label_id", int, where), member(one, "label_name", str, where)))
    return tuple(sorted(found, key=lambda one: (one.start_ms, one.end_ms)))
