"""Every convention of the field, computed exactly and named."""

from surgical_ml.evaluation.metrics.calibration import ScoredCase, fit_temperature, score_calibration
from surgical_ml.evaluation.metrics.cases import UNDEFINED, LabelledCase, check_cases, segments
from surgical_ml.evaluation.metrics.events import Announcement, EventCase, EventScores, TrueEvent, score_events
from surgical_ml.evaluation.metrics.phases import PROTOCOLS, PhaseProtocol, PhaseScores, phase_statistic, score_phases
from surgical_ml.evaluation.metrics.progress import TimedCase, score_progress
from surgical_ml.evaluation.metrics.segmental import SegmentalScores, score_segments
from surgical_ml.evaluation.metrics.segmentation import SegmentationScores, score_segmentation
from surgical_ml.evaluation.metrics.statistics import (
    Comparison,
    Interval,
    Statistic,
    bootstrap,
    compare,
    holm,
    mean_of,
    not_inferior,
    release_gate,
    subgroups,
)
from surgical_ml.evaluation.metrics.summary import Summary
from surgical_ml.evaluation.metrics.tools import (
    PresenceCase,
    PresenceScores,
    score_out_of_body,
    score_presence,
    score_tips,
)

__all__ = [
    "PROTOCOLS",
    "UNDEFINED",
    "Announcement",
    "Comparison",
    "EventCase",
    "EventScores",
    "Interval",
    "LabelledCase",
    "PhaseProtocol",
    "PhaseScores",
    "PresenceCase",
    "PresenceScores",
    "ScoredCase",
    "SegmentalScores",
    "SegmentationScores",
    "Statistic",
    "Summary",
    "TimedCase",
    "TrueEvent",
    "bootstrap",
    "check_cases",
    "compare",
    "fit_temperature",
    "holm",
    "mean_of",
    "not_inferior",
    "phase_statistic",
    "release_gate",
    "score_calibration",
    "score_events",
    "score_out_of_body",
    "score_phases",
    "score_presence",
    "score_progress",
    "score_segmentation",
    "score_segments",
    "score_tips",
    "segments",
    "subgroups",
]
