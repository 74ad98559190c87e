"""Cases are divided by patient, and a division that leaks is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_ml.errors import InputError
from surgical_ml.labels import SPLITS, check_splits, split_by_patient

PATIENTS = {"video1": "a", "video2": "a", "video3": "b", "video4": "c", "video5": "d"}


@given(st.dictionaries(st.from_regex(r"case[0-9]{1,3}", fullmatch=True), st.integers(0, 40).map(str), min_size=1))
def test_every_case_is_in_one_split_and_every_patient_too(patients):
    if len(set(patients.values())) < 3:
        with pytest.raises(InputError, match="3 or more"):
            split_by_patient(patients)
        return
    splits = split_by_patient(patients, seed=5)
    assert sorted(case for cases in splits.values() for case in cases) == sorted(patients)
    owners = [{patients[case] for case in splits[split]} for split in SPLITS]
    assert all(owners)
    assert sum(map(len, owners)) == len(set(patients.values()))
    assert check_splits(splits, patients) == splits


def test_a_division_does_not_depend_on_the_order_of_the_cases_but_on_the_seed():
    patients = {f"video{k}": f"p{k}" for k in range(40)}
    turned = dict(reversed(patients.items()))
    assert split_by_patient(patients) == split_by_patient(turned)
    assert split_by_patient(patients) != split_by_patient(patients, seed=1)
    assert [len(cases) for cases in split_by_patient(patients).values()] == [28, 6, 6]


@pytest.mark.parametrize(
    ("splits", "complaint"),
    [
        ({"train": ["video1"], "val": ["video2"], "test": ["video3"]},
         "video2: expected a patient that only validation has, found that of video1 in train"),
        ({"train": ["video1", "video3"], "val": ["video3"], "test": ["video4"]}, "video3: expected one split, train"),
        ({"train": ["video1"], "val": ["video9"], "test": ["video4"]}, "cases of the data set, found video9"),
        ({"train": ["video1"], "validation": ["video3"]}, "found none in test"),
        ({"train": ["video1"], "holdout": ["video3"]}, "split holdout"),
        ({"train": ["video1"], "val": ["video3"], "valid": ["video4"]}, "split valid"),
    ],
)  # fmt: skip
def test_a_division_that_leaks_or_lacks_something_is_refused(splits, complaint):
    with pytest.raises(InputError, match=complaint):
        check_splits(splits, PATIENTS)


def test_cases_of_nobody_cannot_be_divided():
    with pytest.raises(InputError, match="the patient of every case, in the data set's card, found none for video1"):
        split_by_patient({"video1": None, "video2": "a"})
    with pytest.raises(InputError, match="video1: expected the patient of every case"):
        check_splits({"train": ["video1"], "val": ["video3"], "test": ["video4"]}, {**PATIENTS, "video1": None})


def test_what_a_card_calls_val_is_the_validation_split():
    given_splits = {"train": ["video1", "video2"], "val": ["video3"], "test": ["video4"]}
    assert check_splits(given_splits, PATIENTS)["validation"] == ("video3",)
