"""`report.html` of an evaluation: a study on one page, for a surgeon, an engineer and a reviewer."""

from surgical_ml.evaluation.study_report.document import REPORT, write_study_report

__all__ = ["REPORT", "write_study_report"]
