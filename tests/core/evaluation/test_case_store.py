"""A case store: the folders hold everything, the index follows them, and a site sees what its cases were like."""

import json
from datetime import date

import pytest
from made_cases import advisory, decision, write_case

from surgical_ml.errors import InputError
from surgical_ml.evaluation.case_statistics import UNDATED, chosen_cases, describe_cases, trends
from surgical_ml.evaluation.case_store import INDEX, add_case, recorded_day, stored_cases, update_index
from surgical_ml.workflow import END, Protocol
from surgical_ml.workflow.protocol_course import read_courses
from surgical_ml.workflow.protocol_learning import learn_protocol

FIRST, SECOND, THIRD = "Preparation", "CalotTriangleDissection", "ClippingCutting"
PROTOCOL = Protocol.model_validate(
    {
        "schema": 2,
        "name": "p",
        "version": "1",
        "tools": ["grasper", "hook", "specimen_bag"],
        "commit": "2 s",
        "phases": [
            {"name": FIRST, "next": {SECOND: 1.0}},
            {"name": SECOND, "next": {THIRD: 1.0}},
            {"name": THIRD, "next": {END: 1.0}},
        ],
    }
)


def made_case(folder, *, scale=1.0, departs=False):
    """Three phases of 4, 6 and 2 s, stretched; a hook is seen in the second, and where asked for departs in the first."""
    lines = []
    for k in range(12):
        phase = FIRST if k < 4 else SECOND if k < 10 else THIRD
        standing = [advisory(onset=scale, announced=2 * scale)] if departs and 2 <= k < 4 else []
        tools = ("grasper", "hook") if phase == SECOND else ("grasper",)
        lines.append(decision(k, at=k * scale, phase=phase, tools=tools, advisories=standing))
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_case(folder, lines, protocol={"name": "p", "sha256": "0" * 64})
    return folder


@pytest.fixture
def store(tmp_path):
    """Six cases: four of January, one of May, one of no known day; every other one has a departure."""
    for k in range(6):
        case = made_case(tmp_path / "made" / f"case{k}", scale=1 + k / 10, departs=k % 2 == 0)
        add_case(tmp_path / "store", case, (None if k == 5 else date(2026, 1 if k < 4 else 5, 10 + k)))
    return tmp_path / "store"


def test_a_case_is_kept_with_its_day_visits_tools_and_departures(store):
    assert update_index(store).cases == 6
    case = stored_cases(store)[2]
    assert (case.name, case.day, case.procedure) == ("case2", date(2026, 1, 12), "p")
    assert case.length_s == pytest.approx(11 * 1.2)
    assert [visit.phase for visit in case.course.visits] == [FIRST, SECOND, THIRD]
    assert [visit.length_s for visit in case.course.visits] == pytest.approx([3 * 1.2, 5 * 1.2, 1 * 1.2])
    seconds = case.course.visits[1].tools_s
    # No frame stands for more than a second, whatever the gap before it.
    assert seconds == {"grasper": pytest.approx(6), "hook": pytest.approx(6), "specimen_bag": 0}
    (departure,) = case.departures
    assert (departure.code, departure.subject, departure.priority, departure.phase) == (
        "tool-mismatch",
        "hook",
        "medium",
        FIRST,
    )
    assert departure.onset_s == pytest.approx(1.2)


def test_the_index_follows_the_folders_and_can_be_made_again(store):
    assert update_index(store).read == tuple(f"case{k}" for k in range(6))
    assert update_index(store).read == ()
    before = stored_cases(store)
    (store / INDEX).write_bytes(b"no index at all")
    assert len(update_index(store).read) == 6
    assert stored_cases(store) == before
    assert update_index(store, rebuild=True).cases == 6
    assert stored_cases(store) == before
    (store / "case3" / "about.json").write_text(json.dumps({"schema": 1, "date": "2026-02-01"}), "utf-8")
    for path in (store / "case0").iterdir():
        path.unlink()
    (store / "case0").rmdir()
    assert update_index(store).read == ("case3",)
    assert [one.name for one in stored_cases(store)] == [f"case{k}" for k in range(1, 6)]
    assert stored_cases(store)[2].day == date(2026, 2, 1)


def test_a_damaged_case_is_left_out_and_keeps_no_other_from_being_seen(store):
    update_index(store)
    (store / "case1" / "decisions.jsonl").write_text('{"schema": 1, "ev', "utf-8")
    (store / "case4" / "about.json").write_text(json.dumps({"schema": 1, "date": "last week"}), "utf-8")
    done = update_index(store)
    assert [name for name, _ in done.refused] == ["case1", "case4"]
    assert "line 1: expected one decision in JSON" in done.refused[0][1]
    assert "date: expected a day: 2026-03-14, found last week" in done.refused[1][1]
    assert [one.name for one in stored_cases(store)] == ["case0", "case2", "case3", "case5"]


def test_no_case_comes_into_a_store_twice_or_by_halves(store, tmp_path):
    with pytest.raises(InputError, match="a new folder of the store, found one that is there"):
        add_case(store, tmp_path / "made" / "case0")
    (tmp_path / "made" / "case0" / "timings.jsonl").unlink()
    with pytest.raises(InputError, match=r"expected a case folder with .*, found no timings\.jsonl"):
        add_case(store, tmp_path / "made" / "case0", name="again")
    with pytest.raises(InputError, match="a new folder of the store"):
        add_case(store, tmp_path / "made" / "case1", name="../outside")
    assert sorted(path.name for path in store.iterdir()) == [f"case{k}" for k in range(6)]
    assert recorded_day(tmp_path / "made" / "case1") is None


def test_what_is_no_store_is_refused(tmp_path):
    with pytest.raises(InputError, match="expected the folder of a case store, found no folder"):
        update_index(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"expected case folders with summary\.json and decisions\.jsonl, found none"):
        update_index(tmp_path / "empty")
    with pytest.raises(InputError, match="expected the index of a case store, found no file"):
        stored_cases(tmp_path)


def test_a_site_sees_its_durations_tools_steps_and_departures(store):
    update_index(store)
    told = describe_cases(stored_cases(store))
    assert (told["procedure"], told["cases"], told["first"], told["last"]) == ("p", 6, "2026-01-10", "2026-05-14")
    assert told["hours"] == pytest.approx(11 * sum(1 + k / 10 for k in range(6)) / 3600, abs=1e-3)
    assert list(told["phases"]) == [FIRST, SECOND, THIRD]
    phase = told["phases"][SECOND]
    assert (phase["cases"], phase["visits"]) == (6, 6)
    assert phase["visit_s"]["median"] == pytest.approx(5 * 1.25, abs=0.1)
    assert phase["tools"]["hook"]["cases"] == 6
    assert told["phases"][FIRST]["tools"]["hook"] == {
        "cases": 0,
        "of": 6,
        "share": [0.0, pytest.approx(0.39, abs=0.01)],
    }
    assert {(one["from"], one["to"]) for one in told["steps"]} == {(FIRST, SECOND), (SECOND, THIRD), (THIRD, END)}
    assert all((one["times"], one["cases"]) == (6, 6) for one in told["steps"])
    (departure,) = told["departures"]
    assert (departure["code"], departure["times"], departure["cases"]) == ("tool-mismatch", 3, 3)


def test_trends_are_told_by_month_and_by_quarter(store):
    update_index(store)
    cases = stored_cases(store)
    months = trends(cases, "month")
    assert [(one["period"], one["cases"]) for one in months] == [("2026-01", 4), ("2026-05", 1), (UNDATED, 1)]
    # Four cases are too few to say how long something takes.
    assert months[0]["length_s"] is None
    assert months[0]["departures"]["tool-mismatch"]["times"] == 2
    assert [one["period"] for one in trends(cases, "quarter")] == ["2026-Q1", "2026-Q2", UNDATED]
    with pytest.raises(InputError, match="expected one of"):
        trends(cases, "week")


def test_cases_are_chosen_by_procedure_and_day(store, tmp_path):
    update_index(store)
    cases = stored_cases(store)
    assert len(chosen_cases(cases, since=date(2026, 1, 11), until=date(2026, 1, 12))) == 2
    with pytest.raises(InputError, match="none of 6"):
        chosen_cases(cases, since=date(2027, 1, 1))
    with pytest.raises(InputError, match="at least one of q"):
        chosen_cases(cases, procedure="q")


def test_a_protocol_is_learned_from_a_store(store):
    learned = learn_protocol(PROTOCOL, read_courses(store, PROTOCOL))
    assert learned.learned.cases == 6
    assert learned.phase(SECOND).duration.median_s == pytest.approx(5 * 1.24, abs=0.1)
    assert "hook" in learned.phase(SECOND).tools.expected
