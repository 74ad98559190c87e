"""Gestures, or any labels that come in segments."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from surgical_ml.evaluation.external.phases import phase_vocabulary
from surgical_ml.evaluation.metrics import LabelledCase, SegmentalScores, score_segments
from surgical_ml.labels import find_cases, pair_tracks, read_gestures, read_phase_folder

SPLITS = {"gesture splits": re.compile(r"(?P<case>[^/]+)\.mat")}


@dataclass(frozen=True, slots=True)
class GestureEvaluation:
    """Segmental scores of each split, and of all sequences together; there are no splits in a folder of label text."""

    splits: dict[str, SegmentalScores]
    everything: SegmentalScores

    def mean_over_splits(self, measure: str) -> float:
        """The mean of the splits' means, which some papers print in the place of the mean over sequences."""
        return float(np.mean([scores.summaries[measure].mean for scores in self.splits.values()]))

    def to_json(self) -> dict[str, Any]:
        """Plain values; each split has the mean over its sequences."""
        values = self.everything.to_json()
        if self.splits:
            measures = ("edit", "f1@10", "f1@25", "f1@50")
            values["splits"] = [
                {"split": name, "cases": len(scores.cases)} | {m: scores.summaries[m].mean for m in measures}
                for name, scores in self.splits.items()
            ]
            values["mean_over_splits"] = {m: self.mean_over_splits(m) for m in measures}
        return values


def evaluate_gestures(
    predictions: Path, labels: Path | None = None, *, fps: float, hold_s: float = 2.0, procedure: str = "cholec80"
) -> GestureEvaluation:
    """Score segments: of a folder of `.mat` splits that hold truth and prediction, or of two folders of phase labels.

    Args:
        predictions: `1.mat`, `2.mat`, ...; or, with `labels`, a folder that `read_phase_folder` knows.
        labels: the ground truth, where the predictions do not hold it.
        fps: samples/s.
        hold_s: how long a label must be predicted to count as seen, s.
        procedure: whose phases they are, where there are two folders.

    Raises:
        InputError: a file, a set of cases, or a number is not what it must be.
    """
    if labels is not None:
        vocabulary = phase_vocabulary(procedure)
        truths, found = (read_phase_folder(folder, vocabulary, fps) for folder in (labels, predictions))
        pairs = pair_tracks(truths, found, predictions)
        cases = [LabelledCase(truth.case, truth.labels, prediction.labels) for truth, prediction in pairs]
        return GestureEvaluation({}, score_segments(cases, fps=fps, hold_s=hold_s))
    _, files = find_cases(predictions, SPLITS)
    splits = {
        name: [LabelledCase(one.name, one.truth, one.prediction) for one in read_gestures(path)]
        for name, path in files.items()
    }
    return GestureEvaluation(
        {name: score_segments(cases, fps=fps, hold_s=hold_s) for name, cases in splits.items()},
        score_segments([case for cases in splits.values() for case in cases], fps=fps, hold_s=hold_s),
    )
