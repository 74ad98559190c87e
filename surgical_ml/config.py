"""The configuration of a case: validated at the door, and named by its digest ever after."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from surgical_ml.errors import InputError
from surgical_ml.yaml_file import read_yaml


class CaseConfig(BaseModel):
    """Everything that shapes a decision and is neither a model, a protocol nor an event.

    Unknown keys are refused. `action` is refused by its name: this module advises and never acts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Literal[1] = Field(1, alias="schema")
    procedure: str = Field("cholecystectomy", description="name of a shipped protocol, or path of a protocol file")
    model: str = Field("cholecystectomy", description="name[/version] of a shipped model, or path of its folder")
    model_key: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="fingerprint of the key that must have signed the model"
    )
    engine: str = Field("onnxruntime", description="runtime of the frame network; never replaced by another")
    bf16: bool = Field(
        False, description="let openvino compute in bfloat16: faster, less exact; needs a processor that has it"
    )
    plan_key: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="fingerprint of the key that must have signed the plan of tensorrt"
    )
    threads: int = Field(2, ge=1, le=64, description="threads of one network run")
    calibration: str | None = Field(None, description="camera calibration file; None gives distances in pixels only")
    camera: str | None = Field(
        None, description="serial number or name of the camera head in use; a calibration of another one is refused"
    )
    hand_eye: dict[str, str] = Field(
        {}, description="arm -> its hand-eye calibration file, to compare its shaft with the robot's joints"
    )
    shaft_diameter_mm: float = Field(8.4, gt=0, le=30, description="of the instruments of those arms")
    zones: str | None = Field(None, description="file of no-go zones, drawn in the picture or in the frame of an arm")
    confidence: str | None = Field(
        None, description="confidence calibration of the model; its bands of certainty replace the model's own"
    )
    signals_off: bool = Field(
        False, description="people may switch the signals of advisories off without end; otherwise only pause them"
    )
    time_scale: float = Field(
        1.0,
        gt=0,
        le=1000,
        description="how many times faster than real the case runs; above 1 only for synthetic cases",
    )
    nominal_fps: float = Field(30.0, gt=0, le=240, description="frame rate the source is expected to have, frames/s")

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical content, hex."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()

    @classmethod
    def of(cls, values: Mapping[str, Any], where: object = "configuration") -> "CaseConfig":
        """Validate a mapping.

        Raises:
            InputError: names the first key that is wrong, what it must be, and what it is.
        """
        if "action" in values:
            raise InputError(f"{where}: action", "no such key: this module advises and never acts", "one")
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise InputError(f"{where}: {key}", first["msg"], repr(first["input"])) from error

    @classmethod
    def load(cls, path: Path) -> "CaseConfig":
        """Read a YAML file.

        Raises:
            InputError: the file is missing, is not a YAML mapping, or a value in it is wrong.
        """
        values = read_yaml(path, "a configuration file")
        if not isinstance(values, dict):
            raise InputError(path, "a mapping of names to values", type(values).__name__)
        return cls.of(values, path)
