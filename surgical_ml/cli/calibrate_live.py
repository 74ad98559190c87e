"""`surgical-ml calibrate live`: a camera on a ROS topic, while somebody moves the pattern before it."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal

import typer

from surgical_ml.cli.output import Json, say_json
from surgical_ml.errors import InputError


def live(
    topic: Annotated[str, typer.Option(help="Topic of sensor_msgs/Image; relative ones are below /surgical_ml.")],
    specification: Annotated[str, typer.Option("--pattern", help="Such as chessboard:9x6:10mm (inner corners).")],
    out: Annotated[Path, typer.Option(help="Calibration to write: .yaml or .json.")],
    model: Annotated[Literal["pinhole", "rational", "fisheye"], typer.Option(help="Of the lens.")] = "pinhole",
    name: Annotated[str | None, typer.Option("--camera", help="Serial number or name of the camera head.")] = None,
    scope: Annotated[str | None, typer.Option(help="Serial number or name of the endoscope.")] = None,
    as_json: Json = False,
) -> None:
    """Calibrate a camera on a ROS topic: hold the pattern still, here and there, then call the service `finish`.

    What is still missing is on the topic `calibration/progress`. Arguments after --ros-args are for ROS.

    Example: surgical-ml calibrate live --topic image --pattern chessboard:9x6:10mm --out camera.yaml
    """
    from surgical_ml.calibration.model import Validity
    from surgical_ml.calibration.pattern import parse_pattern

    pattern = parse_pattern(specification)
    if out.suffix not in (".yaml", ".yml", ".json"):
        raise InputError(out, "a name that ends in .yaml, .yml or .json", out.suffix or "no ending")
    try:
        capture = import_module("surgical_ml.ros.calibration_capture")
    except ImportError as error:
        raise InputError("calibrate live", "ROS 2 for Python, with its standard messages", str(error)) from error
    capture.run(topic, pattern, model, out, Validity(camera=name, scope=scope))
    if as_json:
        say_json({"calibration": str(out), "written": out.is_file()})
