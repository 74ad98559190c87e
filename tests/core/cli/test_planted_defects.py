"""What was planted is caught by the commands, in words: leaks across splits, shuffled labels, a wrong frame rate."""

import json
import sys

import cv2
import numpy as np
import pytest

from surgical_ml.cli import main

CASES, PHASES = tuple(f"video{k:02d}" for k in range(41, 49)), 7


@pytest.fixture
def command(monkeypatch, capsys):
    """`surgical-ml` in this process: exit status and everything that it said."""

    def run(*arguments):
        monkeypatch.setattr("signal.signal", lambda *_: None)
        monkeypatch.setattr(sys, "argv", ["surgical-ml", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return caught.value.code or 0, out + err

    return run


def truths(seed=0):
    """Cases of their own lengths and phases, at 1 Hz."""
    rng = np.random.default_rng(seed)
    return {case: np.repeat(np.arange(PHASES), rng.integers(20, 200, PHASES)) for case in CASES}


def predicted(labels, seed=1):
    """One sample in five is wrong."""
    rng = np.random.default_rng(seed)
    return {
        case: np.where(rng.random(len(one)) < 0.2, rng.integers(0, PHASES, len(one)), one)
        for case, one in labels.items()
    }


def write(folder, labels, step=1):
    folder.mkdir(exist_ok=True, parents=True)
    for case, one in labels.items():
        rows = "".join(f"{step * k}\t{label}\n" for k, label in enumerate(one))
        (folder / f"{case}-phase.txt").write_text("Frame\tPhase\n" + rows)
    return folder


# --- evaluate phases --------------------------------------------------------------------------------------------------


@pytest.fixture
def evaluate(command, tmp_path):
    def run(truth, mine, *options, step=1):
        options = options or ("--fps", 1)
        folders = write(tmp_path / "truth", truth, step), write(tmp_path / "mine", mine, step)
        return command("evaluate", "phases", "--labels", folders[0], "--predictions", folders[1], *options)

    return run


def test_honest_predictions_raise_no_doubt(evaluate):
    status, said = evaluate(truths(), predicted(truths()))
    assert status == 0
    assert "note:" not in said


@pytest.mark.parametrize("protocol", ["strict", "official"])
def test_labels_that_were_shuffled_in_time_are_noted(evaluate, protocol):
    rng = np.random.default_rng(2)
    shuffled = {case: rng.permutation(one) for case, one in truths().items()}
    status, said = evaluate(shuffled, predicted(truths()), "--fps", 1, "--protocol", protocol)
    assert status == 0
    assert "% of the samples are right, and always saying " in said
    assert "are labels shuffled, or of other cases?" in said


def test_rows_that_were_shuffled_with_their_frame_numbers_are_refused(evaluate, tmp_path):
    evaluate(truths(), predicted(truths()))
    path = tmp_path / "truth" / f"{CASES[0]}-phase.txt"
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, *np.random.default_rng(3).permutation(rows)]) + "\n")
    one = {case: labels for case, labels in truths().items() if case != CASES[0]}
    status, said = evaluate(one, predicted(truths()))
    assert status == 2
    assert "expected frame numbers that rise by 1, found " in said


def test_truths_that_were_shuffled_among_cases_of_one_length_are_noted(evaluate):
    rng = np.random.default_rng(4)
    cut = [np.sort(rng.choice(np.arange(1, 700), PHASES - 1, replace=False)) for _ in CASES]
    honest = {case: np.searchsorted(one, np.arange(700), "right") for case, one in zip(CASES, cut, strict=True)}
    assert "note:" not in evaluate(honest, predicted(honest))[1]
    exchanged = dict(zip(CASES, np.roll(list(honest.values()), 1, axis=0), strict=True))
    status, said = evaluate(exchanged, predicted(honest))
    assert status == 0
    assert (
        "predictions fit the truth of other cases as well as that of their own: are files of cases exchanged?" in said
    )


def test_truths_that_were_shuffled_among_cases_of_other_lengths_are_refused(evaluate):
    honest = truths()
    exchanged = dict(zip(CASES, [*list(honest.values())[1:], honest[CASES[0]]], strict=True))
    status, said = evaluate(exchanged, predicted(honest))
    assert status == 2
    assert f"{CASES[0]}-phase.txt: expected {len(honest[CASES[1]])} samples" in said


def test_a_rate_that_the_frame_numbers_contradict_is_refused(evaluate):
    assert evaluate(truths(), predicted(truths()), "--fps", 1, "--protocol", "official", step=25)[0] == 0
    status, said = evaluate(truths(), predicted(truths()), "--fps", 25, "--protocol", "official", step=25)
    assert status == 2
    assert "expected samples at the declared 25/s, found every 25th frame of the video" in said


def test_a_prediction_at_another_rate_than_the_truth_is_refused(evaluate):
    sparse = {case: one[::5] for case, one in predicted(truths()).items()}
    status, said = evaluate(truths(), sparse)
    assert status == 2
    assert "times as many, as at another rate" in said


# --- data check -------------------------------------------------------------------------------------------------------


def picture(case, k):
    """A texture of its own for each case, that drifts."""
    coarse = np.random.default_rng(CASES.index(case)).integers(40, 220, (12, 60, 3), np.uint8)
    return cv2.resize(coarse, (240, 48), interpolation=cv2.INTER_CUBIC)[:, 2 * k : 2 * k + 64]


@pytest.fixture
def dataset(tmp_path):
    """Four cases of pictures at 1 Hz with their phases, in three splits."""
    labels = {case: np.repeat(np.arange(PHASES), [8, 9 + k, *[8] * 5]) for k, case in enumerate(CASES[:4])}
    write(tmp_path / "dataset" / "phases", labels)
    for case, one in labels.items():
        folder = tmp_path / "dataset" / "frames" / case
        folder.mkdir(parents=True)
        for k in range(len(one)):
            assert cv2.imwrite(str(folder / f"{k:06d}.png"), picture(case, k))
    card = {"schema": 1, "name": "made up", "licence": "CC0-1.0", "de_identified": True, "phase_fps": 1, "video_fps": 1}
    splits = {"train": CASES[:2], "val": CASES[2:3], "test": CASES[3:4]}
    (tmp_path / "dataset" / "dataset.json").write_text(json.dumps(card | {"splits": splits}))
    return tmp_path / "dataset"


def edit_card(dataset, **changes):
    path = dataset / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def blocked(command, dataset):
    status, said = command("data", "check", dataset)
    assert status == 1
    assert "BLOCKED" in said
    return said


def test_a_clean_set_passes(command, dataset):
    status, said = command("data", "check", dataset)
    assert (status, said) == (0, f"{dataset}: passed, 4 cases\n")


def test_pictures_that_leaked_from_training_into_the_test_are_named_with_both_cases(command, dataset):
    for k, path in enumerate(sorted((dataset / "frames" / CASES[3]).iterdir())):
        assert cv2.imwrite(str(path), cv2.convertScaleAbs(picture(CASES[0], k), alpha=0.9))
    said = blocked(command, dataset)
    assert f"pictures-in-two-splits {CASES[3]}: expected pictures that only test has, found " in said
    assert f"of its pictures in {CASES[0]} (train)" in said


def test_a_patient_that_leaked_into_the_test_is_named(command, dataset):
    edit_card(dataset, patients={CASES[0]: "p1", CASES[1]: "p2", CASES[2]: "p3", CASES[3]: "p1"})
    said = blocked(command, dataset)
    assert f"patient-in-two-splits {CASES[3]}: expected a patient that only test has" in said
    assert f"found {CASES[0]} in train is of the same patient p1" in said


def test_phases_that_were_shuffled_in_time_are_named(command, dataset):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(PHASES), [8, 9, *[8] * 5]))
    write(dataset / "phases", {CASES[0]: labels})
    assert f"labels-restless {CASES[0]}: expected phases that last 3 s or more" in blocked(command, dataset)


def test_labels_of_25_hz_that_are_declared_as_1_are_named(command, dataset):
    write(dataset / "phases", {CASES[1]: np.repeat(np.arange(PHASES), 8 * 25)})
    assert f"labels-longer-than-video {CASES[1]}: expected phases of " in blocked(command, dataset)


def test_a_rate_on_the_card_that_the_frame_numbers_contradict_is_named(command, dataset):
    edit_card(dataset, phase_fps=25)
    write(dataset / "phases", {CASES[0]: np.repeat(np.arange(PHASES), 8)}, step=25)
    assert "expected samples at the declared 25/s, found every 25th frame of the video" in blocked(
        command, dataset
    ).replace(f"{CASES[0]}-phase.txt: ", "")


# --- learn ------------------------------------------------------------------------------------------------------------


@pytest.mark.train
@pytest.mark.parametrize("kind", ["frame", "phase"])
def test_training_refuses_a_data_set_with_a_leak_in_one_line_before_it_begins(command, dataset, tmp_path, kind):
    for needed in ("torch", "albumentations"):
        pytest.importorskip(needed, reason="needs torch and albumentations, of the extra train")
    edit_card(dataset, patients={CASES[0]: "p1", CASES[1]: "p2", CASES[2]: "p3", CASES[3]: "p1"})
    start = ("--start", "cholecystectomy") if kind == "phase" else ()
    status, said = command("learn", kind, dataset, "--out", tmp_path / "run", *start)
    assert status == 2
    assert said == (
        f"surgical-ml: {dataset}: expected a data set that passes `surgical-ml data check`, or waivers, found 1 findings "
        f"that block, first patient-in-two-splits {CASES[3]}\n"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.train
def test_training_goes_past_the_check_once_a_person_has_waived_what_it_found(command, dataset, tmp_path):
    for needed in ("torch", "albumentations"):
        pytest.importorskip(needed, reason="needs torch and albumentations, of the extra train")
    edit_card(dataset, licence="")
    waiver = {"code": "licence-missing", "subject": "dataset", "by": "A. Person", "on": "2026-11-25", "why": "our own"}
    assert "first licence-missing dataset" in command("learn", "frame", dataset, "--out", tmp_path / "run")[1]
    (dataset / "waivers.json").write_text(json.dumps({"schema": 1, "waivers": [waiver]}))
    # its layout is none that can be trained on, which nobody says before the check is passed
    status, said = command("learn", "frame", dataset, "--out", tmp_path / "run")
    assert status == 2
    assert "expected one data set laid out as Cholec80" in said
