"""`surgical-ml simulate`: what it writes, what it refuses, and that every case is there as a whole or not at all."""

import json
import os
import signal
from pathlib import Path

import cv2
import psutil
import pytest
from commands import LONGEST_S, start, wait_for

SMALL = ("--seconds", 45, "--size", "96x64", "--fps", 1)
"""Three quarters of a minute, the shortest that seven phases need, in as few pixels as will do."""


def test_a_case_is_a_video_with_the_truth_of_each_frame(tmp_path: Path, cli) -> None:
    done = cli("simulate", tmp_path / "data", "--seed", 7, *SMALL)
    assert done.status == 0
    assert done.out.split() == [str(tmp_path / "data" / "case00007")]
    case = tmp_path / "data" / "case00007"
    names = {path.name for path in case.iterdir()}
    assert names == {"video.mp4", "masks", "video-phase.txt", "video-tool.txt", "tips.csv", "case.json"}
    frames = int(cv2.VideoCapture(str(case / "video.mp4")).get(cv2.CAP_PROP_FRAME_COUNT))
    assert frames == len(list(case.glob("masks/*.png"))) == len((case / "video-phase.txt").read_text().splitlines()) - 1


def test_masks_may_be_left_out(tmp_path: Path, cli) -> None:
    assert cli("simulate", tmp_path / "data", "--no-masks", *SMALL).status == 0
    assert not (tmp_path / "data" / "case00000" / "masks").exists()


def test_deviations_and_faults_are_those_that_were_asked_for(tmp_path: Path, cli) -> None:
    asked = ("--deviations", "order", "--faults", "smoke,dark")
    done = cli("simulate", tmp_path / "data", "--cases", 4, *asked, "--no-masks", *SMALL, "--json")
    plans = [json.loads((Path(case) / "case.json").read_text()) for case in json.loads(done.out)["cases"]]
    assert [[one["kind"] for one in plan["deviations"]] for plan in plans] == [["order"]] * 4
    assert {one["kind"] for plan in plans for one in plan["disturbances"]} == {"smoke", "dark"}


def test_without_asking_nothing_deviates_and_nothing_spoils_the_picture(tmp_path: Path, cli) -> None:
    assert cli("simulate", tmp_path / "data", "--no-masks", *SMALL).status == 0
    plan = json.loads((tmp_path / "data" / "case00000" / "case.json").read_text())
    assert plan["deviations"] == plan["disturbances"] == []


def living(group: int) -> list[int]:
    """Processes of a group that are more than an entry which nobody has collected yet."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--procedure", "appendectomy"),
        ("--deviations", "sabotage"),
        ("--faults", "fog"),
        ("--look", "shiny"),
        ("--scene", "tissue"),
        ("--split", "half"),
        ("--cases", 0),
        ("--workers", 0),
        ("--fps", 0),
        ("--seconds", -1),
        ("--seed", -1),
        ("--size", "big"),
        ("--size", "95x64"),
        ("--size", "32x32"),
    ],
)
def test_what_it_cannot_render_is_refused_by_name(option: str, value: object, tmp_path: Path, cli) -> None:
    line = cli("simulate", tmp_path / "data", *SMALL, option, value).line
    assert str(value) in line
    assert not (tmp_path / "data").exists()


def test_a_case_that_is_there_already_stays_as_it_is(tmp_path: Path, cli) -> None:
    (tmp_path / "data" / "case00001").mkdir(parents=True)
    line = cli("simulate", tmp_path / "data", "--cases", 2, *SMALL).line
    assert str(tmp_path / "data" / "case00001") in line
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["case00001"]


def test_workers_write_what_one_alone_writes(tmp_path: Path, cli) -> None:
    for name, workers in (("alone", 1), ("together", 2)):
        done = cli("simulate", tmp_path / name, "--cases", 3, "--faults", "all", "--workers", workers, *SMALL)
        assert done.status == 0
    alone = {path.relative_to(tmp_path / "alone"): path for path in (tmp_path / "alone").rglob("*.*")}
    assert len(alone) > 100
    for name, path in alone.items():
        assert path.read_bytes() == (tmp_path / "together" / name).read_bytes(), name


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle_it_leaves_whole_cases_only(workers: int, number: signal.Signals, tmp_path: Path) -> None:
    process = start(
        *("simulate", tmp_path / "data", "--cases", 100, "--seconds", 500, "--workers", workers), start_new_session=True
    )
    wait_for(lambda: len(list(tmp_path.glob("data/*.partial/masks/*.png"))) >= workers)
    process.send_signal(number)
    _, err = process.communicate(timeout=LONGEST_S)
    assert process.returncode == 128 + number
    assert err == ""
    assert list((tmp_path / "data").iterdir()) == []
    wait_for(lambda: not living(process.pid))


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, cli) -> None:
    (tmp_path / "file").touch()
    assert "Not a directory" in cli("simulate", tmp_path / "file" / "data", *SMALL).line
