"""Predictions of anybody's model against ground truth, both read from folders, in a convention that is named."""

from surgical_ml.evaluation.external.deviations import evaluate_deviations, true_deviations
from surgical_ml.evaluation.external.gestures import GestureEvaluation, evaluate_gestures
from surgical_ml.evaluation.external.phases import PhaseEvaluation, evaluate_phases, phase_vocabulary, vocabulary_of
from surgical_ml.evaluation.external.segmentation import MASK_FORMATS, evaluate_segmentation, read_classes
from surgical_ml.evaluation.external.tools import ToolEvaluation, evaluate_tools, read_tips

__all__ = [
    "MASK_FORMATS",
    "GestureEvaluation",
    "PhaseEvaluation",
    "ToolEvaluation",
    "evaluate_deviations",
    "evaluate_gestures",
    "evaluate_phases",
    "evaluate_segmentation",
    "evaluate_tools",
    "phase_vocabulary",
    "read_classes",
    "read_tips",
    "true_deviations",
    "vocabulary_of",
]
