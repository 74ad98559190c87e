"""What a network's scores are worth as evidence: likelihoods, tempered because frames that lie close together say the same.

The log-likelihood of a phase is w log(score + `DOUBT`), up to a constant. w is the time since the frame before in units of
`CORRELATED_S`, and at most 1: a second of video is worth the same at every frame rate, and a gap is no evidence.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError

PPM = 1_000_000

CORRELATED_S = 0.6
"""So long the errors of the network hold together; how it was measured stands in docs/workflow.md."""

DOUBT = 0.01
"""What is added to every score: so sure as to rule a phase out no single answer may be."""

LEAST_WORTH_NS = 20_000_000
"""A first frame, or one with the stamp of another, still moves the belief by this much."""


LASTING, NEWEST = 0.35, 0.6
"""What the belief, and the newest frame by itself, count for in a stated probability. Besides those that pass within a second
there are errors that last for ten: the belief adds them up as if each frame were another witness, and is too sure by that.
Both, like `CORRELATED_S`, have the least negative log-likelihood on held-out cases that nothing else is measured on:
`surgical-ml benchmark workflow --fit`."""

NEWEST_NS = 2_000_000_000
"""So long a frame has something to say by itself, less and less."""


def log_scores(scores_ppm: Sequence[int]) -> npt.NDArray[np.float64]:
    """Logarithm of each phase's score, 0 for the highest; the log-likelihood of a frame that stands for itself.

    Args:
        scores_ppm: of each phase; what lies outside 0..1,000,000 counts as the nearer bound.

    Raises:
        InputError: a score is not a finite number.
    """
    scores = np.asarray(scores_ppm, np.float64)
    if not np.isfinite(scores).all():
        raise InputError("phase scores", "finite numbers", ", ".join(str(score) for score in scores_ppm))
    logs = np.log(np.clip(scores / PPM, 0.0, 1.0) + DOUBT)
    return np.asarray(logs - logs.max())


def worth(since_ns: int) -> int:
    """Time that a frame stands for, nanoseconds, given the time since the frame before it."""
    return min(since_ns, round(1e9 * CORRELATED_S))


def weight(worth_ns: int) -> float:
    """Share of a witness that a frame is which stands for so long."""
    return min(1.0, max(worth_ns, LEAST_WORTH_NS) / (1e9 * CORRELATED_S))


def stated(
    belief: npt.NDArray[np.float64], newest: npt.NDArray[np.float64] | None, since_ns: int
) -> npt.NDArray[np.float64]:
    """The probability of each phase that may be told: belief^`LASTING` x score^`NEWEST`, as long as there is a new score.

    Args:
        belief: (K,) of the filter.
        newest: (K,) `log_scores` of the newest frame; None before there is one.
        since_ns: how long ago it was.
    """
    logs = LASTING * np.log(belief)
    if newest is not None:
        logs = logs + NEWEST * max(0.0, 1.0 - since_ns / NEWEST_NS) * newest
    shares = np.exp(logs - logs.max())
    return np.asarray(shares / shares.sum())
