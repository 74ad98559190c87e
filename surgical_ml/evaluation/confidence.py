"""What a stated probability of a phase is worth: a temperature, and from which confidence on phases are right often enough."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from surgical_ml.calibration.files import source_of
from surgical_ml.calibration.model import INTERVAL_95, ConfidenceCalibration, OperatingPoint, Provenance, Validity
from surgical_ml.errors import InputError
from surgical_ml.evaluation.external.phases import phase_vocabulary
from surgical_ml.evaluation.metrics import ScoredCase, fit_temperature, score_calibration
from surgical_ml.evaluation.metrics.cases import Labels, Numbers
from surgical_ml.labels import LabelTrack, read_phase_folder
from surgical_ml.labels.decisions import read_decisions
from surgical_ml.labels.files import member
from surgical_ml.labels.folders import check_same_cases, find_cases
from surgical_ml.labels.score_text import read_score_matrix

ACCURACIES = (0.80, 0.90, 0.95, 0.98, 0.99)
FEWEST_CASES = 4
"""Two to fit on, so that the spread between cases is known, and two to prove it on."""

LAYOUTS = {
    "case folders of surgical-ml replay": re.compile(r"(?P<case>[^/]+)/decisions\.jsonl"),
    "matrices of scores": re.compile(r"(?P<case>[^/]+)-scores\.csv"),
}
"""Where a case's scores lie below a folder: our decisions, or frame numbers with a probability for each phase."""


def read_scored_cases(
    labels: Path, predictions: Path, *, procedure: str, fps: float
) -> tuple[list[ScoredCase], str | None]:
    """Cases with the probability of every phase and the truth, in the order of their numbers; and whose model's they are.

    Args:
        labels: folder of phase labels, as `evaluate phases` takes it.
        predictions: folder in one of `LAYOUTS`.
        procedure: whose phases they are.
        fps: of the labels, samples/s.

    Returns:
        The cases, frames without truth or without a statement left out; the digest of the model, None of matrices.

    Raises:
        InputError: what the readers refuse; a case lacks one of the two; a case's frames are not those of its labels;
            the cases were judged by different models.
    """
    vocabulary = phase_vocabulary(procedure)
    truths = read_phase_folder(labels, vocabulary, fps)
    layout, paths = find_cases(predictions, LAYOUTS)
    check_same_cases(truths, paths, predictions)
    models: dict[str, Path] = {}
    cases = []
    for name, truth in truths.items():
        if layout == "matrices of scores":
            track = read_score_matrix(paths[name], vocabulary.classes, name)
            frames, scores = track.frames, track.scores
        else:
            frames, scores = _decided(paths[name], len(vocabulary.classes))
            models[_model_of(paths[name].with_name("summary.json"))] = paths[name]
        cases.append(_joined(name, paths[name], truth, frames, scores))
    if len(models) > 1:
        (first, one), (second, other) = list(models.items())[:2]
        raise InputError(other, f"decisions of the model {first}, as {one}", second)
    return cases, next(iter(models), None)


def calibrate_confidence(
    cases: Sequence[ScoredCase],
    model_sha256: str,
    provenance: Provenance,
    *,
    fps: float,
    validity: Validity | None = None,
) -> ConfidenceCalibration:
    """Fit on every other case, and state for the others what came of it.

    The interval of the temperature is the delete-one jackknife over the cases that it was fitted on.

    Args:
        cases: four or more, none of which the model was trained on.
        model_sha256: of the model that made the probabilities.
        provenance: of the result.
        fps: of the samples.
        validity: of the result.

    Raises:
        InputError: fewer than four cases, or no sample with a truth.
    """
    if len(cases) < FEWEST_CASES:
        raise InputError("confidence", f"at least {FEWEST_CASES} labelled cases", str(len(cases)))
    fitted, held = list(cases[::2]), list(cases[1::2])
    temperature = fit_temperature(fitted)
    without = np.log([fit_temperature(fitted[:k] + fitted[k + 1 :]).value for k in range(len(fitted))])
    spread = float(np.sqrt((len(fitted) - 1) / len(fitted) * np.sum((without - without.mean()) ** 2)))
    low, high = (temperature.value * float(np.exp(side * INTERVAL_95 * spread)) for side in (-1, 1))
    before = score_calibration(held, fps=fps).everywhere
    after = score_calibration(temperature.apply(held), fps=fps).everywhere
    confidence, right = _confidence(fitted)
    held_confidence, held_right = _confidence(held)
    points = []
    for accuracy in ACCURACIES:
        least = least_confidence(confidence, right, accuracy)
        kept = np.zeros(len(held_right), bool) if least is None else held_confidence >= least
        points.append(
            OperatingPoint(
                accuracy=accuracy,
                least_confidence=least,
                coverage=float(kept.mean()),
                held_out_accuracy=float(held_right[kept].mean()) if kept.any() else None,
            )
        )
    return ConfidenceCalibration(
        schema="surgical_ml/confidence@1",
        model_sha256=model_sha256,
        temperature=temperature.value,
        interval=(low, high),
        samples=len(right),
        ece_before=before.ece,
        ece_after=after.ece,
        operating_points=tuple(points),
        provenance=provenance,
        validity=validity or Validity(),
    )


def least_confidence(confidence: Numbers, right: Labels, accuracy: float) -> float | None:
    """From which confidence on samples are right as often as `accuracy` asks, all of them taken together; None if never.

    Args:
        confidence: (n,) probability of the likeliest class.
        right: (n,) whether that class is the truth.
        accuracy: share from 0 to 1.
    """
    order = np.argsort(-confidence, kind="stable")
    sure = confidence[order]
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # Samples of one confidence stand or fall together.
    last_of_equals = np.append(sure[1:] != sure[:-1], True)
    enough = np.flatnonzero((share >= accuracy) & last_of_equals)
    return float(sure[enough[-1]]) if len(enough) else None


def confidence_sources(labels: Path, predictions: Path, fps: float) -> dict[str, Any]:
    """What a provenance says of them."""
    files = sorted(path for path in predictions.rglob("*") if any(
        pattern.fullmatch(path.relative_to(predictions).as_posix()) for pattern in LAYOUTS.values()
    ))  # fmt: skip
    return {
        "sources": (source_of(labels), *map(source_of, files)),
        "method": f"temperature and bands, {fps:g} samples/s",
    }


def _confidence(cases: Sequence[ScoredCase]) -> tuple[Numbers, Labels]:
    known = [case.truth >= 0 for case in cases]
    p = np.concatenate([case.probabilities[there] for case, there in zip(cases, known, strict=True)])
    truth = np.concatenate([case.truth[there] for case, there in zip(cases, known, strict=True)])
    return p.max(axis=1), (p.argmax(axis=1) == truth).astype(np.int64)


def _joined(name: str, path: Path, truth: LabelTrack, frames: Labels, scores: Numbers) -> ScoredCase:
    at = np.searchsorted(truth.frames, frames)
    at = np.minimum(at, len(truth.frames) - 1)
    there = truth.frames[at] == frames
    if there.sum() < len(frames) / 2 or not there.any():
        found = f"{int(there.sum())} of {len(frames)} in {truth.path}"
        raise InputError(path, "frame numbers that the labels have", found)
    sums = scores.sum(axis=1, keepdims=True)
    if (scores < 0).any() or (np.abs(sums - 1) > 0.01).any():
        k = int(np.argmax(np.abs(sums[:, 0] - 1)))
        raise InputError(path, "probabilities that sum to 1", f"{sums[k, 0]:g} in frame {frames[k]}")
    return ScoredCase(name, truth.labels[at[there]], (scores / sums)[there])


def _decided(path: Path, classes: int) -> tuple[Labels, Numbers]:
    frames, scores = [], []
    for where, values in read_decisions(path):
        phase = values.get("phase")
        if values["event"] != "frame" or not isinstance(phase, Mapping):
            continue
        told = member(phase, "scores", list, f"{where}, phase")
        if len(told) != classes:
            raise InputError(where, f"scores of {classes} phases", f"{len(told)}")
        frames.append(member(values, "index", int, where))
        scores.append(told)
    if not frames:
        raise InputError(path, "at least one frame with scores", "none")
    return np.array(frames, np.int64), np.array(scores, np.float64) / 1e6


def _model_of(summary: Path) -> str:
    try:
        return str(json.loads(summary.read_text("utf-8"))["model"]["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(summary, "the summary of a replayed case, with its model", type(error).__name__) from error
