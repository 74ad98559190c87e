"""Operations without pixels: what a network might say of each frame, streamed far faster than frames are drawn."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError
from surgical_ml.simulation.plan import PHASES, TOOLS, CasePlan

Float = npt.NDArray[np.float32]


def _usual_confusion() -> Float:
    """A phase is mostly taken for itself, and else for its neighbours."""
    n = len(PHASES)
    near = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    table = np.where(near == 0, 0.88, np.where(near == 1, 0.04, 0.01))
    return np.asarray(table / table.sum(axis=1, keepdims=True), np.float32)


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """How a network's answers differ from the truth.

    The default values are placeholders until they are fitted to a network's answers on cases it was not trained on.

    Attributes:
        confusion: (7, 7) rows of the true phase, columns of the one that is answered; rows sum to 1.
        hold_s: how long an error lasts on average, seconds: answers of neighbouring frames agree.
        sharpness: scale of the scores before they are made to sum to 1; the more, the surer.
        tool_miss, tool_false: share of the time that a tool in view is missed, and that one is seen which is not there.
    """

    confusion: tuple[tuple[float, ...], ...] = tuple(tuple(row) for row in _usual_confusion().astype(float).tolist())
    hold_s: float = 1.5
    sharpness: float = 4.0
    tool_miss: float = 0.05
    tool_false: float = 0.01

    def __post_init__(self) -> None:
        table = np.asarray(self.confusion, np.float64)
        if table.shape != (len(PHASES),) * 2 or (table < 0).any() or not np.allclose(table.sum(axis=1), 1.0, atol=1e-3):
            raise InputError("confusion", f"{len(PHASES)} rows of as many shares that sum to 1", f"shape {table.shape}")
        if self.hold_s <= 0 or not 0 <= self.tool_miss < 1 or not 0 <= self.tool_false < 1:
            raise InputError("noise", "hold_s above 0, tool_miss and tool_false in [0, 1)", repr(self))


@dataclass(frozen=True, slots=True)
class LabelChunk:
    """Consecutive frames; n of them.

    Attributes:
        stamp_ns: (n,) int64, from the start of the case.
        phase: (n,) int64, the true one; tools: (n, 7) bool, those in view.
        phase_scores: (n, 7) float32, sum to 1; tool_scores: (n, 7) float32 in 0..1.
    """

    stamp_ns: npt.NDArray[np.int64]
    phase: npt.NDArray[np.int64]
    tools: npt.NDArray[np.bool_]
    phase_scores: Float
    tool_scores: Float


def stream_observations(
    plan: CasePlan, fps: int, noise: NoiseModel | None = None, *, seed: int = 0, chunk: int = 4096
) -> Iterator[LabelChunk]:
    """Answers for every frame of a case, in chunks of at most `chunk` frames; the chunks' size changes no answer.

    Args:
        plan: the script.
        fps: frames/s.
        noise: how answers differ from the truth; None for the usual.
        seed: of the errors; another one makes other errors in the same case.

    Raises:
        InputError: a number is out of its range.
    """
    if fps < 1 or chunk < 1:
        raise InputError("fps and chunk", "whole numbers from 1", f"{fps} and {chunk}")
    model = noise or NoiseModel()
    frames = int(plan.duration_s * fps)
    ends = np.array([segment.end_s for segment in plan.segments])
    phases = np.array([segment.phase for segment in plan.segments])
    spans = [[(use.start_s, use.end_s) for use in plan.tools if use.tool == tool] for tool in TOOLS]
    errors = _Errors(plan, model, [seed, plan.seed, 24])
    for first in range(0, frames, chunk):
        t_s = np.arange(first, min(first + chunk, frames)) / fps
        phase = phases[np.minimum(np.searchsorted(ends, t_s, side="right"), len(phases) - 1)]
        tools = np.zeros((len(t_s), len(TOOLS)), np.bool_)
        for k, uses in enumerate(spans):
            for start, end in uses:
                tools[:, k] |= (t_s >= start) & (t_s < end)
        yield LabelChunk(
            np.round(t_s * 1e9).astype(np.int64),
            phase,
            tools,
            errors.phase_scores(t_s, phase),
            errors.tool_scores(t_s, tools),
        )


class _Errors:
    """Errors that hold for a while: each lasts from one random time to the next."""

    def __init__(self, plan: CasePlan, model: NoiseModel, seed: list[int]) -> None:
        rng = np.random.default_rng(seed)
        self._model = model
        count = 2 + len(TOOLS)
        holds = int(plan.duration_s / model.hold_s * 2) + 64
        self._until = np.cumsum(rng.exponential(model.hold_s, (count, holds)), axis=1)
        self._draws = rng.random((count, holds))
        self._tilt = rng.normal(0.0, 0.35, (holds, len(PHASES))).astype(np.float32)
        self._wobble = rng.normal(0.0, 0.08, (holds, len(TOOLS))).astype(np.float32)
        self._table = np.cumsum(np.asarray(model.confusion, np.float64), axis=1)

    def _at(self, row: int, t_s: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
        found = np.searchsorted(self._until[row], t_s, side="right")
        return np.asarray(np.minimum(found, self._until.shape[1] - 1), np.intp)

    def phase_scores(self, t_s: npt.NDArray[np.float64], phase: npt.NDArray[np.int64]) -> Float:
        hold = self._at(0, t_s)
        answer = (self._draws[0, hold][:, None] > self._table[phase]).sum(axis=1).clip(max=len(PHASES) - 1)
        logits = self._tilt[self._at(1, t_s)].copy()
        logits[np.arange(len(t_s)), answer] += self._model.sharpness
        scores = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(scores / scores.sum(axis=1, keepdims=True), np.float32)

    def tool_scores(self, t_s: npt.NDArray[np.float64], tools: npt.NDArray[np.bool_]) -> Float:
        out = np.empty(tools.shape, np.float32)
        for k in range(tools.shape[1]):
            hold = self._at(2 + k, t_s)
            drawn, seen = self._draws[2 + k, hold], tools[:, k]
            wrong = np.where(seen, drawn < self._model.tool_miss, drawn < self._model.tool_false)
            level = np.where(seen ^ wrong, np.float32(0.88), np.float32(0.1))
            out[:, k] = np.clip(level + self._wobble[hold, k], 0.0, 1.0)
        return out
