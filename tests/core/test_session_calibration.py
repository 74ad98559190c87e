"""A case refuses a calibration that was made for pictures of another size, before it judges one of them."""

import numpy as np
import pytest
from scripted_case import PERIOD, PROTOCOL, Networks, manifest

from surgical_ml.audit import MemoryRecorder
from surgical_ml.calibration.model import CameraCalibration, Provenance
from surgical_ml.calibration.synthetic import ENDOSCOPE
from surgical_ml.config import CaseConfig
from surgical_ml.engine import Model
from surgical_ml.errors import InputError
from surgical_ml.perception import Perceiver
from surgical_ml.session import Assets
from surgical_ml.video import Frame

CAMERA = CameraCalibration(schema="surgical_ml/camera@1", lens=ENDOSCOPE, provenance=Provenance(made_by="test"))


def opened(calibration, recorder):
    networks = Networks()
    assets = Assets(
        CaseConfig.of({"calibration": "camera.yaml"}),
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
