"""The benchmark of the metrics: who is measured with what, that results must agree, and what is said of them."""

import json
import sys

import pytest

from surgical_ml.cli import main
from surgical_ml.errors import InputError
from surgical_ml.evaluation import benchmark_metrics as bench

AGREEMENT = "needs scikit-learn and ivtmetrics, of the extra agreement"
SMALL = {"cases": 2, "hours": 1 / 90, "fps": 25.0, "rounds": 2}


@pytest.fixture(scope="module")
def done():
    pytest.importorskip("sklearn", reason=AGREEMENT)
    pytest.importorskip("ivtmetrics", reason=AGREEMENT)
    told = []
    found = bench.benchmark_metrics(**SMALL, progress=lambda *at: told.append(at))
    assert told == [(k, 10) for k in range(1, 11)]
    return found


def test_every_library_is_measured_in_every_round_with_what_it_has_words_for(done):
    assert {task: set(times) for task, times in done.seconds.items()} == {
        "phases": {"surgical_ml", "scikit-learn"},
        "presence": {"surgical_ml", "scikit-learn", "ivtmetrics"},
    }
    assert all(len(values) == 2 for times in done.seconds.values() for values in times.values())
    assert (done.cases, done.frames) == (2, 2000)


def test_results_are_equal_to_a_billionth_of_a_percent(done):
    assert set(done.differences["presence"]) == {"scikit-learn", "ivtmetrics"}
    assert all(one <= 1e-9 for found in done.differences.values() for one in found.values())


def test_a_library_with_other_results_is_an_error_and_no_row(monkeypatch):
    pytest.importorskip("sklearn", reason=AGREEMENT)
    pytest.importorskip("ivtmetrics", reason=AGREEMENT)
    honest = bench._our_presence
    monkeypatch.setattr(bench, "_our_presence", lambda cases: {k: v + 1e-6 for k, v in honest(cases).items()})
    with pytest.raises(InputError, match=r"presence of scikit-learn: expected our numbers to 1e-09 %, found a diff"):
        bench.benchmark_metrics(**SMALL)


@pytest.mark.parametrize("missing", ["sklearn.metrics", "ivtmetrics"])
def test_a_missing_library_is_one_line_that_names_the_extra(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(InputError, match=r"pip install 'surgical_ml\[agreement\]'"):
        bench.benchmark_metrics(**SMALL)


@pytest.mark.parametrize(("name", "value"), [("cases", 0), ("rounds", 0), ("hours", 0.001)])
def test_too_little_to_measure_is_refused(name, value):
    with pytest.raises(InputError, match="a whole number from 1"):
        bench.benchmark_metrics(**SMALL | {name: value})


def test_ratios_and_the_table_are_those_of_medians():
    times = {"surgical_ml": [1.0, 9.0, 2.0], "scikit-learn": [6.0, 6.0, 60.0]}
    presence = times | {"ivtmetrics": [3.0, 3.0, 3.0]}
    differences = {"phases": {"scikit-learn": 0.0}, "presence": {"scikit-learn": 2e-13, "ivtmetrics": 0.0}}
    made = bench.MetricsBenchmark(
        {"CPU": "made up"}, 40, 3_600_000, {"phases": times, "presence": presence}, differences
    )
    assert made.to_json()["ratios"]["phases"] == {"surgical_ml": 1.0, "scikit-learn": 3.0}
    assert made.ratio("presence", "ivtmetrics") == 1.5
    text = made.to_markdown()
    assert "- cases: 40, 3600000 samples" in text
    assert "| surgical_ml | 2.00 | 1.00 to 9.00 |  |  |" in text
    assert "| scikit-learn | 6.00 | 6.00 to 60.00 | 3.0 | 2e-13 |" in text


@pytest.mark.usefixtures("done")
def test_the_command_prints_the_table_or_one_json_object(monkeypatch, capsys):
    command = ["surgical-ml", "benchmark", "metrics", "--cases", "1", "--hours", "0.012", "--rounds", "1"]
    monkeypatch.setattr("signal.signal", lambda *_: None)
    for more in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", command + more)
        with pytest.raises(SystemExit) as caught:
            main()
        assert not caught.value.code
    text, _, last = capsys.readouterr().out.rstrip().rpartition("\n")
    assert "| times ours | largest difference, % |" in text
    assert json.loads(last)["frames"] == 1080
