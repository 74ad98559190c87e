"""Fits the noise of label-only cases to what a model's networks say of held-out synthetic cases."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from surgical_ml.engine import Model, load_model, open_engine
from surgical_ml.errors import InputError
from surgical_ml.perception import PPM, Perceiver
from surgical_ml.simulation import DISTURBANCES, PHASES, TOOLS, NoiseModel, Renderer, plan_case
from surgical_ml.video import Frame
from surgical_ml.workflow.recognition import DOUBTFUL_PPM, recognition

SIZE = (480, 270)
LONGEST_LAG_S = 6.0
CLEAR_OF_CHANGE_S = 0.6
"""A tool that enters or leaves is in view in part: within this of its coming and going, nobody is wrong about it."""

PSEUDO = 0.5
"""Added to each count of the confusion: no answer is impossible because it did not come up."""

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LookedAt:
    """What the networks said of one case, n admitted frames, and what is true.

    Attributes:
        stamp_s: (n,) seconds of the case.
        starts_s, phases: (segments,) when each true phase begins, and its id.
        scores: (n, phases) of the phase network, sum to 1.
        tools: (n, tools) those in view; clear: (n, tools) none of which comes or goes just then.
        recognised: (n, tools) how well each is recognised, 0 to 1; 0 where it is not seen.
        novelty: (n,) distance from the training data, 1 is the limit; degraded: (n,) some quality of the picture is poor.
        refused: frames that were not admitted.
    """

    stamp_s: Floats
    starts_s: Floats
    phases: npt.NDArray[np.int64]
    scores: Floats
    tools: Bools
    clear: Bools
    recognised: Floats
    novelty: Floats
    degraded: Bools
    refused: npt.NDArray[np.int64]

    def truth(self, lag_s: float = 0.0) -> npt.NDArray[np.int64]:
        """The true phase so many seconds before each frame."""
        place = np.searchsorted(self.starts_s, self.stamp_s - lag_s, side="right") - 1
        return np.asarray(self.phases[np.maximum(place, 0)])


def look_at(model: Model, seed: int, *, seconds: float, fps: float) -> LookedAt:
    """Render a normal held-out case, every second one of them disturbed, and look at it as a session does."""
    plan = plan_case(seed, duration_s=seconds, disturbances=DISTURBANCES if seed % 2 else (), split="held-out")
    engines = (open_engine("onnxruntime", model.file(name), threads=1) for name in ("frame", "phase"))
    perceiver, renderer = Perceiver(model.manifest, *engines), Renderer(plan, SIZE)
    edges = {
        tool: [edge for use in plan.tools if use.tool == tool for edge in (use.start_s, use.end_s)] for tool in TOOLS
    }
    rows, refused = [], 0
    for k in range(int(plan.duration_s * fps)):
        t_s = k / fps
        seen = perceiver.perceive(Frame(renderer.at(t_s).image, round(1e9 * t_s), k))
        if not seen.admitted:
            refused += 1
            continue
        found = recognition(seen)
        edges = {
            tool: [edge for use in plan.tools if use.tool == tool for edge in (use.start_s, use.end_s)]
            for tool in TOOLS
        }
        rows.append(
            (
                t_s,
                np.array(seen.phase_ppm) / PPM,
                [tool in {use.tool for use in plan.tools_at(t_s)} for tool in TOOLS],
                [all(abs(edge - t_s) > CLEAR_OF_CHANGE_S for edge in edges[tool]) for tool in TOOLS],
                [found.get(tool, 0) / PPM for tool in TOOLS],
                seen.novelty_ppm / PPM,
                bool(seen.degraded),
            )
        )
    if not rows:
        raise InputError(f"case {seed}", "frames that the model admits", "none")
    stamps, scores, tools, clear, recognised, novelty, degraded = zip(*rows, strict=True)
    return LookedAt(
        np.array(stamps),
        np.array([segment.start_s for segment in plan.segments]),
        np.array([segment.phase for segment in plan.segments]),
        np.array(scores),
        np.array(tools),
        np.array(clear),
        np.array(recognised),
        np.array(novelty),
        np.array(degraded),
        np.array([refused]),
    )


def look_at_all(
    model: str,
    seeds: Sequence[int],
    *,
    seconds: float,
    fps: float,
    kept: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[LookedAt]:
    """Each case, looked at once for each model where a folder keeps what was seen.

    Raises:
        InputError: the model is not what it must be, or speaks of other phases or tools than the simulation.
    """
    loaded = load_model(model)
    if (loaded.manifest.phases, loaded.manifest.tools) != (PHASES, TOOLS):
        raise InputError(f"model {model}", "the phases and tools of the simulation", "others")
    cases = []
    for k, seed in enumerate(seeds):
        path = None if kept is None else kept / f"{loaded.sha256[:12]}-{seed}-{seconds:g}-{fps:g}.npz"
        if path is not None and path.is_file():
            with np.load(path) as stored:
                cases.append(LookedAt(**{name: stored[name] for name in LookedAt.__slots__}))
        else:
            cases.append(look_at(loaded, seed, seconds=seconds, fps=fps))
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                aside = path.with_suffix(".partial")
                with aside.open("wb") as file:
                    np.savez_compressed(file, **{name: getattr(cases[-1], name) for name in LookedAt.__slots__})
                aside.replace(path)
        if progress is not None:
            progress(k + 1, len(seeds))
    return cases


def fit_noise(cases: Sequence[LookedAt], source: str) -> NoiseModel:
    """The noise that is like the networks' errors.

    The lag is the one after which the likeliest phases agree best with the truth. The confusion counts them against the
    truth of that long ago. Errors hold until the next answer is drawn: the mean length of a run of wrong answers is
    hold / (1 - error rate), by which the hold is found; for phases and for tools alike. The sharpness gives the scores the
    mean confidence that the network has.

    Args:
        cases: at least one.
        source: what they are, for the record.
    """
    lags = np.arange(0.0, LONGEST_LAG_S + 0.01, 0.25)
    agreed = [np.mean(np.concatenate([c.scores.argmax(1) == c.truth(lag) for c in cases])) for lag in lags]
    lag_s = float(lags[int(np.argmax(agreed))])
    table = np.full((len(PHASES), len(PHASES)), PSEUDO)
    for case in cases:
        np.add.at(table, (case.truth(lag_s), case.scores.argmax(1)), 1)
    wrong = [(case.stamp_s, case.scores.argmax(1) != case.truth(lag_s)) for case in cases]
    seen = [case.recognised * 1e6 > DOUBTFUL_PPM for case in cases]
    in_view = [case.tools & case.clear for case in cases]
    not_there = [~case.tools & case.clear for case in cases]
    tool_errors = [
        (case.stamp_s, (told[:, k] ^ case.tools[:, k]) & case.clear[:, k])
        for case, told in zip(cases, seen, strict=True)
        for k in range(len(TOOLS))
    ]
    right, false = (
        np.concatenate([case.recognised[told & where] for case, told, where in zip(cases, seen, places, strict=True)])
        for places in (in_view, not_there)
    )
    return NoiseModel(
        confusion=tuple(map(tuple, np.round(table / table.sum(axis=1, keepdims=True), 5).tolist())),
        hold_s=_hold_s(wrong),
        sharpness=_sharpness(float(np.mean(np.concatenate([case.scores.max(1) for case in cases])))),
        tool_miss=_share([~told[there] for told, there in zip(seen, in_view, strict=True)]),
        tool_false=_share([told[none] for told, none in zip(seen, not_there, strict=True)]),
        lag_s=lag_s,
        tool_hold_s=_hold_s(tool_errors),
        tool_score=round(float(right.mean()), 4),
        tool_spread=round(float(right.std()), 4),
        false_score=round(float(false.mean()), 4),
        false_spread=round(float(false.std()), 4),
        source=source,
    )


def _share(parts: list[Bools]) -> float:
    return round(float(np.mean(np.concatenate(parts))), 5)


def _hold_s(tracks: Sequence[tuple[Floats, Bools]]) -> float:
    """Seconds from one drawn answer to the next, by the mean length of runs of errors and how frequent errors are."""
    runs, wrong_s, all_s = 0, 0.0, 0.0
    for stamp_s, wrong in tracks:
        step_s = float(np.median(np.diff(stamp_s)))
        padded = np.concatenate([[False], wrong])
        runs += int((padded[1:] & ~padded[:-1]).sum())
        wrong_s += step_s * float(wrong.sum())
        all_s += step_s * len(wrong)
    if runs == 0:
        raise InputError("cases", "at least one error to fit to", "none in all of them: look at more of them")
    return round(wrong_s / runs * (1 - wrong_s / all_s), 3)


def _sharpness(confidence: float) -> float:
    """Of the answer's logit above the others, so that its share is as given: e^s / (e^s + n - 1)."""
    return round(float(np.log(confidence * (len(PHASES) - 1) / max(1e-6, 1 - confidence))), 3)
