"""How scores are to be weighed: measured on held-out cases that nothing else is measured on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt

from surgical_ml.evaluation.filter_study.followed import follow
from surgical_ml.evaluation.filter_study.seen_cases import FPS, SeenCase
from surgical_ml.workflow import Protocol
from surgical_ml.workflow.evidence import USUAL, Weighing

CORRELATED_S = (0.4, 0.6, 0.8, 1.2)
LASTING = tuple(k / 20 for k in range(3, 17))
NEWEST = tuple(k / 10 for k in range(11))
_SMOOTH_S = 10.0
_LONGEST_S = 15.0

Float = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured.

    Attributes:
        weighing: with the least negative log-likelihood of the true phase.
        nll: of it, and of the network's own scores, nats a frame.
        flicker_s: integrated correlation time of the true phase's log-score, less its running median of `_SMOOTH_S`.
        errors_s: time at which the correlation of wrong answers has fallen to 1/e.
        surely_wrong: share of the frames whose true phase has a score below `Weighing.doubt`.
    """

    weighing: Weighing
    nll: float
    nll_scores: float
    flicker_s: float
    errors_s: float
    surely_wrong: float


def measure(cases: Sequence[SeenCase], protocol: Protocol) -> Measured:
    """Choose the weighing on some cases, and say how their scores hang together."""
    found: list[tuple[float, Weighing]] = []
    truths = np.concatenate([case.truth[case.admitted] for case in cases])
    rows = np.arange(len(truths))
    for correlated_s in CORRELATED_S:
        weighing = replace(USUAL, correlated_s=correlated_s)
        belief = np.concatenate([follow(case, protocol, weighing).belief[case.admitted] for case in cases])
        newest = np.concatenate([_logs(case, weighing)[case.admitted] for case in cases])
        for lasting, share in product(LASTING, NEWEST):
            logs = lasting * np.log(belief) + share * newest
            logs -= np.log(np.exp(logs - logs.max(1, keepdims=True)).sum(1, keepdims=True)) + logs.max(1, keepdims=True)
            found.append((-float(logs[rows, truths].mean()), replace(weighing, lasting=lasting, newest=share)))
    nll, best = min(found, key=lambda one: one[0])
    scores = np.concatenate([case.phase_ppm[case.admitted] / 1e6 for case in cases])[rows, truths]
    return Measured(
        best,
        nll,
        -float(np.log(np.maximum(scores, 1e-12)).mean()),
        _integrated(_correlation([_flicker(case) for case in cases])),
        _falls(_correlation([_wrong(case) for case in cases])),
        float((scores < USUAL.doubt).mean()),
    )


def _logs(case: SeenCase, weighing: Weighing) -> Float:
    return np.array([weighing.log_scores(row) for row in case.phase_ppm.tolist()])


def _flicker(case: SeenCase) -> Float:
    """(n,) the true phase's log-score without what changes slowly; NaN where not admitted."""
    score = case.phase_ppm[np.arange(len(case.truth)), case.truth] / 1e6
    logs = np.where(case.admitted, np.log(score + USUAL.doubt), np.nan)
    reach = round(_SMOOTH_S / 2 * FPS)
    padded = np.pad(logs, reach, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    middle = np.full(len(logs), np.nan)
    middle[case.admitted] = np.nanmedian(windows[case.admitted], axis=1)
    return np.asarray(logs - middle, np.float64)


def _wrong(case: SeenCase) -> Float:
    wrong = (case.phase_ppm.argmax(axis=1) != case.truth).astype(np.float64)
    return np.where(case.admitted, wrong, np.nan)


def _correlation(series: Sequence[Float]) -> Float:
    """Of values that lie 0, 1, 2, ... frames apart, over all cases together."""
    lags = round(_LONGEST_S * FPS)
    mean = float(np.nanmean(np.concatenate(series)))
    sums, counts = np.zeros(lags), np.zeros(lags)
    for values in series:
        centred = values - mean
        for lag in range(min(lags, len(values))):
            both = centred[: len(values) - lag] * centred[lag:]
            sums[lag] += np.nansum(both)
            counts[lag] += np.count_nonzero(~np.isnan(both))
    correlation = sums / np.maximum(counts, 1)
    return np.asarray(correlation / correlation[0])


def _integrated(correlation: Float) -> float:
    """Seconds: half of the first frame, and what follows until nothing is left."""
    gone = np.flatnonzero(correlation < 0.05)
    until = int(gone[0]) if len(gone) else len(correlation)
    return float((0.5 + correlation[1:until].sum()) / FPS)


def _falls(correlation: Float) -> float:
    low = np.flatnonzero(correlation < np.exp(-1))
    return float(low[0] / FPS) if len(low) else _LONGEST_S
