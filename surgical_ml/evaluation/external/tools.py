"""Tool presence and tips of folders."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics import PresenceCase, PresenceScores, score_presence, score_tips
from surgical_ml.evaluation.metrics.tools import Tips, TipScores
from surgical_ml.labels import (
    CHOLEC80_TOOLS,
    ScoreTrack,
    check_same_cases,
    find_cases,
    member,
    read_cholect50,
    read_decisions,
    read_text,
    read_tool_text,
)

TOOL_LAYOUTS = {
    "Cholec80 text": re.compile(r"(?P<case>[^/]+)-tool\.txt"),
    "CholecT50 JSON": re.compile(r"(?P<case>[^/]+)\.json"),
    "case folders of surgical-ml simulate": re.compile(r"(?P<case>[^/]+)/video-tool\.txt"),
    "case folders of surgical-ml replay": re.compile(r"(?P<case>[^/]+)/decisions\.jsonl"),
}
TIP_LAYOUTS = {"case folders of surgical-ml simulate": re.compile(r"(?P<case>[^/]+)/tips\.csv")}
DECISIONS = {"case folders of surgical-ml replay": TOOL_LAYOUTS["case folders of surgical-ml replay"]}


@dataclass(frozen=True, slots=True)
class ToolEvaluation:
    """Presence, and tips where both folders have them and the size of the pictures is known."""

    presence: PresenceScores
    tips: TipScores | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return self.presence.to_json() | ({} if self.tips is None else {"tips": self.tips.to_json()})


def evaluate_tools(labels: Path, predictions: Path, *, size_px: tuple[int, int] | None = None) -> ToolEvaluation:
    """Score tool presence on the frames that the truth has.

    Args:
        labels, predictions: folders in any of `TOOL_LAYOUTS`; decisions of a replay count as predictions.
        size_px: width and height of the pictures, to score tips too.

    Raises:
        InputError: a file, a set of cases or of frames, or the classes are not what they must be.
    """
    truths, found = _tracks(labels), _tracks(predictions)
    check_same_cases(truths, found, predictions)
    cases, classes = [], next(iter(truths.values())).classes
    for case, truth in truths.items():
        prediction = found[case]
        for track in (truth, prediction):
            if track.classes != classes:
                raise InputError(track.path, f"the classes {', '.join(classes[:8])}", ", ".join(track.classes[:8]))
        rows = {int(frame): k for k, frame in enumerate(prediction.frames)}
        missing = [int(frame) for frame in truth.frames if int(frame) not in rows]
        if missing:
            expected = f"scores for the {len(truth.frames)} frames of {truth.path}"
            raise InputError(prediction.path, expected, f"none for frame {missing[0]} and {len(missing) - 1} more")
        scores = prediction.scores[[rows[int(frame)] for frame in truth.frames]]
        cases.append(PresenceCase(case, truth.as_truth(), scores))
    tips = None if size_px is None else _evaluate_tips(labels, predictions, size_px)
    return ToolEvaluation(score_presence(cases, classes), tips)


def _tracks(folder: Path) -> dict[str, ScoreTrack]:
    layout, files = find_cases(folder, TOOL_LAYOUTS)
    tracks = {}
    for case, path in files.items():
        if layout == "CholecT50 JSON":
            tracks[case] = read_cholect50(path, case).presence("instrument")
        elif layout == "case folders of surgical-ml replay":
            tracks[case] = _decided_tools(path, case)
        else:
            tracks[case] = read_tool_text(path, CHOLEC80_TOOLS, case)
    return tracks


def _decided_tools(path: Path, case: str) -> ScoreTrack:
    """The largest score of a seen instrument of each type; 0 where none is, or the frame was withheld."""
    names = CHOLEC80_TOOLS.classes
    frames, rows = [], []
    for where, values in read_decisions(path):
        if values["event"] == "frame":
            frames.append(member(values, "index", int, where))
            row = np.zeros(len(names))
            for kind, instrument in _instruments(values, where):
                row[kind] = max(row[kind], member(instrument, "score", int, where) / 1e6)
            rows.append(row)
    if not rows:
        raise InputError(path, "at least one judged frame", "none")
    return ScoreTrack(case, path, names, np.array(frames, np.int64), np.array(rows))


def _instruments(values: dict[str, Any], where: str) -> list[tuple[int, dict[str, Any]]]:
    found = []
    for instrument in member(values, "instruments", list, where):
        kind = CHOLEC80_TOOLS.id_of(member(instrument, "type", str, where))
        if kind is None:
            raise InputError(where, CHOLEC80_TOOLS.expectation, instrument["type"])
        found.append((kind, instrument))
    return found


def _evaluate_tips(labels: Path, predictions: Path, size_px: tuple[int, int]) -> TipScores:
    _, truths = find_cases(labels, TIP_LAYOUTS)
    _, found = find_cases(predictions, DECISIONS)
    check_same_cases(truths, found, predictions)
    return score_tips(
        {case: (read_tips(path), _decided_tips(found[case])) for case, path in truths.items()}, size_px=size_px
    )


def read_tips(path: Path) -> Tips:
    """A table `frame,tool,x_px,y_px`.

    Raises:
        InputError: another header, or a line that is none of it.
    """
    tips: dict[tuple[int, str], list[tuple[float, float]]] = {}
    rows = csv.reader(read_text(path, "a table of tips").splitlines())
    if next(rows) != ["frame", "tool", "x_px", "y_px"]:
        raise InputError(f"{path}, line 1", "frame,tool,x_px,y_px", "another header")
    for number, row in enumerate(rows, 2):
        try:
            frame, tool, x, y = row
            tips.setdefault((int(frame), tool), []).append((float(x), float(y)))
        except ValueError as error:
            raise InputError(f"{path}, line {number}", "a frame, a tool and two numbers", ",".join(row)) from error
    return tips


def _decided_tips(path: Path) -> Tips:
    tips: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for where, values in read_decisions(path):
        if values["event"] == "frame":
            for _, instrument in _instruments(values, where):
                point = member(instrument, "tip_px", (list, type(None)), where)
                if point is not None:
                    key = (member(values, "index", int, where), str(instrument["type"]))
                    tips.setdefault(key, []).append((float(point[0]), float(point[1])))
    return tips
