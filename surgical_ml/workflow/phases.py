"""Which phase it is: a forward filter over the network's scores, and a gate that commits only on evidence."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from surgical_ml.workflow.estimate import Certainty, WorkflowEstimate
from surgical_ml.workflow.protocol import Protocol

PPM = 1_000_000
CORRELATED_S = 0.6
"""Frames nearer than this say the same thing again: a frame's evidence counts for dt / CORRELATED_S, at most once."""

UNUSUAL = 0.004
"""Share of the transitions that a protocol does not list; small, so that a departure needs evidence, yet possible."""

COMMIT_AT = 0.85
FIRST = 0.5
"""How likely a case begins with the protocol's first phase; well below what commits it without evidence."""

LEAVES_LONGEST_S = 60.0


def since(before_ns: int | None, stamp_ns: int) -> int:
    """Time from an earlier stamp; 0 where there is none, or where time ran backwards."""
    return 0 if before_ns is None else max(0, stamp_ns - before_ns)


@dataclass(frozen=True, slots=True)
class PhaseChange:
    """A new phase was committed: before and after, and when the evidence for it began."""

    before: str | None
    after: str
    onset_ns: int
    frames: tuple[int, ...]


class PhaseFilter:
    """Belief over the protocol's phases, one step an event.

    The model: in dt seconds a phase is left with probability 1 - exp(-dt * time_scale / mean); where to is the protocol's
    `next`, as often as it says, any other phase with `UNUSUAL`. Scores enter as likelihoods, tempered for correlated frames.
    """

    def __init__(self, protocol: Protocol, time_scale: float) -> None:
        names = protocol.phase_names
        self._names, self._phases, self._commit_ns = names, protocol.phases, round(1e9 * protocol.commit_s)
        self._rate = np.array([time_scale / phase.mean_s for phase in protocol.phases])
        self._to = np.full((len(names), len(names)), UNUSUAL / len(names))
        for k, phase in enumerate(protocol.phases):
            ordinary = sum(phase.next[other] for other in phase.following)
            for other in phase.following:
                self._to[k, names.index(other)] += (1 - UNUSUAL) * phase.next[other] / ordinary
        np.fill_diagonal(self._to, 0.0)
        self._to /= self._to.sum(axis=1, keepdims=True)
        self._belief = np.full(len(names), (1 - FIRST) / (len(names) - 1))
        self._belief[0] = FIRST
        self._last_ns: int | None = None
        self._seen_ns: int | None = None
        self._committed: int | None = None
        self._since_ns: int | None = None
        self._candidate: int | None = None
        self._candidate_since_ns = 0
        self._support_ns = 0
        self._evidence_ns = 0
        self._frames: list[int] = []
        self._progress_ppm = 0

    @property
    def belief(self) -> npt.NDArray[np.float64]:
        """Probability of each phase; sums to 1."""
        return self._belief

    @property
    def committed(self) -> str | None:
        """The established phase."""
        return None if self._committed is None else self._names[self._committed]

    def step(
        self, stamp_ns: int, scores_ppm: tuple[int, ...] | None, index: int | None, progress_ppm: int
    ) -> PhaseChange | None:
        """Let time pass to `stamp_ns`, and take the scores of an admitted frame where there is one."""
        dt_s = min(since(self._last_ns, stamp_ns) / 1e9, LEAVES_LONGEST_S)
        self._last_ns = stamp_ns
        leave = 1.0 - np.exp(-dt_s * self._rate)
        self._belief = self._belief * (1.0 - leave) + (self._belief * leave) @ self._to
        if scores_ppm is None:
            return None
        # From frame to frame, whatever other events stand between them. A gap in the evidence is no evidence: one frame
        # never stands for more than the correlation time.
        worth_ns = min(since(self._seen_ns, stamp_ns), round(1e9 * CORRELATED_S))
        self._seen_ns = stamp_ns
        weight = max(worth_ns / 1e9, 0.02) / CORRELATED_S
        likelihood = np.power(np.clip(np.asarray(scores_ppm, np.float64) / PPM, 0.0, 1.0) + 0.01, weight)
        self._belief = self._belief * likelihood
        self._belief /= self._belief.sum()
        self._progress_ppm = progress_ppm
        best = int(self._belief.argmax())
        # What a frame that prefers nothing leaves of earlier frames' belief is no support of its own.
        speaks = self._belief[best] >= COMMIT_AT and scores_ppm[best] * len(scores_ppm) > sum(scores_ppm)
        return self._commit(stamp_ns, best, worth_ns if speaks else 0, index)

    def _commit(self, stamp_ns: int, best: int, worth_ns: int, index: int | None) -> PhaseChange | None:
        if best == self._committed:
            self._candidate, self._support_ns, self._frames = None, 0, []
            self._evidence_ns += worth_ns
            return None
        if best != self._candidate:
            self._candidate, self._candidate_since_ns = best, stamp_ns
            self._support_ns, self._frames = 0, []
        self._support_ns += worth_ns
        if index is not None:
            self._frames.append(index)
            if len(self._frames) > 64:
                self._frames = self._frames[::2]
        if self._support_ns < self._commit_ns:
            return None
        before, self._committed = self.committed, best
        self._since_ns, self._evidence_ns = self._candidate_since_ns, self._support_ns
        frames = tuple(self._frames[:: max(1, len(self._frames) // 8)][:8])
        self._candidate, self._support_ns, self._frames = None, 0, []
        return PhaseChange(before, self._names[best], self._candidate_since_ns, frames)

    def estimate(self, stamp_ns: int) -> WorkflowEstimate:
        """Where the operation stands, in exact numbers."""
        share = 0.0 if self._committed is None else float(self._belief[self._committed])
        following, following_ppm = None, 0
        if self._committed is not None and self._phases[self._committed].following:
            k = int(self._to[self._committed].argmax())
            following, following_ppm = self._names[k], round(PPM * float(self._to[self._committed, k]))
        return WorkflowEstimate(
            stamp_ns=stamp_ns,
            committed=self.committed,
            committed_since_ns=self._since_ns,
            candidate=None if self._candidate is None else self._names[self._candidate],
            belief_ppm=tuple(round(PPM * float(value)) for value in self._belief),
            certainty=Certainty.HIGH if share >= 0.9 else Certainty.MEDIUM if share >= 0.6 else Certainty.LOW,
            next_phase=following,
            next_ppm=following_ppm,
            progress_ppm=self._progress_ppm,
            evidence_ns=self._evidence_ns,
        )
