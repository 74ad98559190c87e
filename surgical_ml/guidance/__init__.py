"""What to say and when: the gate that shows or withholds, and the life of advisories."""

from surgical_ml.guidance.advisory import (
    MAX_WORDS,
    Activation,
    Advisory,
    Alerting,
    Condition,
    GateState,
    Guidance,
    Kind,
    Presence,
    Priority,
    Reason,
    Validity,
)
from surgical_ml.guidance.conditions import (
    CALIBRATION_DOUBTFUL,
    TECHNICAL_CODE,
    conditions_from,
    make_guidance,
    technical_condition,
)
from surgical_ml.guidance.gate import Gate, GateInput, GateView
from surgical_ml.guidance.life import Cause, Life, Transition
from surgical_ml.guidance.machine import AdvisoryMachine, announce

__all__ = [
    "CALIBRATION_DOUBTFUL",
    "MAX_WORDS",
    "TECHNICAL_CODE",
    "Activation",
    "Advisory",
    "AdvisoryMachine",
    "Alerting",
    "Cause",
    "Condition",
    "Gate",
    "GateInput",
    "GateState",
    "GateView",
    "Guidance",
    "Kind",
    "Life",
    "Presence",
    "Priority",
    "Reason",
    "Transition",
    "Validity",
    "announce",
    "conditions_from",
    "make_guidance",
    "technical_condition",
]
