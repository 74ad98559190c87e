"""Synthetic operations with ground truth, injected deviations and disturbances. Synthetic is not real: see the model card."""

from surgical_ml.simulation.events import Event, events
from surgical_ml.simulation.generate import demo_clip, demo_plan, simulate
from surgical_ml.simulation.label_stream import LabelChunk, NoiseModel, stream_observations
from surgical_ml.simulation.meshes import MeshTool, read_instruments
from surgical_ml.simulation.picture import PARTS, ArmPose, Picture
from surgical_ml.simulation.plan import (
    CLASSES,
    DEVIATIONS,
    DISTURBANCES,
    LOOKS,
    PHASES,
    QUALITIES,
    RICH_DISTURBANCES,
    SCENES,
    STRUCTURES,
    TOOLS,
    CasePlan,
    plan_case,
    shuffle_tools,
)
from surgical_ml.simulation.renderer import Renderer
from surgical_ml.simulation.stream import STREAM_FAULTS, StreamFault, stream_faults, stream_frames

__all__ = [
    "CLASSES",
    "DEVIATIONS",
    "DISTURBANCES",
    "LOOKS",
    "PARTS",
    "PHASES",
    "QUALITIES",
    "RICH_DISTURBANCES",
    "SCENES",
    "STREAM_FAULTS",
    "STRUCTURES",
    "TOOLS",
    "ArmPose",
    "CasePlan",
    "Event",
    "LabelChunk",
    "MeshTool",
    "NoiseModel",
    "Picture",
    "Renderer",
    "StreamFault",
    "demo_clip",
    "demo_plan",
    "events",
    "plan_case",
    "read_instruments",
    "shuffle_tools",
    "simulate",
    "stream_faults",
    "stream_frames",
    "stream_observations",
]
