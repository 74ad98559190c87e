"""The cases of a study: what was decided beside what is true, all by one model at one rate."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from surgical_ml.errors import InputError
from surgical_ml.evaluation.case_files import DECISIONS
from surgical_ml.evaluation.external import vocabulary_of
from surgical_ml.evaluation.metrics import LabelledCase
from surgical_ml.evaluation.study.decided import DecidedCase, Ids, read_decided
from surgical_ml.evaluation.study.truth import CaseTruth, is_any_known, read_truth
from surgical_ml.labels import natural

CASES = "cases"
LARGE_BYTES = 1 << 27
"""Of decisions, from which on it pays to begin a process for each core."""

_ASIDE = ".partial"


@dataclass(frozen=True, slots=True)
class EvaluatedCase:
    """One case: what was decided, and what is true."""

    decided: DecidedCase
    truth: CaseTruth

    @property
    def name(self) -> str:
        """Of the case."""
        return self.decided.name

    @property
    def fps(self) -> float:
        """Scored samples/s: the video's rate over the step from one sample to the next."""
        index = self.decided.index[self.truth.rows]
        return self.decided.fps / (float(np.median(np.diff(index))) if len(index) > 1 else 1.0)

    @property
    def seconds(self) -> float:
        """Length of the case: as its plan says, or as far as it was judged."""
        return self.truth.duration_s or self.decided.duration_s

    def labelled(self, prediction: Ids) -> LabelledCase:
        """The true phases beside a prediction for the same samples.

        Args:
            prediction: (m,) ids, or (n,) ids of all judged frames, of which those with a truth are taken.
        """
        assert self.truth.phases is not None, "only cases with true phases are scored"
        if len(prediction) != len(self.truth.rows):
            prediction = prediction[self.truth.rows]
        return LabelledCase(self.name, self.truth.phases, prediction)

    @property
    def times_s(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """(m,) seconds of each scored sample since the first judged frame."""
        stamps = self.decided.stamp_ns
        return np.asarray((stamps[self.truth.rows] - stamps[0]) / 1e9, np.float64)


def read_cases(
    out: Path, labels: Path | None, *, realtime: bool, progress: Callable[[int, int | None], None]
) -> list[EvaluatedCase]:
    """Read every complete case of an evaluation, in the order of their numbers.

    Args:
        out: of the evaluation, with `cases/NAME/` below it.
        labels: of all cases, or None.
        realtime: frames may have been dropped.
        progress: told (cases read, cases).

    Raises:
        InputError: there is no case; a file of one is not what it must be; two were not judged by the same model,
            protocol and configuration; labels were given and none is of any case; or scored samples are at two rates.
    """
    found = sorted((out / CASES).glob("*/"), key=lambda path: natural(path.name))
    folders = [path for path in found if not path.name.endswith(_ASIDE)]
    if not folders:
        raise InputError(out / CASES, "evaluated cases", "none" if (out / CASES).is_dir() else "no folder")
    cases: list[EvaluatedCase] = []
    for case in _read(folders, labels, realtime):
        cases.append(case)
        _check_same(cases[0].decided, case.decided)
        progress(len(cases), len(folders))
    if labels is not None and not any(is_any_known(case.truth) for case in cases):
        raise InputError(labels, f"the truth of {cases[0].name} or another of {len(cases)} cases", "none")
    _check_rate(with_phases(cases), realtime=realtime)
    return cases


def _read(folders: list[Path], labels: Path | None, realtime: bool) -> Iterator[EvaluatedCase]:
    """Each case, in order; large ones on every core, since reading their lines is what takes time."""
    read = partial(_read_case, labels=labels, realtime=realtime)
    large = (
        sum((folder / DECISIONS).stat().st_size for folder in folders if (folder / DECISIONS).is_file()) > LARGE_BYTES
    )
    workers = min(len(os.sched_getaffinity(0)), len(folders)) if large else 1
    if workers == 1:
        yield from map(read, folders)
        return
    # A forked copy of a process in which OpenCV has threads waits for them for ever.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield from pool.map(read, folders)
        except BrokenProcessPool as error:
            found = "one that was killed: is there too little memory?"
            raise InputError(folders[0].parent, "processes that read the cases", found) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _read_case(folder: Path, labels: Path | None, realtime: bool) -> EvaluatedCase:
    decided = read_decided(folder, realtime=realtime)
    vocabulary = vocabulary_of(decided.summary.protocol.name, decided.summary.phases)
    truth = read_truth(labels, decided, vocabulary)
    # Most of the memory of a long case is its tips, which nothing is held against where nobody knows the true ones.
    return EvaluatedCase(decided if truth.tips is not None else replace(decided, tips={}), truth)


def with_phases(cases: Sequence[EvaluatedCase]) -> list[EvaluatedCase]:
    """The cases whose phases are known."""
    return [case for case in cases if case.truth.phases is not None]


def _check_same(first: DecidedCase, other: DecidedCase) -> None:
    for what in ("model", "protocol", "config_sha256", "engine", "phases", "tools"):
        mine, theirs = getattr(first.summary, what), getattr(other.summary, what)
        if mine != theirs:
            raise InputError(f"{other.folder}, {what}", f"{mine}, as {first.name} has", str(theirs))


def _check_rate(cases: list[EvaluatedCase], *, realtime: bool) -> None:
    """Samples of two rates make no score; in real time the rate is only that at which frames were there to be judged."""
    for case in cases:
        if not realtime and abs(case.fps / cases[0].fps - 1) > 0.01:
            expected = f"samples at {cases[0].fps:g}/s, as {cases[0].name} has; cases of another rate are another study"
            raise InputError(case.decided.folder, expected, f"{case.fps:g}/s")
