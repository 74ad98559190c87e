"""The command says what spoils a data set and ends as a check should; what docs/data.md shows is true."""

import json
import re
import sys
from pathlib import Path

import pytest

from surgical_ml.cli import main
from surgical_ml.evaluation import dataset as room
from surgical_ml.evaluation.dataset import DatasetCard
from surgical_ml.evaluation.dataset.finding import Waivers

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "data.md").read_text("utf-8")
ROOM = "".join(path.read_text("utf-8") for path in Path(room.__file__).parent.glob("*.py"))


@pytest.fixture
def check(monkeypatch, capsys, tmp_path):
    """`surgical-ml data check dataset` in a folder of its own: exit status, stdout, stderr."""

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("signal.signal", lambda *_: None)
        monkeypatch.setattr(sys, "argv", ["surgical-ml", "data", "check", "dataset", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return caught.value.code or 0, out, err

    return run


@pytest.fixture
def labels(tmp_path):
    """A data set of labels alone."""
    folder = tmp_path / "dataset"
    folder.mkdir()
    for case in ("video01", "video02"):
        n = 70 if case == "video01" else 84
        rows = "".join(f"{k}\t{k * 7 // n}\n" for k in range(n))
        (folder / f"{case}-phase.txt").write_text("Frame\tPhase\n" + rows)
    card = {"schema": 1, "name": "labels", "licence": "CC0-1.0", "de_identified": True, "phase_fps": 1}
    (folder / "dataset.json").write_text(json.dumps(card | {"splits": {"train": ["video01"], "test": ["video02"]}}))
    return folder


@pytest.mark.usefixtures("labels")
def test_a_clean_set_ends_with_0(check):
    assert check() == (0, "dataset: passed, 2 cases\n", "")


def test_a_finding_that_blocks_ends_with_1_and_is_named(check, labels):
    (labels / "video02-phase.txt").write_text((labels / "video01-phase.txt").read_text())
    status, out, _ = check()
    assert status == 1
    assert out.splitlines() == [
        "block  labels-duplicate video02: expected phases of its own, found those of video01",
        "dataset: BLOCKED by 1 findings, 2 cases",
    ]
    status, out, _ = check("--json")
    assert status == 1
    assert json.loads(out)["counts"] == {"labels-duplicate": 1}


def test_a_folder_that_is_none_ends_with_2_in_one_line(check):
    status, out, err = check()
    assert (status, out) == (2, "")
    assert err == "surgical-ml: dataset: expected the folder of a data set, found none\n"


def test_the_page_lists_every_finding_there_is():
    table = PAGE[PAGE.index("## What it looks for") : PAGE.index("## The card")]
    shown = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", table))
    made = set(re.findall(r'(?:block|warn)\(\s*f?"([a-z{}]+(?:-[a-z{}]+)+)"', ROOM))
    made = {name.replace("{what}", what) for name in made for what in ("picture", "mask")}
    made |= {"labels-longer-than-video", "labels-shorter-than-video"}
    assert shown == made


def test_the_card_and_the_waivers_of_the_page_are_valid():
    card, waivers = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert DatasetCard.model_validate_json(card).patients["video03"] == "p2"
    assert Waivers.model_validate_json(waivers).waivers[0].code == "boxes-missing"
