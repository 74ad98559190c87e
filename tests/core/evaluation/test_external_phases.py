"""Folders of truth and prediction become named scores, or one line that says what does not fit."""

import pytest

from surgical_ml.errors import InputError
from surgical_ml.evaluation.external import evaluate_phases, phase_vocabulary


@pytest.fixture
def folders(tmp_path):
    def write(truths, predictions, header="Frame\tPhase\n"):
        for name, cases in (("truth", truths), ("mine", predictions)):
            (tmp_path / name).mkdir(exist_ok=True)
            for case, labels in cases.items():
                rows = "".join(f"{k}\t{label}\n" for k, label in enumerate(labels))
                (tmp_path / name / f"{case}-phase.txt").write_text(header + rows)
        return tmp_path / "truth", tmp_path / "mine"

    return write


def test_perfect_predictions_score_100_in_every_convention(folders):
    labels = [k for k in range(7) for _ in range(20)]
    truth, mine = folders({"video01": labels, "video02": labels}, {"video01": labels, "video02": labels})
    for protocol in ("strict", "per-phase", "pooled", "official", "corrected"):
        done = evaluate_phases(truth, mine, fps=1, protocol=protocol)
        assert done.scores.accuracy.mean == 100
        assert {summary.mean for summary in done.scores.summaries.values()} == {100}
        values = done.to_json()
        assert (values["procedure"], values["protocol"], values["fps"]) == ("cholec80", protocol, 1)
        assert (values["cases"], values["frames"]) == (2, 280)
        assert values["nan_policy"]
        assert values["version"]
        assert values["notes"] == []


def test_the_official_protocol_says_that_it_lost_a_sample_and_which_labels_meant_nothing(folders):
    labels = ["Preparation", "Preparation", "preparation", "7", "Preparation"]
    done = evaluate_phases(*folders({"video01": labels}, {"video01": labels}, header=""), fps=1, protocol="official")
    assert done.scores.frames == (4,)
    notes = "\n".join(done.notes)
    assert "truth: the first line of 1 files holds a sample" in notes
    assert (
        "prediction: labels that are no phase, undefined as in the script: '7' 1 times, 'preparation' 1 times" in notes
    )


def test_an_unknown_label_is_an_error_in_the_other_conventions(folders):
    with pytest.raises(InputError, match=r"video01-phase\.txt, line 2: .*found Suturing"):
        evaluate_phases(*folders({"video01": ["Suturing"]}, {"video01": ["0"]}), fps=1, protocol="strict")


def test_samples_without_truth_are_refused_or_left_out_and_counted(folders):
    truth, mine = folders({"video01": [0, -1, 1]}, {"video01": [0, 0, 1]})
    with pytest.raises(InputError, match="video01, truth: expected a phase in every sample, found 1 of 3"):
        evaluate_phases(truth, mine, fps=1, protocol="strict")
    done = evaluate_phases(truth, mine, fps=1, protocol="strict", leave_out_undefined=True)
    assert done.scores.accuracy.mean == 100
    assert done.to_json()["left_out"] == 1
    assert "1 samples without truth were left out" in done.notes


def test_a_missing_video_is_named(folders):
    with pytest.raises(InputError, match="none for video02"):
        evaluate_phases(*folders({"video01": [0], "video02": [0]}, {"video01": [0]}), fps=1, protocol="strict")


def test_unequal_lengths_are_refused(folders):
    with pytest.raises(InputError, match="expected 25 samples"):
        evaluate_phases(*folders({"video01": [0] * 25}, {"video01": [0]}), fps=1, protocol="strict")


def test_one_frame_a_second_of_a_25_hz_video_cannot_be_read_at_25(tmp_path):
    for name in ("truth", "mine"):
        (tmp_path / name).mkdir()
        rows = "".join(f"{25 * k}\t0\n" for k in range(100))
        (tmp_path / name / "video01-phase.txt").write_text("Frame\tPhase\n" + rows)
    assert evaluate_phases(tmp_path / "truth", tmp_path / "mine", fps=1, protocol="official").scores.fps == 1
    with pytest.raises(InputError, match="samples at the declared 25/s, found every 25th frame"):
        evaluate_phases(tmp_path / "truth", tmp_path / "mine", fps=25, protocol="official")


def test_our_own_cholecystectomy_is_the_procedure_of_cholec80(folders):
    labels = [k for k in range(7) for _ in range(2)]
    done = evaluate_phases(
        *folders({"v": labels}, {"v": labels}), fps=1, protocol="official", procedure="cholecystectomy"
    )
    assert done.procedure == "cholec80"
    assert phase_vocabulary("M2CAI16").classes[0] == "TrocarPlacement"


def test_an_unknown_procedure_is_answered_with_those_there_are():
    with pytest.raises(
        InputError, match=r"procedure appendectomy: expected a data set of \[.*'cholec80'.*cholecystectomy"
    ):
        phase_vocabulary("appendectomy")
