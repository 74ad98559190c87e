"""`evaluate study` and `evaluate compare`: what they print, and with what they end."""

import json
import sys

import pytest
from made_evaluation import made_evaluation

from surgical_ml.cli import main


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs a command in this process; gives its exit code, and what it said on stdout and stderr."""
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["surgical-ml", "evaluate", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return caught.value.code or 0, out, err

    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return made_evaluation(tmp_path_factory.mktemp("commanded"), cases=3, errors=lambda k: 0.1)


def test_a_study_is_told_with_its_conventions_notes_and_page(command, made):
    code, out, _ = command("study", made[0], "--labels", made[1])
    assert code == 0
    assert out.startswith("protocol study of evaluated cases, 3 cases, ")
    for convention in ("strict", "per-phase", "pooled", "official", "corrected"):
        assert f"\n{convention}: accuracy " in out
    assert "note: The cases are synthetic" in out
    assert out.rstrip().endswith(f"report: {made[0] / 'report.html'}")


def test_json_is_what_the_file_holds(command, made):
    code, out, _ = command("study", made[0], "--labels", made[1], "--json")
    assert code == 0
    assert json.loads(out) == json.loads((made[0] / "evaluation.json").read_text())


def test_a_gate_that_nobody_can_judge_ends_with_1_and_says_why(command, made):
    code, out, _ = command("study", made[0], "--labels", made[1], "--largest-drop", 5)
    assert code == 1
    assert (
        "gate, 5 percent points: insufficient; no group could be judged; too small to judge: case length: short" in out
    )


def test_a_worse_model_ends_a_comparison_with_1_and_the_better_one_with_0(command, made, tmp_path):
    worse, labels = made_evaluation(tmp_path, cases=3, errors=lambda k: 0.4)
    command("study", made[0], "--labels", made[1])
    command("study", worse, "--labels", labels)
    code, out, _ = command("compare", worse, made[0], "--margin", 1)
    assert (code, out.splitlines()[-1]) == (1, "not passed")
    assert "margin 1 percent points, fixed before" in out
    assert "not shown not to be inferior" in out
    code, out, _ = command("compare", made[0], worse, "--margin", 1, "--json")
    assert (code, json.loads(out)["passed"]) == (0, True)


def test_a_comparison_without_a_margin_is_refused(command, made):
    code, _, err = command("compare", made[0], made[0])
    assert code == 2
    assert "--margin" in err


@pytest.mark.parametrize("also", ["mine", "=folder", "mine="])
def test_predictions_without_a_name_or_a_folder_are_refused(command, made, also):
    code, _, err = command("study", made[0], "--labels", made[1], "--also", also)
    assert code == 2
    assert err == f"surgical-ml: also: expected NAME=FOLDER, each name once, found {also}\n"


def test_a_folder_without_cases_is_refused_in_one_line(command, tmp_path):
    code, _, err = command("study", tmp_path)
    assert code == 2
    assert err == f"surgical-ml: {tmp_path / 'cases'}: expected evaluated cases, found no folder\n"
