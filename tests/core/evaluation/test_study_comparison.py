"""Two models on the same cases: what is paired, what has to be given, and what is refused."""

import json

import pytest
from made_evaluation import made_evaluation
from made_study import made_study

from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics import holm
from surgical_ml.evaluation.study import FILE, compare_studies, write_study


def write(folder, study):
    folder.mkdir()
    (folder / FILE).write_text(json.dumps(study))
    return folder


def shifted(points, measures=("accuracy", "jaccard", "f1", "edit", "f1@10")):
    """The made study with every case better by so many points."""
    study = made_study()
    for case in study["cases"]:
        case["scores"] |= {m: case["scores"][m] + points for m in measures}
    return study


@pytest.fixture
def reference(tmp_path):
    return write(tmp_path / "reference", made_study())


def test_a_model_that_is_worse_by_less_than_the_margin_in_every_case_is_not_inferior(reference, tmp_path):
    done = compare_studies(write(tmp_path / "new", shifted(-0.5)), reference, margin=1)
    assert done.passed
    assert all(one.comparison.difference.estimate == pytest.approx(-0.5) for one in done.measures)


def test_one_measure_in_which_it_is_worse_by_more_is_enough_to_fail(reference, tmp_path):
    done = compare_studies(write(tmp_path / "new", shifted(-2, measures=("edit",))), reference, margin=1)
    assert [one.measure for one in done.measures if not one.not_inferior] == ["edit"]
    assert not done.passed


def test_the_p_values_of_the_family_are_adjusted_together(reference, tmp_path):
    done = compare_studies(write(tmp_path / "new", shifted(1, measures=("edit", "f1"))), reference, margin=1)
    expected = holm({one.measure: one.comparison.p for one in done.measures})
    assert {one.measure: one.p_holm for one in done.measures} == expected
    assert expected["edit"] < 0.05 < expected["accuracy"]


def test_sensitivity_is_the_share_of_all_deviations_that_were_announced(reference, tmp_path):
    deaf = made_study()
    for case in deaf["cases"]:
        case["advisories"] = []
    done = compare_studies(write(tmp_path / "new", deaf), reference, margin=1, measures=("sensitivity",))
    assert done.measures[0].first == 0
    told = made_study()["deviations"]
    assert done.measures[0].second == pytest.approx(100 * told["sensitivity"]["estimate"])
    assert not done.passed


def test_the_margin_is_written_beside_what_it_decided(reference):
    told = compare_studies(reference, reference, margin=1.5).to_json()
    assert told["margin"]["value"] == 1.5
    assert told["passed"] is True


@pytest.mark.parametrize("margin", [0, -1, float("nan")])
def test_a_margin_that_allows_nothing_is_refused(reference, margin):
    with pytest.raises(InputError, match="margin: expected a number above 0"):
        compare_studies(reference, reference, margin=margin)


def test_other_cases_are_refused_by_name(reference, tmp_path):
    study = made_study()
    study["cases"] = study["cases"][1:]
    with pytest.raises(
        InputError, match="a prediction for each of the 24 cases and no other, found none for case00000"
    ):
        compare_studies(reference, write(tmp_path / "fewer", study), margin=1)


def test_another_truth_is_refused(reference, tmp_path):
    study = made_study()
    study["cases"][3]["ribbons"]["truth"][0][2] = 5
    with pytest.raises(InputError, match="case00003: expected the truth of the first study"):
        compare_studies(reference, write(tmp_path / "other", study), margin=1)


def test_another_rate_is_refused(reference, tmp_path):
    with pytest.raises(InputError, match=r"fps: expected 5.0, as the first study has, found 1.0"):
        compare_studies(reference, write(tmp_path / "other", made_study(fps=1.0)), margin=1)


def test_an_unknown_measure_is_answered_with_those_there_are(reference):
    with pytest.raises(InputError, match=r"some of accuracy, precision, .*, found dice"):
        compare_studies(reference, reference, margin=1, measures=("dice",))


def test_what_is_no_study_is_named(tmp_path):
    (tmp_path / FILE).write_text('{"schema": 2}')
    with pytest.raises(InputError, match=r"evaluation.json: expected a study of schema 1, found schema"):
        compare_studies(tmp_path, tmp_path, margin=1)


def test_two_written_studies_are_compared_by_their_cases(tmp_path):
    studies = []
    for name, share in (("new", 0.02), ("old", 0.3)):
        out, labels = made_evaluation(tmp_path / name, cases=6, errors=lambda k, share=share: share)
        studies.append(write_study(out, labels))
    done = compare_studies(studies[0].folder, studies[1].folder, margin=1)
    for one in done.measures[:3]:
        both = [study.values["mean_worst"][one.measure]["mean"] for study in studies]
        assert one.comparison.difference.estimate == pytest.approx(both[0] - both[1])
    assert done.passed
    assert not compare_studies(studies[1].folder, studies[0].folder, margin=1).passed
