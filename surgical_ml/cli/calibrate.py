"""`surgical-ml calibrate`: cameras, pairs of cameras, the robot's hand and the clocks; and whether a file still holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from surgical_ml.cli.calibrate_confidence import confidence
from surgical_ml.cli.calibrate_live import live
from surgical_ml.cli.output import Json, progress_bar, say, say_json
from surgical_ml.errors import InputError

if TYPE_CHECKING:
    from surgical_ml.calibration.lens import Lens
    from surgical_ml.calibration.model import Calibration, FieldOfView, FitQuality, Provenance
    from surgical_ml.calibration.pattern import Pattern
    from surgical_ml.calibration.pictures import Collected

calibrate = typer.Typer(
    no_args_is_help=True, help="Calibrate cameras, the robot's hand and the clocks; check a calibration."
)

calibrate.command("confidence")(confidence)
# What follows --ros-args is for ROS, which reads it from the command line itself.
calibrate.command("live", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(live)

Specification = Annotated[
    str,
    typer.Option(
        "--pattern", help="Such as chessboard:9x6:10mm (inner corners), circles:, asymmetric-circles:, charuco:."
    ),
]
Out = Annotated[Path, typer.Option(help="Calibration to write: .yaml or .json.")]
Report = Annotated[Path | None, typer.Option(help="Page to write (HTML): coverage, residuals, undistorted view.")]
Model = Annotated[Literal["pinhole", "rational", "fisheye"], typer.Option("--model", help="Of the lens.")]
CameraName = Annotated[str | None, typer.Option("--camera", help="Serial number or name of the camera head.")]
ScopeName = Annotated[str | None, typer.Option("--scope", help="Serial number or name of the endoscope.")]


@calibrate.command("camera")
def camera(
    pictures: Annotated[str, typer.Argument(metavar="IMAGES|VIDEO", help="Folder of pictures, or a video.")],
    specification: Specification,
    out: Out,
    model: Model = "pinhole",
    name: CameraName = None,
    scope: ScopeName = None,
    field: Annotated[
        Path | None, typer.Option(help="A picture with the whole round field of view, to be watched for bumps.")
    ] = None,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Calibrate one camera from pictures of a flat pattern.

    Example: surgical-ml calibrate camera pictures --pattern chessboard:9x6:10mm --out camera.yaml
    """
    from surgical_ml.calibration.camera import calibrate_camera
    from surgical_ml.calibration.files import write
    from surgical_ml.calibration.model import CameraCalibration, Validity
    from surgical_ml.calibration.pattern import parse_pattern
    from surgical_ml.calibration.pictures import choose, missing

    pattern = parse_pattern(specification)
    seen = _look(pictures, pattern, as_json)
    chosen = choose(seen.views)
    fit = calibrate_camera(chosen, model, seen.rejected)
    made = CameraCalibration(
        schema="surgical_ml/camera@1",
        lens=fit.lens,
        covariance=fit.covariance,
        quality=fit.quality,
        provenance=_provenance(f"{pattern}, {model}", pictures),
        validity=Validity(camera=name, scope=scope, field=None if field is None else _field(field, fit.lens)),
    )
    digest = write(made, out)
    if report is not None:
        from surgical_ml.evaluation.calibration_page import Side, write_calibration_page

        write_calibration_page(report, made, [Side("", fit.lens, fit.views, fit.residuals, seen.sample)])
    _tell(made, digest, out, fit.quality, missing(fit.views), as_json)


@calibrate.command("stereo")
def stereo(
    left: Annotated[str, typer.Argument(metavar="LEFT", help="Folder of the left pictures, or the left video.")],
    right: Annotated[
        str, typer.Argument(metavar="RIGHT", help="The same of the right camera, names or numbers alike.")
    ],
    specification: Specification,
    out: Out,
    model: Model = "pinhole",
    name: CameraName = None,
    scope: ScopeName = None,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Calibrate the two cameras of a stereo endoscope, and how they stand to each other.

    Example: surgical-ml calibrate stereo left right --pattern chessboard:9x6:10mm --out stereo.yaml
    """
    from surgical_ml.calibration.files import write
    from surgical_ml.calibration.model import RejectedView, RigidTransform, StereoCalibration, Validity
    from surgical_ml.calibration.pattern import parse_pattern
    from surgical_ml.calibration.pictures import choose, missing, pair_up
    from surgical_ml.calibration.stereo import calibrate_stereo

    pattern = parse_pattern(specification)
    sides = {"left": _look(left, pattern, as_json), "right": _look(right, pattern, as_json)}
    pairs, rejected = pair_up(sides["left"], sides["right"])
    chosen = {view.name for view in choose([one for one, _ in pairs])}
    for side, seen in sides.items():
        rejected += [RejectedView(name=f"{side} {one.name}", reason=one.reason) for one in seen.rejected]
    fit = calibrate_stereo([pair for pair in pairs if pair[0].name in chosen], model, rejected)
    made = StereoCalibration(
        schema="surgical_ml/stereo@1",
        left=fit.left,
        right=fit.right,
        right_from_left=RigidTransform.of("right_optical", "left_optical", fit.right_from_left),
        covariance=fit.covariance,
        quality=fit.quality,
        provenance=_provenance(f"{pattern}, {model}", left, right),
        validity=Validity(camera=name, scope=scope),
    )
    digest = write(made, out)
    if report is not None:
        from surgical_ml.evaluation.calibration_page import Side, write_calibration_page

        shown = [
            Side(
                side,
                (fit.left, fit.right)[k],
                tuple(pair[k] for pair in fit.pairs),
                tuple(residuals[k] for residuals in fit.residuals),
                sides[side].sample,
            )
            for k, side in enumerate(("left", "right"))
        ]
        write_calibration_page(report, made, shown)
    _tell(made, digest, out, fit.quality, missing([one for one, _ in fit.pairs]), as_json)


@calibrate.command("scope")
def scope_in_head(
    pictures: Annotated[str, typer.Argument(metavar="IMAGES", help="Folder of pictures through the turned scope.")],
    turns: Annotated[Path, typer.Option(help="CSV: name,stand,turn_deg; the turn may be empty.")],
    specification: Specification,
    out: Out,
    model: Model = "pinhole",
    notch_zero: Annotated[
        float | None,
        typer.Option(help="What the notch reads at turn 0, degrees; turns left empty are then read from the notch."),
    ] = None,
    name: CameraName = None,
    scope: ScopeName = None,
    as_json: Json = False,
) -> None:
    """Calibrate an oblique scope that turns in its camera head.

    Pictures of one stand differ by the scope's turn alone: head and pattern stay where they are. Turns are counted
    clockwise in the picture.

    Example: surgical-ml calibrate scope pictures --turns turns.csv --pattern chessboard:9x6:10mm --out scope.yaml
    """
    from surgical_ml.calibration.files import write
    from surgical_ml.calibration.model import Validity
    from surgical_ml.calibration.pattern import parse_pattern
    from surgical_ml.calibration.scope import calibrate_scope
    from surgical_ml.calibration.scope_files import notch_turns, read_turns, turned_views

    pattern = parse_pattern(specification)
    _check_upside_down(pattern)
    listed = read_turns(turns)
    seen = _look(pictures, pattern, as_json)
    if notch_zero is not None:
        listed = notch_turns(listed, pictures, notch_zero)
    views, rejected = turned_views(listed, seen, turns)
    made = calibrate_scope(
        views,
        _provenance(f"{pattern}, {model}, turned scope", pictures, str(turns)),
        model=model,
        notch_zero_deg=notch_zero or 0.0,
        rejected=rejected,
        validity=Validity(camera=name, scope=scope),
    )
    digest = write(made, out)
    assert made.quality is not None
    _tell(made, digest, out, made.quality, (), as_json)


@calibrate.command("hand-eye")
def hand_eye(
    poses: Annotated[Path, typer.Option(help="CSV: name,x,y,z,qx,qy,qz,qw; the hand in the robot's base, metres.")],
    images: Annotated[Path, typer.Option(help="Folder of the pictures that the CSV names.")],
    camera_file: Annotated[Path, typer.Option("--camera", help="Camera calibration; of a stereo one, the left.")],
    specification: Specification,
    arrangement: Annotated[
        Literal["camera-on-arm", "camera-fixed"], typer.Option(help="Pattern stands still, or is on the arm.")
    ],
    out: Out,
    convention: Annotated[
        Literal["ros", "dvrk"], typer.Option(help="Of the hand's frame: as it is, or dVRK's x left and y up.")
    ] = "ros",
    as_json: Json = False,
) -> None:
    """Calibrate how the camera is mounted on the arm, or how the robot's base stands to a fixed camera.

    Example: surgical-ml calibrate hand-eye --poses poses.csv --images pictures --camera camera.yaml
    --pattern charuco:11x8:10mm:7.5mm:DICT_5X5_100 --arrangement camera-on-arm --out hand-eye.yaml
    """
    from surgical_ml.calibration.files import write
    from surgical_ml.calibration.hand_eye import calibrate_hand_eye
    from surgical_ml.calibration.pattern import parse_pattern
    from surgical_ml.calibration.robot_files import pose_pairs, read_poses

    pattern = parse_pattern(specification)
    _check_upside_down(pattern)
    listed = read_poses(poses, convention)
    seen = _look(str(images), pattern, as_json)
    pairs, rejected = pose_pairs(listed, seen, _lens(camera_file), poses)
    made = calibrate_hand_eye(
        pairs,
        arrangement,
        _provenance(f"{pattern}, {arrangement}", str(images), str(poses), str(camera_file)),
        rejected=rejected,
    )
    digest = write(made, out)
    if as_json:
        say_json({"digest": digest, "out": str(out), **made.model_dump(mode="json", by_alias=True)})
        return
    x, y, z = made.camera.translation_m
    side = [1.96 * made.covariance.deviation(one) for one in made.covariance.parameters]
    lines = [
        f"{out}: {arrangement}, {made.poses} poses, digest {digest}",
        f"camera in {made.camera.parent}: {1000 * x:.2f} {1000 * y:.2f} {1000 * z:.2f} mm, 95 % within "
        f"{max(side[3:]):.2f} mm and {max(side[:3]):.3f} degrees",
        f"residual {made.residual_mm:.2f} mm, {made.residual_deg:.3f} degrees; worst pose left out "
        f"{made.leave_one_out_mm[0][0]}: {made.leave_one_out_mm[0][1]:.2f} mm",
    ]
    for one in made.solvers:
        told = one.failed or f"{one.distance_mm:.2f} mm and {one.distance_deg:.3f} degrees from it"
        lines.append(f"  {one.solver}: {told}")
    lines += [f"left out {one.name}: {one.reason}" for one in made.rejected]
    say("\n".join(lines))


@calibrate.command("time")
def time_offset(
    video: Annotated[str, typer.Option(help="Video of the motion, stamped by the video's clock.")],
    robot: Annotated[Path, typer.Option(help="CSV: stamp_ns,speed or stamp_ns,x,y,z,qx,qy,qz,qw; the robot's clock.")],
    out: Out,
    specification: Annotated[
        str | None, typer.Option("--pattern", help="Follow this pattern; the whole picture's shift otherwise.")
    ] = None,
    camera_file: Annotated[
        Path | None, typer.Option("--camera", help="Camera calibration; needed with --pattern.")
    ] = None,
    largest_offset: Annotated[float, typer.Option(min=0.05, help="Search within plus and minus this, seconds.")] = 2.0,
    as_json: Json = False,
) -> None:
    """Find how far the robot's clock is ahead of the video's, from a motion that both of them saw.

    Example: surgical-ml calibrate time --video moving.mp4 --robot speed.csv --out time.yaml
    """
    from surgical_ml.calibration.files import write
    from surgical_ml.calibration.pattern import parse_pattern
    from surgical_ml.calibration.robot_files import read_motion
    from surgical_ml.calibration.time_offset import calibrate_time
    from surgical_ml.calibration.video_motion import motion_of_pattern, motion_of_pictures

    if (specification is None) != (camera_file is None):
        raise InputError("calibrate time", "--pattern and --camera together, or neither", "one of them")
    moved = read_motion(robot, turning=specification is not None)
    with progress_bar(Path(video).name, "frames", quiet=as_json) as update:
        if specification is None or camera_file is None:
            seen = motion_of_pictures(video, update)
        else:
            seen = motion_of_pattern(video, parse_pattern(specification), _lens(camera_file), update)
    how = "shift of the picture" if specification is None else f"turning of {specification}"
    made = calibrate_time(seen, moved, _provenance(how, video, str(robot)), largest_offset_s=largest_offset)
    digest = write(made, out)
    if as_json:
        say_json({"digest": digest, "out": str(out), **made.model_dump(mode="json", by_alias=True)})
        return
    low, high = made.interval_ns
    drift = "" if made.drift_ppm is None else f", drifting by {made.drift_ppm:.1f} ppm"
    say(
        f"{out}: the robot's clock is {made.offset_ns / 1e6:.2f} ms ahead (95 % {low / 1e6:.2f} to {high / 1e6:.2f}){drift}; "
        f"{made.explained:.0%} of the motion explained, digest {digest}"
    )


@calibrate.command("check")
def check(
    file: Annotated[
        Path, typer.Argument(help="Calibration: ours, ROS camera_info, OpenCV, dVRK, EndoVis text, stereo INI.")
    ],
    image_size: Annotated[
        str | None, typer.Option(help="WxH that it has to be for, or that the file does not state.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write it in this module's layout.")] = None,
    as_json: Json = False,
) -> None:
    """Read a calibration in any known layout, and say what it states and what it leaves open.

    Example: surgical-ml calibrate check camera_info.yaml --image-size 1920x1080
    """
    from surgical_ml.calibration.files import digest, read_any, write

    read = read_any(file, _size(image_size))
    identity = digest(read) if out is None else write(read, out)
    if as_json:
        say_json({"digest": identity, **read.model_dump(mode="json", by_alias=True)})
        return
    say("\n".join([f"{file}: {read.schema_}, digest {identity}", *_stated(read)]))


def _check_upside_down(pattern: "Pattern") -> None:
    """Refuse a pattern of which a picture does not say which way up it is: its pose is then known but for half a turn."""
    if not pattern.upside_down_differs:
        raise InputError("--pattern", "one that half a turn changes (odd by even corners, or charuco)", str(pattern))


def _look(pictures: str, pattern: "Pattern", quiet: bool) -> "Collected":
    from surgical_ml.calibration.pictures import collect

    with progress_bar(Path(pictures).name, "pictures", quiet=quiet) as update:
        return collect(pictures, pattern, update)


def _field(picture: Path, lens: "Lens") -> "FieldOfView":
    """Where a picture shows the field of view."""
    import cv2
    import numpy as np

    from surgical_ml.calibration.field import look_at_field
    from surgical_ml.calibration.model import FieldOfView

    image = cv2.imdecode(np.fromfile(picture, np.uint8), cv2.IMREAD_COLOR) if picture.is_file() else None
    size = None if image is None else (image.shape[1], image.shape[0])
    if image is None or size != lens.image_size:
        wide, tall = lens.image_size or (0, 0)
        found = "no picture" if size is None else f"one of {size[0]}x{size[1]}"
        raise InputError(picture, f"a picture of {wide}x{tall}", found)
    found_field, notch_deg = look_at_field(np.asarray(image, np.uint8))
    return FieldOfView(x=found_field.x, y=found_field.y, radius=found_field.radius, notch_deg=notch_deg)


def _provenance(method: str, *specs: str) -> "Provenance":
    import surgical_ml
    from surgical_ml.calibration.model import Provenance
    from surgical_ml.calibration.pictures import provenance_sources, taken_at

    made_by = f"surgical_ml {surgical_ml.__version__}"
    return Provenance(made_by=made_by, made_at=taken_at(*specs), sources=provenance_sources(*specs), method=method)


def _lens(file: Path) -> Any:
    from surgical_ml.calibration.files import read_any

    found = read_any(file)
    if not hasattr(found, "lenses"):
        raise InputError(file, "a calibration of a camera", found.schema_)
    return found.lenses[0]


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise InputError("--image-size", "WxH in pixels, such as 1920x1080", text)
    return int(width), int(height)


def _tell(
    made: "Calibration", digest: str, out: Path, quality: "FitQuality", wanted: tuple[str, ...], as_json: bool
) -> None:
    if as_json:
        content = made.model_dump(mode="json", by_alias=True)
        say_json({"digest": digest, "out": str(out), "missing": list(wanted), **content})
        return
    holdout = (
        "too few views to hold any out"
        if quality.holdout_rms_px is None
        else f"held out {quality.holdout_rms_px:.2f} px"
    )
    lines = [f"{out}: {quality.views} views, {quality.rms_px:.2f} px RMS, {holdout}, digest {digest}", *_stated(made)]
    lines += [f"left out {one.name}: {one.reason}" for one in quality.rejected]
    lines += [f"it would be better with {one}" for one in wanted]
    say("\n".join(lines))


def _stated(made: Any) -> list[str]:
    """What a calibration says of itself, in lines for people."""
    lines = []
    for lens, side in zip(getattr(made, "lenses", ()), ("left", "right"), strict=False):
        size = "no image size" if lens.image_size is None else f"{lens.image_size[0]}x{lens.image_size[1]}"
        name = f"{side} " if len(made.lenses) > 1 else ""
        lines.append(
            f"{name}{lens.model} lens, {size}, focal {lens.fx:.1f} {lens.fy:.1f} px, centre {lens.cx:.1f} {lens.cy:.1f} px"
        )
    if hasattr(made, "view_angle_deg"):
        x, y = made.centre_px
        lines.append(f"looks aside by {made.view_angle_deg:.2f} degrees; the picture turns about {x:.1f} {y:.1f} px")
    if hasattr(made, "baseline_m"):
        base = made.baseline_m
        lines.append("baseline not stated" if base is None else f"baseline {1000 * base:.2f} mm")
    if made.provenance.example:
        lines.append("an example of the format: a case refuses it")
    return lines + [f"note: {note}" for note in made.provenance.notes]
