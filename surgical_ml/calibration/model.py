"""What a calibration is: its numbers, how sure they are, where they come from and how long they hold."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, SerializerFunctionWrapHandler, StringConstraints, model_serializer, model_validator

from surgical_ml.calibration.lens import Lens, Stated
from surgical_ml.calibration.rigid import Floats, quaternion_of_rotation, rigid, rotation_of_quaternion
from surgical_ml.errors import InputError

INTERVAL_95 = 1.959964  # standard deviations either side of a 95 % interval
Rows = tuple[tuple[float, ...], ...]
# An instant as ISO 8601 in UTC: one spelling, so that instants sort and compare as text.
Instant = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]


class Covariance(Stated):
    """How sure the parameters are, as the covariance of their estimate.

    Attributes:
        parameters: their names, in the order of the matrix.
        units: the unit of each.
        matrix: rows of the covariance, in products of those units.
    """

    parameters: tuple[str, ...]
    units: tuple[str, ...]
    matrix: Rows

    @model_validator(mode="after")
    def _is_a_covariance(self) -> Self:
        n = len(self.parameters)
        if len(self.units) != n or len(self.matrix) != n or any(len(row) != n for row in self.matrix):
            raise ValueError(f"expected {n} units and a {n}x{n} matrix for {n} parameters")
        values = np.array(self.matrix)
        scale = np.sqrt(np.outer(np.diag(values).clip(min=0), np.diag(values).clip(min=0)))
        if not np.allclose(values, values.T, rtol=1e-6, atol=1e-12) or np.any(np.abs(values) > 1.0001 * scale + 1e-300):
            raise ValueError("expected a symmetric matrix whose entries do not exceed what its diagonal allows")
        return self

    @classmethod
    def of(cls, parameters: Sequence[str], units: Sequence[str], matrix: Floats) -> "Covariance":
        """From a (n, n) array, made exactly symmetric."""
        even = (matrix + matrix.T) / 2
        return cls(parameters=tuple(parameters), units=tuple(units), matrix=rows(even))

    def deviation(self, parameter: str) -> float:
        """The standard deviation of one parameter, in its unit."""
        where = self.parameters.index(parameter)
        return float(np.sqrt(self.matrix[where][where]))


class SourceFile(Stated):
    """One file a calibration was made from."""

    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Provenance(Stated):
    """Where a calibration comes from.

    Attributes:
        made_by: the program and its version.
        made_at: when; None where a foreign file does not say.
        sources: what it was made from.
        method: pattern, model and solver in a few words.
        notes: what had to be assumed; one sentence each.
        example: True for numbers made up to show the format; a case refuses them.
    """

    made_by: str
    made_at: Instant | None = None
    sources: tuple[SourceFile, ...] = ()
    method: str = ""
    notes: tuple[str, ...] = ()
    example: bool = False


class FieldOfView(Stated):
    """The round field of view as it lies in the picture: centre and radius in pixels, the notch as `notch_angle` has it."""

    x: float
    y: float
    radius: float = Field(gt=0)
    notch_deg: float | None = None


class Validity(Stated):
    """What a calibration holds for. None means that nobody stated it, which a check reports.

    Attributes:
        camera: serial number or name of the camera head.
        scope: serial number or name of the endoscope.
        valid_until: the instant after which it is too old.
        temperature_c: the range of the camera head's temperature it was made for, low and high.
        field: where the picture shows the field of view while head, scope and coupler are as they were.
    """

    camera: str | None = None
    scope: str | None = None
    valid_until: Instant | None = None
    temperature_c: tuple[float, float] | None = None
    field: FieldOfView | None = None

    @model_serializer(mode="wrap")
    def _as_ever(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without a field that nobody stated: files of before there was one keep their digest."""
        content: dict[str, Any] = written(self)
        return {name: value for name, value in content.items() if name != "field" or value is not None}


class RigidTransform(Stated):
    """A rigid motion: points of `child` frame to `parent` frame. Metres; quaternion x, y, z, w of unit length."""

    parent: str
    child: str
    translation_m: tuple[float, float, float]
    rotation_xyzw: tuple[float, float, float, float]

    @model_validator(mode="after")
    def _has_unit_length(self) -> Self:
        length = float(np.linalg.norm(self.rotation_xyzw))
        if abs(length - 1) > 1e-6:
            raise ValueError(f"expected a quaternion of unit length, found length {length:.6f}")
        return self

    @classmethod
    def of(cls, parent: str, child: str, motion: Floats) -> "RigidTransform":
        """From a (4, 4) matrix."""
        x, y, z = (float(value) for value in motion[:3, 3])
        a, b, c, d = (float(value) for value in quaternion_of_rotation(motion[:3, :3]))
        return cls(parent=parent, child=child, translation_m=(x, y, z), rotation_xyzw=(a, b, c, d))

    @property
    def matrix(self) -> Floats:
        """The (4, 4) matrix."""
        return rigid(rotation_of_quaternion(np.array(self.rotation_xyzw)), np.array(self.translation_m))


class RejectedView(Stated):
    """A view that took no part, and why."""

    name: str
    reason: str


class FitQuality(Stated):
    """How well views are explained.

    Attributes:
        views, points: how many took part.
        rms_px: root mean square distance between seen and projected points, in the views the fit used.
        holdout_rms_px: the same in views that the fit did not use, only their pose estimated; None where too few.
        view_rms_px: per view, by name.
        rejected: the other views.
        coverage: share of cells of a grid over the image that hold at least one point, rows from the top; counts.
        resampling: per parameter, the standard deviation over refits with resampled views; empty where not done.
    """

    views: int
    points: int
    rms_px: float
    holdout_rms_px: float | None = None
    view_rms_px: tuple[tuple[str, float], ...] = ()
    rejected: tuple[RejectedView, ...] = ()
    coverage: tuple[tuple[int, ...], ...] = ()
    resampling: tuple[tuple[str, float], ...] = ()


class CameraCalibration(Stated):
    """One camera."""

    schema_: Literal["surgical_ml/camera@1"] = Field("surgical_ml/camera@1", alias="schema")
    lens: Lens
    covariance: Covariance | None = None
    quality: FitQuality | None = None
    provenance: Provenance
    validity: Validity = Validity()

    @property
    def lenses(self) -> tuple[Lens, ...]:
        """The one lens."""
        return (self.lens,)


class StereoCalibration(Stated):
    """Two cameras and how the right one stands to the left one.

    Attributes:
        right_from_left: takes points of the left optical frame to the right one; None where a file gives both cameras
            but not this, in which case nothing metric may rest on it.
    """

    schema_: Literal["surgical_ml/stereo@1"] = Field("surgical_ml/stereo@1", alias="schema")
    left: Lens
    right: Lens
    right_from_left: RigidTransform | None
    covariance: Covariance | None = None
    quality: FitQuality | None = None
    provenance: Provenance
    validity: Validity = Validity()

    @model_validator(mode="after")
    def _is_a_pair(self) -> Self:
        if self.left.image_size != self.right.image_size:
            sizes = f"{self.left.image_size} and {self.right.image_size}"
            raise ValueError(f"expected both cameras to have one image size, found {sizes}")
        return self

    @property
    def lenses(self) -> tuple[Lens, ...]:
        """Left, then right."""
        return (self.left, self.right)

    @property
    def baseline_m(self) -> float | None:
        """Distance between the two optical centres in metres."""
        return None if self.right_from_left is None else float(np.linalg.norm(self.right_from_left.translation_m))


class SolverResult(Stated):
    """One hand-eye solver beside the refined result: how far it lands from it and how well it explains the poses."""

    solver: str
    distance_mm: float | None = Field(None, description="from the refined translation; None where it failed")
    distance_deg: float | None = None
    residual_mm: float | None = None
    residual_deg: float | None = None
    failed: str = ""


class HandEyeCalibration(Stated):
    """How a camera is mounted on a robot's hand, or how the robot's base stands to a fixed camera.

    Attributes:
        arrangement: `camera-on-arm` (the pattern stands still) or `camera-fixed` (the pattern is on the arm).
        camera: the camera's optical frame in the hand (camera-on-arm) or in the robot's base (camera-fixed).
        pattern: the pattern in the robot's base (camera-on-arm) or in the hand (camera-fixed).
        covariance: of `camera`: rotation about its own x, y, z in degrees, then translation in mm.
        poses: how many took part; rejected: the others.
        residual_mm, residual_deg: RMS disagreement of a pose with the others, in the pattern's pose in the camera.
        leave_one_out_mm, leave_one_out_deg: the same for each pose, predicted from all the others, worst first.
        rotation_span_deg: how widely the hand was turned about its three principal axes, widest first.
        scale: the pattern's motion over the robot's, measured; 1 where the square size is right.
        solvers: all solvers, compared.
    """

    schema_: Literal["surgical_ml/hand-eye@1"] = Field("surgical_ml/hand-eye@1", alias="schema")
    arrangement: Literal["camera-on-arm", "camera-fixed"]
    camera: RigidTransform
    pattern: RigidTransform
    covariance: Covariance
    poses: int
    rejected: tuple[RejectedView, ...] = ()
    residual_mm: float
    residual_deg: float
    leave_one_out_mm: tuple[tuple[str, float], ...]
    leave_one_out_deg: tuple[tuple[str, float], ...]
    rotation_span_deg: tuple[float, float, float]
    scale: float
    solvers: tuple[SolverResult, ...]
    provenance: Provenance
    validity: Validity = Validity()


class ScopeCalibration(Stated):
    """An oblique endoscope that turns in its camera head.

    Turned by an angle from the reference, clockwise as seen from the head, the whole picture turns clockwise about
    `centre_px`, and the optical frame turns in space about an axis that leans by about the scope's viewing angle (30
    degrees) from the optical axis. `scope.lens_at` and `scope.pose_at` say what that makes of the camera.

    Attributes:
        lens: at the reference angle.
        centre_px: the point of the image that stays where it is.
        axis: unit direction of the axis in the reference optical frame, from the head to the tip.
        axis_point_m: the point of the axis closest to the optical centre, in that frame.
        notch_zero_deg: what the notch of the field of view reads at the reference angle.
        view_angle_deg: between the optical axis and the turning axis.
    """

    schema_: Literal["surgical_ml/scope@1"] = Field("surgical_ml/scope@1", alias="schema")
    lens: Lens
    centre_px: tuple[float, float]
    axis: tuple[float, float, float]
    axis_point_m: tuple[float, float, float]
    notch_zero_deg: float
    view_angle_deg: float
    covariance: Covariance | None = None
    quality: FitQuality | None = None
    provenance: Provenance
    validity: Validity = Validity()

    @property
    def lenses(self) -> tuple[Lens, ...]:
        """The one lens, at the reference angle."""
        return (self.lens,)


class TimeCalibration(Stated):
    """How far the robot's clock is ahead of the video's: robot stamp = video stamp + offset.

    Attributes:
        offset_ns: at `reference_ns` of the video clock.
        interval_ns: 95 % interval of the offset, low and high.
        drift_ppm: how fast the offset grows; interval_ppm: its 95 % interval. None where the recording is too short.
        explained: share of the video's motion that the robot's explains at this offset, 0 to 1.
    """

    schema_: Literal["surgical_ml/time@1"] = Field("surgical_ml/time@1", alias="schema")
    reference_ns: int
    offset_ns: int
    interval_ns: tuple[int, int]
    drift_ppm: float | None = None
    interval_ppm: tuple[float, float] | None = None
    explained: float = Field(ge=0, le=1)
    provenance: Provenance
    validity: Validity = Validity()


class OperatingPoint(Stated):
    """From which confidence on phases are believed, for a wanted accuracy.

    Attributes:
        accuracy: share that was to be right, of the samples that were fitted on.
        least_confidence: of the likeliest phase; None where no confidence is enough.
        coverage: share of held-out samples that are at least so sure.
        held_out_accuracy: share of those that are right; None where there are none.
    """

    accuracy: float = Field(ge=0, le=1)
    least_confidence: float | None = Field(ge=0, le=1)
    coverage: float = Field(ge=0, le=1)
    held_out_accuracy: float | None = Field(ge=0, le=1)


class ConfidenceCalibration(Stated):
    """What turns a network's raw scores into probabilities that mean what they say.

    Attributes:
        model_sha256: the model it belongs to; of another one it says nothing.
        temperature: logits are divided by it before the softmax.
        interval: 95 % interval of the temperature.
        samples: how many it was fitted on.
        ece_before, ece_after: expected calibration error, 15 equally wide bins, on other held-out samples.
        operating_points: by rising accuracy; those of 0.90 and 0.98 are the bands of certainty `medium` and `high`.
    """

    schema_: Literal["surgical_ml/confidence@1"] = Field("surgical_ml/confidence@1", alias="schema")
    model_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    temperature: float = Field(gt=0)
    interval: tuple[float, float]
    samples: int = Field(gt=0)
    ece_before: float = Field(ge=0, le=1)
    ece_after: float = Field(ge=0, le=1)
    operating_points: tuple[OperatingPoint, ...] = ()
    provenance: Provenance
    validity: Validity = Validity()

    def band_ppm(self, accuracy: float) -> int:
        """The least confidence of an operating point, parts per million; above a million where none is enough.

        Raises:
            InputError: there is no such point.
        """
        for point in self.operating_points:
            if point.accuracy == accuracy:
                return 1_000_001 if point.least_confidence is None else round(1e6 * point.least_confidence)
        raise InputError("confidence calibration", f"an operating point of accuracy {accuracy}", "none")


Calibration = (
    CameraCalibration
    | StereoCalibration
    | HandEyeCalibration
    | ScopeCalibration
    | TimeCalibration
    | ConfidenceCalibration
)
WithLens = CameraCalibration | StereoCalibration | ScopeCalibration


def rows(matrix: Floats) -> Rows:
    """A matrix as the tuples that a file holds."""
    return tuple(tuple(float(value) for value in row) for row in matrix)


def require_camera(
    name: str, calibration: WithLens, image_size: tuple[int, int], camera: str | None, allow_example: bool = False
) -> None:
    """Refuse a calibration that does not belong to the pictures at hand.

    Args:
        name: of the file, for the message.
        calibration: what was read from it.
        image_size: width and height of the pictures.
        camera: serial number or name of the camera head; None where the source does not know it.
        allow_example: accept made-up numbers (simulation and demonstrations).

    Raises:
        InputError: the image size or the camera differs, the image size is not stated, or it is an example.
    """
    if calibration.provenance.example and not allow_example:
        raise InputError(name, "a measured calibration", "an example made from synthetic numbers")
    stated = calibration.lenses[0].image_size
    wanted = f"a calibration for {image_size[0]}x{image_size[1]} pictures"
    if stated is None:
        raise InputError(name, wanted, "no image size stated: state it with `surgical-ml calibrate check --image-size`")
    if stated != image_size:
        raise InputError(name, wanted, f"one for {stated[0]}x{stated[1]}")
    require_head(name, calibration, camera)


def require_head(name: str, calibration: Calibration, camera: str | None) -> None:
    """Refuse a calibration of another camera head, where both the one in use and the calibration's are known.

    Raises:
        InputError: they differ.
    """
    of_camera = calibration.validity.camera
    if camera is not None and of_camera is not None and camera != of_camera:
        raise InputError(name, f"a calibration of camera {camera}", f"one of camera {of_camera}")
