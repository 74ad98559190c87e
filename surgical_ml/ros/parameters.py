"""The parameters of the assistant: declared with their meaning, read once, and refused by name when they are unknown."""

from dataclasses import dataclass
from pathlib import Path

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node

from surgical_ml.config import CaseConfig
from surgical_ml.errors import InputError
from surgical_ml.places import default_records

ROS_SOURCE = "ros:"
"""A source of this beginning is an image topic; what follows is its name."""

_CASE = {
    "procedure": "Protocol to follow: the name of a shipped one, or a protocol file.",
    "model": "Model to run: name[/version] of a shipped one, or a model folder.",
    "model_key": "Fingerprint of the key that must have signed the model; empty asks for no signature.",
    "engine": "Runtime of the frame network; a missing one fails the transition and is never replaced by another.",
    "bf16": "Let openvino compute in bfloat16: faster and less exact; fails the transition where the processor cannot.",
    "plan_key": "Fingerprint of the key that must have signed tensorrt's plan; empty asks for no signature.",
    "threads": "Threads of one network run.",
    "calibration": "Camera calibration file; empty gives distances in pixels only.",
    "camera": "Serial number or name of the camera head in use; a calibration of another one fails the transition.",
    "confidence": "Confidence calibration of the model, by which phases are certain; empty believes the model.",
    "shaft_diameter_mm": "Of the instruments of the arms in hand_eye, mm.",
    "time_scale": "How many times faster than real the case runs; above 1 for compressed synthetic cases only.",
    "nominal_fps": "Frame rate that the source is expected to have, frames/s.",
}
_NODE: dict[str, tuple[bool | int | float | str | list[str], str]] = {
    "source": ("", "A video file, image folder, *.mcap, /dev/videoN, gst:PIPELINE, or ros:TOPIC for an image topic."),
    "source_fps": (0.0, "Frames/s to assume of a recorded source; 0 believes the source."),
    "frame_id": ("endoscope_optical", "Frame of the camera in every header."),
    "records_dir": ("", "Folder of the cases' records; empty for surgical_ml/records below ROS_HOME."),
    "autostart": (False, "Configure and activate by itself when the process starts."),
    "auto_case": (False, "Start a case on activation, and continue one that was interrupted."),
    "case_id": ("", "Pseudonym of the case that auto_case starts, never a name; empty for one that the node makes."),
    "robot_topics": ([""], "CRTK or dVRK topics to listen to, such as /PSM1/measured_js; never written to."),
    "hand_eye": ([""], "ARM=FILE: hand-eye calibrations of arms whose shafts are compared with their joints."),
    "max_age_ms": (120, "A result is withheld as `late` when it is older than this at its publication, ms."),
}
_BY_ROS = frozenset({"use_sim_time", "start_type_description_service"})


@dataclass(frozen=True, slots=True)
class Settings:
    """What the parameters say; see `declare` for each."""

    config: CaseConfig
    source: str
    source_fps: float | None
    frame_id: str
    records: Path
    auto_case: bool
    case_id: str
    robot_topics: tuple[str, ...]
    max_age_ns: int


def declare(node: Node) -> None:
    """Declare every parameter, read-only, with its default and what it means."""
    defaults = CaseConfig.of({})
    for name, meaning in _CASE.items():
        value = getattr(defaults, name)
        node.declare_parameter(name, "" if value is None else value, _read_only(meaning))
    for name, (value, meaning) in _NODE.items():
        node.declare_parameter(name, value, _read_only(meaning))


def read(node: Node) -> Settings:
    """Validate what was given.

    Raises:
        InputError: a parameter is unknown or out of its range, or none names a source.
    """
    given = node.get_parameters_by_prefix("") | dict.fromkeys(node._parameter_overrides)
    unknown = sorted(
        set(given) - set(_CASE) - set(_NODE) - _BY_ROS - {n for n in given if n.startswith("qos_overrides")}
    )
    if "action" in unknown:
        raise InputError("parameter action", "no such parameter: this module advises and never acts", "one")
    if unknown:
        raise InputError(f"parameter {unknown[0]}", f"one of {sorted({*_CASE, *_NODE})}", "no such parameter")

    def value(name: str):  # type: ignore[no-untyped-def]
        return node.get_parameter(name).value

    case = {name: value(name) for name in _CASE}
    pairs = [text.partition("=") for text in value("hand_eye") if text]
    for arm, _, file in pairs:
        if not arm or not file:
            raise InputError("parameter hand_eye", "ARM=FILE, such as PSM1=psm1.yaml", repr(arm or file))
    case["hand_eye"] = {arm: file for arm, _, file in pairs}
    for name in ("calibration", "camera", "confidence", "model_key", "plan_key"):
        case[name] = case[name] or None
    if not value("source"):
        raise InputError("parameter source", _NODE["source"][1], "nothing")
    if value("max_age_ms") <= 0:
        raise InputError("parameter max_age_ms", "a time above 0", str(value("max_age_ms")))
    return Settings(
        config=CaseConfig.of(case, "parameter"),
        source=value("source"),
        source_fps=value("source_fps") or None,
        frame_id=value("frame_id"),
        records=Path(value("records_dir") or default_records()),
        auto_case=value("auto_case"),
        case_id=value("case_id"),
        robot_topics=tuple(topic for topic in value("robot_topics") if topic),
        max_age_ns=1_000_000 * value("max_age_ms"),
    )


def _read_only(meaning: str) -> ParameterDescriptor:
    return ParameterDescriptor(description=meaning, read_only=True)
