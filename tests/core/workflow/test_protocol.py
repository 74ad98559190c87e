"""Protocol files: what is valid is kept exactly, what is not is named."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.errors import InputError
from surgical_ml.workflow import Protocol, load_protocol
from surgical_ml.workflow.protocol import spoken

WORD = st.text(st.characters(categories=["Lu", "Ll", "Nd"]), min_size=1, max_size=6)
NAME = WORD.filter(lambda word: len(spoken(word).split()) <= 4)
SECONDS = st.floats(1, 1e5, allow_nan=False) | st.integers(1, 10_000)


@st.composite
def protocols(draw: st.DrawFn) -> dict[str, object]:
    names = draw(st.lists(NAME, min_size=2, max_size=5, unique=True))
    tools = draw(st.lists(NAME, min_size=1, max_size=4, unique=True))
    some = st.lists(st.sampled_from(tools), max_size=3)
    return {
        "schema": 1,
        "name": draw(NAME),
        "version": draw(WORD),
        "tools": tools,
        "commit_s": draw(SECONDS),
        "mismatch_s": draw(SECONDS),
        "phases": [
            {
                "name": name,
                "mean_s": draw(SECONDS),
                "next": draw(st.lists(st.sampled_from(names), max_size=3)),
                "tools": draw(some),
                "tolerated": draw(some),
            }
            for name in names
        ],
    }


@settings(max_examples=50)
@given(protocols())
def test_a_protocol_that_is_written_is_read_back(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "one.yaml"
    path.write_text(yaml.safe_dump(values, allow_unicode=True), "utf-8")
    first = load_protocol(path)
    path.write_text(yaml.safe_dump(first.model_dump(mode="json", by_alias=True)), "utf-8")
    second = load_protocol(path)
    assert first == second
    assert first.digest == second.digest
    assert first.phase_names == tuple(phase["name"] for phase in values["phases"])


def good() -> dict[str, object]:
    return load_protocol("cholecystectomy").model_dump(mode="json", by_alias=True)


def changed(*path: str | int, value: object) -> dict[str, object]:
    values = good()
    place = values
    for key in path[:-1]:
        place = place[key]  # type: ignore[index]
    place[path[-1]] = value  # type: ignore[index]
    return values


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (changed("schema", value=2), "schema: Input should be 1"),
        (changed("extra", value=1), "extra: Extra inputs are not permitted"),
        (changed("tools", value=[]), "tools: Tuple should have at least 1 item"),
        (changed("tools", 1, value="grasper"), "tools: a name stands there twice"),
        (changed("phases", 1, "name", value="Preparation"), "phases: a name stands there twice"),
        (changed("phases", 2, "next", value=["Lunch"]), "ClippingCutting: next: Lunch is not one of"),
        (changed("phases", 2, "tools", value=["spoon"]), "ClippingCutting: tools: spoon is not one of"),
        (changed("phases", 2, "tolerated", value=["spoon"]), "ClippingCutting: tools: spoon is not one of"),
        (changed("phases", 0, "mean_s", value=0), "phases.0.mean_s: Input should be greater than 0"),
        (changed("phases", 0, "mean_s", value=float("inf")), "phases.0.mean_s: Input should be a finite number"),
        (changed("phases", 0, "mean_s", value="long"), "phases.0.mean_s: Input should be a valid number"),
        (changed("phases", 0, "name", value=7), "phases.0.name: Input should be a valid string"),
        (changed("phases", 0, "name", value=""), "phases.0.name: String should have at least 1 character"),
        (changed("phases", 0, "name", value="a_b_c_d_e"), "phases: 'a_b_c_d_e' is not a name of one to 4 words"),
        (changed("phases", 0, "name", value="__"), "phases: '__' is not a name of one to 4 words"),
        (changed("tools", 0, value="tool\nof two lines"), "is not a name of one to 4 words"),
        (changed("phases", value=good()["phases"][:1]), "phases: Tuple should have at least 2 items"),
        (changed("commit_s", value=0.5), "commit_s: Input should be greater than or equal to 1"),
        (changed("mismatch_s", value=0.1), "mismatch_s: Input should be greater than or equal to 0.5"),
        ([1, 2], "protocol: Input should be a valid dictionary"),
        (None, "protocol: Input should be a valid dictionary"),
    ],
)
def test_what_is_wrong_in_a_protocol_is_named(tmp_path, values, told):
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(values), "utf-8")
    with pytest.raises(InputError) as caught:
        load_protocol(path)
    assert str(caught.value).startswith(f"{path}: expected a valid protocol, found ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["a: [", "2020-13-45", "!!bool maybe", "!!timestamp x", "!!int ''", "[" * 5_000, "\t", "a: !!python/none"]
)
def test_what_is_no_yaml_is_told_in_one_line(tmp_path, text):
    path = tmp_path / "wrong.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match="expected YAML, found") as caught:
        load_protocol(path)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")))
def test_any_file_is_a_protocol_or_an_input_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError):
        load_protocol(path)


def test_a_missing_file_and_an_unknown_procedure_are_named(tmp_path):
    with pytest.raises(InputError, match="expected a protocol file, found No such file"):
        load_protocol(tmp_path / "none.yaml")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(InputError, match="expected a protocol file, found Is a directory"):
        load_protocol(tmp_path / "folder.yaml")
    for name in ("appendectomy", "", "..", "../protocols/cholecystectomy", "/etc/passwd"):
        with pytest.raises(InputError, match=r"one of \['cholecystectomy'\], or a protocol file"):
            load_protocol(name)


def test_a_changed_protocol_has_another_digest():
    first = load_protocol("cholecystectomy")
    assert first.digest == load_protocol("cholecystectomy").digest
    assert Protocol.model_validate(changed("phases", 0, "mean_s", value=121)).digest != first.digest


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("CalotTriangleDissection", "Calot triangle dissection"),
        ("specimen_bag", "specimen bag"),
        ("ICGInjection", "ICG injection"),
        ("grasper", "grasper"),
        ("Phase2Cutting", "Phase2 cutting"),
        ("_", ""),
    ],
)
def test_a_name_is_spoken_as_people_say_it(name, said):
    assert spoken(name) == said
