"""Phase recognition, in each convention that the field prints; every result names the one it used.

Per case v and phase c, on samples at a declared rate, with true positives TP, false positives FP, false negatives FN:

    precision = TP / (TP + FP)        Jaccard = TP / (TP + FP + FN)
    recall    = TP / (TP + FN)        F1      = 2 TP / (2 TP + FP + FN)
    accuracy  = samples that are right / samples

A value whose denominator is 0 is undefined (NaN here) and left out of every mean. So a phase that is absent from the
truth but predicted has precision, Jaccard and F1 of 0, no recall; one absent from both has nothing. A sample that the
prediction does not answer is wrong. Everything is in percent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

import surgical_ml
from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics.cases import UNDEFINED, LabelledCase, Labels, Numbers, check_cases
from surgical_ml.evaluation.metrics.relaxed import RELAXED_RULES, clip, relaxed_scores
from surgical_ml.evaluation.metrics.statistics import Indices, Statistic, mean_of
from surgical_ml.evaluation.metrics.summary import Summary, plain_number, summarise, worst_of

PhaseProtocol = Literal["strict", "per-phase", "pooled", "official", "corrected"]

PROTOCOLS: tuple[PhaseProtocol, ...] = get_args(PhaseProtocol)

Undefined = Literal["refuse", "leave-out"]

_STRICT = (
    "a value whose denominator is 0 is left out; a phase predicted but absent from the truth has precision, Jaccard "
    "and F1 0; a sample without a prediction is wrong"
)
_RELAXED = (
    "a phase absent from a case's truth is left out of that case, whatever was predicted; precision of a phase never "
    "predicted is 100 where a sample of it was forgiven, else left out; a phase absent from every case makes the mean "
    "of Jaccard and recall NaN; samples without truth count as right"
)


@dataclass(frozen=True, slots=True)
class PhaseScores:
    """Scores of a set of cases in one convention, in percent.

    Attributes:
        protocol, fps, nan_policy, version: which convention, at which rate, how undefined values were treated, by
            which code.
        phases: names, in the order of their ids.
        cases: names.
        frames: scored samples of each case.
        left_out: samples of each case without truth, which were not scored.
        case_accuracy: (cases,).
        case_values: measure -> (cases, phases), as they were before clipping; empty for `pooled`, which has none.
        confusion: (cases, phases, phases + 1) samples by true and predicted phase, the last column for no prediction;
            None for the relaxed protocols, which do not count so.
        phase_values: measure -> (phases,).
        accuracy, summaries: the headline: accuracy, and measure -> mean and standard deviation.
    """

    protocol: PhaseProtocol
    fps: float
    nan_policy: str
    version: str
    phases: tuple[str, ...]
    cases: tuple[str, ...]
    frames: tuple[int, ...]
    left_out: tuple[int, ...]
    case_accuracy: Numbers
    case_values: dict[str, Numbers]
    confusion: Labels | None
    phase_values: dict[str, Numbers]
    accuracy: Summary
    summaries: dict[str, Summary]

    def to_json(self) -> dict[str, Any]:
        """Plain values; NaN and infinity as the strings `NaN`, `Inf`, which JSON has no numbers for."""
        return {
            "protocol": self.protocol,
            "fps": self.fps,
            "nan_policy": self.nan_policy,
            "version": self.version,
            "unit": "percent",
            "cases": len(self.cases),
            "frames": sum(self.frames),
            "left_out": sum(self.left_out),
            "accuracy": self.accuracy.to_json(),
            **{measure: summary.to_json() for measure, summary in self.summaries.items()},
            "phases": [
                {"phase": name, "id": p} | {m: plain_number(v[p]) for m, v in self.phase_values.items()}
                for p, name in enumerate(self.phases)
            ],
            "per_case": [self._case_json(k) for k in range(len(self.cases))],
        }

    def _case_json(self, k: int) -> dict[str, Any]:
        values: dict[str, Any] = {
            "case": self.cases[k],
            "frames": self.frames[k],
            "left_out": self.left_out[k],
            "accuracy": plain_number(self.case_accuracy[k]),
        }
        if self.case_values:
            values["phases"] = [
                {"phase": name, "id": p} | {m: plain_number(v[k, p]) for m, v in self.case_values.items()}
                for p, name in enumerate(self.phases)
            ]
        return values


def score_phases(
    cases: Sequence[LabelledCase],
    phases: Sequence[str],
    *,
    fps: float,
    protocol: PhaseProtocol,
    procedure: str = "",
    undefined: Undefined = "refuse",
) -> PhaseScores:
    """Score predictions of phases.

    `strict`: per case, the mean over phases with a defined value; then mean and sd over cases.
    `per-phase`: per phase, the mean over cases where it is defined; then mean and sd over phases.
    `pooled`: one confusion matrix of all samples; mean and sd over phases.
    `official`: the relaxed evaluation script of Cholec80 and M2CAI16, with its defects; see `relaxed_scores`. Values
    above 100 are clipped before they are averaged; mean and sd over phases, accuracy over cases. As in the script,
    the mean of precision leaves out a phase without a value, those of Jaccard and recall do not.
    `corrected`: the same, with the early-transition mask put right.
    An sd has n - 1 in its denominator; of a single value it is NaN, and 0 in the script.

    Args:
        cases: ids from 0 to len(phases) - 1, or `UNDEFINED`.
        phases: names.
        fps: samples/s; the relaxed protocols need 10 s to be a whole number of samples.
        protocol: the convention.
        procedure: `cholec80` or `m2cai16`: whose rules the relaxed protocols apply.
        undefined: what to do with samples without truth, other than in the relaxed protocols, which have a rule for
            them.

    Raises:
        InputError: the cases are not what `check_cases` allows; a case has samples without truth that may not be
            there; the relaxed protocols do not know the procedure, or the rate.
    """
    if protocol not in PROTOCOLS:
        raise InputError("protocol", f"one of {list(PROTOCOLS)}", str(protocol))
    if not (np.isfinite(fps) and fps > 0):
        raise InputError("fps", "samples per second, above 0", str(fps))
    check_cases(cases, len(phases))
    if protocol in ("official", "corrected"):
        return _relaxed(cases, tuple(phases), fps, protocol, procedure)
    defined = [_defined(case, undefined) for case in cases]
    confusion = np.stack([_confusion(truth, prediction, len(phases)) for truth, prediction in defined])
    frames = confusion.sum((1, 2))
    case_accuracy = _percent(np.einsum("vcc->v", confusion[:, :, :-1]), frames)
    if protocol == "pooled":
        case_values = {}
        pooled = confusion.sum(0, keepdims=True)
        phase_values = {measure: values[0] for measure, values in _measures(pooled).items()}
        right, total = int(np.einsum("vcc->", pooled[:, :, :-1])), int(frames.sum())
        accuracy = Summary(100.0 * right / total if total else float("nan"), None, None, total)
    else:
        case_values = _measures(confusion)
        phase_values = {measure: nan_mean(values, 0) for measure, values in case_values.items()}
        accuracy = summarise(case_accuracy, "cases")
    if protocol == "strict":
        summaries = {measure: summarise(nan_mean(values, 1), "cases") for measure, values in case_values.items()}
    else:
        summaries = {measure: summarise(values, "phases") for measure, values in phase_values.items()}
    left_out = tuple(len(case.truth) - int(n) for case, n in zip(cases, frames, strict=True))
    policy = _STRICT + ("; samples without truth are left out" if any(left_out) else "")
    return PhaseScores(
        protocol,
        fps,
        policy,
        surgical_ml.__version__,
        tuple(phases),
        tuple(case.name for case in cases),
        tuple(int(n) for n in frames),
        left_out,
        case_accuracy,
        case_values,
        confusion,
        phase_values,
        accuracy,
        summaries,
    )


def phase_statistic(scores: PhaseScores, measure: str) -> Statistic:
    """The headline of a measure, or `accuracy`, as a statistic of the cases: for intervals and comparisons.

    Args:
        scores: of `score_phases`.
        measure: a key of `summaries`, or `accuracy`.
    """
    if scores.protocol == "pooled" and scores.confusion is not None:
        return _pooled_statistic(scores.confusion, measure)
    if measure == "accuracy":
        return mean_of(scores.case_accuracy)
    values = scores.case_values[measure]
    if scores.protocol == "strict":
        return mean_of(nan_mean(values, 1))
    relaxed = scores.protocol in ("official", "corrected")
    values = clip(values) if relaxed else values
    # the script's means of Jaccard and recall do not step around a phase without a value
    over_phases = np.mean if relaxed and measure != "precision" else nan_mean

    def statistic(cases: Indices) -> Numbers:
        return np.asarray(over_phases(nan_mean(values[cases], 1), 1), np.float64)

    return statistic


def nan_mean(values: Numbers, axis: int) -> Numbers:
    """Mean of the defined values along an axis; NaN where none is."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(defined, values, 0.0).sum(axis) / defined.sum(axis), np.float64)


def _pooled_statistic(confusion: Labels, measure: str) -> Statistic:
    n, phases = confusion.shape[:2]

    def statistic(cases: Indices) -> Numbers:
        draws = len(cases)
        times = np.bincount((cases + n * np.arange(draws)[:, None]).ravel(), minlength=draws * n).reshape(draws, n)
        pooled = np.tensordot(times, confusion, 1)
        if measure == "accuracy":
            return _percent(np.einsum("vcc->v", pooled[:, :, :phases]), pooled.sum((1, 2)))
        return nan_mean(_measures(pooled)[measure], 1)

    return statistic


def _defined(case: LabelledCase, undefined: Undefined) -> tuple[Labels, Labels]:
    """The samples that have a truth."""
    missing = case.truth == UNDEFINED
    if not missing.any():
        return case.truth, case.prediction
    if undefined == "refuse":
        first = int(missing.argmax())
        found = f"{int(missing.sum())} of {len(missing)} without one, the first at sample {first}"
        raise InputError(f"{case.name}, truth", "a phase in every sample", found)
    return case.truth[~missing], case.prediction[~missing]


def _confusion(truth: Labels, prediction: Labels, n: int) -> Labels:
    """(n, n + 1) counts: true phase by predicted phase, the last column for no prediction."""
    column = np.where(prediction == UNDEFINED, n, prediction)
    return np.bincount(truth * (n + 1) + column, minlength=n * (n + 1)).reshape(n, n + 1).astype(np.int64)


def _measures(confusion: Labels) -> dict[str, Numbers]:
    """(v, n, n + 1) counts -> each measure, (v, n), in percent."""
    hits = np.einsum("vcc->vc", confusion[:, :, :-1])
    predicted = confusion.sum(1)[:, :-1]
    true = confusion.sum(2)
    return {
        "precision": _percent(hits, predicted),
        "recall": _percent(hits, true),
        "jaccard": _percent(hits, predicted + true - hits),
        "f1": _percent(2 * hits, predicted + true),
    }


def _percent(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> Numbers:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(100.0 * part / whole, np.float64)


def _relaxed(
    cases: Sequence[LabelledCase], phases: tuple[str, ...], fps: float, protocol: PhaseProtocol, procedure: str
) -> PhaseScores:
    rules = RELAXED_RULES.get(procedure)
    if rules is None:
        raise InputError(f"protocol {protocol}", f"a procedure of {sorted(RELAXED_RULES)}", procedure or "none named")
    if len(phases) != rules.phases:
        raise InputError(f"procedure {procedure}", f"{rules.phases} phases", str(len(phases)))
    scored = [relaxed_scores(case, rules, fps=fps, corrected=protocol == "corrected") for case in cases]
    case_values = {
        "jaccard": np.stack([one.jaccard for one in scored]),
        "precision": np.stack([one.precision for one in scored]),
        "recall": np.stack([one.recall for one in scored]),
    }
    phase_values = {measure: nan_mean(clip(values), 0) for measure, values in case_values.items()}
    case_accuracy = np.array([one.accuracy for one in scored])
    return PhaseScores(
        protocol,
        fps,
        _RELAXED,
        surgical_ml.__version__,
        phases,
        tuple(case.name for case in cases),
        tuple(len(case.truth) for case in cases),
        (0,) * len(cases),
        case_accuracy,
        case_values,
        None,
        phase_values,
        _as_matlab(case_accuracy, "cases"),
        {
            measure: _as_matlab(values[~np.isnan(values)] if measure == "precision" else values, "phases")
            for measure, values in phase_values.items()
        },
    )


def _as_matlab(values: Numbers, over: Literal["cases", "phases"]) -> Summary:
    """Mean and sd that do not step around NaN; the sd of one value is 0."""
    if len(values) == 0:
        return Summary(float("nan"), float("nan"), over, 0)
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0 * float(values[0])
    worst = worst_of(values) if over == "cases" else (None, None)
    return Summary(float(np.mean(values)), sd, over, len(values), *worst)
