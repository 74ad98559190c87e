"""From a hospital's own case folders to a model folder that loads: `surgical-ml learn frame`, then `learn phase`."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (pip install 'surgical_ml[train]')")
pytest.importorskip("albumentations", reason="needs albumentations (pip install 'surgical_ml[train]')")

from surgical_ml.engine import load_model, open_engine  # noqa: E402
from surgical_ml.errors import InputError  # noqa: E402
from surgical_ml.labels import LabelledSet, open_labelled_set  # noqa: E402
from surgical_ml.learning.classes import SIMULATED  # noqa: E402
from surgical_ml.learning.frames import ANY_TOOL, IGNORED, NOT_A_TOOL, StoredFrames  # noqa: E402
from surgical_ml.learning.targets import mask_targets  # noqa: E402
from surgical_ml.learning.user_data import UserData, decode, open_user_data, prepare_frames, see_labelled  # noqa: E402
from surgical_ml.simulation import simulate  # noqa: E402

pytestmark = pytest.mark.train

CARD = {"schema": 1, "name": "ours", "licence": "CC-BY-4.0", "de_identified": True, "phase_fps": 4, "video_fps": 4}


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """Three operations in case folders, with a card."""
    folder = tmp_path_factory.mktemp("ours")
    simulate(folder, cases=3, seed=40, size=(320, 192), fps=4, duration_s=45)
    (folder / "dataset.json").write_text(json.dumps(CARD))
    return folder


def edit(folder, **changes):
    (folder / "dataset.json").write_text(json.dumps({**CARD, **changes}))


@pytest.fixture
def card(ours):
    yield lambda **changes: edit(ours, **changes)
    edit(ours)


def command(*arguments):
    there = dict(os.environ, OMP_NUM_THREADS="2")
    line = [sys.executable, "-m", "surgical_ml.cli", *map(str, arguments)]
    return subprocess.run(line, env=there, capture_output=True, text=True, check=False, timeout=600)


def test_a_hospital_gets_a_model_folder_from_its_own_cases(ours, tmp_path):
    frame = command("learn", "frame", ours, "--out", tmp_path / "frame", "--start", "cholecystectomy",
                    "--steps", 3, "--batch", 2, "--frames", 6)  # fmt: skip
    assert frame.returncode == 0, frame.stderr
    assert "iou_instrument" in frame.stdout
    phase = command("learn", "phase", ours, "--out", tmp_path / "phase", "--start", tmp_path / "frame",
                    "--steps", 3, "--moments", 20, "--length", 10, "--name", "hospital/1", "--json")  # fmt: skip
    assert phase.returncode == 0, phase.stderr
    assert set(json.loads(phase.stdout)) > {"phase_accuracy_mean", "ece", "ece_uncalibrated"}
    model = load_model(tmp_path / "phase" / "model" / "hospital" / "1")
    assert model.manifest.tools == SIMULATED.tools
    assert "CC-BY-4.0" in (model.folder / "card.md").read_text()
    seen = open_engine("onnxruntime", model.file("frame")).run({"image": np.zeros((1, 3, 192, 320), np.float32)})
    assert seen["segmentation"].shape == (1, len(SIMULATED.segmentation), 48, 80)
    described = json.loads((tmp_path / "frame" / "run.json").read_text())["configuration"]
    assert sorted(described["splits"]) == ["test", "train", "validation"]
    assert len(described["data_sha256"]) == 64
    again = command("learn", "frame", ours, "--out", tmp_path / "frame")
    assert again.returncode == 2
    assert "expected no run yet, or --resume, found a run.json" in again.stderr


def test_a_data_set_that_does_not_pass_its_check_is_not_trained_on(ours, card):
    card(de_identified=False)
    with pytest.raises(InputError, match=r"passes `surgical-ml data check`.*de-identification-missing"):
        open_user_data(ours)


def test_a_patient_in_two_splits_stops_training(ours, card):
    names = [f"case{k:05d}" for k in (40, 41, 42)]
    splits = {split: [name] for split, name in zip(("train", "val", "test"), names, strict=True)}
    card(splits=splits, patients={names[0]: "p1", names[1]: "p2", names[2]: "p1"})
    with pytest.raises(InputError, match="patient-in-two-splits"):
        open_user_data(ours)
    card(splits=splits)
    assert open_user_data(ours).splits == {"train": (names[0],), "validation": (names[1],), "test": (names[2],)}


def test_prepared_frames_hold_what_the_case_folders_say(ours, tmp_path):
    data = open_user_data(ours)
    prepare_frames(data, tmp_path, SIMULATED, a_case=5, progress=lambda done, total: None)
    for split, names in data.splits.items():
        frames = StoredFrames(tmp_path / split).take(np.arange(5 * len(names)))
        assert (frames.tips_known == 1).all()
        assert (frames.mask < NOT_A_TOOL).all()
        assert not np.isnan(frames.presence).any()
        assert np.isnan(frames.quality).all()
        shown = {int(k) for k in np.unique(frames.mask)}
        assert shown >= {SIMULATED.segmentation.index("liver")}
    # tools said to be there are in the mask, a few at the border excepted
    assert (frames.presence[:, 0] > 0).sum() >= 1


def test_masks_of_two_tools_say_nothing_of_the_presence_of_the_others(tmp_path):
    clip = tmp_path / "video01" / "video01_00080"
    clip.mkdir(parents=True)
    mask = np.full((192, 320), 0x12, np.uint8)
    mask[:60] = 0x31
    cv2.imwrite(str(clip / "frame_80_endo.png"), np.full((192, 320, 3), 90, np.uint8))
    cv2.imwrite(str(clip / "frame_80_endo_watershed_mask.png"), mask)
    names = {"train": ("video01_00080",), "validation": (), "test": ()}
    data = UserData(open_labelled_set(tmp_path), names, "")
    prepare_frames(data, tmp_path / "out", SIMULATED, a_case=3, progress=lambda done, total: None)
    presence = dict(
        zip(SIMULATED.tools, StoredFrames(tmp_path / "out" / "train").take(np.array([0])).presence[0], strict=True)
    )
    assert (presence["grasper"], presence["hook"]) == (1.0, 0.0)
    assert all(np.isnan(presence[name]) for name in SIMULATED.tools if name not in ("grasper", "hook"))


def test_a_frame_of_a_video_is_the_one_with_its_number_whichever_are_asked_for(ours):
    frames = list(open_labelled_set(ours).cases[0].frames())
    whole = list(decode(frames))
    chosen = [2, 3, 90, 91, 170, 4]
    for k, image in zip(chosen, decode([frames[k] for k in chosen]), strict=True):
        assert np.array_equal(image, whole[k])
    with pytest.raises(InputError, match="frame 100000, found the end"):
        list(decode([replace(frames[0], in_video=100_000)]))


def test_a_case_is_seen_as_a_sequence_with_its_next_phase(ours):
    from surgical_ml.learning.frame_net import FEATURES, FrameNet

    case = open_labelled_set(ours).cases[0]
    seen = see_labelled(FrameNet().eval(), case, 12)
    assert seen.features.shape == (12, FEATURES)
    truth = [frame.phase for frame in case.frames()]
    order = [phase for k, phase in enumerate(truth) if k == 0 or truth[k - 1] != phase]
    for phase, following in zip(seen.phase.tolist(), seen.next_phase.tolist(), strict=True):
        place = order.index(phase)
        assert following == order[min(place + 1, len(order) - 1)]
    assert seen.progress[-1] == pytest.approx(1.0)


def masks_of(layout, classes, ours):
    return mask_targets(LabelledSet(layout, ours, "", None, None, classes, ()), SIMULATED)


def test_classes_of_published_sets_become_ours_or_what_is_known_of_them(tmp_path):
    hook, grasper = (SIMULATED.segmentation.index(name) for name in ("hook", "grasper"))
    assert masks_of("CholecSeg8k", ("Fat", "L-hook Electrocautery"), tmp_path)[:2].tolist() == [0, hook]
    table = masks_of("EndoVis 2017", ("background", "Prograsp Forceps", "Vessel Sealer"), tmp_path)
    assert table[:3].tolist() == [NOT_A_TOOL, grasper, ANY_TOOL]
    assert masks_of("EndoVis 2018", ("kidney-parenchyma", "instrument-wrist"), tmp_path)[:2].tolist() == [
        NOT_A_TOOL,
        ANY_TOOL,
    ]
    assert table[IGNORED] == IGNORED
    with pytest.raises(InputError, match="mask class stapler: expected one of background, grasper"):
        masks_of("case folders", ("background", "stapler"), tmp_path)


def test_a_network_with_a_class_for_wristed_instruments_gets_them_as_that(tmp_path):
    classes = replace(SIMULATED, tools=(*SIMULATED.tools, "robotic_instrument"))
    robotic = classes.segmentation.index("robotic_instrument")
    labelled = LabelledSet("EndoVis 2018", tmp_path, "", None, None, ("thread", "instrument-shaft"), ())
    assert mask_targets(labelled, classes)[:2].tolist() == [NOT_A_TOOL, robotic]
