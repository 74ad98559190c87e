"""What becomes of the committed phase when frames are lost, the picture freezes, or the assistant starts again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from surgical_ml.engine import Engine
from surgical_ml.evaluation.filter_study.followed import Followed, time_scale
from surgical_ml.evaluation.filter_study.seen_cases import FPS, SeenCase
from surgical_ml.labels import UNDEFINED
from surgical_ml.perception.perceiver import LONGEST_STEP_S
from surgical_ml.workflow import Certainty, Protocol
from surgical_ml.workflow.phases import PhaseFilter

AFTER_S = 40.0
"""So long a case is run on after an interruption."""

SHOWN_S = 1.0
"""The gate shows nothing before good video has lasted so long; see `guidance.gate`."""

RECOVERED_S = 10.0


@dataclass(frozen=True, slots=True)
class Interruption:
    """No frames (`drop`), one picture that is refused as frozen (`freeze`), or a new session (`restart`), for so long."""

    kind: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.kind} of {self.seconds:g} s"


KINDS = (
    *(Interruption(kind, seconds) for kind in ("drop", "freeze") for seconds in (1.0, 10.0, 60.0)),
    Interruption("restart", 3.0),
)


@dataclass(frozen=True, slots=True)
class Recovery:
    """What one kind did, over all places where it was put.

    Attributes:
        places: how many; half of them just before a true change of phase.
        slowest_s: clean video until the committed phase was the true one, or the one of the case without interruption.
        late: how often that took more than `RECOVERED_S`.
        unflagged_s: the longest time in one place in which a wrong phase was shown as certain, with no candidate beside it,
            that was not shown so without the interruption.
    """

    kind: Interruption
    places: int
    slowest_s: float
    late: int
    unflagged_s: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        told = {"kind": str(self.kind), "places": self.places, "late": self.late}
        return told | {"slowest_s": round(self.slowest_s, 2), "unflagged_s": round(self.unflagged_s, 2)}


def interrupt(
    cases: Sequence[SeenCase], followed: Sequence[Followed], protocol: Protocol, engine: Engine
) -> list[Recovery]:
    """Interrupt every case at two places, in each way; the phase network steps on through what is left.

    Args:
        cases: as they were seen.
        followed: what the filter makes of them without interruption.
        protocol: of the procedure.
        engine: the phase network.
    """
    rows = []
    for kind in KINDS:
        slowest, unflagged, late, places = 0.0, 0.0, 0, 0
        for case, whole in zip(cases, followed, strict=True):
            for begin in _places(case, kind):
                waited_s, wrong_s = _one(case, whole, protocol, engine, kind, begin)
                slowest, unflagged = max(slowest, waited_s), max(unflagged, wrong_s)
                late, places = late + (waited_s > RECOVERED_S), places + 1
        rows.append(Recovery(kind, places, slowest, late, unflagged))
    return rows


def _places(case: SeenCase, kind: Interruption) -> list[int]:
    """The first frame of an interruption: anywhere, and a second before a change of phase."""
    rng = np.random.default_rng([round(1000 * case.expected_s), round(kind.seconds)])
    last = len(case.truth) - round((kind.seconds + AFTER_S / 2) * FPS)
    changes = np.flatnonzero(np.diff(case.truth)) + 1 - FPS
    wanted = [int(rng.integers(1, max(2, last))), int(rng.choice(changes)) if len(changes) else 1]
    return [begin for begin in wanted if 1 <= begin < last]


def _one(
    case: SeenCase, whole: Followed, protocol: Protocol, engine: Engine, kind: Interruption, begin: int
) -> tuple[float, float]:
    """Seconds of clean video until it has recovered, and those of a wrong phase that is shown as certain."""
    end = begin + round(kind.seconds * FPS)
    last = min(len(case.truth), end + round(AFTER_S * FPS))
    scale = time_scale(protocol, case.expected_s)
    phases, network = PhaseFilter(protocol, scale), _PhaseNetwork(engine)
    ids = {name: k for k, name in enumerate(protocol.phase_names)}
    recovered, wrong = None, 0
    for k in range(last):
        if begin <= k < end:
            if kind.kind == "freeze":
                # A frozen picture is refused, and nothing of it reaches the networks' memory.
                phases.step(int(case.stamp_ns[k]), None, None, 0)
            continue
        if k == end and kind.kind == "restart":
            phases, network = PhaseFilter(protocol, scale), _PhaseNetwork(engine)
        stamp_ns = int(case.stamp_ns[k])
        scores = network.step(stamp_ns, case.features[k]) if case.admitted[k] else None
        phases.step(stamp_ns, scores, k, 0)
        if k < end:
            continue
        said = phases.estimate(stamp_ns)
        committed = ids.get(said.committed or "", UNDEFINED)
        right = committed in (case.truth[k], whole.committed[k])
        if recovered is None and right:
            recovered = k
        flagged = said.candidate is not None or said.certainty is not Certainty.HIGH or committed == UNDEFINED
        wrong += not right and not flagged and k >= end + SHOWN_S * FPS
    # What was not admitted is no clean video, and nobody could have recovered by it.
    until = last if recovered is None else recovered
    return float(np.count_nonzero(case.admitted[end:until]) / FPS), wrong / FPS


class _PhaseNetwork:
    """Steps the phase network on features as `Perceiver` does, from a state that knows nothing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        shape = next(spec.shape for spec in engine.inputs if spec.name == "state")
        self._state: npt.NDArray[np.float32] = np.zeros(shape, np.float32)
        self._last_ns: int | None = None

    def step(self, stamp_ns: int, features: npt.NDArray[np.float32]) -> tuple[int, ...]:
        """Scores of the phases, ppm."""
        dt_s = 0.0 if self._last_ns is None else min(LONGEST_STEP_S, (stamp_ns - self._last_ns) / 1e9)
        out = self._engine.run(
            {
                "features": features[None],
                "dt": np.full((1, 1), dt_s, np.float32),
                "reset": np.full((1, 1), float(self._last_ns is None), np.float32),
                "state": self._state,
            }
        )
        self._state, self._last_ns = out["new_state"], stamp_ns
        return tuple(round(1e6 * float(value)) for value in out["phase"][0])
