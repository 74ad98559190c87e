"""What the metrics of label sequences compare: one case's truth and prediction, sample by sample."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError

Labels = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]

UNDEFINED = -1
"""The id of a sample that nobody labelled, or that a prediction does not answer."""


@dataclass(frozen=True, slots=True)
class LabelledCase:
    """One case at one frame rate.

    Attributes:
        name: of the case, unique among those that are scored together.
        truth: (n,) integer ids from 0, or `UNDEFINED`.
        prediction: (n,), the same.

    Raises:
        InputError: the two are not one-dimensional, not of integers, empty, or of different length.
    """

    name: str
    truth: Labels
    prediction: Labels

    def __post_init__(self) -> None:
        for what in ("truth", "prediction"):
            given = np.asarray(getattr(self, what))
            if given.ndim != 1 or given.dtype.kind not in "iu":
                raise InputError(f"{self.name}, {what}", "one row of integers", f"{given.shape} {given.dtype}")
            object.__setattr__(self, what, given.astype(np.int64))
        if len(self.truth) != len(self.prediction):
            found = f"{len(self.truth)} and {len(self.prediction)}"
            raise InputError(self.name, "a prediction as long as the truth", f"{found} samples")
        if len(self.truth) == 0:
            raise InputError(self.name, "at least one sample", "none")


def check_cases(cases: Sequence[LabelledCase], classes: int) -> None:
    """Refuse what no label metric can score.

    Raises:
        InputError: there is no case, a name stands there twice, or an id is outside `UNDEFINED` ... `classes` - 1.
    """
    if not cases:
        raise InputError("cases", "at least one", "none")
    names = [case.name for case in cases]
    if len(set(names)) != len(names):
        raise InputError("cases", "names that differ", f"{next(n for n in names if names.count(n) > 1)} twice")
    for case in cases:
        for what, labels in (("truth", case.truth), ("prediction", case.prediction)):
            low, high = int(labels.min()), int(labels.max())
            if low < UNDEFINED or high >= classes:
                raise InputError(
                    f"{case.name}, {what}",
                    f"ids from {UNDEFINED} to {classes - 1}",
                    str(low if low < UNDEFINED else high),
                )


def segments(labels: Labels) -> npt.NDArray[np.int64]:
    """Runs of equal labels.

    Args:
        labels: (n,) ids; n may be 0.

    Returns:
        (m, 3): first sample, one past the last sample, id; in order, without gaps.
    """
    if len(labels) == 0:
        return np.empty((0, 3), np.int64)
    starts = np.concatenate(([0], np.flatnonzero(np.diff(labels)) + 1))
    ends = np.append(starts[1:], len(labels))
    return np.stack([starts, ends, labels[starts]], axis=1).astype(np.int64)
