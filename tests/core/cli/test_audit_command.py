"""`surgical-ml audit`: a log is checked, read, and run again."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from commands import LONGEST_S, start

CERTIFIED, CASE_START, DECISION = "key-certified", "case-start", "decision"


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    out = tmp_path_factory.mktemp("recorded") / "case"
    command = [sys.executable, "-m", "surgical_ml.cli", "replay", str(pictures), "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    return out


def test_a_whole_log_passes(case: Path, cli) -> None:
    done = cli("audit", "verify", case / "audit", "--json")
    assert done.status == 0
    values = json.loads(done.out)
    assert values["ok"]
    assert values["problems"] == []
    assert values["entries"] >= 12 + 3  # a start of the case, its first and last action, and a decision a frame


def test_the_folder_of_a_case_stands_for_its_log(case: Path, cli) -> None:
    assert cli("audit", "verify", case).out == cli("audit", "verify", case / "audit").out


def test_a_changed_log_fails_and_says_where(case: Path, tmp_path: Path, cli) -> None:
    log = shutil.copytree(case / "audit", tmp_path / "audit")
    segment = next(log.rglob("*.wal"))
    content = bytearray(segment.read_bytes())
    content[len(content) // 3] ^= 1
    segment.write_bytes(content)
    done = cli("audit", "verify", log)
    assert done.status == 1
    assert "DAMAGED" in done.out
    assert segment.name in done.out


@pytest.mark.parametrize("words", [("verify",), ("show",), ("replay", "--video", "video.mp4")])
def test_a_folder_without_a_log_is_bad_input(words: tuple[str, ...], tmp_path: Path, cli) -> None:
    assert str(tmp_path / "none") in cli("audit", words[0], tmp_path / "none", *words[1:]).line


def test_each_entry_is_a_line_with_its_number_time_and_type(case: Path, cli) -> None:
    lines = cli("audit", "show", case).out.splitlines()
    assert [line.split()[0] for line in lines] == [str(k) for k in range(len(lines))]
    assert [line.split()[3] for line in lines[:2]] == [CERTIFIED, CASE_START]
    assert max(map(len, lines)) < 250


def test_entries_are_shown_whole_to_machines(case: Path, cli) -> None:
    entries = [json.loads(line) for line in cli("audit", "show", case, "--json").out.splitlines()]
    assert entries[1]["type"] == CASE_START
    assert json.loads(entries[1]["body"]["config"])["procedure"] == "cholecystectomy"
    assert [entry["seq"] for entry in entries] == list(range(len(entries)))


@pytest.mark.parametrize("last", [1, 3, 1000])
def test_a_type_and_a_number_choose_the_entries(last: int, case: Path, cli) -> None:
    def shown(*options: object) -> list[str]:
        return [str(json.loads(line)) for line in cli("audit", "show", case, "--json", *options).out.splitlines()]

    decisions = [entry for entry in shown() if f"'type': '{DECISION}'" in entry]
    assert shown("--type", DECISION) == decisions
    assert shown("--type", DECISION, "--last", last) == decisions[-last:]
    assert shown("--last", 2) == shown()[-2:]


def test_a_type_that_is_not_there_is_named_with_those_that_are(case: Path, cli) -> None:
    line = cli("audit", "show", case, "--type", "decisoin").line
    assert "decisoin" in line
    assert DECISION in line


def test_a_reader_that_has_seen_enough_ends_it_quietly(case: Path) -> None:
    process = start("audit", "show", case, "--json")
    process.stdout.close()
    assert process.wait(LONGEST_S) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


def test_a_case_comes_out_the_same_from_its_video(case: Path, pictures: Path, cli) -> None:
    done = cli("audit", "replay", case, "--video", pictures, "--json")
    assert done.status == 0
    assert json.loads(done.out) == {
        "same": True,
        "compared": 14,
        "differing": 0,
        "differences": [],
        "first_difference": None,
        "missing_frames": [],
        "from_record": [],
        "changed": {},
    }


def test_a_case_comes_out_the_same_without_its_video_from_what_was_seen(case: Path, cli) -> None:
    done = cli("audit", "replay", case)
    assert done.status == 0
    assert "14 decisions compared, all the same" in done.out
    assert "12 frames were not kept" in done.out
    assert "frames 0-11" in done.out


def test_a_changed_setting_is_named_and_a_setting_without_a_value_is_bad_input(case: Path, cli) -> None:
    assert "config: recorded" in cli("audit", "replay", case, "--set", "time_scale=50").out
    assert "NAME=VALUE" in cli("audit", "replay", case, "--set", "time_scale").line


def other_pictures(folder: Path, pictures: Path, changed: int, count: int = 12) -> Path:
    """Copies of the first pictures, one of them changed."""
    folder.mkdir()
    for k in range(count):
        picture = cv2.imread(str(pictures / f"{k:03d}.png"))
        cv2.imwrite(str(folder / f"{k:03d}.png"), np.flip(picture, 1) if k == changed else picture)
    return folder


def test_another_video_fails_and_the_first_decision_that_differs_is_named(
    case: Path, pictures: Path, tmp_path: Path, cli
) -> None:
    video = other_pictures(tmp_path / "video", pictures, 7)
    done = cli("audit", "replay", case, "--video", video)
    assert done.status == 1
    assert "NOT THE SAME" in done.out
    # Decision 0 is the start of the case, so that frame 7 is decision 8.
    assert "the first: decision 8 (index 7, kind frame" in done.out
    first = json.loads(cli("audit", "replay", case, "--video", video, "--json").out)["first_difference"]
    assert first["event"]["index"] == 7
    assert first["recorded"] != first["computed"]


def test_a_shorter_video_fails_and_the_missing_frames_are_named(
    case: Path, pictures: Path, tmp_path: Path, cli
) -> None:
    done = cli("audit", "replay", case, "--video", other_pictures(tmp_path / "video", pictures, -1, count=5))
    assert done.status == 1
    assert "does not hold frames 5-11, which were judged" in done.out


def test_a_case_that_the_log_does_not_hold_is_bad_input(case: Path, pictures: Path, cli) -> None:
    assert "nobody" in cli("audit", "replay", case, "--video", pictures, "--case", "nobody").line
