"""What a stated probability of a phase is worth: found where it is known, stated for other cases."""

import json
import sys

import numpy as np
import pytest

from surgical_ml.calibration import files
from surgical_ml.calibration.model import Provenance
from surgical_ml.cli import main
from surgical_ml.errors import InputError
from surgical_ml.evaluation.confidence import calibrate_confidence, least_confidence, read_scored_cases
from surgical_ml.evaluation.metrics import ScoredCase

PHASES = 7
MADE = Provenance(made_by="test")
MODEL = "a" * 64


def softmax(logits):
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def overconfident(rng, name, samples=1500, temperature=2.5):
    """A case whose truth is drawn from its probabilities, which are then stated too sharply by a temperature."""
    logits = rng.normal(0, 2.0, (samples, PHASES))
    honest = softmax(logits)
    truth = (honest.cumsum(axis=1) > rng.random((samples, 1))).argmax(axis=1)
    return ScoredCase(name, truth, softmax(temperature * logits))


def cases(count=8, **values):
    rng = np.random.default_rng(1)
    return [overconfident(rng, f"video{k:02d}", **values) for k in range(count)]


@pytest.fixture(scope="module")
def made():
    return calibrate_confidence(cases(), MODEL, MADE, fps=1)


def test_scores_that_are_too_sharp_are_known_by_their_temperature_and_mended_on_other_cases(made):
    low, high = made.interval
    assert low < 2.5 < high
    assert made.temperature == pytest.approx(2.5, rel=0.05)
    assert made.ece_after < 0.02 < made.ece_before
    assert made.samples == 4 * 1500


def test_an_operating_point_keeps_its_accuracy_on_other_cases(made):
    for point in made.operating_points:
        if point.least_confidence is not None and point.coverage > 0.05:
            assert point.held_out_accuracy == pytest.approx(point.accuracy, abs=0.04)
    confidences = [point.least_confidence or 1.01 for point in made.operating_points]
    assert confidences == sorted(confidences)


def test_the_bands_are_the_operating_points_of_nine_and_of_ninety_eight_in_a_hundred(made):
    points = {point.accuracy: point.least_confidence for point in made.operating_points}
    assert made.band_ppm(0.90) == round(1e6 * points[0.90])
    with pytest.raises(InputError, match=r"an operating point of accuracy 0.5"):
        made.band_ppm(0.5)


def test_no_confidence_is_enough_for_a_model_that_is_never_right():
    assert least_confidence(np.array([0.9, 0.8]), np.array([0, 0]), 0.9) is None
    always_wrong = [
        ScoredCase(one.name, (one.probabilities.argmax(1) + 1) % PHASES, one.probabilities) for one in cases(4)
    ]
    assert calibrate_confidence(always_wrong, MODEL, MADE, fps=1).band_ppm(0.98) > 1_000_000


def test_samples_of_one_confidence_are_taken_together():
    confidence, right = np.array([0.9, 0.9, 0.9, 0.5]), np.array([1, 1, 0, 1])
    assert least_confidence(confidence, right, 0.6) == 0.5
    assert least_confidence(confidence, right, 0.8) is None


def test_three_cases_are_too_few():
    with pytest.raises(InputError, match="confidence: expected at least 4 labelled cases, found 3"):
        calibrate_confidence(cases(3), MODEL, MADE, fps=1)


# Files and the command


NAMES = ("Preparation", "CalotTriangleDissection", "ClippingCutting", "GallbladderDissection",
         "GallbladderPackaging", "CleaningCoagulation", "GallbladderRetraction")  # fmt: skip


@pytest.fixture
def study(tmp_path):
    """Labels at one frame in 25, and the same cases as matrices and as decisions."""
    labels, matrices, replays = (tmp_path / name for name in ("labels", "matrices", "replays"))
    for folder in (labels, matrices, replays):
        folder.mkdir()
    for case in cases(4, samples=200):
        rows = [f"{25 * k}\t{NAMES[truth]}" for k, truth in enumerate(case.truth)]
        (labels / f"{case.name}-phase.txt").write_text("Frame\tPhase\n" + "\n".join(rows) + "\n")
        lines = [",".join([str(25 * k), *(repr(float(p)) for p in row)]) for k, row in enumerate(case.probabilities)]
        (matrices / f"{case.name}-scores.csv").write_text("\n".join(lines) + "\n")
        folder = replays / case.name
        folder.mkdir()
        told = [
            {"schema": 1, "event": "frame", "stamp_ns": k, "index": 25 * k,
             "phase": {"scores": [round(1e6 * float(p)) for p in row]}}
            for k, row in enumerate(case.probabilities)
        ]  # fmt: skip
        told.insert(3, {"schema": 1, "event": "tick", "stamp_ns": 3, "index": None, "phase": None})
        (folder / "decisions.jsonl").write_text("".join(json.dumps(one) + "\n" for one in told))
        (folder / "summary.json").write_text(json.dumps({"model": {"sha256": MODEL}}))
    return labels, matrices, replays


def test_decisions_and_matrices_of_the_same_scores_say_the_same(study):
    labels, matrices, replays = study
    (first, unknown), (second, known) = (
        read_scored_cases(labels, folder, procedure="cholec80", fps=1) for folder in (matrices, replays)
    )
    assert (unknown, known) == (None, MODEL)
    for one, other in zip(first, second, strict=True):
        assert one.name == other.name
        assert (one.truth == other.truth).all()
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda m: (m / "video01-scores.csv").unlink(), "a prediction for each of the 4 cases"),
        (lambda m: (m / "video01-scores.csv").write_text("0,1,1,0,0,0,0,0\n"), "probabilities that sum to 1, found 2"),
        (lambda m: (m / "video01-scores.csv").write_text("7,1,0,0,0,0,0,0\n"), "frame numbers that the labels have"),
    ],
)
def test_scores_that_do_not_belong_to_the_labels_are_refused(study, spoil, expected):
    labels, matrices, _ = study
    spoil(matrices)
    with pytest.raises(InputError, match=expected):
        read_scored_cases(labels, matrices, procedure="cholec80", fps=1)


def test_decisions_of_two_models_are_refused_with_both(study):
    labels, _, replays = study
    (replays / "video02" / "summary.json").write_text(json.dumps({"model": {"sha256": "b" * 64}}))
    with pytest.raises(InputError, match=f"the model {MODEL}.*found {'b' * 64}"):
        read_scored_cases(labels, replays, procedure="cholec80", fps=1)


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["surgical-ml", "calibrate", "confidence", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    return caught.value.code or 0, *capsys.readouterr()


def test_the_command_writes_a_calibration_that_says_what_it_was_made_from(study, tmp_path, monkeypatch, capsys):
    labels, _, replays = study
    out = tmp_path / "confidence.yaml"
    code, said, _ = run(
        monkeypatch, capsys, replays, "--labels", labels, "--fps", 1, "--procedure", "cholec80", "--out", out
    )
    assert code == 0
    assert "temperature 2." in said
    made = files.read(out)
    assert made.model_sha256 == MODEL
    assert [one.name for one in made.provenance.sources] == ["labels", *["decisions.jsonl"] * 4]


def test_the_command_asks_for_the_model_of_matrices(study, tmp_path, monkeypatch, capsys):
    labels, matrices, _ = study
    code, _, said = run(
        monkeypatch,
        capsys,
        matrices,
        "--labels",
        labels,
        "--fps",
        1,
        "--procedure",
        "cholec80",
        "--out",
        tmp_path / "c.yaml",
    )
    assert code == 2
    assert "--model: expected the model that made the scores" in said
    assert not (tmp_path / "c.yaml").exists()
