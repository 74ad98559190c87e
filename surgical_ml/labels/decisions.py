"""What this module decided: `decisions.jsonl`, as `surgical-ml replay` writes it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from surgical_ml.errors import InputError
from surgical_ml.labels.files import member, read_text
from surgical_ml.labels.track import LabelTrack
from surgical_ml.labels.vocabulary import UNDEFINED, Vocabulary

SCHEMA = 1


def read_decisions(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The lines of a decision file, each with its place in words.

    Raises:
        InputError: no file, a line that is not a whole JSON object, another schema; names the line.
    """
    for number, line in enumerate(read_text(path, "a decision file").splitlines(), 1):
        where = f"{path}, line {number}"
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(where, "one decision in JSON", repr(line[:40])) from error
        if (schema := member(values, "schema", int, where)) != SCHEMA:
            raise InputError(where, f"schema {SCHEMA}", f"schema {schema}")
        member(values, "event", str, where)
        member(values, "stamp_ns", int, where)
        yield where, values


def read_decided_phases(path: Path, vocabulary: Vocabulary, case: str, fps: float) -> LabelTrack:
    """The committed phase of every judged frame; a frame that was withheld, or has no phase yet, is undefined.

    Args:
        path: of the file.
        vocabulary: what the phases may be.
        case: its name.
        fps: at which rate frames were judged, frames/s.

    Raises:
        InputError: as `read_decisions`; no frame was judged; a phase is unknown; stamps contradict the rate.
    """
    frames, stamps, labels = [], [], []
    for where, values in read_decisions(path):
        if values["event"] != "frame":
            continue
        frames.append(member(values, "index", int, where))
        stamps.append(values["stamp_ns"])
        phase = member(values, "phase", (dict, type(None)), where)
        name = member(phase, "committed", (str, type(None)), f"{where}, phase") if phase else None
        label = vocabulary.id_of(name) if name else UNDEFINED
        if label is None:
            raise InputError(where, vocabulary.expectation, str(name))
        labels.append(label)
    if not frames:
        raise InputError(path, "at least one judged frame", "none")
    if len(stamps) > 1:
        gap_s = float(np.median(np.diff(stamps))) / 1e9
        if gap_s <= 0 or abs(gap_s * fps - 1) > 0.05:
            found = f"one every {gap_s:g} s"
            raise InputError(path, f"decisions at the declared {fps:g}/s", found)
    return LabelTrack(case, path, np.array(frames, np.int64), np.array(labels, np.int64))
