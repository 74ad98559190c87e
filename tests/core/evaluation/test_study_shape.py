"""The example that the report is tried on and the study that is computed keep one contract."""

import json

import pytest
from made_study import LATENCY, made_study
from pydantic import ValidationError

from surgical_ml.evaluation.study.shape import StudyShape


@pytest.mark.parametrize("study", [made_study(), made_study(mode="realtime", latency=LATENCY, throughput=None)])
def test_the_made_study_is_of_the_agreed_shape(study):
    StudyShape.model_validate(json.loads(json.dumps(study, allow_nan=False)))


def test_a_section_that_nobody_agreed_on_is_refused():
    with pytest.raises(ValidationError, match="latencies"):
        StudyShape.model_validate(made_study() | {"latencies": None})
