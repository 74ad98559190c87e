"""One lens in front of one sensor: how a direction becomes a pixel, and back."""

from typing import Any, Literal, cast

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from surgical_ml.calibration.rigid import Floats

LensModel = Literal["pinhole", "rational", "fisheye"]
DISTORTION_NAMES: dict[str, tuple[str, ...]] = {
    "pinhole": ("k1", "k2", "p1", "p2", "k3"),
    "rational": ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "fisheye": ("k1", "k2", "k3", "k4"),
}
UNDISTORT = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 60, 1e-10)


class Stated(BaseModel):
    """What a calibration file states: frozen, and with nothing in it that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Lens(Stated):
    """Intrinsic parameters, in pixels of an undistorted-size image with the origin in the first pixel's centre.

    `pinhole` is OpenCV's five radial-tangential coefficients (ROS plumb_bob), `rational` its eight, `fisheye` its
    four-coefficient equidistant model.
    """

    model: LensModel
    fx: float = Field(gt=0)
    fy: float = Field(gt=0)
    cx: float
    cy: float
    distortion: tuple[float, ...]
    image_size: tuple[int, int] | None = Field(None, description="width, height; None where a file does not say")

    @model_validator(mode="after")
    def _is_plausible(self) -> "Lens":
        names = DISTORTION_NAMES[self.model]
        if len(self.distortion) != len(names):
            raise ValueError(
                f"expected {len(names)} distortion coefficients ({', '.join(names)}) for a {self.model} lens, "
                f"found {len(self.distortion)}"
            )
        if self.image_size is not None:
            width, height = self.image_size
            if width < 1 or height < 1:
                raise ValueError(f"expected a positive image size, found {width}x{height}")
            if not (-width < self.cx < 2 * width and -height < self.cy < 2 * height):
                raise ValueError(
                    f"expected a principal point near the {width}x{height} image, found {self.cx:.1f}, {self.cy:.1f}"
                )
        return self

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of `parameters`, in order: fx, fy, cx, cy, then the distortion's."""
        return ("fx", "fy", "cx", "cy", *DISTORTION_NAMES[self.model])

    @property
    def parameters(self) -> Floats:
        """All numbers as one vector (4 + n,), as the solvers see them."""
        return np.array([self.fx, self.fy, self.cx, self.cy, *self.distortion])

    @property
    def matrix(self) -> Floats:
        """The camera matrix (3, 3)."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    @property
    def coefficients(self) -> Floats:
        """The distortion (n,) as OpenCV takes it."""
        return np.array(self.distortion)

    def with_parameters(self, vector: Floats) -> "Lens":
        """The same kind of lens with other numbers, (4 + n,)."""
        fx, fy, cx, cy, *rest = (float(value) for value in vector)
        return self.model_copy(update={"fx": fx, "fy": fy, "cx": cx, "cy": cy, "distortion": tuple(rest)})

    def with_image_size(self, size: tuple[int, int]) -> "Lens":
        """The same lens with its image size stated; raises pydantic's error where they cannot belong together."""
        return Lens.model_validate({**self.model_dump(), "image_size": size})

    def project(self, points: Floats) -> Floats:
        """Pixels (N, 2) of points (N, 3) in the optical frame, any unit; points behind the camera give NaN."""
        pixels, _ = self.project_with_jacobian(points, np.zeros(3), np.zeros(3))
        pixels[np.asarray(points)[:, 2] <= 0] = np.nan
        return pixels

    def project_with_jacobian(self, points: Floats, turn: Floats, shift: Floats) -> tuple[Floats, Floats]:
        """Pixels of points moved by a rotation vector (3,) and a translation (3,), and how they change.

        Returns:
            (N, 2) pixels, and (2N, 6 + 4 + n) derivatives by rotation vector, translation, fx, fy, cx, cy and
            distortion, two rows (x, y) to a point.
        """
        flat = np.ascontiguousarray(points, dtype=np.float64).reshape(-1, 1, 3)
        turn, shift = np.ascontiguousarray(turn, float), np.ascontiguousarray(shift, float)
        if self.model == "fisheye":
            found, raw = cv2.fisheye.projectPoints(flat, turn, shift, self.matrix, self.coefficients)
            # OpenCV orders the fisheye derivatives f, c, k, rotation, translation, skew.
            jacobian = np.hstack([raw[:, 8:14], raw[:, 0:8]])
        else:
            found, raw = cv2.projectPoints(flat, turn, shift, self.matrix, self.coefficients)
            jacobian = raw[:, : 6 + 4 + len(self.distortion)]
        return cast(Floats, found.reshape(-1, 2)), cast(Floats, jacobian)

    def rays(self, pixels: Floats) -> Floats:
        """Undistorted directions (N, 2), x/z and y/z, of pixels (N, 2)."""
        flat = np.ascontiguousarray(pixels, dtype=np.float64).reshape(-1, 1, 2)
        if self.model == "fisheye":
            found = cv2.fisheye.undistortPoints(flat, self.matrix, self.coefficients, criteria=UNDISTORT)
        else:
            found = cv2.undistortPoints(flat, self.matrix, self.coefficients, criteria=UNDISTORT)
        return cast(Floats, found.reshape(-1, 2))

    def undistort(self, image: Any) -> Any:
        """The image (H, W, ...) as a pinhole camera with the same matrix would show it."""
        size = (image.shape[1], image.shape[0])
        if self.model == "fisheye":
            maps = cv2.fisheye.initUndistortRectifyMap(
                self.matrix, self.coefficients, np.eye(3), self.matrix, size, cv2.CV_32FC1
            )
        else:
            maps = cv2.initUndistortRectifyMap(
                self.matrix, self.coefficients, np.eye(3), self.matrix, size, cv2.CV_32FC1
            )
        return cv2.remap(image, *maps, cv2.INTER_LINEAR)

    def fold_radius_px(self) -> float | None:
        """The distance from the principal point at which the radial polynomial turns back, or None within the image.

        Beyond it two directions share a pixel, and undistortion means nothing. Looked for out to the farthest corner
        (to twice the focal length where the image size is not stated).
        """
        if self.image_size is None:
            reach = 2 * max(self.fx, self.fy)
        else:
            width, height = self.image_size
            reach = float(np.hypot(max(self.cx, width - self.cx), max(self.cy, height - self.cy)))
        angles = np.linspace(1e-3, np.deg2rad(89.0), 2000)
        points = np.column_stack([np.tan(angles), np.zeros_like(angles), np.ones_like(angles)])
        radial = [*self.distortion]
        if self.model != "fisheye":
            radial[2:4] = [0.0, 0.0]
        plain = Lens(
            model=self.model, fx=self.fx, fy=self.fx, cx=0.0, cy=0.0, distortion=tuple(radial), image_size=None
        )
        radii = plain.project(points)[:, 0]
        turning = np.flatnonzero(np.diff(radii) <= 0)
        if turning.size == 0 or radii[turning[0]] >= reach:
            return None
        return float(radii[turning[0]])
