"""Phases in every convention, who is ahead in which, segments, and whether the scores are frequencies."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

import surgical_ml
from surgical_ml.errors import InputError
from surgical_ml.evaluation.external import vocabulary_of
from surgical_ml.evaluation.metrics import (
    PROTOCOLS,
    PhaseProtocol,
    PhaseScores,
    ScoredCase,
    SegmentalScores,
    bootstrap,
    mean_of,
    phase_statistic,
    score_calibration,
    score_phases,
    score_segments,
)
from surgical_ml.evaluation.metrics.calibration import Calibration
from surgical_ml.evaluation.metrics.cases import Numbers
from surgical_ml.evaluation.metrics.phases import nan_mean
from surgical_ml.evaluation.metrics.segmental import NAN_POLICY, OVERLAPS
from surgical_ml.evaluation.metrics.summary import plain_number, quantile
from surgical_ml.evaluation.study.evaluated import EvaluatedCase
from surgical_ml.evaluation.study.predictors import Predictor
from surgical_ml.labels import UNDEFINED

SEED = 0
"""Of every bootstrap: the same cases give the same intervals."""

MEASURES = ("accuracy", "precision", "recall", "jaccard", "f1")
RANKED = ("accuracy", "jaccard", "f1")
HOLD_S = 2.0

NO_ANSWER = "no answer"


def score_conventions(
    cases: Sequence[EvaluatedCase], predictor: Predictor, fps: float
) -> tuple[dict[PhaseProtocol, PhaseScores], list[str]]:
    """The scores of one predictor in every convention that its procedure has.

    Args:
        cases: with true phases.
        predictor: whose answers are scored.
        fps: samples/s.

    Returns:
        Convention -> scores, and a sentence for each that could not be computed.
    """
    summary = cases[0].decided.summary
    procedure = vocabulary_of(summary.protocol.name, summary.phases).name
    labelled = [case.labelled(answer) for case, answer in zip(cases, predictor.answers, strict=True)]
    scores: dict[PhaseProtocol, PhaseScores] = {}
    notes = []
    for protocol in PROTOCOLS:
        relaxed = protocol in ("official", "corrected")
        try:
            scores[protocol] = score_phases(
                labelled,
                summary.phases,
                fps=fps,
                protocol=protocol,
                procedure=procedure,
                undefined="refuse" if relaxed else "leave-out",
            )
        except InputError as error:
            if not relaxed:
                raise
            notes.append(f"No {protocol} scores of {predictor.name}: {error}.")
    return scores, notes


def conventions_json(scores: Mapping[PhaseProtocol, PhaseScores]) -> dict[str, Any]:
    """Each convention with the intervals of its measures; see `ConventionShape`."""
    return {
        protocol: {
            "protocol": protocol,
            "fps": plain_number(one.fps),
            "nan_policy": one.nan_policy,
            "version": one.version,
            "cases": len(one.cases),
            "frames": sum(one.frames),
            **{
                measure: bootstrap(phase_statistic(one, measure), len(one.cases), seed=SEED).to_json()
                if measure == "accuracy" or measure in one.summaries
                else None
                for measure in MEASURES
            },
        }
        for protocol, one in scores.items()
    }


def per_phase_json(strict: PhaseScores) -> list[dict[str, Any]]:
    """Each phase in the strict convention, over the cases where it is defined."""
    present = (
        np.zeros(len(strict.phases), np.int64) if strict.confusion is None else strict.confusion.sum(2).astype(bool)
    )
    return [
        {"phase": name, "convention": "strict"}
        | {m: plain_number(strict.phase_values[m][p]) for m in MEASURES[1:]}
        | {"cases": int(present[:, p].sum())}
        for p, name in enumerate(strict.phases)
    ]


def confusion_json(strict: PhaseScores) -> dict[str, Any]:
    """Samples of all cases by true and predicted phase."""
    assert strict.confusion is not None, "the strict convention counts"
    return {
        "counts": strict.confusion.sum(0).tolist(),
        "rows": "truth",
        "columns": "prediction",
        "row_names": list(strict.phases),
        "column_names": [*strict.phases, NO_ANSWER],
    }


def ranking_json(scores: Mapping[str, Mapping[PhaseProtocol, PhaseScores]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Every predictor's place in every convention, and where two change places.

    Args:
        scores: predictor -> convention -> scores.

    Returns:
        Rows as `RankShape`, and a sentence for each pair whose order depends on the convention.
    """
    values: dict[str, dict[str, float]] = {
        name: {
            f"{protocol} {measure}": (one.accuracy if measure == "accuracy" else one.summaries[measure]).mean
            for protocol, one in each.items()
            for measure in RANKED
            if measure == "accuracy" or measure in one.summaries
        }
        for name, each in scores.items()
    }
    # a convention that one of them lacks ranks nobody
    conventions = [c for c in next(iter(values.values())) if all(c in one for one in values.values())]
    rows = [
        {
            "predictor": name,
            "values": {c: plain_number(one[c]) for c in conventions},
            "ranks": {c: 1 + sum(other[c] > one[c] for other in values.values()) for c in conventions},
        }
        for name, one in values.items()
    ]
    flips = []
    for first, second in combinations(values, 2):
        ahead = [c for c in conventions if values[first][c] > values[second][c]]
        behind = [c for c in conventions if values[first][c] < values[second][c]]
        if ahead and behind:
            flips.append(f"{first} is ahead of {second} by {', '.join(ahead)}; behind it by {', '.join(behind)}.")
    return rows, flips


def score_cut(cases: Sequence[EvaluatedCase], predictor: Predictor, fps: float) -> SegmentalScores:
    """Segmental scores of one predictor."""
    labelled = [case.labelled(answer) for case, answer in zip(cases, predictor.answers, strict=True)]
    return score_segments(labelled, fps=fps, hold_s=HOLD_S)


def segments_json(cut: SegmentalScores) -> dict[str, Any]:
    """As `SegmentsShape`."""

    def interval(values: Numbers) -> dict[str, Any]:
        return bootstrap(mean_of(values), len(values), seed=SEED).to_json()

    return {
        "protocol": "segmental",
        "fps": plain_number(cut.fps),
        "nan_policy": NAN_POLICY,
        "version": cut.version,
        "cases": len(cut.cases),
        "frames": sum(cut.frames),
        "edit": interval(cut.edit),
        **{f"f1@{k}": interval(cut.f1[:, j]) for j, k in enumerate(OVERLAPS)},
        "over_segmentation": interval(cut.over_segmentation),
        "transition_latency": {
            "transitions": len(cut.latencies_s),
            "median_s": plain_number(quantile(cut.latencies_s, 0.5)),
            "p90_s": plain_number(quantile(cut.latencies_s, 0.9)),
            "misses": int(np.isinf(cut.latencies_s).sum()),
            "false_starts": int(cut.false_starts.sum()),
            "hold_s": cut.hold_s,
        },
    }


def case_scores(strict: PhaseScores, cut: SegmentalScores, k: int) -> dict[str, Any]:
    """The strict and segmental scores of one case, from which two studies are compared."""
    values = {"accuracy": strict.case_accuracy[k]}
    values |= {m: nan_mean(strict.case_values[m][k : k + 1], 1)[0] for m in MEASURES[1:]}
    values |= {"edit": cut.edit[k]} | {f"f1@{o}": cut.f1[k, j] for j, o in enumerate(OVERLAPS)}
    values |= {"over_segmentation": cut.over_segmentation[k], "false_starts": cut.false_starts[k]}
    return {name: plain_number(value) for name, value in values.items()}


def mean_worst_json(strict: PhaseScores, cut: SegmentalScores) -> dict[str, Any]:
    """Beside every mean over cases the worst case, and the mean of the worst tenth."""
    summaries = {"accuracy": strict.accuracy, **strict.summaries, **cut.summaries}
    return {
        name: {key: plain_number(value) for key, value in zip(("mean", "worst", "cvar10"), told, strict=True)}
        for name, one in summaries.items()
        if one.worst is not None and one.cvar10 is not None
        for told in [(one.mean, one.worst, one.cvar10)]
    }


def calibration_json(cases: Sequence[EvaluatedCase], fps: float) -> dict[str, Any] | None:
    """Reliability of the recorded scores, at the true transitions and apart from them; None where there are no scores."""
    scored = []
    for case in cases:
        rows, phases = case.truth.rows, case.truth.phases
        assert phases is not None, "only cases with true phases are scored"
        total = case.decided.scores[rows].sum(axis=1, keepdims=True, dtype=np.float64)
        there = total[:, 0] > 0
        if not there.any():
            continue
        # Samples without scores keep their place, so that ten seconds stay ten seconds; without a truth they count nothing.
        even = np.full((len(rows), len(case.decided.summary.phases)), 1 / len(case.decided.summary.phases))
        stated = np.divide(case.decided.scores[rows], total, out=even, where=there[:, None])
        scored.append(ScoredCase(case.name, np.where(there, phases, UNDEFINED), stated))
    if not scored:
        return None
    found = score_calibration(scored, fps=fps)
    whole = found.everywhere
    return {
        "protocol": "calibration of the recorded phase scores, 15 bins",
        "fps": plain_number(fps),
        "nan_policy": "samples without truth or without scores are left out; a part without samples has no value",
        "version": surgical_ml.__version__,
        "cases": len(found.cases),
        "frames": found.frames,
        "boundary": _reliability(found.boundary),
        "interior": _reliability(found.interior),
        "all": _reliability(whole),
        **{name: plain_number(getattr(whole, name)) for name in ("classwise_ece", "brier", "nll", "aurc")},
        **{f"risk@{percent}": plain_number(risk) for percent, risk in whole.risk_at.items()},
    }


def _reliability(part: Calibration) -> dict[str, Any]:
    return {
        "bins": [
            {
                "low": b.low,
                "high": b.high,
                "confidence": plain_number(b.confidence),
                "accuracy": plain_number(b.accuracy),
                "count": b.samples,
            }
            for b in part.bins
        ],
        "ece": plain_number(part.ece),
        "n": part.samples,
    }


def score_all(
    cases: Sequence[EvaluatedCase], predictors: Sequence[Predictor], fps: float
) -> tuple[dict[str, dict[PhaseProtocol, PhaseScores]], list[str]]:
    """Every predictor in every convention; notes once for each sentence."""
    found, notes = {}, []
    for predictor in predictors:
        found[predictor.name], said = score_conventions(cases, predictor, fps)
        notes += said
    return found, list(dict.fromkeys(notes))
