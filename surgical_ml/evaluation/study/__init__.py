"""Everything that is computed from evaluated cases: `evaluation.json`, the release gate, and the comparison of two studies."""

from surgical_ml.evaluation.study.comparison import FAMILY, StudyComparison, compare_studies
from surgical_ml.evaluation.study.shape import FILE, StudyShape
from surgical_ml.evaluation.study.writing import Study, write_study

__all__ = ["FAMILY", "FILE", "Study", "StudyComparison", "StudyShape", "compare_studies", "write_study"]
