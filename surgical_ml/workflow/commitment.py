"""When a phase is established: a candidate gathers evidence against the committed phase until that suffices."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SURE_NATS = 2.0
"""A frame that stands for itself speaks at most this much for a phase: one that is very sure may still be wrong."""

BELIEVED = 0.85
"""A phase is established only while this much of the belief lies on it, whatever its evidence: an unusual one needs more."""

SHOWN = 0.2
"""A phase is a candidate from this share of the evidence on that it needs."""

FORGET_NS = 2_000_000_000
"""What was gathered before a longer time without evidence is forgotten: too much may have happened since."""

_MOST_FRAMES = 64


@dataclass(frozen=True, slots=True)
class Established:
    """A phase was committed: which one, when its evidence began, and indices of at most eight frames that carry it."""

    phase: int
    onset_ns: int
    frames: tuple[int, ...]


class Commitment:
    """Sums up, for each phase, the log-odds of its evidence against the committed one; a sum below 0 begins anew at 0.

    Only what frames show is summed up: that a phase is due, or that it is unlikely, is in the belief alone.

    Args:
        phases: how many there are.
        needed_s: so many seconds of frames that are sure establish a phase.
        correlated_s: for how long a frame may stand for itself, seconds.
    """

    def __init__(self, phases: int, needed_s: float, correlated_s: float) -> None:
        self._correlated_ns = 1e9 * correlated_s
        self.needed_nats = needed_s / correlated_s * SURE_NATS
        self.committed: int | None = None
        self.since_ns: int | None = None
        self.supported_ns = 0
        self._gathered = np.zeros(phases)
        self._began_ns = [0] * phases
        self._frames: list[list[int]] = [[] for _ in range(phases)]
        self._seen_ns: int | None = None

    def weigh(
        self,
        stamp_ns: int,
        logs: npt.NDArray[np.float64],
        belief: npt.NDArray[np.float64],
        worth_ns: int,
        index: int | None,
    ) -> Established | None:
        """Take the evidence of one frame.

        Args:
            stamp_ns: of the frame.
            logs: (K,) its log-likelihood of each phase.
            belief: (K,) after it.
            worth_ns: time that it stands for.
            index: of the frame.
        """
        if self._seen_ns is not None and stamp_ns - self._seen_ns > FORGET_NS:
            self._gathered[:] = 0.0
        self._seen_ns = stamp_ns
        most = worth_ns / self._correlated_ns * SURE_NATS
        gains = np.clip(logs - self._rival(logs), -most, most)
        self._gathered += gains
        self._gathered[self._gathered < 1e-9] = 0.0
        for k in range(len(gains)):
            if self._gathered[k] == 0.0:
                self._frames[k].clear()
                continue
            if not self._frames[k]:
                self._began_ns[k] = stamp_ns
            if gains[k] > 0 and index is not None:
                self._frames[k].append(index)
                if len(self._frames[k]) > _MOST_FRAMES:
                    self._frames[k] = self._frames[k][::2]
        best = int(belief.argmax())
        if best == self.committed:
            self.supported_ns += worth_ns if gains[best] >= 0 else 0
            return None
        if belief[best] < BELIEVED or gains[best] <= 0 or self._gathered[best] < self.needed_nats:
            return None
        return self._establish(best)

    def _rival(self, logs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """What each phase is compared with: the committed one, or, before there is one, the likeliest of the others."""
        if self.committed is not None:
            return np.full(len(logs), logs[self.committed])
        first, second = np.sort(logs)[-2:][::-1]
        return np.asarray(np.where(logs == first, second, first), np.float64)

    def _establish(self, phase: int) -> Established:
        frames = self._frames[phase]
        found = Established(phase, self._began_ns[phase], tuple(frames[:: max(1, len(frames) // 8)][:8]))
        self.committed, self.since_ns = phase, found.onset_ns
        self.supported_ns = round(self._gathered[phase] / SURE_NATS * self._correlated_ns)
        self._gathered[:] = 0.0
        for one in self._frames:
            one.clear()
        return found

    @property
    def candidate(self) -> int | None:
        """The phase with the most evidence against the committed one, once it is worth a word."""
        best = int(self._gathered.argmax())
        return best if self._gathered[best] >= SHOWN * self.needed_nats else None

    @property
    def gathered_nats(self) -> float:
        """The candidate's log-odds against the committed phase; 0 without one."""
        candidate = self.candidate
        return 0.0 if candidate is None else float(self._gathered[candidate])
