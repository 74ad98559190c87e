"""Presence or scores of classes on frames: tool files of Cholec80, matrices of CholecT45 and ivtmetrics."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError
from surgical_ml.labels.files import read_text
from surgical_ml.labels.vocabulary import Vocabulary

_FRAME = re.compile(r"[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class ScoreTrack:
    """One case.

    Attributes:
        case: its name.
        path: the file.
        classes: names, or numbers as text where the file names none.
        frames: (n,) int64, frame numbers as the file has them.
        scores: (n, classes) float64; 0 or 1 in a ground truth.
    """

    case: str
    path: Path
    classes: tuple[str, ...]
    frames: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]

    def as_truth(self) -> npt.NDArray[np.bool_]:
        """The scores as presence.

        Raises:
            InputError: one is neither 0 nor 1.
        """
        odd = (self.scores != 0) & (self.scores != 1)
        if odd.any():
            row, column = np.argwhere(odd)[0]
            found = f"{self.scores[row, column]:g} for {self.classes[column]} in frame {self.frames[row]}"
            raise InputError(self.path, "0 or 1", found)
        return self.scores > 0


def read_tool_text(path: Path, vocabulary: Vocabulary, case: str) -> ScoreTrack:
    """Cholec80's `videoNN-tool.txt`: a header `Frame` and the tools, then a frame number and a value for each, in any
    order of tools. Predictions have scores in the place of 0 and 1.

    Raises:
        InputError: not such a file; a tool that is unknown, missing or there twice; a line that is cut short.
    """  # noqa: D205
    lines = read_text(path, "a tool file").rstrip().splitlines()
    header = lines[0].split()
    if not header or _FRAME.fullmatch(header[0]):
        raise InputError(f"{path}, line 1", f"a header: Frame and {', '.join(vocabulary.classes)}", repr(lines[0][:60]))
    columns = [vocabulary.id_of(name) for name in header[1:]]
    for name, column in zip(header[1:], columns, strict=True):
        if column is None or column < 0:
            raise InputError(f"{path}, line 1", f"tools of {vocabulary.name}: {', '.join(vocabulary.classes)}", name)
    if sorted(column for column in columns if column is not None) != list(range(len(vocabulary.classes))):
        raise InputError(f"{path}, line 1", f"each of {', '.join(vocabulary.classes)} once", " ".join(header[1:]))
    frames, values = _rows([line.split() for line in lines[1:]], len(columns), path, 2)
    return ScoreTrack(case, path, vocabulary.classes, frames, values[:, np.argsort(np.array(columns, np.int64))])


def read_score_matrix(path: Path, classes: tuple[str, ...], case: str) -> ScoreTrack:
    """A comma-separated matrix without header: a frame number, then a value for each class (CholecT45, ivtmetrics).

    Args:
        path: of the file.
        classes: names, in the order of the columns.
        case: its name.

    Raises:
        InputError: not such a file, or a line that has not one value for each class.
    """
    lines = read_text(path, "a matrix of scores").rstrip().splitlines()
    frames, values = _rows([line.split(",") for line in lines], len(classes), path, 1)
    return ScoreTrack(case, path, classes, frames, values)


def _rows(
    rows: list[list[str]], columns: int, path: Path, first: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    if not rows:
        raise InputError(path, "at least one sample", "none")
    for k, row in enumerate(rows, first):
        if len(row) != columns + 1:
            expected = f"a frame number and {columns} values"
            raise InputError(f"{path}, line {k}", expected, f"{len(row)} fields")
        if not _FRAME.fullmatch(row[0].strip()):
            raise InputError(f"{path}, line {k}", "a frame number", repr(row[0][:40]))
    try:
        values = np.array([row[1:] for row in rows], np.float64)
    except ValueError:
        values = np.full((1, 1), math.nan)
    if not np.isfinite(values).all():
        # Only a file that is to be refused is looked through number by number.
        values = np.array(
            [[_number(text, f"{path}, line {k}") for text in row[1:]] for k, row in enumerate(rows, first)]
        )
    return np.array([int(row[0]) for row in rows], np.int64), values


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(where, "numbers", repr(text[:40]))
    return value
