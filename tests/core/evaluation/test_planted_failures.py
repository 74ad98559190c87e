"""What would make an evaluation lie is planted, and each time the message says what it is."""

import json
import shutil

import cv2
import numpy as np
import pytest
from made_evaluation import case_names, made_evaluation

from surgical_ml.errors import InputError
from surgical_ml.evaluation.dataset import require_checked
from surgical_ml.evaluation.study import compare_studies, write_study


def write_sites(path, cases, *, b):
    """Every case in `b` is of site B, the others of site A."""
    path.write_text(
        "case,site\n" + "".join(f"{name},{'B' if b(k) else 'A'}\n" for k, name in enumerate(case_names(cases)))
    )
    return path


@pytest.fixture(scope="module")
def harmed(tmp_path_factory):
    """44 short cases; every second one, of site B, is shown the wrong phase for a third of its time."""
    folder = tmp_path_factory.mktemp("harmed")
    out, labels = made_evaluation(folder, cases=44, seconds=42, fps=1, errors=lambda k: 0.33 if k % 2 else 0.02)
    study = write_study(out, labels, groups=write_sites(folder / "sites.csv", 44, b=lambda k: k % 2), largest_drop=5)
    return folder, study


def test_a_harmed_subgroup_blocks_the_gate_and_is_named(harmed):
    gate = harmed[1].values["gate"]
    assert (gate["verdict"], gate["worst"]) == ("blocked", "site: B")
    assert gate["drop"] > 5
    assert harmed[1].blocked


def test_a_model_that_harms_one_subgroup_does_not_take_the_place_of_one_that_does_not(harmed, tmp_path):
    folder, study = harmed
    out, labels = made_evaluation(tmp_path, cases=44, seconds=42, fps=1, errors=lambda k: 0.17)
    write_study(out, labels, groups=folder / "sites.csv")
    done = compare_studies(study.folder, out, margin=50, measures=("accuracy",), largest_drop=5)
    assert done.measures[0].not_inferior
    assert (done.gate.verdict, done.gate.worst) == ("blocked", "site: B")
    assert not done.passed


def test_a_group_too_small_to_judge_is_no_pass(tmp_path):
    out, labels = made_evaluation(tmp_path, cases=4)
    study = write_study(out, labels, largest_drop=50)
    assert study.values["gate"]["verdict"] == "insufficient"
    assert "case length: long" in study.values["gate"]["insufficient"]
    assert study.blocked


def test_shuffled_labels_are_noticed(tmp_path):
    out, labels = made_evaluation(tmp_path, cases=6, deviation="order")
    assert not any("shuffled" in note for note in write_study(out, labels).values["notes"])
    for name in case_names(6):
        # each truth turned back by a third of its length: durations stay, what happens when does not
        path = labels / name / "video-phase.txt"
        header, *rows = path.read_text().splitlines()
        phases = [row.split("\t")[1] for row in rows]
        third = len(phases) // 3
        turned = phases[third:] + phases[:third]
        path.write_text("\n".join((header, *(f"{k}\t{phase}" for k, phase in enumerate(turned)))) + "\n")
    notes = " ".join(write_study(out, labels).values["notes"])
    assert "at or below the clock of known length, which sees no video" in notes
    assert "With the labels of the cases shuffled 200 times" in notes


def test_labels_of_another_case_are_refused_where_their_lengths_differ(tmp_path):
    out, labels = made_evaluation(tmp_path, cases=2)
    shutil.copy(labels / "case00000" / "video-phase.txt", labels / "case00001" / "video-phase.txt")
    with pytest.raises(InputError, match="expected labels up to frame"):
        write_study(out, labels)


def test_labels_at_another_rate_than_the_video_are_refused(tmp_path):
    out, labels = made_evaluation(tmp_path, cases=1)
    path = labels / "case00000" / "video-phase.txt"
    header, *rows = path.read_text().splitlines()
    slow = [f"{k}\t{row.split(chr(9))[1]}" for k, row in enumerate(rows[::25])]
    path.write_text("\n".join((header, *slow)) + "\n")
    with pytest.raises(InputError, match="times as many, as at another rate"):
        write_study(out, labels)


def test_decisions_at_another_rate_than_their_summary_says_are_refused(tmp_path):
    out, labels = made_evaluation(tmp_path, cases=1)
    path = out / "cases" / "case00000" / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fps": 25.0}))
    with pytest.raises(
        InputError, match=r"decisions at 25/s, as the summary says, found one every 0.5 s: another rate"
    ):
        write_study(out, labels)


def test_a_video_that_stands_for_two_cases_is_noticed(tmp_path):
    out, labels = made_evaluation(tmp_path, cases=3)
    cases = [{"name": name, "video": f"{name}.mp4", "sha256": "ab"[k % 2]} for k, name in enumerate(case_names(3))]
    (out / "run.json").write_text(json.dumps({"mode": "throughput", "data": {"folder": str(tmp_path), "cases": cases}}))
    notes = write_study(out, labels).values["notes"]
    assert "case00000 and case00002 have the same video: one case counted twice makes intervals too narrow." in notes


def test_fewer_than_thirty_deviations_say_nothing_of_a_group(harmed):
    tables = [one for one in harmed[1].values["subgroups"] if one["statistic"] == "sensitivity to deviations"]
    site = next(one for one in tables if one["by"] == "site")
    assert [row["cases"] for row in site["rows"]] == [22, 22]
    assert all(row["events"] < 30 and row["verdict"] == "insufficient" for row in site["rows"])
    assert site["overall"] == 100 * harmed[1].values["deviations"]["sensitivity"]["estimate"]


def test_a_patient_in_two_splits_is_refused_by_the_data_check(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("video01", "video02"):
        (tmp_path / "frames" / name).mkdir(parents=True)
        for k in range(3):
            assert cv2.imwrite(
                str(tmp_path / "frames" / name / f"{k:06d}.png"), rng.integers(0, 255, (48, 64, 3), np.uint8)
            )
    card = {
        "schema": 1,
        "name": "leaking",
        "licence": "CC-BY-4.0",
        "de_identified": True,
        "splits": {"train": ["video01"], "test": ["video02"]},
        "patients": {"video01": "p1", "video02": "p1"},
    }
    (tmp_path / "dataset.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match="1 findings that block, first patient-in-two-splits video02"):
        require_checked(tmp_path)
