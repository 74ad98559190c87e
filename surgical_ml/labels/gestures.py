"""Gestures and what a model made of them: the `.mat` files of Temporal Convolutional Networks (JIGSAWS and others)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError
from surgical_ml.labels.mat import read_mat


@dataclass(frozen=True, slots=True)
class GestureSequence:
    """One demonstration.

    Attributes:
        name: split and place in it, as `3/0`.
        truth: (n,) int64, ids from 0.
        prediction: (n,) int64, ids from 0.
        scores: (n, gestures) float64, as the model gave them, not normalised; None where the file has none.
    """

    name: str
    truth: npt.NDArray[np.int64]
    prediction: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64] | None


def read_gestures(path: Path) -> tuple[GestureSequence, ...]:
    """The sequences of one split: cells `Y` (truth), `P` (prediction) and, where there, `S` (scores).

    Raises:
        InputError: not such a file; cells of different number; a sequence whose parts differ in length, is empty, or
            holds something else than whole numbers from 0.
    """
    variables = read_mat(path)
    cells = {}
    for key in ("Y", "P", "S"):
        value = variables.get(key)
        if value is None and key == "S":
            continue
        if not isinstance(value, list):
            raise InputError(f"{path}, {key}", "a cell of sequences", "none" if value is None else "something else")
        cells[key] = value
    if len({len(one) for one in cells.values()}) != 1 or not cells["Y"]:
        found = ", ".join(f"{len(one)} of {key}" for key, one in cells.items())
        raise InputError(path, "as many sequences in each cell, and at least one", found)
    sequences = []
    for k in range(len(cells["Y"])):
        where = f"{path}, sequence {k}"
        truth, prediction = (_labels(cells[key][k], f"{where}, {key}") for key in ("Y", "P"))
        if len(truth) != len(prediction):
            raise InputError(where, f"{len(truth)} predictions", str(len(prediction)))
        scores = _scores(cells["S"][k], len(truth), f"{where}, S") if "S" in cells else None
        sequences.append(GestureSequence(f"{path.stem}/{k}", truth, prediction, scores))
    return tuple(sequences)


def _labels(value: Any, where: str) -> npt.NDArray[np.int64]:
    array = np.asarray(value).ravel() if isinstance(value, np.ndarray) else None
    if array is None or array.size == 0:
        raise InputError(where, "a row of gestures", "nothing" if array is not None else "no numbers")
    if not np.isfinite(array).all() or (array < 0).any() or (array != np.floor(array)).any() or (array > 10_000).any():
        raise InputError(where, "whole numbers from 0", "others")
    return array.astype(np.int64)


def _scores(value: Any, n: int, where: str) -> npt.NDArray[np.float64]:
    if not isinstance(value, np.ndarray) or value.ndim != 2 or value.shape[0] != n:
        found = f"{value.shape}" if isinstance(value, np.ndarray) else "no numbers"
        raise InputError(where, f"a matrix of {n} rows", found)
    return value.astype(np.float64)
