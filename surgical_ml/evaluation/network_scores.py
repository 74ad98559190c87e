"""The scores of a model's networks on held-out synthetic cases, with intervals over cases and by condition."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import surgical_ml
from surgical_ml.engine import Manifest
from surgical_ml.evaluation.metrics import LabelledCase, bootstrap, mean_of, score_segments
from surgical_ml.evaluation.metrics.phases import nan_mean
from surgical_ml.evaluation.metrics.statistics import Indices, Interval
from surgical_ml.evaluation.metrics.summary import plain_number
from surgical_ml.evaluation.metrics.tools import auroc, average_precision
from surgical_ml.evaluation.network_cases import CONDITIONS, CaseSpec, NetworkCase

SEED = 20_260
FEWEST_FRAMES = 25
"""Frames of a condition that a case must have to be told for it."""

Numbers = npt.NDArray[np.float64]
Rows = npt.NDArray[np.bool_]
Measure = Callable[[NetworkCase, Rows], float]
"""A case and some of its frames to a value, NaN where undefined."""


@dataclass(frozen=True, slots=True)
class NetworkScores:
    """What networks are worth on synthetic cases.

    Attributes:
        model: name and version; digest in `sha256`.
        spec: what the cases were like.
        seeds: of the cases; frames: of all.
        overall: measure -> its interval over cases.
        conditions: condition -> measure -> interval, over cases with `FEWEST_FRAMES` frames of it.
        classes: class -> mean over frames of its IoU.
        refused: share of the frames inside the body that were not admitted.
    """

    model: str
    sha256: str
    spec: CaseSpec
    seeds: tuple[int, ...]
    frames: int
    overall: dict[str, Interval]
    conditions: dict[str, dict[str, Interval]]
    classes: dict[str, float]
    refused: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "protocol": "networks on synthetic cases",
            "version": surgical_ml.__version__,
            "model": self.model,
            "sha256": self.sha256,
            "look": self.spec.look,
            "seconds": self.spec.seconds,
            "fps": self.spec.fps,
            "size": list(self.spec.size),
            "seeds": list(self.seeds),
            "frames": self.frames,
            "refused": plain_number(self.refused),
            "overall": {name: one.to_json() for name, one in self.overall.items()},
            "conditions": {
                name: {measure: one.to_json() for measure, one in measures.items()}
                for name, measures in self.conditions.items()
            },
            "class_iou": {name: plain_number(value) for name, value in self.classes.items()},
        }

    def flat(self, prefix: str) -> dict[str, float]:
        """Every number by a name of its own, as a model card lists them; what is undefined is left out."""
        values: dict[str, float] = {}
        for group, measures in (("", self.overall), *self.conditions.items()):
            for name, one in measures.items():
                key = f"{prefix}_{name}" + (f"_{group}" if group else "")
                values |= {key: one.estimate, f"{key}_low": one.low, f"{key}_high": one.high}
        values |= {f"{prefix}_iou_{name}": value for name, value in self.classes.items()}
        values[f"{prefix}_refused"] = self.refused
        return {name: float(value) for name, value in values.items() if np.isfinite(value)}

    def to_markdown(self) -> str:
        """Two tables: measures by condition, and classes."""
        columns = {"all": self.overall} | self.conditions
        lines = [
            f"{self.model}: {len(self.seeds)} {self.spec.look} synthetic cases, {self.frames} frames of "
            f"{self.spec.size[0]}x{self.spec.size[1]}; mean and 95 % interval over cases; "
            f"{100 * self.refused:.1f} % of the frames inside the body were refused.",
            "",
            "| measure | " + " | ".join(columns) + " |",
            "|---" * (len(columns) + 1) + "|",
        ]
        for name in self.overall:
            cells = [_cell(measures.get(name)) for measures in columns.values()]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines += ["", "| class | mean IoU |", "|---|---|"]
        lines += [f"| {name} | {value:.3f} |" for name, value in self.classes.items()]
        return "\n".join(lines)


def _cell(one: Interval | None) -> str:
    if one is None or np.isnan(one.estimate):
        return "-"
    return f"{one.estimate:.3g} [{one.low:.3g}, {one.high:.3g}]"


def score_networks(manifest: Manifest, sha256: str, cases: Sequence[NetworkCase], spec: CaseSpec) -> NetworkScores:
    """Score what `run_cases` found.

    - `instrument_iou`: overlap over union of all tools as one, over the frames of a case; mean over cases.
    - `tool_iou`, `structure_iou`: mean-class IoU (docs/metrics.md): per class the mean over the frames where truth or
      prediction has it; mean over classes. Of a case, then over cases.
    - `presence_map`: mean over tools of average precision, in a case.
    - `tip_error`: median distance, share of the width; `tips_found`: share of the true tips that have one.
    - `in_body_auroc`: of all frames of all cases together, percentile draws over cases.
    - `phase_accuracy`: percent of frames whose likeliest phase is the true one; a refused frame has the answer of the last
      that was not. `f1_10`, `over_segmentation` of the same; `committed_*`: of the workflow's committed phase.

    Args:
        manifest: of the model; sha256: its digest.
        cases: at least one.
        spec: what they are like.
    """
    tools = len(manifest.tools)

    def iou(first: int, last: int) -> Measure:
        def measure(case: NetworkCase, rows: Rows) -> float:
            union = case.union[rows, first:last]
            with np.errstate(invalid="ignore", divide="ignore"):
                each = np.where(union > 0, case.overlap[rows, first:last] / union, np.nan)
            return float(nan_mean(nan_mean(each, 0), 0))

        return measure

    measures: dict[str, Measure] = {
        "instrument_iou": _instruments,
        "tool_iou": iou(1, 1 + tools),
        "structure_iou": iou(1 + tools, len(manifest.segmentation)),
        "presence_map": _presence,
        "tip_error": _tip_error,
        "tips_found": _tips_found,
    }
    whole = {name: _over(cases, measure, None) for name, measure in measures.items()}
    whole["in_body_auroc"] = _auroc(cases)
    for prefix, field in (("", "likeliest"), ("committed_", "committed")):
        whole |= _phases(manifest.phases, cases, spec.fps, prefix, field)
    by_condition = {
        condition: {name: _over(cases, measure, k) for name, measure in measures.items()}
        | {"phase_accuracy": _over(cases, _accuracy, k)}
        for k, condition in enumerate(CONDITIONS)
    }
    union = np.concatenate([case.union[case.in_body] for case in cases])
    overlap = np.concatenate([case.overlap[case.in_body] for case in cases])
    with np.errstate(invalid="ignore", divide="ignore"):
        each = nan_mean(np.where(union > 0, overlap / union, np.nan), 0)
    inside = np.concatenate([case.in_body for case in cases])
    return NetworkScores(
        f"{manifest.name}/{manifest.version}",
        sha256,
        spec,
        tuple(case.seed for case in cases),
        len(inside),
        whole,
        by_condition,
        dict(zip(manifest.segmentation, each.tolist(), strict=True)),
        float(np.concatenate([case.refused for case in cases])[inside].mean()),
    )


def _over(cases: Sequence[NetworkCase], measure: Measure, condition: int | None) -> Interval:
    """The mean over cases, of their frames inside the body that meet a condition."""
    values = []
    for case in cases:
        rows = case.in_body if condition is None else case.in_body & case.conditions[:, condition]
        values.append(measure(case, rows) if np.count_nonzero(rows) >= FEWEST_FRAMES else np.nan)
    return bootstrap(mean_of(np.array(values)), len(values), seed=SEED)


def _instruments(case: NetworkCase, rows: Rows) -> float:
    union = case.instrument_union[rows].sum()
    return float(case.instrument_overlap[rows].sum() / union) if union else float("nan")


def _presence(case: NetworkCase, rows: Rows) -> float:
    truth, score = case.present[rows], case.presence_score[rows]
    values = np.array([average_precision(truth[:, k], score[:, k]) for k in range(truth.shape[1])])
    return float(nan_mean(values, 0))


def _tip_error(case: NetworkCase, rows: Rows) -> float:
    errors = case.tip_error[rows[case.tip_frame]]
    found = errors[~np.isnan(errors)]
    return float(np.median(found)) if len(found) else float("nan")


def _tips_found(case: NetworkCase, rows: Rows) -> float:
    errors = case.tip_error[rows[case.tip_frame]]
    return float(np.mean(~np.isnan(errors))) if len(errors) else float("nan")


def _accuracy(case: NetworkCase, rows: Rows) -> float:
    return 100 * float(np.mean(_held(case.likeliest)[rows] == case.phase[rows]))


def _auroc(cases: Sequence[NetworkCase]) -> Interval:
    truth = [case.in_body for case in cases]
    scores = [case.in_body_score for case in cases]

    def statistic(drawn: Indices) -> Numbers:
        return np.array(
            [auroc(np.concatenate([truth[k] for k in row]), np.concatenate([scores[k] for k in row])) for row in drawn]
        )

    return bootstrap(statistic, len(cases), seed=SEED, method="percentile")


def _phases(
    phases: tuple[str, ...], cases: Sequence[NetworkCase], fps: float, prefix: str, field: str
) -> dict[str, Interval]:
    """Accuracy and segments of a prediction; frames outside the body count as they were before."""
    accuracy, labelled = [], []
    for case in cases:
        predicted = _held(getattr(case, field))[case.in_body]
        accuracy.append(100 * float(np.mean(predicted == case.phase[case.in_body])))
        labelled.append(LabelledCase(str(case.seed), case.phase[case.in_body], predicted))
    segments = score_segments(labelled, fps=fps)
    values = {
        "phase_accuracy": np.array(accuracy),
        "f1_10": segments.f1[:, 0],
        "over_segmentation": segments.over_segmentation,
    }
    return {prefix + name: bootstrap(mean_of(one), len(cases), seed=SEED) for name, one in values.items()}


def _held(predicted: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where nothing is predicted, the last prediction is held: a refused frame is no change of phase."""
    place = np.maximum.accumulate(np.where(predicted >= 0, np.arange(len(predicted)), -1))
    return np.where(place >= 0, predicted[np.maximum(place, 0)], -1)
