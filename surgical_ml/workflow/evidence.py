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


def log_likelihood(scores_ppm: Sequence[int], worth_ns: int) -> npt.NDArray[np.float64]:
    """Log-likelihood of each phase, nats, 0 for the likeliest.

    Args:
        scores_ppm: of each phase; what lies outside 0..1,000,000 counts as the nearer bound.
        worth_ns: time that the frame stands for.

    Raises:
        InputError: a score is not a finite number.
    """
    scores = np.asarray(scores_ppm, np.float64)
    if not np.isfinite(scores).all():
        raise InputError("phase scores", "finite numbers", ", ".join(str(score) for score in scores_ppm))
    weight = max(worth_ns, LEAST_WORTH_NS) / (1e9 * CORRELATED_S)
    logs = np.log(np.clip(scores / PPM, 0.0, 1.0) + DOUBT)
    return np.asarray(min(weight, 1.0) * (logs - logs.max()))


def worth(since_ns: int) -> int:
    """Time that a frame stands for, nanoseconds, given the time since the frame before it."""
    return min(since_ns, round(1e9 * CORRELATED_S))
