"""Who is scored on the same cases: the module, its scores alone, clocks that never look, and predictions from elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from surgical_ml.errors import InputError
from surgical_ml.evaluation.external import vocabulary_of
from surgical_ml.evaluation.study.decided import Ids
from surgical_ml.evaluation.study.evaluated import EvaluatedCase
from surgical_ml.labels import check_same_cases, read_phase_folder
from surgical_ml.workflow import Protocol, load_protocol

COMMITTED, NETWORK, CLOCK, KNOWING_CLOCK = "committed", "network", "clock", "clock of known length"
"""The phase that the module says; the largest of its recorded scores; and what the mean durations of the protocol say of a
time, in seconds since the start, or as a share of a length that nobody knows before the end."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """Answers for each case, in the order of the cases: (m,) or (n,) ids as `EvaluatedCase.labelled` takes them."""

    name: str
    answers: tuple[Ids, ...]


def own_predictors(cases: Sequence[EvaluatedCase]) -> list[Predictor]:
    """The committed phase, and the largest score; neither answers while nothing is shown."""
    return [
        Predictor(COMMITTED, tuple(case.decided.committed for case in cases)),
        Predictor(NETWORK, tuple(case.decided.network for case in cases)),
    ]


def clocks(cases: Sequence[EvaluatedCase]) -> list[Predictor]:
    """What can be said without looking; none where the protocol that the cases were judged against is not at hand.

    The protocol's phases follow each other in its order, each for its mean duration; the last one stays.
    """
    protocol = known_protocol(cases)
    if protocol is None:
        return []
    ends = np.cumsum([phase.mean_s for phase in protocol.phases])
    last = len(ends) - 1

    def read(times: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Ids:
        return np.minimum(np.searchsorted(ends, times, side="right"), last).astype(np.int64)

    return [
        Predictor(CLOCK, tuple(read(case.times_s) for case in cases)),
        Predictor(KNOWING_CLOCK, tuple(read(case.times_s * (ends[-1] / case.seconds)) for case in cases)),
    ]


def known_protocol(cases: Sequence[EvaluatedCase]) -> Protocol | None:
    """The shipped protocol that the cases were judged against, or None if it was another one."""
    told = cases[0].decided.summary.protocol
    try:
        protocol = load_protocol(told.name)
    except InputError:
        return None
    return protocol if protocol.digest == told.sha256 else None


def read_predictor(name: str, folder: Path, cases: Sequence[EvaluatedCase], fps: float) -> Predictor:
    """Somebody's predictions for the same samples.

    Args:
        name: under which they appear.
        folder: in any layout that `read_phase_folder` knows, with the same cases.
        cases: with true phases.
        fps: scored samples/s.

    Raises:
        InputError: the name is taken; a file is not what it must be; the cases differ; or a scored sample has none.
    """
    if name in (COMMITTED, NETWORK, CLOCK, KNOWING_CLOCK):
        raise InputError("also", "a name of its own", name)
    summary = cases[0].decided.summary
    tracks = read_phase_folder(folder, vocabulary_of(summary.protocol.name, summary.phases), fps)
    check_same_cases({case.name: case for case in cases}, tracks, folder)
    answers = []
    for case in cases:
        track, wanted = tracks[case.name], case.decided.index[case.truth.rows]
        place = np.minimum(np.searchsorted(track.frames, wanted), len(track.frames) - 1)
        missing = track.frames[place] != wanted
        if missing.any():
            found = f"none for frame {wanted[missing.argmax()]} and {int(missing.sum()) - 1} more: another rate?"
            raise InputError(track.path, f"a prediction for each of the {len(wanted)} scored frames", found)
        answers.append(track.labels[place])
    return Predictor(name, tuple(answers))
