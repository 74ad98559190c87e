"""What the filter and its gate make of the scores of a case: the code of a session, on scores that were kept."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from surgical_ml.evaluation.filter_study.seen_cases import SeenCase
from surgical_ml.labels import UNDEFINED
from surgical_ml.workflow import Certainty, Protocol
from surgical_ml.workflow.evidence import USUAL, Weighing
from surgical_ml.workflow.phases import PhaseFilter
from surgical_ml.workflow.semi_markov import semi_markov_of

Ids = npt.NDArray[np.int64]
Float = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Followed:
    """Arrays with a place for each of n frames.

    Attributes:
        raw: (n,) id of the highest score of the newest admitted frame, `UNDEFINED` before there is one.
        likeliest: (n,) id of the phase with most of the filter's belief.
        committed, candidate: (n,) ids, or `UNDEFINED`.
        belief, told: (n, phases) the filter's shares, and the probabilities that it states.
        certain: (n,) bool, whether the certainty of the committed phase is high.
        remaining_s, low_s, high_s, clock_s: (n,) how long the case goes on, as it is told.
    """

    raw: Ids
    likeliest: Ids
    committed: Ids
    candidate: Ids
    belief: Float
    told: Float
    certain: npt.NDArray[np.bool_]
    remaining_s: Float
    low_s: Float
    high_s: Float
    clock_s: Float


def time_scale(protocol: Protocol, expected_s: float) -> float:
    """What a configuration says of a case that was compressed to a length."""
    return semi_markov_of(protocol).usual.median_s / expected_s


def follow(case: SeenCase, protocol: Protocol, weighing: Weighing = USUAL) -> Followed:
    """Let the filter follow a case from its beginning."""
    ids = {name: k for k, name in enumerate(protocol.phase_names)}
    phases = PhaseFilter(protocol, time_scale(protocol, case.expected_s), weighing=weighing)
    n = len(case.truth)
    raw, likeliest, committed, candidate = np.full((4, n), UNDEFINED, np.int64)
    belief, told = np.empty((2, n, len(ids)))
    remaining_s, low_s, high_s, clock_s = np.empty((4, n))
    certain = np.zeros(n, np.bool_)
    for k in range(n):
        scores = tuple(case.phase_ppm[k].tolist()) if case.admitted[k] else None
        raw[k] = (raw[k - 1] if k else UNDEFINED) if scores is None else int(np.argmax(scores))
        stamp_ns = int(case.stamp_ns[k])
        phases.step(stamp_ns, scores, k, 0)
        said = phases.estimate(stamp_ns)
        assert said.forecast is not None, "a filter always has one"
        belief[k], told[k] = phases.belief, np.array(said.belief_ppm) / sum(said.belief_ppm)
        likeliest[k], certain[k] = int(phases.belief.argmax()), said.certainty is Certainty.HIGH
        committed[k] = ids.get(said.committed or "", UNDEFINED)
        candidate[k] = ids.get(said.candidate or "", UNDEFINED)
        rest = said.forecast
        remaining_s[k], low_s[k], high_s[k] = rest.remaining_ns / 1e9, rest.low_ns / 1e9, rest.high_ns / 1e9
        clock_s[k] = rest.clock_ns / 1e9
    return Followed(raw, likeliest, committed, candidate, belief, told, certain, remaining_s, low_s, high_s, clock_s)
