"""Where the operation stands, what comes next, and what departs from its protocol."""

from surgical_ml.workflow.estimate import Certainty, CertaintyBands, Deviation, Forecast, WorkflowEstimate
from surgical_ml.workflow.protocol import END, Phase, Protocol, spoken
from surgical_ml.workflow.protocol_duration import Duration
from surgical_ml.workflow.protocol_file import load_protocol
from surgical_ml.workflow.workflow import Workflow, check_vocabulary

__all__ = [
    "END",
    "Certainty",
    "CertaintyBands",
    "Deviation",
    "Duration",
    "Forecast",
    "Phase",
    "Protocol",
    "Workflow",
    "WorkflowEstimate",
    "check_vocabulary",
    "load_protocol",
    "spoken",
]
