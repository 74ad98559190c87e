"""`surgical-ml evaluate cases`: what it says, its exit status, and what it refuses."""

import json
import os
import pty
import shutil
import signal
from pathlib import Path

import pytest
from commands import LONGEST_S, many, start, wait_for


@pytest.fixture
def data(tmp_path: Path, pictures: Path) -> Path:
    """Two short cases without a truth."""
    for name in ("monday", "tuesday"):
        shutil.copytree(pictures, tmp_path / "data" / name)
    return tmp_path / "data"


def test_cases_are_run_and_counted_and_a_second_run_keeps_them(data: Path, tmp_path: Path, cli) -> None:
    done = cli("evaluate", "cases", data, "--out", tmp_path / "out", "--every", 6)
    assert done.status == 0
    assert done.err == ""
    assert f"{tmp_path / 'out'}: 2 done, 0 kept, 0 failed; 4 frames at" in done.out
    again = cli("evaluate", "cases", data, "--out", tmp_path / "out", "--every", 6, "--json")
    told = json.loads(again.out)
    assert told["mode"] == "throughput"
    assert [(case["name"], case["state"], case["frames"]) for case in told["cases"]] == [
        ("monday", "kept", 2),
        ("tuesday", "kept", 2),
    ]
    assert told["frames_per_s"] is None, "nothing was judged, and nothing is said of how fast"


def test_a_case_that_fails_is_named_in_one_line_and_the_exit_status_is_1(data: Path, tmp_path: Path, cli) -> None:
    (data / "monday.mp4").write_text("not a video")
    shutil.rmtree(data / "monday")
    done = cli("evaluate", "cases", data, "--out", tmp_path / "out", "--every", 6)
    assert done.status == 1
    assert f"failed: monday: {data / 'monday.mp4'}: expected a video that can be decoded" in done.out
    assert "1 done, 0 kept, 1 failed" in done.out
    assert done.err == ""


def test_cholec80_is_run_as_its_publishers_lay_it_out(tmp_path: Path, cli) -> None:
    small = ("--seconds", 45, "--size", "320x192", "--fps", 1, "--no-masks")
    assert cli("simulate", tmp_path / "made", "--cases", 1, *small).status == 0
    made = tmp_path / "made" / "case00000"
    places = {"video.mp4": "videos/video01.mp4"}
    places |= {f"video-{kind}.txt": f"{kind}_annotations/video01-{kind}.txt" for kind in ("phase", "tool")}
    for name, place in places.items():
        (tmp_path / "cholec80" / place).parent.mkdir(parents=True)
        (made / name).rename(tmp_path / "cholec80" / place)
    done = cli("evaluate", "cases", tmp_path / "cholec80", "--out", tmp_path / "out", "--every", 10)
    assert done.status == 0
    listed = json.loads((tmp_path / "out" / "run.json").read_text())["data"]
    assert listed["layout"] == "Cholec80"
    assert [(case["name"], case["video"]) for case in listed["cases"]] == [("video01", "videos/video01.mp4")]
    assert (tmp_path / "out" / "cases" / "video01" / "report.html").is_file()
    told = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert told["data"]["labels"] == str(tmp_path / "cholec80")
    assert told["conventions"]["strict"]["frames"] == told["data"]["frames"] > 0


def test_what_the_cases_say_together_is_computed_at_the_end_and_may_block(tmp_path: Path, cli) -> None:
    """Too few cases to judge any group are no pass."""
    small = ("--cases", 2, "--seconds", 45, "--size", "320x192", "--fps", 1, "--no-masks")
    assert cli("simulate", tmp_path / "data", *small).status == 0
    asked = ("evaluate", "cases", tmp_path / "data", "--out", tmp_path / "out", "--every", 5)
    done = cli(*asked)
    assert done.status == 0
    assert "strict: accuracy" in done.out
    assert f"report: {tmp_path / 'out' / 'report.html'}" in done.out
    gated = cli(*asked, "--largest-drop", 5, "--json")
    assert gated.status == 1
    told = json.loads(gated.out)
    assert told["gate"]["verdict"] != "pass"
    assert {case["state"] for case in told["cases"]} == {"kept"}
    assert json.loads(Path(told["evaluation"]).read_text())["gate"] == told["gate"]
    assert Path(told["report"]).is_file()


def test_in_real_time_it_says_nothing_of_throughput(data: Path, tmp_path: Path, cli) -> None:
    done = cli("evaluate", "cases", data, "--out", tmp_path / "out", "--realtime", "--fps", 100)
    assert done.status == 0
    assert "frames/s" not in done.out
    assert (tmp_path / "out" / "cases" / "monday" / "realtime.json").is_file()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--model", "nephrectomy"), "nephrectomy"),
        (("--procedure", "appendectomy"), "appendectomy"),
        (("--engine", "abacus"), "abacus"),
        (("--fps", -1), "fps"),
        (("--runner", "rays"), "process or ray"),
        (("--labels", "nowhere"), "nowhere: expected a folder of labels"),
        (("--groups", "nowhere.csv"), "nowhere.csv: expected a table of groups"),
        (("--realtime", "--workers", 2), "real time"),
        (("--realtime", "--masks"), "real time"),
        (("--workers", 0), "--workers"),
    ],
)
def test_a_wrong_option_is_named_and_leaves_nothing(
    options: tuple, named: str, data: Path, tmp_path: Path, cli
) -> None:
    assert named in cli("evaluate", "cases", data, "--out", tmp_path / "out", *options).line
    assert not (tmp_path / "out").exists()


def test_a_folder_without_cases_is_refused(tmp_path: Path, cli) -> None:
    (tmp_path / "data").mkdir()
    line = cli("evaluate", "cases", tmp_path / "data", "--out", tmp_path / "out").line
    assert f"{tmp_path / 'data'}: expected cases laid out as" in line


def test_another_option_than_the_run_began_with_is_refused(data: Path, tmp_path: Path, cli) -> None:
    assert cli("evaluate", "cases", data, "--out", tmp_path / "out", "--every", 6).status == 0
    line = cli("evaluate", "cases", data, "--out", tmp_path / "out", "--every", 4).line
    assert line.endswith("options.every: expected 6, as the run there began with, found 4")


def test_a_terminal_shows_cases_frames_speed_and_the_time_left_over_all_workers(data: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = start("evaluate", "cases", data, "--out", tmp_path / "out", "--workers", 2, stderr=theirs)
    os.close(theirs)
    shown = bytearray()
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    assert process.wait(LONGEST_S) == 0
    for part in (b"2/2 cases", b"24/24", b"frames/s", b"left"):
        assert part in shown


@pytest.mark.parametrize("workers", [1, 2])
def test_stopped_in_the_middle_it_leaves_nothing_half_done(workers: int, tmp_path: Path, pictures: Path) -> None:
    (tmp_path / "data").mkdir()
    many(tmp_path / "data" / "long", pictures / "000.png", 2000)
    many(tmp_path / "data" / "longer", pictures / "001.png", 2000)
    out = tmp_path / "out"
    process = start("evaluate", "cases", tmp_path / "data", "--out", out, "--workers", workers)
    wait_for((out / "cases" / "long.partial" / "keyframes").is_dir)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LONGEST_S)
    assert process.returncode == 130
    assert err == ""
    assert list((out / "cases").iterdir()) == []
