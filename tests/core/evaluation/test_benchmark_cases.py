"""The benchmark of many cases: every way is measured in turn, decides the same, and its ratios are those of medians."""

import importlib.util
from pathlib import Path

import pytest

from surgical_ml.errors import InputError
from surgical_ml.evaluation import benchmark_cases as bench


def test_every_way_of_running_cases_is_measured_in_turn_and_told_as_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    # Starting Ray takes longer than all the rest; that it decides the same bytes is shown elsewhere.
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    told: list[tuple[int, int]] = []
    done = bench.benchmark_cases(cores=1, rounds=1, cases=2, frames=3, progress=lambda *at: told.append(at))
    assert told == [(k, 4) for k in range(1, 5)]
    assert list(done.rates) == ["decode", "replay", "one", "two"]
    assert all(rate > 0 for rates in done.rates.values() for rate in rates)
    assert "2 cases, rendered, 1280x720, 6 frames altogether" in done.data["data"]
    assert "Ray is not installed" in done.to_markdown()


def made() -> bench.CasesBenchmark:
    rates = {arm: [10.0 * k, 30.0 * k, 20.0 * k] for k, arm in enumerate(bench.ARMS, 1)}
    return bench.CasesBenchmark({"CPU": "made up"}, {"data": "none"}, rates)


def test_a_ratio_is_that_of_medians() -> None:
    ratios = made().to_json()["ratios"]
    assert ratios["one/decode"] == 3.0
    assert ratios["two/one"] == round(4 / 3, 3)
    assert ratios["ray/one"] == round(5 / 3, 3)


def test_the_table_holds_every_number() -> None:
    text = made().to_markdown()
    assert "| decode only | 20.0 | 10.0 to 30.0 |  | 33% |" in text
    assert "| evaluate cases, 2 workers of Ray | 100.0 | 50.0 to 150.0 | 500% | 167% |" in text
    assert "not installed" not in text


def test_two_ways_that_decide_differently_are_an_error(tmp_path: Path) -> None:
    decided: dict[str, str] = {}
    for name, text in (("one", "same"), ("two", "other")):
        (tmp_path / name / "case0").mkdir(parents=True)
        (tmp_path / name / "case0" / "decisions.jsonl").write_text(text)
    bench._same(decided, "one", tmp_path / "one")
    with pytest.raises(InputError, match="evaluate cases, 2 workers: case0"):
        bench._same(decided, "two", tmp_path / "two")


@pytest.mark.parametrize("name", ["cores", "rounds", "cases", "frames"])
def test_fewer_than_one_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=name):
        bench.benchmark_cases(**{name: 0})
