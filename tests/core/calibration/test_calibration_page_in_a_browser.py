"""The page of a calibration in a real browser: nothing to complain about, drawn, and no wider than the screen."""

import shutil
import subprocess

import cv2
import numpy as np
import pytest

from surgical_ml.calibration.camera import calibrate_camera
from surgical_ml.calibration.model import CameraCalibration, Provenance
from surgical_ml.calibration.synthetic import ENDOSCOPE, camera_views
from surgical_ml.evaluation.calibration_page import Side, write_calibration_page

CHROMIUM = shutil.which("chromium")
LONGEST_S = 300
"""A page takes a second or two on a machine that is idle."""

SIZE = (1280, 2600)

pytestmark = [
    pytest.mark.apt,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium; the package of that name in apt.txt brings it"),
]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """A screenshot of the page, and what the browser had to say."""
    folder = tmp_path_factory.mktemp("browser")
    fit = calibrate_camera(camera_views(np.random.default_rng(1), count=12))
    made = CameraCalibration(
        schema="surgical_ml/camera@1",
        lens=fit.lens,
        covariance=fit.covariance,
        quality=fit.quality,
        provenance=Provenance(made_by="test", method="synthetic views"),
    )
    squares = np.indices((1080, 1920)).sum(axis=0) // 60 % 2
    sample = np.repeat((40 + 160 * squares).astype(np.uint8)[..., None], 3, axis=2)
    page = write_calibration_page(folder / "camera.html", made, [Side("", ENDOSCOPE, fit.views, fit.residuals, sample)])
    picture = folder / "seen.png"
    done = subprocess.run(
        [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
            *(f"--user-data-dir={folder / 'profile'}", f"--screenshot={picture}"),
            *(f"--window-size={SIZE[0]},{SIZE[1]}", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return cv2.imread(str(picture)), done.stderr


def test_the_browser_has_nothing_to_complain_about(seen):
    said = [line for line in seen[1].splitlines() if "CONSOLE" in line or "Content Security Policy" in line]
    assert said == []


def test_coverage_and_the_undistorted_picture_are_drawn(seen):
    picture = seen[0].astype(int)
    assert picture.shape == (SIZE[1], SIZE[0], 3)
    blue = picture[..., 0] - picture[..., 2]
    assert (blue > 12).mean() > 0.02  # cells that points were seen in
    grey = picture.max(axis=2) - picture.min(axis=2) < 12
    dark = grey & (abs(picture.mean(axis=2) - 40) < 25)
    assert dark.mean() > 0.02  # the squares of the picture


def test_nothing_is_drawn_over_the_right_edge(seen):
    assert (seen[0][:, -8:] == seen[0][0, -1]).all()
