"""Which phase it is: a semi-Markov forward filter over the network's scores, and a gate that commits only on evidence."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from surgical_ml.workflow.commitment import Commitment
from surgical_ml.workflow.estimate import Certainty, CertaintyBands, Forecast, WorkflowEstimate
from surgical_ml.workflow.evidence import PPM, USUAL, Weighing
from surgical_ml.workflow.protocol import END, Protocol
from surgical_ml.workflow.semi_markov import semi_markov_of

NS_PER_MS = 1_000_000
LEAST = 1e-30
"""No state is ever ruled out altogether, or it could not come back; nor do numbers become so small that sums take longer."""

YOUNG_NS = 45_000_000_000
"""Before it has seen so much of a case, or again of one that it lost from sight for `LOST_NS`, the network errs for longer, and
no phase is called certain: after a restart the longest such error on held-out cases lasted 38 s."""

LOST_NS = 20_000_000_000


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
    """Belief over the phases and how long each has lasted; one step an event, at the same cost however long the case is.

    Args:
        protocol: of the procedure.
        time_scale: how many times faster than real the case runs.
        bands: from which probability of the committed phase on it is certain, and fairly so.
        weighing: of the scores.
    """

    def __init__(
        self, protocol: Protocol, time_scale: float, bands: CertaintyBands | None = None, weighing: Weighing = USUAL
    ) -> None:
        self._names = protocol.phase_names
        self._process = semi_markov_of(protocol)
        self._time_scale = time_scale
        self._targets = (*self._names, END)
        self._bands = bands or CertaintyBands()
        self._states = self._process.start
        self._belief = self._process.by_phase(self._states)
        self._commitment = Commitment(len(self._names), protocol.commit_s, weighing.correlated_s)
        self._weighing = weighing
        self._begun_ns: int | None = None
        self._last_ns: int | None = None
        self._rest_ns = 0
        self._seen_ns: int | None = None
        self._watched_ns = 0
        self._newest: npt.NDArray[np.float64] | None = None
        self._evidence: tuple[int, ...] = ()
        self._progress_ppm = 0

    @property
    def belief(self) -> npt.NDArray[np.float64]:
        """The filter's share of each phase, by which it weighs; sums to 1. Surer than what is stated."""
        return self._belief

    @property
    def committed(self) -> str | None:
        """The established phase."""
        return self._name(self._commitment.committed)

    def _name(self, phase: int | None) -> str | None:
        return None if phase is None else self._names[phase]

    def step(
        self, stamp_ns: int, scores_ppm: tuple[int, ...] | None, index: int | None, progress_ppm: int
    ) -> PhaseChange | None:
        """Let time pass to `stamp_ns`, and take the scores of an admitted frame where there is one.

        Raises:
            InputError: a score is no finite number; nothing has changed then but the time.
        """
        self._pass_time(stamp_ns)
        self._evidence = ()
        if scores_ppm is None:
            return None
        # From frame to frame, whatever other events stand between them. A gap in the evidence is no evidence: one frame
        # never stands for more than the correlation time.
        unseen_ns = since(self._seen_ns, stamp_ns)
        worth_ns = self._weighing.worth_ns(unseen_ns)
        self._watched_ns = 0 if unseen_ns >= LOST_NS else self._watched_ns + worth_ns
        self._newest = self._weighing.log_scores(scores_ppm)
        logs = self._weighing.weight(worth_ns) * self._newest
        self._seen_ns, self._progress_ppm = stamp_ns, progress_ppm
        self._evidence = tuple(round(1000 * float(value)) for value in logs)
        weighed = self._states.reshape(len(logs), -1) * np.exp(logs)[:, None]
        self._settle(weighed.ravel())
        before = self.committed
        found = self._commitment.weigh(stamp_ns, logs, self._belief, worth_ns, index)
        return None if found is None else PhaseChange(before, self._names[found.phase], found.onset_ns, found.frames)

    def _pass_time(self, stamp_ns: int) -> None:
        if self._begun_ns is None:
            self._begun_ns = stamp_ns
        # In the protocol's time. What is left of a millisecond passes with the next event: many short steps are one long one.
        passing_ns = round(since(self._last_ns, stamp_ns) * self._time_scale)
        passed, self._rest_ns = divmod(self._rest_ns + passing_ns, NS_PER_MS)
        self._last_ns = stamp_ns if self._last_ns is None else max(self._last_ns, stamp_ns)
        if passed:
            self._settle(self._process.pass_time(self._states, passed))

    def _settle(self, states: npt.NDArray[np.float64]) -> None:
        states = np.maximum(states, LEAST)
        self._states = states / states.sum()
        self._belief = self._process.by_phase(self._states)

    def estimate(self, stamp_ns: int) -> WorkflowEstimate:
        """Where the operation stands, in exact numbers."""
        committed, candidate = self._commitment.committed, self._commitment.candidate
        probability = self._weighing.told(self._belief, self._newest, since(self._seen_ns, stamp_ns))
        share = 0.0 if committed is None else float(probability[committed])
        certainty = self._bands.of(share)
        if certainty is Certainty.HIGH and self._watched_ns < YOUNG_NS:
            certainty = Certainty.MEDIUM
        following, following_ppm, leaves_ns = None, 0, 0
        if committed is not None:
            k = int(self._process.onward[committed].argmax())
            following = None if self._targets[k] == END else self._targets[k]
            following_ppm = round(PPM * float(self._process.onward[committed, k])) if following else 0
            leaves_ns = self._ns(self._process.leaving(self._states, committed).median_s)
        return WorkflowEstimate(
            stamp_ns=stamp_ns,
            committed=self._name(committed),
            committed_since_ns=self._commitment.since_ns,
            candidate=self._name(candidate),
            belief_ppm=tuple(round(PPM * float(value)) for value in probability),
            certainty=certainty,
            next_phase=following,
            next_ppm=following_ppm,
            progress_ppm=self._progress_ppm,
            evidence_ns=self._commitment.supported_ns,
            forecast=self._forecast(stamp_ns, leaves_ns),
            evidence_mnat=self._evidence,
            odds_mnat=round(1000 * self._commitment.gathered_nats),
            needed_mnat=round(1000 * self._commitment.needed_nats),
        )

    def _forecast(self, stamp_ns: int, leaves_ns: int) -> Forecast:
        rest = self._process.remaining(self._states)
        clock_ns = self._ns(self._process.usual.median_s) - since(self._begun_ns, stamp_ns)
        return Forecast(
            leaves_ns, self._ns(rest.median_s), self._ns(rest.low_s), self._ns(rest.high_s), max(0, clock_ns)
        )

    def _ns(self, seconds: float) -> int:
        """The protocol's time in the case's; whole milliseconds, for more digits would be none."""
        return round(1000 * seconds / self._time_scale) * NS_PER_MS
