"""Operations without pixels: what a network might say of each frame, streamed far faster than frames are drawn."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError
from surgical_ml.simulation.plan import PHASES, TOOLS, CasePlan

Float = npt.NDArray[np.float32]


FITTED = Path(__file__).parent / "noise.json"
"""The shipped noise model, as `surgical-ml learn noise` wrote it."""


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """How a network's answers differ from the truth.

    Attributes:
        confusion: (7, 7) rows of the true phase, columns of the one that is answered; rows sum to 1.
        hold_s: from one answer to the next that is drawn anew, on average, seconds: answers of neighbouring frames agree,
            and the autocorrelation of an error at a lag of t seconds is exp(-t / hold_s).
        sharpness: scale of the scores before they are made to sum to 1; the more, the surer.
        tool_miss, tool_false: share of the time that a tool in view is missed, and that one is seen which is not there.
        lag_s: a new phase is answered so many seconds after it began.
        tool_hold_s: as `hold_s`, of errors about a tool.
        tool_score, tool_spread: mean and standard deviation of how well a tool that is in view is recognised.
        false_score, false_spread: of how well one is recognised that is not there.
        source: what it was fitted to.
    """

    confusion: tuple[tuple[float, ...], ...]
    hold_s: float
    sharpness: float
    tool_miss: float
    tool_false: float
    lag_s: float = 0.0
    tool_hold_s: float = 1.5
    tool_score: float = 0.88
    tool_spread: float = 0.08
    false_score: float = 0.88
    false_spread: float = 0.08
    source: str = ""

    def __post_init__(self) -> None:
        table = np.asarray(self.confusion, np.float64)
        if table.shape != (len(PHASES),) * 2 or (table < 0).any() or not np.allclose(table.sum(axis=1), 1.0, atol=1e-3):
            raise InputError("confusion", f"{len(PHASES)} rows of as many shares that sum to 1", f"shape {table.shape}")
        if min(self.hold_s, self.tool_hold_s) <= 0 or not 0 <= self.tool_miss < 1 or not 0 <= self.tool_false < 1:
            raise InputError("noise", "hold_s and tool_hold_s above 0, tool_miss and tool_false in [0, 1)", repr(self))
        if min(self.lag_s, self.tool_spread, self.false_spread) < 0:
            raise InputError("noise", "lag_s and spreads from 0", repr(self))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def read(cls, path: Path = FITTED) -> "NoiseModel":
        """A noise model from its file; the shipped one by default.

        Raises:
            InputError: there is none, or it is not valid.
        """
        try:
            values = json.loads(path.read_text("utf-8"))
            return cls.of(values)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(path, "a noise model", f"{type(error).__name__}: {error}") from error

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "NoiseModel":
        """As it was written."""
        return cls(**{**values, "confusion": tuple(tuple(map(float, row)) for row in values["confusion"])})


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
        noise: how answers differ from the truth; None for the shipped one.
        seed: of the errors; another one makes other errors in the same case.

    Raises:
        InputError: a number is out of its range.
    """
    if fps < 1 or chunk < 1:
        raise InputError("fps and chunk", "whole numbers from 1", f"{fps} and {chunk}")
    model = noise or NoiseModel.read()
    frames = int(plan.duration_s * fps)
    ends = np.array([segment.end_s for segment in plan.segments])
    phases = np.array([segment.phase for segment in plan.segments])
    spans = [[(use.start_s, use.end_s) for use in plan.tools if use.tool == tool] for tool in TOOLS]
    errors = _Errors(plan, model, [seed, plan.seed, 24])
    for first in range(0, frames, chunk):
        t_s = np.arange(first, min(first + chunk, frames)) / fps
        phase, late = (
            phases[np.minimum(np.searchsorted(ends, at_s, side="right"), len(phases) - 1)]
            for at_s in (t_s, t_s - model.lag_s)
        )
        tools = np.zeros((len(t_s), len(TOOLS)), np.bool_)
        for k, uses in enumerate(spans):
            for start, end in uses:
                tools[:, k] |= (t_s >= start) & (t_s < end)
        yield LabelChunk(
            np.round(t_s * 1e9).astype(np.int64),
            phase,
            tools,
            errors.phase_scores(t_s, late),
            errors.tool_scores(t_s, tools),
        )


class _Errors:
    """Errors that hold for a while: each lasts from one random time to the next."""

    def __init__(self, plan: CasePlan, model: NoiseModel, seed: list[int]) -> None:
        rng = np.random.default_rng(seed)
        self._model = model
        count = 2 + len(TOOLS)
        holds = int(plan.duration_s / min(model.hold_s, model.tool_hold_s) * 2) + 64
        hold_s = np.array([model.hold_s, model.hold_s, *[model.tool_hold_s] * len(TOOLS)])[:, None]
        self._until = np.cumsum(rng.exponential(hold_s, (count, holds)), axis=1)
        self._draws = rng.random((count, holds))
        self._tilt = rng.normal(0.0, 0.35, (holds, len(PHASES))).astype(np.float32)
        self._wobble = rng.normal(0.0, 1.0, (holds, len(TOOLS))).astype(np.float32)
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
            missed, false = seen & (drawn < self._model.tool_miss), ~seen & (drawn < self._model.tool_false)
            wobble = self._wobble[hold, k]
            score = np.where(
                missed | ~(seen | false), 0.1 + 0.05 * wobble, self._model.tool_score + self._model.tool_spread * wobble
            )
            score = np.where(false, self._model.false_score + self._model.false_spread * wobble, score)
            out[:, k] = np.clip(score, 0.0, 1.0)
        return out
