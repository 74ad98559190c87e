"""The quality of a data set, before anyone trains on it."""

from surgical_ml.evaluation.dataset.card import DatasetCard
from surgical_ml.evaluation.dataset.check import DatasetReport, check_dataset, require_checked
from surgical_ml.evaluation.dataset.finding import Finding, Severity, Waiver

__all__ = ["DatasetCard", "DatasetReport", "Finding", "Severity", "Waiver", "check_dataset", "require_checked"]
