"""Each published data set is read as its publisher lays it out, lazily, and each irregularity is one clear error."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.errors import InputError
from surgical_ml.evaluation.dataset.inventory import take_inventory
from surgical_ml.labels import IGNORED, open_labelled_set, read_autolaparo_mask, read_endovis17_set
from surgical_ml.labels.scene_sets import read_autolaparo_masks, read_cholecseg8k_set, read_endovis18_set
from surgical_ml.labels.workflow_sets import (
    read_autolaparo_set,
    read_case_folders,
    read_cholec80_set,
    read_multibypass140_set,
)

TOOLS = "Frame\tGrasper\tBipolar\tHook\tScissors\tClipper\tIrrigator\tSpecimenBag"


def picture(path, values=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.zeros((4, 6), np.uint8) if values is None else np.array(values, np.uint8)
    assert cv2.imwrite(str(path), image)


def coloured(path, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((4, 6, 3), colour[::-1], np.uint8))


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def video(path, frames, fps=25):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (64, 48))
    for k in range(frames):
        writer.write(np.full((48, 64, 3), 40 + k % 100, np.uint8))
    writer.release()


def cholec80(folder, case="video01", seconds=4):
    frames = range(seconds * 25)
    text(folder / "videos" / f"{case}.mp4", "a film")
    phases = [f"{k}\t{'Preparation' if k < 50 else 'CalotTriangleDissection'}" for k in frames]
    text(folder / "phase_annotations" / f"{case}-phase.txt", "\n".join(["Frame\tPhase", *phases]) + "\n")
    rows = [f"{k}\t1\t0\t{int(k >= 50)}\t0\t0\t0\t0" for k in frames[::25]]
    text(folder / "tool_annotations" / f"{case}-tool.txt", "\n".join([TOOLS, *rows]) + "\n")


def cholecseg8k(folder, clip="video01_00080", first=80, frames=3):
    place = folder / clip.partition("_")[0] / clip
    for k in range(first, first + frames):
        coloured(place / f"frame_{k}_endo.png", (9, 8, 7))
        coloured(place / f"frame_{k}_endo_mask.png", (1, 1, 1))
        coloured(place / f"frame_{k}_endo_color_mask.png", (210, 140, 140))
        picture(place / f"frame_{k}_endo_watershed_mask.png", [[0x50, 0x21], [0x31, 0xFF]])


def endovis17(folder, sequence="instrument_dataset_1"):
    for k in range(2):
        coloured(folder / sequence / "left_frames" / f"frame{k:03d}.png", (9, 8, 7))
        coloured(folder / sequence / "right_frames" / f"frame{k:03d}.png", (9, 8, 7))
        truth = folder / sequence / "ground_truth"
        picture(truth / "Left_Prograsp_Forceps_labels" / f"frame{k:03d}.png", [[10, 20, 0, 0]])
        picture(truth / "Maryland_Bipolar_Forceps_labels" / f"frame{k:03d}.png", [[0, 30, 30, 0]])
        picture(truth / "Other_labels" / f"frame{k:03d}.png", [[0, 0, 0, 5]])


CLASSES18 = [
    {"name": "background-tissue", "color": [0, 0, 0], "classid": 0},
    {"name": "instrument-shaft", "color": [0, 255, 0], "classid": 1},
]


def endovis18(folder, sequence="seq_1"):
    place = folder / "miccai_challenge_2018_release_1"
    text(place / "labels.json", json.dumps(CLASSES18))
    for k in range(2):
        coloured(place / sequence / "left_frames" / f"frame{k:03d}.png", (9, 8, 7))
        coloured(place / sequence / "labels" / f"frame{k:03d}.png", (0, 255, 0))


def autolaparo(folder, case="01"):
    text(folder / "videos" / f"{case}.mp4", "a film")
    text(folder / "labels" / f"label_{case}.txt", "Frame\tPhase\n1\t1\n2\t2\n3\t7\n")


def autolaparo_masks(folder):
    for k in range(2):
        picture(folder / "imgs" / f"07_{k:03d}.jpg")
        picture(folder / "masks" / f"07_{k:03d}.png", [[0, 20, 40, 180]])


def bypass(folder, centre="bern", case="BBP01"):
    def interval(start, end, label, name):
        return {"start": start, "end": end, "label_id": label, "label_name": name}

    labels = {
        "phases": [
            interval(0, 2000, 0, "preparation"),
            interval(2000, 4000, 1, "gastric_pouch_creation"),
            interval(1000, 2000, 12, "out_of_body"),
        ],
        "steps": [],
    }
    text(folder / "labels" / centre / "labels_by70" / f"{case}.mp4.json", json.dumps(labels))
    for k in range(1, 5):
        picture(folder / "labels" / centre / "labels_by70_splits" / "frames" / case / f"img{k}.jpg")


def own_case(folder, case="case1", frames=10):
    video(folder / case / "video.mp4", frames, 5)
    rows = [f"{k}\t{'Preparation' if k < 5 else 'ClippingCutting'}" for k in range(frames)]
    text(folder / case / "video-phase.txt", "\n".join(["Frame\tPhase", *rows]) + "\n")
    tools = [f"{k}\t1\t0\t0\t0\t0\t0\t0" for k in range(frames)]
    text(folder / case / "video-tool.txt", "\n".join([TOOLS, *tools]) + "\n")
    text(folder / case / "tips.csv", "frame,tool,x_px,y_px\n3,grasper,10.5,20.0\n")
    picture(folder / case / "masks" / "000003.png", [[0, 1]])
    text(folder / "classes.json", json.dumps({"0": "background", "1": "grasper"}))


def frames_of(folder, case=0):
    return list(open_labelled_set(folder).cases[case].frames())


def test_cholec80_gives_a_frame_each_second_with_the_phase_of_that_frame_and_its_tools(tmp_path):
    cholec80(tmp_path)
    cholec80(tmp_path, "video02")
    found = open_labelled_set(tmp_path)
    assert (found.layout, [case.name for case in found.cases]) == ("Cholec80", ["video01", "video02"])
    frames = list(found.cases[0].frames())
    assert [frame.in_video for frame in frames] == [0, 25, 50, 75]
    assert [frame.phase for frame in frames] == [0, 0, 1, 1]
    assert [frame.t_s for frame in frames] == [0, 1, 2, 3]
    assert frames[2].tools == (True, False, True, False, False, False, False)
    assert frames[0].picture == tmp_path / "videos" / "video01.mp4"


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda f: (f / "videos" / "video01.mp4").unlink(), "a video a case"),
        (lambda f: text(f / "videos" / "video02.mp4", "x"), "phases in phase_annotations of video02, found none"),
        (lambda f: text(f / "tool_annotations" / "video01-tool.txt", f"{TOOLS}\n0" + "\t0" * 7 + "\n1" + "\t0" * 7),
         "every 25th frame, 1/s, found 1 after 0"),
        (lambda f: text(f / "tool_annotations" / "video01-tool.txt", f"{TOOLS}\n100" + "\t0" * 7 + "\n125" + "\t0" * 7),
         "frames until 99, as video01-phase.txt has, found 125"),
        (lambda f: text(f / "phase_annotations" / "video01-phase.txt", "Frame Phase\n0 0\n25 0\n50 1\n"),
         "declared 25/s, found every 25th frame"),
        (lambda f: text(f / "phase_annotations" / "video01-phase.txt", "Frame Phase\n0 0\n1 0\n3 1\n"),
         "rise by 1, found 3 after 1|rise by 2, found 1 after 0"),
    ],
)  # fmt: skip
def test_an_irregular_cholec80_is_refused_by_name(tmp_path, spoil, complaint):
    cholec80(tmp_path)
    spoil(tmp_path)
    with pytest.raises(InputError, match=complaint):
        frames_of(tmp_path)


def test_cholecseg8k_reads_watershed_masks_and_knows_whose_operation_a_clip_is(tmp_path):
    cholecseg8k(tmp_path)
    cholecseg8k(tmp_path, "video01_00160", 160)
    found = open_labelled_set(tmp_path)
    assert [case.name for case in found.cases] == ["video01_00080", "video01_00160"]
    assert {case.patient for case in found.cases} == {"cholec80/video01"}
    frame = next(found.cases[1].frames())
    assert frame.picture.name == "frame_160_endo.png"
    names = np.array([*found.classes, *["?"] * 243])
    ids = frame.mask.read()
    assert names[ids[0]].tolist() == ["Black Background", "Liver"]
    assert (names[ids[1, 0]], ids[1, 1]) == ("Grasper", IGNORED)


def test_the_same_operation_has_the_same_patient_in_cholec80_and_cholecseg8k(tmp_path):
    cholec80(tmp_path / "a")
    cholecseg8k(tmp_path / "b")
    patients = [open_labelled_set(tmp_path / name).cases[0].patient for name in "ab"]
    assert patients[0] == patients[1]


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        ("video01/video01_00080/frame_81_endo_watershed_mask.png", "a watershed mask of every number, found 82 after"),
        ("video01/video01_00080/frame_82_endo_watershed_mask.png", "a frame and a watershed mask of number 82"),
        ("video01/video01_00080/frame_80_endo.png", "a frame and a watershed mask of number 80"),
    ],
)
def test_an_incomplete_clip_of_cholecseg8k_is_refused(tmp_path, spoil, complaint):
    cholecseg8k(tmp_path)
    (tmp_path / spoil).unlink()
    with pytest.raises(InputError, match=complaint):
        open_labelled_set(tmp_path)


def test_a_clip_in_the_folder_of_another_operation_is_refused(tmp_path):
    cholecseg8k(tmp_path)
    (tmp_path / "video01" / "video01_00080").rename(tmp_path / "video01" / "video09_00080")
    with pytest.raises(InputError, match="a clip of video01, found video09_00080"):
        open_labelled_set(tmp_path)


def test_endovis17_gives_types_or_parts_of_the_left_frames(tmp_path):
    endovis17(tmp_path)
    types = next(open_labelled_set(tmp_path).cases[0].frames())
    assert types.picture.parent.name == "left_frames"
    assert types.mask.read().tolist() == [[2, 1, 1, 7]]
    parts = read_endovis17_set(tmp_path, parts=True)
    frames = list(parts.cases[0].frames())
    assert [frame.t_s for frame in frames] == [0, 0.5]
    assert frames[0].mask.read().tolist() == [[1, 3, 3, IGNORED]]
    assert parts.classes[1:4] == ("shaft", "wrist", "claspers")


def test_an_irregular_sequence_of_endovis17_is_refused(tmp_path):
    endovis17(tmp_path)
    truth = tmp_path / "instrument_dataset_1" / "ground_truth"
    picture(truth / "Left_Prograsp_Forceps_labels" / "frame001.png", [[15, 0, 0, 0]])
    frames = read_endovis17_set(tmp_path, parts=True).cases[0].frames()
    next(frames)
    with pytest.raises(InputError, match=r"parts 10, 20, 30, 40, found 15"):
        next(frames).mask.read()
    (truth / "Other_labels" / "frame001.png").unlink()
    with pytest.raises(InputError, match=r"a mask of each of the 2 frames, found none of frame001\.png"):
        open_labelled_set(tmp_path)
    for folder in truth.iterdir():
        folder.rename(folder.with_name(folder.name.removesuffix("_labels")))
    with pytest.raises(InputError, match=r"a folder \*_labels"):
        open_labelled_set(tmp_path)


def test_endovis18_is_read_by_the_colours_of_its_labels_json(tmp_path):
    endovis18(tmp_path)
    found = open_labelled_set(tmp_path)
    assert found.cases[0].patient == "endovis18/seq_1"
    ids = next(found.cases[0].frames()).mask.read()
    assert found.classes[int(ids[0, 0])] == "instrument-shaft"


def test_an_irregular_release_of_endovis18_is_refused(tmp_path):
    endovis18(tmp_path)
    release = tmp_path / "miccai_challenge_2018_release_1"
    other = [*CLASSES18, {"name": "thread", "color": [1, 2, 3], "classid": 6}]
    text(release / "labels.json", json.dumps(other))
    with pytest.raises(InputError, match=r"the colours and ids of EndoVis 2018, found \(1, 2, 3\) with id 6"):
        open_labelled_set(tmp_path)
    (release / "labels.json").unlink()
    with pytest.raises(InputError, match=r"a labels\.json beside or above it, found none"):
        open_labelled_set(tmp_path)
    (release / "seq_1" / "labels" / "frame001.png").unlink()
    with pytest.raises(InputError, match="a frame and a label picture of number 1"):
        open_labelled_set(tmp_path)


def test_autolaparo_counts_frames_and_phases_from_one(tmp_path):
    autolaparo(tmp_path)
    found = open_labelled_set(tmp_path)
    frames = list(found.cases[0].frames())
    assert [found.phases.classes[frame.phase] for frame in frames][::2] == ["Preparation", "Washing"]
    assert [frame.in_video for frame in frames] == [0, 25, 50]


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        ("Frame\tPhase\n0\t1\n1\t1\n", "frames 1, 2, 3 at 1/s, found 0 to 1"),
        ("Frame\tPhase\n1\t0\n2\t1\n", "phases from 1 to 7, found 0"),
        ("Frame\tPhase\n1\t8\n2\t1\n", "found 8"),
    ],
)
def test_irregular_phases_of_autolaparo_are_refused(tmp_path, labels, complaint):
    autolaparo(tmp_path)
    text(tmp_path / "labels" / "label_01.txt", labels)
    with pytest.raises(InputError, match=complaint):
        frames_of(tmp_path)


def test_masks_of_autolaparo_are_steps_of_twenty_and_nobody_knows_whose_they_are(tmp_path):
    autolaparo_masks(tmp_path)
    found = open_labelled_set(tmp_path)
    assert [case.patient for case in found.cases] == [None]
    names = [found.classes[k] for k in next(found.cases[0].frames()).mask.read()[0]]
    assert names == ["background", "grasping forceps, manipulator", "grasping forceps, shaft", "uterus"]
    picture(tmp_path / "odd.png", [[0, 30]])
    with pytest.raises(InputError, match=r"values 0, 20, \.\.\. 180 of AutoLaparo, found 30"):
        read_autolaparo_mask(tmp_path / "odd.png")
    (tmp_path / "masks" / "07_001.png").unlink()
    with pytest.raises(InputError, match="a picture and a mask of 07_001"):
        open_labelled_set(tmp_path)


def test_multibypass140_gives_a_frame_each_second_and_marks_what_is_outside_the_body(tmp_path):
    bypass(tmp_path)
    frames = frames_of(tmp_path)
    assert [frame.picture.name for frame in frames] == ["img1.jpg", "img2.jpg", "img3.jpg", "img4.jpg"]
    assert [frame.phase for frame in frames] == [0, 0, 1, 1]
    assert [frame.in_body for frame in frames] == [True, False, True, True]


def test_an_operation_of_multibypass140_without_its_pictures_is_refused(tmp_path):
    bypass(tmp_path)
    frames = tmp_path / "labels" / "bern" / "labels_by70_splits" / "frames" / "BBP01"
    for k in (3, 4):
        (frames / f"img{k}.jpg").unlink()
    with pytest.raises(InputError, match="img1 to img4, found img1 to img2"):
        frames_of(tmp_path)
    frames.rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="a video or frames of BBP01, found neither"):
        open_labelled_set(tmp_path)


def test_an_interval_of_multibypass140_that_no_operation_lasts_is_refused(tmp_path):
    """Such a number must not be a length of memory to ask for."""
    bypass(tmp_path)
    path = tmp_path / "labels" / "bern" / "labels_by70" / "BBP01.mp4.json"
    text(path, path.read_text().replace("4000", "4000000000000000"))
    with pytest.raises(InputError, match=r"phases 1: expected an end within \d+ hours, in ms, found 4000000000000000"):
        frames_of(tmp_path)


def test_a_video_of_multibypass140_is_used_and_must_be_as_long_as_its_labels(tmp_path):
    bypass(tmp_path)
    film = tmp_path / "datasets" / "MultiBypass140" / "BernBypass70" / "videos" / "BBP01.mp4"
    video(film, 40, 10)
    assert [frame.in_video for frame in frames_of(tmp_path)] == [0, 10, 20, 30]
    video(film, 15, 10)
    with pytest.raises(InputError, match=r"4 s, as BBP01\.mp4\.json has, found 2 s"):
        frames_of(tmp_path)


def test_case_folders_of_ones_own_give_everything_that_is_in_them(tmp_path):
    own_case(tmp_path)
    found = open_labelled_set(tmp_path)
    assert (found.layout, found.classes) == ("case folders", ("background", "grasper"))
    frames = list(found.cases[0].frames())
    assert [frame.phase for frame in frames] == [0] * 5 + [2] * 5
    assert frames[3].tips == (("grasper", 10.5, 20.0),)
    assert frames[4].tips == ()
    assert frames[3].mask.read().tolist() == [[0, 1]]
    assert frames[4].mask is None


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda f: (f / "case1" / "video.mp4").unlink(), "one video, found none"),
        (lambda f: (f / "case1" / "video-tool.txt").unlink(), r"a video-tool\.txt, as other cases have"),
        (lambda f: (f / "classes.json").unlink(), r"a classes\.json that names the ids"),
        (lambda f: text(f / "case1" / "tips.csv", "frame,tool,x_px,y_px\n3,grasper,far\n"), "line 2: expected frame"),
        (lambda f: text(f / "case1" / "video-phase.txt", "Frame\tPhase\n" + "".join(f"{k}\t0\n" for k in range(11))),
         r"frames below 10, as video\.mp4 has, found 10"),
        (lambda f: text(f / "case1" / "masks" / "classes.json", '{"0": "background", "1": "hook"}'),
         "masks of background, hook, found background, grasper"),
    ],
)  # fmt: skip
def test_irregular_case_folders_are_refused(tmp_path, spoil, complaint):
    own_case(tmp_path)
    own_case(tmp_path, "case2")
    spoil(tmp_path)
    with pytest.raises(InputError, match=complaint):
        frames_of(tmp_path)


def test_a_folder_of_no_layout_or_of_two_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"Cholec80, .* found none of them"):
        open_labelled_set(tmp_path)
    with pytest.raises(InputError, match="the folder of a data set, found none"):
        open_labelled_set(tmp_path / "nowhere")
    cholec80(tmp_path)
    endovis17(tmp_path)
    with pytest.raises(InputError, match="found Cholec80 and EndoVis 2017"):
        open_labelled_set(tmp_path)


@pytest.mark.parametrize(
    "make", [cholec80, cholecseg8k, endovis17, endovis18, autolaparo, autolaparo_masks, bypass, own_case]
)
def test_the_check_of_a_data_set_finds_the_cases_that_training_reads(tmp_path, make):
    """Else a card's splits would name cases that only one of the two knows."""
    make(tmp_path)
    labelled = open_labelled_set(tmp_path)
    cases, _ = take_inventory(tmp_path)
    assert list(cases) == [case.name for case in labelled.cases]
    for case in labelled.cases:
        frames, checked = list(case.frames()) if make not in (own_case,) else [], cases[case.name]
        assert {frame.picture for frame in frames if frame.in_video is None} <= {*checked.pictures} or make is bypass


@pytest.mark.parametrize(
    ("read", "complaint"),
    [
        (read_cholecseg8k_set, "expected clips videoNN/videoNN_NNNNN, found none"),
        (read_endovis17_set, "expected sequences instrument_dataset_N, found none"),
        (read_endovis18_set, "expected sequences seq_N with left_frames, found none"),
        (read_autolaparo_masks, "imgs: expected pictures, found none"),
        (read_cholec80_set, "phase_annotations: expected a folder with phases a case, found none"),
        (read_autolaparo_set, "labels: expected a folder with phases a case, found none"),
        (read_multibypass140_set, r"expected labels/<centre>/labels_by70/\*\.mp4\.json, found none"),
        (read_case_folders, r"expected case folders with a video-phase\.txt, found none"),
    ],
)
def test_a_folder_without_what_a_layout_is_known_by_is_refused_by_its_reader(tmp_path, read, complaint):
    with pytest.raises(InputError, match=complaint):
        read(tmp_path)


def test_a_file_is_no_folder_of_a_data_set(tmp_path):
    text(tmp_path / "set", "x")
    with pytest.raises(InputError, match="set: expected the folder of a data set, found a file"):
        open_labelled_set(tmp_path / "set")


def test_frames_of_a_sequence_have_a_folder_and_a_number_each_of_its_own(tmp_path):
    endovis17(tmp_path)
    frames = tmp_path / "instrument_dataset_1" / "left_frames"
    coloured(frames / "frame1.png", (9, 8, 7))
    with pytest.raises(InputError, match=r"one file of number 1, found frame001\.png and frame1\.png"):
        open_labelled_set(tmp_path)
    for path in frames.iterdir():
        path.rename(path.with_name(path.name.replace("frame", "frame-")))
    with pytest.raises(InputError, match=r"files frame\* of \.png, found none"):
        open_labelled_set(tmp_path)
    frames.rename(frames.with_name("frames"))
    with pytest.raises(InputError, match="left_frames: expected a folder with a frame a file, found none"):
        open_labelled_set(tmp_path)


def test_a_sequence_of_endovis18_that_is_there_twice_is_refused(tmp_path):
    endovis18(tmp_path)
    (tmp_path / "miccai_challenge_2018_release_1").rename(tmp_path / "release_1")
    endovis18(tmp_path)
    with pytest.raises(InputError, match="one seq_1, found two"):
        open_labelled_set(tmp_path)


def test_masks_of_autolaparo_without_any_picture_are_refused(tmp_path):
    autolaparo_masks(tmp_path)
    for path in (tmp_path / "imgs").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="imgs: expected pictures, found none"):
        open_labelled_set(tmp_path)


@pytest.mark.parametrize(
    ("phases", "complaint"),
    [
        ("".join(f"{k}\t0\n" for k in range(0, 100, 2)), "every frame, 25/s, found 2 after 0"),
        ("".join(f"{k}\t-1\n" for k in range(100)), "at least one phase, found only undefined ones"),
    ],
)
def test_phases_of_cholec80_are_known_and_of_every_frame(tmp_path, phases, complaint):
    cholec80(tmp_path)
    text(tmp_path / "phase_annotations" / "video01-phase.txt", f"Frame\tPhase\n{phases}")
    with pytest.raises(InputError, match=complaint):
        frames_of(tmp_path)


def test_files_of_cholec80_under_other_names_are_no_cases(tmp_path):
    cholec80(tmp_path)
    (tmp_path / "tool_annotations" / "video01-tool.txt").rename(tmp_path / "tool_annotations" / "tools1.txt")
    with pytest.raises(InputError, match="tool_annotations: expected tools a case, named as the publisher does"):
        open_labelled_set(tmp_path)


@pytest.mark.parametrize("names", [{"0": "background", "2": "grasper"}, ["background", "grasper"], "grasper"])
def test_names_of_mask_ids_count_from_zero_without_a_gap(tmp_path, names):
    own_case(tmp_path)
    text(tmp_path / "classes.json", json.dumps(names))
    with pytest.raises(InputError, match=r"classes\.json: expected names of the ids 0, 1, 2, \.\.\., found"):
        open_labelled_set(tmp_path)


def test_a_simulated_case_names_the_classes_of_its_masks_itself(tmp_path):
    own_case(tmp_path)
    (tmp_path / "classes.json").unlink()
    text(tmp_path / "case1" / "case.json", json.dumps({"classes": ["background", "hook"]}))
    assert open_labelled_set(tmp_path).classes == ("background", "hook")
    text(tmp_path / "case1" / "case.json", json.dumps({"classes": 2}))
    with pytest.raises(InputError, match=r"masks: expected a classes\.json that names the ids, found none"):
        open_labelled_set(tmp_path)


def test_a_case_has_one_video_and_that_can_be_opened(tmp_path):
    own_case(tmp_path)
    text(tmp_path / "case1" / "video.mp4", "no film")
    with pytest.raises(InputError, match=r"video\.mp4: expected a video with frames, found 0 frames at 0/s"):
        frames_of(tmp_path)
    text(tmp_path / "case1" / "video.avi", "no film")
    with pytest.raises(InputError, match=r"one video, found video\.(avi, video\.mp4|mp4, video\.avi)"):
        open_labelled_set(tmp_path)


@pytest.mark.parametrize("place", ["nan,20.0", "10.5,inf", "10.5", "10.5,20.0,3", "left,20.0"])
def test_a_tip_that_is_nowhere_is_refused_with_its_line(tmp_path, place):
    own_case(tmp_path)
    text(tmp_path / "case1" / "tips.csv", f"frame,tool,x_px,y_px\n3,grasper,1.0,2.0\n4,grasper,{place}\n")
    with pytest.raises(InputError, match=r"tips\.csv, line 3: expected frame,tool,x_px,y_px, found '4,grasper,"):
        frames_of(tmp_path)


@pytest.mark.parametrize("blank", ["\x1c", "\u2003\n", "\ufeff", " \r\n"])
def test_a_file_of_nothing_but_blanks_is_an_empty_one(tmp_path, blank):
    own_case(tmp_path)
    (tmp_path / "case1" / "video-tool.txt").write_text(blank, "utf-8")
    with pytest.raises(InputError, match=r"video-tool\.txt: expected .*, found an empty file"):
        frames_of(tmp_path)


PARSED = {
    "case1/video-phase.txt": own_case,
    "case1/video-tool.txt": own_case,
    "case1/tips.csv": own_case,
    "case1/masks/000003.png": own_case,
    "classes.json": own_case,
    "phase_annotations/video01-phase.txt": cholec80,
    "tool_annotations/video01-tool.txt": cholec80,
    "labels/label_01.txt": autolaparo,
    "labels/bern/labels_by70/BBP01.mp4.json": bypass,
    "miccai_challenge_2018_release_1/labels.json": endovis18,
    "video01/video01_00080/frame_80_endo_watershed_mask.png": cholecseg8k,
    "instrument_dataset_1/ground_truth/Other_labels/frame000.png": endovis17,
    "masks/07_000.png": autolaparo_masks,
}
"""A file that is parsed, and what makes the data set that it is in."""


@pytest.fixture(scope="module", params=list(PARSED))
def parsed(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parsed")
    PARSED[request.param](folder)
    return folder, folder / request.param, (folder / request.param).read_bytes()


@settings(max_examples=30, deadline=None)
@given(
    data=st.one_of(
        st.tuples(st.just(b""), st.binary(max_size=120), st.just(0)),
        st.tuples(st.just(b""), st.text('0123456789-.,\t\n[]{}:" aNI\u00e9', max_size=80).map(str.encode), st.just(0)),
        st.tuples(st.none(), st.binary(max_size=6), st.integers(0, 400)),
    )
)
def test_a_file_with_any_bytes_in_it_is_read_or_refused_by_name(parsed, data):
    """Other bytes altogether, or the true ones with a few of them replaced."""
    folder, path, whole = parsed
    before, bytes_, at = data
    at = min(at, len(whole))
    path.write_bytes(before + bytes_ if before is not None else whole[:at] + bytes_ + whole[at + len(bytes_) :])
    try:
        for frame in frames_of(folder):
            if frame.mask is not None:
                assert frame.mask.read().ndim == 2
    except InputError as error:
        assert str(error).count("expected") >= 1
        assert str(folder) in str(error)
