"""A case's configuration: validated at the door, named by its digest."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from surgical_ml.config import CaseConfig
from surgical_ml.errors import InputError

OTHER = {
    "procedure": "appendectomy",
    "model": "cholecystectomy/1",
    "engine": "openvino",
    "model_key": "0" * 64,
    "bf16": True,
    "plan_key": "1" * 64,
    "threads": 3,
    "calibration": "camera.yaml",
    "camera": "head 7",
    "confidence": "confidence.yaml",
    "hand_eye": {"PSM1": "psm1.yaml"},
    "shaft_diameter_mm": 5.0,
    "signals_off": True,
    "zones": "zones.yaml",
    "time_scale": 2.5,
    "nominal_fps": 25.0,
}
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "schema": st.just(1),
        "procedure": st.text(max_size=8),
        "model": st.text(max_size=8),
        "engine": st.text(max_size=8),
        "model_key": st.none() | st.text("0123456789abcdef", min_size=64, max_size=64),
        "bf16": st.booleans(),
        "plan_key": st.none() | st.text("0123456789abcdef", min_size=64, max_size=64),
        "threads": st.integers(1, 64),
        "calibration": st.none() | st.text(max_size=8),
        "camera": st.none() | st.text(max_size=8),
        "confidence": st.none() | st.text(max_size=8),
        "hand_eye": st.dictionaries(st.text(max_size=4), st.text(max_size=8), max_size=2),
        "shaft_diameter_mm": st.floats(1, 30),
        "signals_off": st.booleans(),
        "zones": st.none() | st.text(max_size=8),
        "time_scale": st.floats(0.001, 1000),
        "nominal_fps": st.floats(0.001, 240),
    },
)


def test_nothing_given_is_a_whole_configuration():
    config = CaseConfig.of({})
    assert (config.procedure, config.engine, config.calibration) == ("cholecystectomy", "onnxruntime", None)
    assert config.time_scale == 1.0


@given(CONFIGS)
def test_a_configuration_that_is_written_is_read_back(tmp_path_factory, values):
    first = CaseConfig.of(values)
    path = tmp_path_factory.getbasetemp() / "case.yaml"
    path.write_text(yaml.safe_dump(first.model_dump(by_alias=True)), "utf-8")
    second = CaseConfig.load(path)
    assert second == first
    assert second.digest == first.digest


@pytest.mark.parametrize("key", OTHER)
def test_every_key_counts_for_the_digest(key):
    assert set(OTHER) == set(CaseConfig.model_fields) - {"schema_"}
    assert CaseConfig.of({key: OTHER[key]}).digest != CaseConfig.of({}).digest


@pytest.mark.parametrize("action", ["stop", None, False, {}])
def test_an_action_is_refused_by_its_name_and_not_ignored(tmp_path, action):
    with pytest.raises(InputError, match="action: expected no such key: this module advises and never acts"):
        CaseConfig.of({"action": action})
    path = tmp_path / "case.yaml"
    path.write_text(yaml.safe_dump({"procedure": "cholecystectomy", "action": action}))
    with pytest.raises(InputError, match=f"{path}: action: expected no such key"):
        CaseConfig.load(path)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"colour": "red"}, "options: colour: expected Extra inputs are not permitted, found 'red'"),
        ({"schema": 2}, "options: schema: expected Input should be 1, found 2"),
        ({"threads": 0}, "options: threads: expected Input should be greater than or equal to 1, found 0"),
        ({"threads": 1.5}, "options: threads: expected Input should be a valid integer"),
        ({"time_scale": 0}, "options: time_scale: expected Input should be greater than 0, found 0"),
        ({"time_scale": float("nan")}, "options: time_scale: expected"),
        ({"time_scale": float("inf")}, "options: time_scale: expected"),
        ({"nominal_fps": -1}, "options: nominal_fps: expected Input should be greater than 0, found -1"),
        ({"nominal_fps": "fast"}, "options: nominal_fps: expected Input should be a valid number"),
        ({"engine": None}, "options: engine: expected Input should be a valid string, found None"),
        ({7: 1}, "options: 7: expected Keys should be strings"),
    ],
)
def test_what_is_wrong_in_a_configuration_is_named(values, told):
    with pytest.raises(InputError) as caught:
        CaseConfig.of(values, "options")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "expected YAML, found"),
        ("time_scale: 2020-13-45", "expected YAML, found month must be in 1..12"),
        ("- a\n- b", "expected a mapping of names to values, found list"),
        ("", "expected a mapping of names to values, found NoneType"),
    ],
)
def test_a_file_that_is_no_configuration_is_told(tmp_path, text, told):
    path = tmp_path / "case.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        CaseConfig.load(path)
    assert str(caught.value).startswith(f"{path}: {told}")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match="expected a configuration file, found No such file"):
        CaseConfig.load(tmp_path / "none.yaml")


@given(st.binary(max_size=60))
def test_any_file_is_a_configuration_or_an_input_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    try:
        CaseConfig.load(path)
    except InputError:
        return
    assert yaml.safe_load(content) is not None
