"""The examples in `calibration/` are what this module makes, say that they are examples, and are whole."""

import json

import pytest
from made_examples import EXAMPLES, FOLDER

from surgical_ml.calibration import files


def numbers(value):
    """Every number of a calibration, in order; whatever else is in it as it is."""
    if isinstance(value, dict):
        return [one for key in sorted(value) for one in numbers(value[key])]
    if isinstance(value, list):
        return [one for item in value for one in numbers(item)]
    return [value]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_made_again_as_it_lies_there(name):
    there = files.read(FOLDER / name)
    assert there.provenance.example
    assert there.validity.camera == "example head"
    made = json.loads(EXAMPLES[name]().model_dump_json(by_alias=True))
    found = json.loads(there.model_dump_json(by_alias=True))
    for one, other in zip(numbers(made), numbers(found), strict=True):
        # another machine's linear algebra may round otherwise
        assert one == (pytest.approx(other, rel=1e-3, abs=1e-6) if isinstance(other, float) else other)


def test_every_example_is_one_that_is_made_here_or_for_its_kind():
    listed = {path.name for path in FOLDER.glob("*.yaml")}
    assert set(EXAMPLES) <= listed
    assert all(files.read(FOLDER / name).provenance.example for name in listed)
