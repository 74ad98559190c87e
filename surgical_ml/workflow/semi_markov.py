"""The course of an operation as a semi-Markov process: in which phase it is, since when, what follows, and how long it takes.

A state is a phase and an age in it; a belief is a probability for each state. What time does to a belief is exp(Q dt), Q
holding the rates of `ageing` and where they lead. The powers are made once, for 1, 2, 4, ... ms: a step of any length is
at most `_POWERS` products, and two steps of 3 s are one of 6 s. No product is left to BLAS, whose results may depend on how
many threads it has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from surgical_ml.workflow.ageing import AGES, ageing
from surgical_ml.workflow.protocol import END, Protocol

Float = npt.NDArray[np.float64]

UNUSUAL = 0.004
"""Share of the changes of phase that a protocol does not list; small, so that a departure needs evidence, yet possible."""

RARE = 0.02
"""Share that goes where the protocol says that it has been seen to go, too seldom for a probability; where it names some."""

BEGUN = 0.5
"""How likely a case is seen from its beginning; otherwise it was joined, anywhere."""

_POWERS = 28
LONGEST_MS = (1 << _POWERS) - 1
"""Three days: a longer gap counts as this."""

_OCTAVES, _EACH = range(-9, 3), 8
"""Times ahead that are looked at: 2^k, k in `_OCTAVES`, of the usual length of an operation, and evenly between them."""


@dataclass(frozen=True, slots=True)
class Span:
    """How long something will take, seconds: the median, and between which two times it is over with 80 % probability."""

    median_s: float
    low_s: float
    high_s: float


class SemiMarkov:
    """The process of one protocol, in its own time: a case that runs faster lets more of it pass.

    Args:
        durations: median in seconds, and spread, of each of K phases.
        onward: (K, K + 1) where each phase leads, the last column being the end of the case; rows sum to 1, and the
            diagonal is 0.
        starts: (K,) with which phase a case begins.
    """

    def __init__(
        self,
        durations: Sequence[tuple[float, float]],
        onward: Sequence[Sequence[float]],
        starts: Sequence[float],
    ) -> None:
        self.phases = k = len(durations)
        chains = [ageing(median_s, spread) for median_s, spread in durations]
        self.onward: Float = np.array(onward)
        young = np.zeros((k, AGES))
        young[:, 0] = starts
        spent = np.array([chain.spent_s for chain in chains])
        joined = spent / spent.sum(axis=1, keepdims=True) / k
        self.start: Float = (BEGUN * young + (1 - BEGUN) * joined).ravel()
        leave = np.array([chain.leave for chain in chains]).ravel()
        inner = np.zeros((k * AGES, k * AGES))
        for p, chain in enumerate(chains):
            at = p * AGES + np.arange(AGES - 1)
            inner[at, at + 1] = chain.grow
        # Within a phase, and nowhere else: what this loses is what leaves the phase.
        alone = inner - np.diag(inner.sum(axis=1) + leave)
        entered = np.zeros_like(inner)
        entered[:, ::AGES] = leave[:, None] * np.repeat(self.onward[:, :k], AGES, axis=0)
        self._over = alone + entered
        # A case goes on until a person ends it: whoever would have reached the end stays where they are.
        ended = leave * np.repeat(self.onward[:, k], AGES)
        self._powers = _powers(self._over + np.diag(ended), _POWERS)
        usual_s = float(np.linalg.solve(-self._over, np.ones(k * AGES)) @ young.ravel())
        self.ahead_s: Float = usual_s * np.concatenate(
            ([0.0], *(2.0**octave * (1 + np.arange(_EACH) / _EACH) for octave in _OCTAVES))
        )
        self._goes_on = _survival(self._over, usual_s)
        self._stays = _survival(alone, usual_s)
        self.usual = self.remaining(young.ravel())

    def by_phase(self, belief: Float) -> Float:
        """(K,) probability of each phase."""
        return np.asarray(belief.reshape(self.phases, AGES).sum(axis=1))

    def pass_time(self, belief: Float, milliseconds: int) -> Float:
        """The belief after so much time without evidence; nobody's case has ended."""
        left = min(milliseconds, LONGEST_MS)
        for power in self._powers:
            if left & 1:
                belief = np.einsum("i,ij->j", belief, power)
            left >>= 1
            if not left:
                break
        return belief

    def remaining(self, belief: Float) -> Span:
        """How long the case will go on."""
        return self._span(np.einsum("i,ij->j", belief, self._goes_on))

    def leaving(self, belief: Float, phase: int) -> Span:
        """How long the case will stay in a phase, given that it is in it now."""
        inside = slice(phase * AGES, (phase + 1) * AGES)
        held = belief[inside]
        return self._span(np.einsum("i,ij->j", held / held.sum(), self._stays[inside]))

    def _span(self, still: Float) -> Span:
        """The times at which a share that falls from 1 comes to a half, to nine tenths, and to one tenth."""
        median, low, high = np.interp([-0.5, -0.9, -0.1], -still, self.ahead_s)
        return Span(float(median), float(low), float(high))


def semi_markov_of(protocol: Protocol) -> SemiMarkov:
    """The process that a protocol describes; made once for as many cases as follow it."""
    names = protocol.phase_names
    targets = (*names, END)
    onward = np.full((len(names), len(targets)), UNUSUAL / (len(names) - 1))
    onward[:, -1] = 0.0
    for k, phase in enumerate(protocol.phases):
        onward[k, k] = 0.0
        rare = RARE if phase.rare else 0.0
        for name in phase.rare:
            onward[k, targets.index(name)] += rare / len(phase.rare)
        for name, share in phase.next.items():
            onward[k, targets.index(name)] += (1 - UNUSUAL - rare) * share
    onward /= onward.sum(axis=1, keepdims=True)
    starts = np.array([protocol.begins.get(name, 0.0) for name in names])
    return _made(
        tuple((phase.usual.median_s, phase.usual.spread) for phase in protocol.phases),
        tuple(tuple(row) for row in onward.tolist()),
        tuple((starts / starts.sum()).tolist()),
    )


@lru_cache(maxsize=16)
def _made(
    durations: tuple[tuple[float, float], ...],
    onward: tuple[tuple[float, ...], ...],
    starts: tuple[float, ...],
) -> SemiMarkov:
    return SemiMarkov(durations, onward, starts)


def _powers(rates: Float, count: int) -> list[Float]:
    """exp(rates x 1 ms), and so on for twice the time each; rows sum to 1."""
    power = _exponential(rates, 1e-3)
    powers = [power]
    for _ in range(count - 1):
        power = _product(power, power)
        # Rounding must not make belief grow or shrink, however often it is squared.
        power /= power.sum(axis=1, keepdims=True)
        powers.append(power)
    return powers


def _survival(rates: Float, usual_s: float) -> Float:
    """(states, times) how likely each state has not been lost from the process at each of the times ahead."""
    step_s = usual_s * 2.0 ** _OCTAVES[0] / _EACH
    power, still = _exponential(rates, step_s), np.ones(len(rates))
    rows = [still]
    for _ in range(_EACH):
        still = np.einsum("ij,j->i", power, still)
    for _ in _OCTAVES:
        for _ in range(_EACH):
            rows.append(still)
            still = np.einsum("ij,j->i", power, still)
        power = _product(power, power)
    return np.minimum.accumulate(np.clip(np.array(rows).T, 0.0, 1.0), axis=1)


def _product(left: Float, right: Float) -> Float:
    return np.asarray(np.einsum("ij,jk->ik", left, right))


def _exponential(rates: Float, seconds: float) -> Float:
    """exp(rates x seconds), by its series on a small part of the time, which is then doubled."""
    scaled = rates * seconds
    doublings = max(0, int(np.ceil(np.log2(max(float(np.abs(scaled).sum(axis=1).max()), 1e-300)))) + 4)
    part = scaled / 2.0**doublings
    term = result = np.eye(len(rates))
    for k in range(1, 10):
        term = _product(term, part) / k
        result = result + term
    for _ in range(doublings):
        result = _product(result, result)
    return np.asarray(result)
