"""A case refuses a calibration of pictures of another size, or of another camera, before it judges one of them."""

import numpy as np
import pytest
from scripted_case import PERIOD, PROTOCOL, Networks, manifest

from surgical_ml.audit import MemoryRecorder
from surgical_ml.calibration.files import write
from surgical_ml.calibration.model import CameraCalibration, ConfidenceCalibration, OperatingPoint, Provenance, Validity
from surgical_ml.calibration.synthetic import ENDOSCOPE
from surgical_ml.config import CaseConfig
from surgical_ml.engine import Model, load_model
from surgical_ml.errors import InputError
from surgical_ml.perception import Perceiver
from surgical_ml.session import Assets
from surgical_ml.video import Frame
from surgical_ml.workflow import Certainty

CAMERA = CameraCalibration(schema="surgical_ml/camera@1", lens=ENDOSCOPE, provenance=Provenance(made_by="test"))


def opened(calibration, recorder, **values):
    networks = Networks()
    assets = Assets(
        CaseConfig.of({"calibration": "camera.yaml"} | values),
        Model("none", manifest(), "m" * 64),
        PROTOCOL,
        Perceiver(manifest(), networks.frame, networks.phase),
        calibration,
        "c" * 64,
    )
    return assets.open(recorder, case="case-1")


def frame(width, height, index=0):
    return Frame(np.full((height, width, 3), 90, np.uint8), index * PERIOD, index)


def test_the_first_frame_of_another_size_is_refused_and_nothing_recorded():
    recorder = MemoryRecorder()
    session = opened(CAMERA, recorder)
    with pytest.raises(
        InputError, match=r"camera.yaml: expected a calibration for 1280x720 pictures, found one for 1920x1080"
    ):
        session.step(frame(1280, 720))
    assert recorder.entries == []


def test_frames_of_its_size_are_judged():
    session = opened(CAMERA, MemoryRecorder())
    assert [session.step(frame(1920, 1080, index)).seq for index in range(2)] == [0, 1]


def test_a_calibration_that_states_no_size_is_refused():
    nameless = CAMERA.model_copy(update={"lens": ENDOSCOPE.model_copy(update={"image_size": None})})
    with pytest.raises(InputError, match="no image size stated"):
        opened(nameless, MemoryRecorder()).step(frame(1920, 1080))


OF_HEAD_7 = CAMERA.model_copy(update={"validity": Validity(camera="head 7")})


def test_a_calibration_of_another_camera_is_refused_and_nothing_recorded():
    recorder = MemoryRecorder()
    with pytest.raises(InputError, match="expected a calibration of camera head 8, found one of camera head 7"):
        opened(OF_HEAD_7, recorder, camera="head 8").step(frame(1920, 1080))
    assert recorder.entries == []


@pytest.mark.parametrize(("calibration", "camera"), [(OF_HEAD_7, "head 7"), (OF_HEAD_7, None), (CAMERA, "head 8")])
def test_a_calibration_of_the_same_camera_or_of_an_unknown_one_is_taken(calibration, camera):
    assert opened(calibration, MemoryRecorder(), camera=camera).step(frame(1920, 1080)).seq == 0


def test_a_calibration_of_another_camera_is_refused_before_anything_is_loaded(tmp_path):
    write(OF_HEAD_7, tmp_path / "camera.yaml")
    config = CaseConfig.of({"calibration": str(tmp_path / "camera.yaml"), "camera": "head 8", "model": "none there"})
    with pytest.raises(InputError, match="expected a calibration of camera head 8, found one of camera head 7"):
        Assets.load(config)


def test_what_is_no_hand_eye_calibration_is_refused_as_one(tmp_path):
    write(OF_HEAD_7, tmp_path / "camera.yaml")
    config = CaseConfig.of({"hand_eye": {"PSM1": str(tmp_path / "camera.yaml")}})
    with pytest.raises(
        InputError, match=r"expected a hand-eye calibration of the robot in use, found surgical_ml/camera@1"
    ):
        Assets.load(config)


def confidence_of(model_sha256, **changes):
    points = (
        OperatingPoint(accuracy=0.90, least_confidence=0.7, coverage=0.9, held_out_accuracy=0.9),
        OperatingPoint(accuracy=0.98, least_confidence=None, coverage=0.0, held_out_accuracy=None),
    )
    return ConfidenceCalibration(
        schema="surgical_ml/confidence@1",
        model_sha256=model_sha256,
        temperature=1.2,
        interval=(1.1, 1.3),
        samples=100,
        ece_before=0.1,
        ece_after=0.05,
        operating_points=points,
        provenance=Provenance(made_by="test"),
    ).model_copy(update=changes)


def test_a_confidence_calibration_of_the_model_makes_the_bands_and_is_part_of_what_a_decision_depends_on(tmp_path):
    path = tmp_path / "confidence.yaml"
    written = write(confidence_of(load_model("cholecystectomy").sha256), path)
    assets = Assets.load(CaseConfig.of({"confidence": str(path)}))
    # 98 % were never reached: nothing is of high certainty
    assert [assets.bands.of(p) for p in (1.0, 0.7, 0.69)] == [Certainty.MEDIUM, Certainty.MEDIUM, Certainty.LOW]
    assert assets.open(MemoryRecorder(), case="case-1").identity()["confidence"] == written


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (confidence_of("f" * 64), "one of f{64}"),
        (confidence_of("f" * 64, provenance=Provenance(made_by="test", example=True)), "an example of the format"),
        (OF_HEAD_7, "surgical_ml/camera@1"),
    ],
)
def test_a_confidence_calibration_of_another_model_is_refused(tmp_path, made, found):
    write(made, tmp_path / "confidence.yaml")
    with pytest.raises(InputError, match=f"a confidence calibration of the model .*found {found}"):
        Assets.load(CaseConfig.of({"confidence": str(tmp_path / "confidence.yaml")}))
