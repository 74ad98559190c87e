"""Each defect that real data sets had is found by name, and a clean set passes."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from surgical_ml.errors import InputError
from surgical_ml.evaluation.dataset import Severity, check_dataset, require_checked

CASES = ("video01", "video02", "video03", "video34")
LENGTHS = {"video01": 60, "video02": 80, "video03": 70, "video34": 90}
TOOLS = "Frame\tGrasper\tBipolar\tHook\tScissors\tClipper\tIrrigator\tSpecimenBag\n"
NAMES = (
    "Preparation",
    "CalotTriangleDissection",
    "ClippingCutting",
    "GallbladderDissection",
    "GallbladderPackaging",
    "CleaningCoagulation",
    "GallbladderRetraction",
)


def picture(case, k):
    """A texture of its own for each case, that drifts."""
    rng = np.random.default_rng(CASES.index(case))
    coarse = rng.integers(40, 220, (12, 40, 3), np.uint8)
    large = cv2.resize(coarse, (160, 48), interpolation=cv2.INTER_CUBIC)
    return large[:, k % 90 : k % 90 + 64]


def write_phases(path, n, cuts=None):
    labels = np.minimum(np.arange(n) * 7 // n, 6) if cuts is None else np.searchsorted(cuts, np.arange(n), "right")
    path.write_text("Frame\tPhase\n" + "".join(f"{k}\t{NAMES[label]}\n" for k, label in enumerate(labels)))


def write_tools(path, n, seed, step=1):
    rows = np.random.default_rng(seed).integers(0, 2, (n, 7))
    path.write_text(TOOLS + "".join(f"{k * step}\t" + "\t".join(map(str, row)) + "\n" for k, row in enumerate(rows)))


@pytest.fixture(scope="session")
def clean_set(tmp_path_factory):
    """Four cases of pictures at 1 Hz, with phases and tools, and a card."""
    folder = tmp_path_factory.mktemp("dataset")
    for name in ("phases", "tools"):
        (folder / name).mkdir()
    for case, n in LENGTHS.items():
        (folder / "frames" / case).mkdir(parents=True)
        for k in range(n):
            assert cv2.imwrite(str(folder / "frames" / case / f"{k:06d}.png"), picture(case, k))
        write_phases(folder / "phases" / f"{case}-phase.txt", n)
        write_tools(folder / "tools" / f"{case}-tool.txt", n, seed=n)
    card = {
        "schema": 1,
        "name": "made up",
        "licence": "CC-BY-4.0",
        "de_identified": True,
        "phase_fps": 1,
        "video_fps": 1,
        "splits": {"train": ["video01", "video02"], "val": ["video03"], "test": ["video34"]},
        "patients": {case: f"p{case[-2:]}" for case in CASES},
        "frames": LENGTHS,
    }
    (folder / "dataset.json").write_text(json.dumps(card))
    return folder


@pytest.fixture
def dataset(clean_set, tmp_path):
    """A copy to spoil."""
    return Path(shutil.copytree(clean_set, tmp_path / "dataset"))


def edit_card(dataset, **changes):
    card = json.loads((dataset / "dataset.json").read_text())
    card |= changes
    (dataset / "dataset.json").write_text(json.dumps({key: value for key, value in card.items() if value is not None}))


def codes(dataset):
    return {(finding.code, finding.subject) for finding in check_dataset(dataset).findings}


def found(dataset, code, subject):
    matching = [one for one in check_dataset(dataset).findings if (one.code, one.subject) == (code, subject)]
    assert len(matching) == 1, codes(dataset)
    return matching[0]


def test_a_clean_set_passes_without_a_finding(clean_set):
    report = check_dataset(clean_set)
    assert [str(finding) for finding in report.findings] == []
    assert report.passed
    assert report.cases == CASES
    assert require_checked(clean_set).passed


# --- integrity --------------------------------------------------------------------------------------------------------


def test_links_that_were_copied_as_text_are_found(dataset):
    for k in (3, 4, 5, 6):
        (dataset / "frames" / "video01" / f"{k:06d}.png").write_bytes(b"../videos/000003.png")
    finding = found(dataset, "picture-broken", "video01")
    assert finding.found == "000003.png (20 bytes), 000004.png (20 bytes), 000005.png (20 bytes) and 1 more"


def test_a_dangling_link_is_found(dataset):
    path = dataset / "frames" / "video01" / "000007.png"
    path.unlink()
    path.symlink_to("nowhere.png")
    assert "000007.png" in found(dataset, "picture-broken", "video01").found


def test_a_picture_that_was_cut_is_found(dataset):
    path = dataset / "frames" / "video02" / "000010.png"
    path.write_bytes(path.read_bytes()[:-200])
    assert "000010.png" in found(dataset, "picture-broken", "video02").found


def test_a_picture_that_is_none_inside_is_found(dataset):
    path = dataset / "frames" / "video02" / "000000.png"
    data = bytearray(path.read_bytes())
    data[20:-40] = bytes(len(data) - 60)
    path.write_bytes(bytes(data))
    assert "000000.png" in found(dataset, "picture-broken", "video02").found


def test_a_missing_picture_is_found_by_its_number_and_by_the_count_of_the_card(dataset):
    (dataset / "frames" / "video03" / "000030.png").unlink()
    findings = [one for one in check_dataset(dataset).findings if one.code == "pictures-missing"]
    assert {one.found for one in findings} == {"69", "000031 after 000029, and 0 more gaps"}


def write_video(path, case, n, fps=10):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (64, 48))
    for k in range(n):
        writer.write(picture(case, k))
    writer.release()


def test_a_video_in_the_place_of_pictures_is_as_good(dataset):
    shutil.rmtree(dataset / "frames" / "video01")
    write_video(dataset / "frames" / "video01.mp4", "video01", 600)
    edit_card(dataset, frames={})
    (dataset / "tools" / "video01-tool.txt").unlink()
    assert codes(dataset) == set()


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_a_video_that_is_none_or_cut_is_found(dataset, share):
    video = dataset / "frames" / "video01.mp4"
    write_video(video, "video01", 600)
    data = video.read_bytes()
    video.write_bytes(data[: int(len(data) * share)] or b"not a video, only text" * 10)
    shutil.rmtree(dataset / "frames" / "video01")
    edit_card(dataset, frames={})
    assert ("video-unreadable", "video01") in codes(dataset)


def test_a_file_that_changed_or_is_gone_is_found_by_its_digest(dataset):
    edit_card(dataset, sha256={"phases/video01-phase.txt": "0" * 64, "readme.txt": "0" * 64})
    assert found(dataset, "file-changed", "phases/video01-phase.txt").expected == "sha256 " + "0" * 64
    assert found(dataset, "file-missing", "readme.txt").found == "none"


def test_a_case_whose_number_lost_a_digit_is_found(dataset):
    edit_card(dataset, splits={"train": ["video01", "video02"], "test": ["video03", "video3"]})
    assert "there is video34" in found(dataset, "case-missing", "video3").found


# --- time base --------------------------------------------------------------------------------------------------------


def test_labels_longer_than_the_video_are_found_with_their_ratio(dataset):
    write_phases(dataset / "phases" / "video01-phase.txt", round(60 * 1.58))
    assert "1.58 times as much" in found(dataset, "labels-longer-than-video", "video01").found


def test_labels_of_25_hz_declared_as_1_are_found(dataset):
    write_phases(dataset / "phases" / "video01-phase.txt", 60 * 25)
    assert "25 times as much" in found(dataset, "labels-longer-than-video", "video01").found


def test_labels_that_end_early_are_found(dataset):
    write_phases(dataset / "phases" / "video02-phase.txt", 50)
    assert found(dataset, "labels-shorter-than-video", "video02").severity is Severity.BLOCK


def test_a_frame_column_that_contradicts_the_rate_is_found(dataset):
    edit_card(dataset, phase_fps=25)
    rows = "".join(f"{25 * k}\tPreparation\n" for k in range(60))
    (dataset / "phases" / "video01-phase.txt").write_text("Frame\tPhase\n" + rows)
    assert "every 25th frame" in found(dataset, "labels-unreadable", "video01").found


def test_phases_and_tools_in_different_time_bases_are_found_without_a_video(dataset):
    shutil.rmtree(dataset / "frames" / "video01")
    edit_card(dataset, frames={}, phase_fps=25)
    for case in CASES:
        write_phases(dataset / "phases" / f"{case}-phase.txt", LENGTHS[case] * 25)
    write_tools(dataset / "tools" / "video01-tool.txt", 60, seed=0)
    assert "numbered at another rate?" in found(dataset, "time-bases-differ", "video01").found
    write_tools(dataset / "tools" / "video01-tool.txt", 60, seed=0, step=25)
    assert ("time-bases-differ", "video01") not in codes(dataset)


# --- labels -----------------------------------------------------------------------------------------------------------


def test_a_label_outside_the_vocabulary_is_found_with_its_line(dataset):
    path = dataset / "phases" / "video03-phase.txt"
    path.write_text(path.read_text().replace("ClippingCutting", "Suturing"))
    finding = found(dataset, "labels-unreadable", "video03")
    assert finding.found == "Suturing"
    assert "video03-phase.txt, line " in finding.expected


def test_labels_of_another_case_are_found(dataset):
    shutil.copy(dataset / "tools" / "video02-tool.txt", dataset / "tools" / "video34-tool.txt")
    assert found(dataset, "labels-duplicate", "video34").found == "those of video02"


def test_labels_that_two_cases_exchanged_are_found(dataset):
    first, second = (dataset / "phases" / f"{case}-phase.txt" for case in ("video01", "video34"))
    a, b = first.read_text(), second.read_text()
    first.write_text(b)
    second.write_text(a)
    assert "those fit video34" in found(dataset, "labels-swapped", "video01").found


def test_labels_whose_order_in_time_was_lost_are_found(dataset):
    path = dataset / "phases" / "video34-phase.txt"
    labels = np.random.default_rng(0).permutation([line.split("\t")[1] for line in path.read_text().splitlines()[1:]])
    path.write_text("Frame\tPhase\n" + "".join(f"{k}\t{label}\n" for k, label in enumerate(labels)))
    finding = found(dataset, "labels-restless", "video34")
    assert finding.severity is Severity.BLOCK
    assert finding.found == "1.1 s: shuffled?"


def triplets(boxes):
    instance = [0, 0, 1, *boxes, 0, 0, -1, -1, -1, -1, -1, 0]
    sizes = {"triplet": 1, "instrument": 1, "verb": 1, "target": 1, "phase": 1}
    categories = {key: {"0": key} for key in sizes}
    annotations = {str(k): [instance] for k in range(60)}
    return {"fps": 1, "num_frames": 60, "categories": categories, "annotations": annotations}


def test_boxes_of_minus_one_are_found(dataset):
    (dataset / "labels").mkdir()
    for name, boxes in (("VID01", [0.1, 0.1, 0.2, 0.2]), ("VID02", [-1, -1, -1, -1])):
        (dataset / "labels" / f"{name}.json").write_text(json.dumps(triplets(boxes)))
    assert found(dataset, "boxes-missing", "VID02").found == "-1 in 60 of 60"
    assert ("boxes-missing", "VID01") not in codes(dataset)


def test_instances_with_bad_boxes_or_without_their_pictures_are_found(dataset):
    image = {"id": 1, "file_name": "frames/video01/000000.png", "width": 64, "height": 48}
    values = {"images": [image], "categories": [{"id": 1, "name": "hook"}], "annotations": []}
    path = dataset / "annotation_coco.json"
    path.write_text(json.dumps(values))
    assert codes(dataset) == set()
    path.write_text(json.dumps(values | {"images": [image | {"file_name": "gone.jpg"}]}))
    assert found(dataset, "pictures-missing", "annotation_coco.json").found == "no gone.jpg and 0 more"
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [-1, -1, -1, -1]}
    path.write_text(json.dumps(values | {"annotations": [box]}))
    assert found(dataset, "labels-unreadable", "annotation_coco.json").found == "[-1, -1, -1, -1]"


# --- leaks ------------------------------------------------------------------------------------------------------------


def test_a_case_in_two_splits_is_found(dataset):
    edit_card(dataset, splits={"train": ["video01", "video02"], "val": ["video02", "video03"], "test": ["video34"]})
    assert found(dataset, "case-in-two-splits", "video02").expected == "one of train and val"


def test_a_patient_in_two_splits_is_found(dataset):
    edit_card(dataset, patients={"video01": "p1", "video02": "p2", "video03": "p3", "video34": "p1"})
    assert "video01 in train is of the same patient p1" in found(dataset, "patient-in-two-splits", "video34").found


def copy_pictures(dataset, target, source, change=lambda picture: picture):
    shutil.rmtree(dataset / "frames" / target)
    (dataset / "frames" / target).mkdir()
    for k in range(LENGTHS[target]):
        quality = [cv2.IMWRITE_JPEG_QUALITY, 70]
        assert cv2.imwrite(str(dataset / "frames" / target / f"{k:06d}.jpg"), change(picture(source, k)), quality)


def test_pictures_of_a_test_case_in_training_are_found_though_encoded_and_coloured_otherwise(dataset):
    copy_pictures(dataset, "video34", "video01", lambda one: cv2.convertScaleAbs(cv2.resize(one, (96, 72)), alpha=0.8))
    finding = found(dataset, "pictures-in-two-splits", "video34")
    assert "in video01 (train)" in finding.found


def test_a_case_twice_in_one_split_is_found(dataset):
    copy_pictures(dataset, "video02", "video01")
    assert ("case-duplicate", "video02") in codes(dataset)


# --- content and card -------------------------------------------------------------------------------------------------


def blacken(dataset, case, share):
    for k in range(round(LENGTHS[case] * share)):
        assert cv2.imwrite(str(dataset / "frames" / case / f"{k:06d}.png"), np.zeros((48, 64, 3), np.uint8))


def test_blank_stretches_are_found_and_more_than_half_blocks(dataset):
    blacken(dataset, "video01", 0.2)
    assert found(dataset, "blank-stretches", "video01").severity is Severity.WARN
    blacken(dataset, "video01", 0.7)
    assert found(dataset, "mostly-blank", "video01").severity is Severity.BLOCK


def test_a_phase_that_is_never_trained_on_is_found(dataset):
    for case in ("video01", "video02"):
        write_phases(dataset / "phases" / f"{case}-phase.txt", LENGTHS[case], cuts=[5, 10, 20, 30, 40])
    assert found(dataset, "class-rare", "GallbladderRetraction").found == "0.00%"


def test_samples_without_a_phase_are_found(dataset):
    path = dataset / "phases" / "video01-phase.txt"
    path.write_text(path.read_text().replace("Preparation", "-1"))
    assert found(dataset, "samples-undefined", "dataset").severity is Severity.WARN


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"licence": ""}, "licence-missing"),
        ({"licence": "CC-BY-NC-SA-4.0"}, "licence-non-commercial"),
        ({"de_identified": False}, "de-identification-missing"),
        ({"splits": {}}, "splits-missing"),
    ],
)
def test_a_card_without_licence_identity_or_splits_is_found(dataset, changes, code):
    edit_card(dataset, **changes)
    assert (code, "dataset") in codes(dataset)


def test_a_set_without_a_card_is_blocked(dataset):
    (dataset / "dataset.json").unlink()
    report = check_dataset(dataset)
    assert ("card-missing", "dataset") in {(one.code, one.subject) for one in report.findings}
    assert not report.passed


@pytest.mark.parametrize("changes", [{"schema": 2}, {"surprise": 1}, {"phase_fps": 0}, {"procedure": "appendectomy"}])
def test_a_card_that_is_not_valid_is_refused(dataset, changes):
    edit_card(dataset, **changes)
    with pytest.raises(InputError, match=r"dataset\.json"):
        check_dataset(dataset)


def test_a_folder_without_cases_is_refused(tmp_path):
    with pytest.raises(InputError, match="videos, pictures or labels of cases"):
        check_dataset(tmp_path)
    with pytest.raises(InputError, match="expected the folder of a data set, found none"):
        check_dataset(tmp_path / "nowhere")


# --- waivers ----------------------------------------------------------------------------------------------------------


def waive(dataset, code, subject, **changes):
    waiver = {"code": code, "subject": subject, "by": "A. Person", "on": "2026-11-24", "why": "known, harmless here"}
    values = {"schema": 1, "waivers": [waiver | changes]}
    (dataset / "waivers.json").write_text(json.dumps(values))


def test_training_is_blocked_unless_a_recorded_decision_waives_the_finding(dataset):
    edit_card(dataset, licence="")
    with pytest.raises(InputError, match="1 findings that block, first licence-missing dataset"):
        require_checked(dataset)
    waive(dataset, "licence-missing", "dataset")
    report = require_checked(dataset)
    assert report.passed
    assert [one.waived_by for one in report.findings] == ["A. Person on 2026-11-24: known, harmless here"]
    assert "(waived: A. Person" in str(report.findings[0])


def test_a_decision_waives_what_it_names_and_nothing_else(dataset):
    edit_card(dataset, licence="", de_identified=False)
    waive(dataset, "licence-missing", "dataset")
    with pytest.raises(InputError, match="first de-identification-missing"):
        require_checked(dataset)


def test_a_decision_about_nothing_is_a_finding(dataset):
    waive(dataset, "boxes-missing", "VID02")
    assert found(dataset, "waiver-unused", "VID02").severity is Severity.WARN


@pytest.mark.parametrize("changes", [{"by": ""}, {"on": "yesterday"}, {"why": ""}, {"more": 1}])
def test_a_decision_needs_who_when_and_why(dataset, changes):
    waive(dataset, "licence-missing", "dataset", **changes)
    with pytest.raises(InputError, match=r"waivers\.json: expected waivers with code, subject, by, on and why"):
        check_dataset(dataset)
