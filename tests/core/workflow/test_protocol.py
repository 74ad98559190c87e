"""Protocol files: what is valid is kept exactly, what is not is named."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.errors import InputError
from surgical_ml.labels import PHASES
from surgical_ml.workflow import END, Duration, Protocol, load_protocol, spoken
from surgical_ml.workflow.protocol import VAGUE
from surgical_ml.workflow.protocol_duration import seconds, with_unit

WORD = st.text(st.characters(categories=["Lu", "Ll", "Nd"]), min_size=1, max_size=6)
NAME = WORD.filter(lambda word: len(spoken(word).split()) <= 4 and word != END)
SHARES = {1: (1.0,), 2: (0.25, 0.75), 3: (0.3333, 0.3333, 0.3334)}


@st.composite
def durations(draw: st.DrawFn, least_s: float = 1.0) -> str:
    unit, in_s = draw(st.sampled_from([("s", 1), ("min", 60), ("h", 3600)]))
    number = draw(st.floats(least_s, 86_400 / in_s) if in_s == 1 else st.floats(0.1, 86_400 / in_s))
    space = draw(st.sampled_from(["", " ", "  "]))
    return f"{number:.{draw(st.integers(1, 9))}f}{space}{unit}"


@st.composite
def protocols(draw: st.DrawFn) -> dict[str, object]:
    names = draw(st.lists(NAME, min_size=2, max_size=5, unique=True))
    tools = draw(st.lists(NAME, max_size=4, unique=True))
    phases = []
    for k, name in enumerate(names):
        # Each leads to the one behind it, and so to the end; anything else may follow as well.
        onward = [*names, END][k + 1]
        others = [other for other in (*names, END) if other not in (name, onward)]
        follow = [onward, *draw(st.lists(st.sampled_from(others), max_size=2, unique=True))]
        rare = draw(st.lists(st.sampled_from([o for o in others if o not in follow] or [None]), max_size=1))
        mixed = draw(st.permutations(tools))
        cuts = sorted(draw(st.lists(st.integers(0, len(tools)), min_size=2, max_size=2)))
        spread = draw(st.floats(0.01, 3))
        phases.append(
            {
                "name": name,
                "duration": draw(st.none() | st.fixed_dictionaries({"median": durations(), "spread": st.just(spread)})),
                "next": dict(zip(follow, SHARES[len(follow)], strict=True)),
                "rare": [one for one in rare if one is not None],
                "tools": {"expected": mixed[: cuts[0]], "allowed": mixed[cuts[0] : cuts[1]]}
                | draw(st.sampled_from([{}, {"unexpected": mixed[cuts[1] :]}])),
                "requires": {"completed": names[:k], "seen": mixed[:1]},
                "critical": draw(st.booleans()),
            }
        )
    return {
        "schema": 2,
        "name": draw(NAME),
        "version": draw(WORD),
        "tools": tools,
        "commit": f"{draw(st.floats(1, 600)):.3f} s",
        "mismatch": f"{draw(st.floats(0.5, 600)):.3f} s",
        "time_alarms": draw(st.sampled_from([{}, {"too_long": 0.95, "too_short": 0.05, "least": "1 min"}])),
        "phases": phases,
    }


@settings(max_examples=50)
@given(protocols())
def test_a_protocol_that_is_written_is_read_back(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "one.yaml"
    path.write_text(yaml.safe_dump(values, allow_unicode=True), "utf-8")
    first = load_protocol(path)
    path.write_text(yaml.safe_dump(first.model_dump(mode="json", by_alias=True), sort_keys=False), "utf-8")
    second = load_protocol(path)
    assert first == second
    assert first.digest == second.digest
    assert first.phase_names == tuple(phase["name"] for phase in values["phases"])


@given(st.floats(0, 86_400).map(lambda value: round(value, 9)))
def test_seconds_that_are_written_with_their_unit_are_read_as_the_same(value):
    assert seconds(with_unit(value)) == value


@pytest.mark.parametrize(
    ("text", "value"), [("120 s", 120.0), ("2 min", 120.0), ("1.5h", 5400.0), (" 0.5 s ", 0.5), ("1.1 min", 66.0)]
)
def test_a_duration_is_a_number_and_its_unit(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize(
    "value", [120, 1.5, True, None, "120", "2 m", "2 minutes", "-1 s", "1e3 s", "nan s", "s", "1 s 2"]
)
def test_anything_else_is_no_duration(value):
    with pytest.raises(ValueError, match="unit"):
        seconds(value)


def test_a_duration_knows_its_mean_its_quantiles_and_who_outlasts_it():
    duration = Duration.model_validate({"median": "100 s", "spread": 0.5})
    assert duration.mean_s == pytest.approx(113.315, abs=0.001)
    assert duration.quantile_s(0.5) == pytest.approx(100)
    assert duration.quantile_s(0.99) == pytest.approx(320.0, abs=0.1)
    for share in (0.01, 0.3, 0.99):
        assert duration.share_over(duration.quantile_s(share)) == pytest.approx(1 - share)
    assert duration.share_over(0) == duration.share_over(-1) == 1


def good() -> dict[str, object]:
    return load_protocol("cholecystectomy").model_dump(mode="json", by_alias=True)


def changed(*path: str | int, value: object) -> dict[str, object]:
    values = good()
    place = values
    for key in path[:-1]:
        place = place[key]  # type: ignore[index]
    place[path[-1]] = value  # type: ignore[index]
    return values


def without_end() -> dict[str, object]:
    """The last two phases follow each other for ever."""
    values = changed("phases", 6, "next", value={"CleaningCoagulation": 1.0})
    values["phases"][5]["next"] = {"GallbladderRetraction": 1.0}  # type: ignore[index]
    values["phases"][3]["rare"] = ["GallbladderPackaging"]  # type: ignore[index]
    values["phases"][3]["next"] = {"CleaningCoagulation": 1.0}  # type: ignore[index]
    return values


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (changed("schema", value=1), "schema: Input should be 2"),
        (changed("extra", value=1), "extra: Extra inputs are not permitted"),
        (changed("tools", 1, value="grasper"), "tools: a name stands there twice"),
        (changed("phases", 1, "name", value="Preparation"), "phases: a name stands there twice"),
        (changed("phases", 6, "name", value="end"), "phases: end is the end of a case, and no phase"),
        (changed("starts", value={"Lunch": 1.0}), "starts: Lunch is not one of"),
        (changed("starts", value={"Preparation": 0.5}), "starts: probabilities add up to 0.5, not to 1"),
        (changed("phases", 2, "next", value={"Lunch": 1.0}), "ClippingCutting: next: Lunch is not one of"),
        (changed("phases", 2, "next", value={"ClippingCutting": 1.0}), "ClippingCutting: next: ClippingCutting is not"),
        (changed("phases", 2, "next", value={}), "phases.2.next: Dictionary should have at least 1 item"),
        (changed("phases", 2, "next", value=["end"]), "phases.2.next: Input should be a valid dictionary"),
        (changed("phases", 2, "rare", value=["Lunch"]), "ClippingCutting: rare: Lunch is not one of"),
        (
            changed("phases", 2, "rare", value=["GallbladderDissection"]),
            "ClippingCutting: next and rare: GallbladderDissection stands there twice",
        ),
        (
            changed("phases", 3, "next", "CleaningCoagulation", value=0.4),
            "GallbladderDissection: next: probabilities add up to 0.9, not to 1",
        ),
        (changed("phases", 2, "next", "GallbladderDissection", value=0), "Input should be greater than 0"),
        (changed("phases", 2, "next", "GallbladderDissection", value=1.2), "Input should be less than or equal to 1"),
        (changed("phases", 2, "next", "GallbladderDissection", value="1"), "Input should be a valid number"),
        (without_end(), "Preparation: a cycle without exit: from here no course leads to end"),
        (
            changed("phases", 1, "next", value={"GallbladderDissection": 1.0}),
            "ClippingCutting: no course from Preparation leads to it",
        ),
        (changed("phases", 2, "tools", "expected", value=["spoon"]), "ClippingCutting: tools: spoon is not one of"),
        (changed("phases", 2, "tools", "allowed", value=["spoon"]), "ClippingCutting: tools: spoon is not one of"),
        (changed("phases", 2, "tools", "unexpected", value=["spoon"]), "ClippingCutting: tools: spoon is not one of"),
        (
            changed("phases", 2, "tools", "unexpected", value=["clipper"]),
            "ClippingCutting: tools: clipper stands there twice",
        ),
        (changed("phases", 2, "tools", value=["clipper"]), "phases.2.tools: Input should be a valid dictionary"),
        (
            changed("phases", 2, "requires", "completed", value=["Lunch"]),
            "ClippingCutting: requires: completed: Lunch is not one of",
        ),
        (changed("phases", 2, "requires", "seen", value=["spoon"]), "ClippingCutting: requires: seen: spoon is not"),
        (
            changed("phases", 1, "requires", "completed", value=["GallbladderDissection"]),
            "CalotTriangleDissection: requires itself, by way of GallbladderDissection",
        ),
        (changed("phases", 2, "critical", value="yes"), "phases.2.critical: Input should be a valid boolean"),
        (
            changed("phases", 0, "duration", "median", value=120),
            "phases.0.duration.median: 120 has no unit: write '120 s' or '120 min'",
        ),
        (changed("phases", 0, "duration", "median", value="2 m"), "'2 m' is not a number and a unit of s, min, h"),
        (changed("phases", 0, "duration", "median", value="0 s"), "phases.0.duration.median: Input should be greater"),
        (changed("phases", 0, "duration", "median", value="25 h"), "phases.0.duration.median: Input should be less"),
        (
            changed("phases", 0, "duration", "spread", value=0),
            "phases.0.duration.spread: Input should be greater than 0",
        ),
        (changed("phases", 0, "duration", "spread", value=float("inf")), "phases.0.duration.spread: Input should be"),
        (changed("phases", 0, "duration", value={"median": "1 s"}), "phases.0.duration.spread: Field required"),
        (changed("phases", 0, "name", value=7), "phases.0.name: Input should be a valid string"),
        (changed("phases", 0, "name", value=""), "phases.0.name: String should have at least 1 character"),
        (changed("phases", 0, "name", value="a_b_c_d_e"), "phases: 'a_b_c_d_e' is not a name of one to 4 words"),
        (changed("phases", 0, "name", value="__"), "phases: '__' is not a name of one to 4 words"),
        (changed("tools", 0, value="tool\nof two lines"), "is not a name of one to 4 words"),
        (changed("phases", value=good()["phases"][:1]), "phases: Tuple should have at least 2 items"),
        (changed("commit", value="0.5 s"), "commit: Input should be greater than or equal to 1"),
        (changed("commit", value=2), "commit: 2 has no unit: write '2 s' or '2 min'"),
        (changed("mismatch", value="0.1 s"), "mismatch: Input should be greater than or equal to 0.5"),
        (changed("time_alarms", "too_long", value=1.0), "time_alarms.too_long: Input should be less than 1"),
        (changed("time_alarms", "too_short", value=0.6), "time_alarms.too_short: Input should be less than 0.5"),
        (changed("time_alarms", "least", value=10), "time_alarms.least: 10 has no unit"),
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
        with pytest.raises(InputError, match=r"one of \[.*'cholecystectomy'.*\], or a protocol file"):
            load_protocol(name)


def test_a_changed_protocol_has_another_digest():
    first = load_protocol("cholecystectomy")
    assert first.digest == load_protocol("cholecystectomy").digest
    assert Protocol.model_validate(changed("phases", 0, "duration", "median", value="95 s")).digest != first.digest


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


@pytest.mark.parametrize(("name", "phases"), [("cholecystectomy", "cholec80"), ("gastric_bypass", "multibypass140")])
def test_a_shipped_protocol_speaks_of_the_phases_of_its_data_set(name, phases):
    protocol = load_protocol(name)
    assert (protocol.name, protocol.phase_names) == (name, PHASES[phases].classes)
    assert all(phase.duration is not None for phase in protocol.phases)
    assert any(phase.critical for phase in protocol.phases)


def test_the_generic_protocol_needs_neither_tools_nor_durations():
    protocol = load_protocol("generic")
    assert protocol.tools == ()
    assert {phase.duration for phase in protocol.phases} == {None}
    assert [phase.usual for phase in protocol.phases] == [VAGUE] * len(protocol.phases)
