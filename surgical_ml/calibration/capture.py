"""A camera calibrated while somebody moves the pattern before it: which pictures to take, and what is still missing."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from surgical_ml.calibration.camera import calibrate_camera
from surgical_ml.calibration.lens import LensModel
from surgical_ml.calibration.model import CameraCalibration, Provenance, Validity
from surgical_ml.calibration.pattern import Pattern, find
from surgical_ml.calibration.pictures import LEAST_APART, choose, missing
from surgical_ml.calibration.rigid import Floats
from surgical_ml.calibration.view import View, placement
from surgical_ml.errors import InputError
from surgical_ml.video import Image

STILL = 0.004
"""Of the picture's width: how far the pattern may have moved since the last look. What moves is smeared, row by row."""

MOST = 60


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What one picture was good for.

    Attributes:
        verdict: `taken`; `moving` or `known` (like one that was taken) of a pattern that is seen; otherwise `not seen`.
        reason: why it was not seen; empty otherwise.
        pixels: (N, 2) the pattern's points; None where it was not seen.
    """

    verdict: Literal["taken", "moving", "known", "not seen"]
    reason: str
    pixels: Floats | None


class Capture:
    """Takes a view of the pattern whenever it is held still somewhere new.

    Args:
        pattern: what to look for.
        model: of the lens.
    """

    def __init__(self, pattern: Pattern, model: LensModel = "pinhole") -> None:
        self._pattern, self._model = pattern, model
        self._views: list[View] = []
        self._last: View | None = None

    @property
    def views(self) -> int:
        """How many were taken."""
        return len(self._views)

    @property
    def missing(self) -> tuple[str, ...]:
        """What to do with the pattern next, one short sentence each; nothing where there is enough of everything."""
        return missing(self._views)

    def look(self, image: Image, name: str) -> Look:
        """Look at a picture.

        Args:
            image: (H, W, 3) BGR.
            name: that its view will have.

        Raises:
            InputError: its size is not that of the views before it.
        """
        found = find(self._pattern, image, name)
        if not isinstance(found, View):
            self._last = None
            return Look("not seen", found, None)
        if self._views and found.image_size != self._views[0].image_size:
            wanted, size = ("x".join(map(str, view.image_size)) for view in (self._views[0], found))
            raise InputError("picture", f"{wanted} as before", size)
        before, self._last = self._last, found
        if before is None or not _same_points(before, found):
            return Look("moving", "", found.pixels)
        if len(self._views) >= MOST or any(
            placement(found).distance(placement(view)) < LEAST_APART for view in self._views
        ):
            return Look("known", "", found.pixels)
        self._views.append(found)
        return Look("taken", "", found.pixels)

    def finish(self, provenance: Provenance, validity: Validity) -> CameraCalibration:
        """Calibrate from what was taken; more can be taken afterwards.

        Raises:
            InputError: as `calibrate_camera`.
        """
        fit = calibrate_camera(choose(self._views) if self._views else [], self._model)
        return CameraCalibration(
            schema="surgical_ml/camera@1",
            lens=fit.lens,
            covariance=fit.covariance,
            quality=fit.quality,
            provenance=provenance,
            validity=validity,
        )


def _same_points(before: View, now: View) -> bool:
    if before.points.shape != now.points.shape or before.image_size != now.image_size:
        return False
    moved = np.linalg.norm(now.pixels - before.pixels, axis=1)
    return float(np.median(moved)) <= STILL * now.image_size[0]
