"""Phases of folders."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surgical_ml.errors import InputError
from surgical_ml.evaluation.external.belonging import doubts
from surgical_ml.evaluation.metrics import (
    Interval,
    LabelledCase,
    PhaseProtocol,
    PhaseScores,
    bootstrap,
    phase_statistic,
    score_phases,
)
from surgical_ml.labels import PHASES, LabelTrack, Vocabulary, pair_tracks, read_phase_folder
from surgical_ml.workflow import load_protocol

RELAXED = ("official", "corrected")

SEED = 0
"""Of the bootstrap: the same files give the same intervals."""


@dataclass(frozen=True, slots=True)
class PhaseEvaluation:
    """Scores, and what was noticed on the way to them.

    Attributes:
        procedure: whose phases they are.
        scores: in one convention.
        intervals: measure -> 95 % of its headline, by resampling cases; empty for a single case.
        notes: what a reader of the numbers should know, a sentence each.
    """

    procedure: str
    scores: PhaseScores
    intervals: dict[str, Interval]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        values = {"procedure": self.procedure} | self.scores.to_json() | {"notes": list(self.notes)}
        for measure, interval in self.intervals.items():
            values[measure]["interval"] = interval.to_json()
        return values


def phase_vocabulary(procedure: str) -> Vocabulary:
    """The phases of a data set (`cholec80`, `m2cai16`, `multibypass140`), or of a protocol by name or file.

    A protocol with the phases of a data set is that data set.

    Raises:
        InputError: there is no such procedure.
    """
    known = PHASES.get(procedure.casefold())
    if known is not None:
        return known
    try:
        protocol = load_protocol(procedure)
    except InputError as error:
        if error.thing == f"procedure {procedure}":
            raise InputError(error.thing, f"a data set of {sorted(PHASES)}, {error.expected}", "neither") from error
        raise
    return vocabulary_of(protocol.name, protocol.phase_names)


def vocabulary_of(name: str, phases: tuple[str, ...]) -> Vocabulary:
    """The vocabulary of a protocol by its name and phases; that of a data set where the phases are its."""
    same = [one for one in PHASES.values() if one.classes == phases]
    return same[0] if same else Vocabulary(name, phases)


def evaluate_phases(
    labels: Path,
    predictions: Path,
    *,
    fps: float,
    protocol: PhaseProtocol,
    procedure: str = "cholec80",
    leave_out_undefined: bool = False,
) -> PhaseEvaluation:
    """Score every case of a folder of predictions against a folder of ground truth.

    Args:
        labels, predictions: folders in any layout that `read_phase_folder` knows; the cases have the same names.
        fps: samples/s of both, declared and never guessed.
        protocol: the convention; the relaxed ones read text files as the field's script does.
        procedure: as `phase_vocabulary` takes it.
        leave_out_undefined: score only samples that have a truth, instead of refusing a case that has others.

    Raises:
        InputError: a file, a set of cases, or the rate is not what it must be; see the readers and `score_phases`.
    """
    vocabulary = phase_vocabulary(procedure)
    as_script = protocol in RELAXED
    truths, found = (read_phase_folder(one, vocabulary, fps, as_script=as_script) for one in (labels, predictions))
    pairs = pair_tracks(truths, found, predictions)
    scores = score_phases(
        [LabelledCase(truth.case, truth.labels, prediction.labels) for truth, prediction in pairs],
        vocabulary.classes,
        fps=fps,
        protocol=protocol,
        procedure=vocabulary.name,
        undefined="leave-out" if leave_out_undefined else "refuse",
    )
    notes = _notes("truth", list(truths.values()), as_script) + _notes("prediction", list(found.values()), as_script)
    notes += doubts(pairs, vocabulary.classes)
    if sum(scores.left_out):
        notes.append(f"{sum(scores.left_out)} samples without truth were left out")
    intervals = {}
    if len(pairs) > 1:
        for measure in ("accuracy", *scores.summaries):
            intervals[measure] = bootstrap(phase_statistic(scores, measure), len(pairs), seed=SEED)
    return PhaseEvaluation(vocabulary.name, scores, intervals, tuple(notes))


def _notes(what: str, tracks: list[LabelTrack], as_script: bool) -> list[str]:
    notes = []
    lost = [track for track in tracks if as_script and track.dropped[:1].isdigit()]
    if lost:
        notes.append(
            f"{what}: the first line of {len(lost)} files holds a sample and not a header; as in the script, it is "
            f"dropped ({lost[0].path.name}: {lost[0].dropped!r})"
        )
    unmatched: dict[str, int] = {}
    for track in tracks:
        for label, count in track.unmatched.items():
            unmatched[label] = unmatched.get(label, 0) + count
    if unmatched:
        shown = ", ".join(f"{label[:40]!r} {count} times" for label, count in list(unmatched.items())[:5])
        notes.append(f"{what}: labels that are no phase, undefined as in the script: {shown}")
    undefined = sum(int((track.labels < 0).sum()) for track in tracks) - sum(unmatched.values())
    if undefined:
        notes.append(f"{what}: {undefined} samples are undefined")
    return notes
