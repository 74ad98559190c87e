"""Options of every command that runs cases: what makes the configuration of a case."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from surgical_ml.config import CaseConfig

Procedure = Annotated[str | None, typer.Option(help="Shipped protocol, or protocol file.")]
ModelName = Annotated[
    str | None, typer.Option("--model", help="Shipped model by name or name/version, or model folder.")
]
EngineName = Annotated[str | None, typer.Option("--engine", help="Runtime of the frame network.")]
Bf16 = Annotated[bool, typer.Option("--bf16", help="Let openvino compute in bfloat16.")]
CalibrationFile = Annotated[str | None, typer.Option("--calibration", help="Camera calibration file.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="Case configuration (YAML); options here override it.")
]
TimeScale = Annotated[float | None, typer.Option(help="Above 1 for compressed synthetic cases only.")]


def case_config(file: Path | None, **options: str | float | None) -> "CaseConfig":
    """The configuration in a file, or the default one, with the options that were given.

    Raises:
        InputError: a value is not what it must be.
    """
    from surgical_ml.config import CaseConfig

    base = CaseConfig.load(file) if file else CaseConfig.of({})
    given = {name: value for name, value in options.items() if value is not None}
    return CaseConfig.of(base.model_dump(by_alias=True) | given, "options")
