"""Every convention of the field, computed exactly and named."""

from surgical_ml.evaluation.metrics.cases import UNDEFINED, LabelledCase, check_cases, segments
from surgical_ml.evaluation.metrics.phases import PROTOCOLS, PhaseProtocol, PhaseScores, score_phases
from surgical_ml.evaluation.metrics.segmental import SegmentalScores, score_segments
from surgical_ml.evaluation.metrics.summary import Summary

__all__ = [
    "PROTOCOLS",
    "UNDEFINED",
    "LabelledCase",
    "PhaseProtocol",
    "PhaseScores",
    "SegmentalScores",
    "Summary",
    "check_cases",
    "score_phases",
    "score_segments",
    "segments",
]
