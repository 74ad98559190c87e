"""A camera that was bumped before a case, on a live graph: degraded, pixels only, announced, and recorded."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import FPS, SIZE, quiet_case, write_clip
from live import Ears, start_assistant
from surgical_ml_msgs.msg import Advisory, Phase

sys.path.insert(0, str(Path(__file__).parents[1] / "core" / "calibration"))
from surgical_ml.audit import read
from surgical_ml.calibration import CameraCalibration, Validity, files
from surgical_ml.calibration.lens import Lens
from surgical_ml.calibration.model import FieldOfView, Provenance
from surgical_ml.guidance import CALIBRATION_DOUBTFUL
from surgical_ml.ros.bringup import Bringup

LENS = Lens(model="pinhole", fx=500, fy=500, cx=320, cy=180, distortion=(0.0,) * 5, image_size=SIZE)
RADIUS = 168.0


def within_field(picture, x, y):
    columns, rows = np.meshgrid(np.arange(picture.shape[1]), np.arange(picture.shape[0]))
    light = np.clip(RADIUS + 0.5 - np.hypot(columns - x, rows - y), 0, 1)
    return (picture * light[..., None]).astype(np.uint8)


@pytest.fixture
def clip(tmp_path):
    """A minute and a half of a quiet case, whose field lies 4 px beside where it was calibrated."""
    pictures = [cv2.convertScaleAbs(within_field(one, 323.0, 182.6)) for one in quiet_case(3.0)]
    return write_clip(tmp_path / "bumped.mp4", (90 // 6) * (pictures + pictures[::-1]))


def test_a_bumped_camera_ends_in_pixels_only_with_a_technical_advisory(make_node, domain, tmp_path, clip):
    calibration = CameraCalibration(
        schema="surgical_ml/camera@1",
        lens=LENS,
        provenance=Provenance(made_by="test"),
        validity=Validity(camera="head 7", field=FieldOfView(x=320.0, y=180.0, radius=RADIUS)),
    )
    files.write(calibration, tmp_path / "camera.yaml")
    ears = Ears(make_node("ears"))
    with Bringup(tmp_path / "logs", domain) as graph:
        start_assistant(
            graph,
            tmp_path / "records",
            str(clip),
            source_fps=float(FPS),
            calibration=str(tmp_path / "camera.yaml"),
            camera="head 7",
        )
        ears.wait(lambda: ears.phase, "a judged frame")

        def announced():
            newest = ears.advisories[-1].advisories if ears.advisories else ()
            return [one for one in newest if one.code == CALIBRATION_DOUBTFUL]

        # ten seconds of the case at least, and the start of a process on a busy machine
        ears.wait(announced, "the doubt")
        (advisory,) = announced()
        assert advisory.kind == Advisory.KIND_TECHNICAL
        assert "pixels only" in advisory.text
        ears.wait(lambda: CALIBRATION_DOUBTFUL in ears.phase[-1].degraded, "a phase that is marked")
        assert ears.phase[-1].validity == Phase.VALIDITY_DEGRADED
    (folder,) = [one.parent for one in (tmp_path / "records").glob("*/audit")]
    entries = [entry["body"] for _, entry in read(folder / "audit")]
    told = {body["event"]["check"] for body in entries if body.get("event", {}).get("kind") == "calibration-residual"}
    assert told == {"field-x", "field-y", "field-radius"}
