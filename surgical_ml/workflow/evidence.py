"""What a network's scores are worth as evidence, and what may be told of a belief that was made of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError

PPM = 1_000_000
Float = npt.NDArray[np.float64]

LEAST_WORTH_NS = 20_000_000
"""A first frame, or one with the stamp of another, still moves the belief by this much."""

NEWEST_NS = 2_000_000_000
"""So long a frame has something to say by itself, less and less."""


@dataclass(frozen=True, slots=True)
class Weighing:
    """How scores are weighed. `surgical-ml benchmark workflow --fit` measures all of it on held-out cases.

    The log-likelihood of a phase is w log(score + `doubt`), up to a constant. w is the time since the frame before in units
    of `correlated_s`, and at most 1: a second of video is worth the same at every frame rate, and a gap is no evidence.

    Errors of a network that pass within a second are dealt with by that. Others last for ten: the belief adds up their
    frames as if each were another witness, and is too sure. The probability that is told is belief^`lasting` x
    (score + `doubt`)^`newest`, the score being the newest frame's.

    Attributes:
        correlated_s: frames nearer than this say the same thing again, seconds.
        doubt: what is added to every score: no single answer is sure enough to rule a phase out.
        lasting, newest: what the belief, and the newest frame by itself, count for in what is told.
    """

    correlated_s: float = 0.6
    doubt: float = 0.01
    lasting: float = 0.15
    newest: float = 0.9

    def log_scores(self, scores_ppm: Sequence[int]) -> Float:
        """Logarithm of each phase's score, 0 for the highest; the log-likelihood of a frame that stands for itself.

        Args:
            scores_ppm: of each phase; what lies outside 0..1,000,000 counts as the nearer bound.

        Raises:
            InputError: a score is not a finite number.
        """
        scores = np.asarray(scores_ppm, np.float64)
        if not np.isfinite(scores).all():
            raise InputError("phase scores", "finite numbers", ", ".join(str(score) for score in scores_ppm))
        logs = np.log(np.clip(scores / PPM, 0.0, 1.0) + self.doubt)
        return np.asarray(logs - logs.max())

    def worth_ns(self, since_ns: int) -> int:
        """Time that a frame stands for, given the time since the frame before it."""
        return min(since_ns, round(1e9 * self.correlated_s))

    def weight(self, worth_ns: int) -> float:
        """Share of a witness that a frame is which stands for so long."""
        return min(1.0, max(worth_ns, LEAST_WORTH_NS) / (1e9 * self.correlated_s))

    def told(self, belief: Float, newest: Float | None, since_ns: int) -> Float:
        """The probability of each phase that may be told.

        Args:
            belief: (K,) of the filter, all above 0.
            newest: (K,) `log_scores` of the newest frame; None before there is one.
            since_ns: how long ago it was; the longer, the less it says.
        """
        logs = self.lasting * np.log(belief)
        if newest is not None:
            logs = logs + self.newest * max(0.0, 1.0 - since_ns / NEWEST_NS) * newest
        shares = np.exp(logs - logs.max())
        return np.asarray(shares / shares.sum())


USUAL = Weighing()
