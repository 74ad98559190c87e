"""The commands of docs/sources.md run as they stand there; those for other hardware are refused in one line."""

import re
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_gstreamer_source import MISSING
from test_mcap_source import message

from surgical_ml.cli import main

PAGE = Path(__file__).resolve().parents[3] / "docs" / "sources.md"


def blocks(kind: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [block for name, block in found if name == kind]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each command of the console blocks, with the lines that are said to follow."""
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.splitlines()
            yield command, lines


RUN = list(commands())
ELSEWHERE = [line for block in blocks("") for line in block.splitlines()]


@pytest.fixture
def surgical_ml(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable]:
    """Runs a command line in this process: its exit status, and what it printed."""
    before = signal.getsignal(signal.SIGTERM)

    def run(command: str) -> tuple[int, list[str]]:
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return int(left.value.code or 0), (said.out + said.err).splitlines()

    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def recordings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, write_video: Callable[..., Path]
) -> Path:
    """A folder with the files that the page speaks of, where the commands run."""
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "case.mp4", frames=5, size=(640, 360))
    write_video(tmp_path / "tape.avi", frames=5, size=(640, 360), codec="MJPG")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "frames").mkdir()
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (180, 320, 3), np.uint8) for _ in range(4)]
    for k, picture in enumerate(pictures):
        cv2.imwrite(str(tmp_path / "frames" / f"{k}.png"), picture)
    if "bag" in request.node.callspec.id:
        write_bag = request.getfixturevalue("write_bag")
        write_bag({"/image": [message(picture, at_ns=40_000_000 * (k + 1)) for k, picture in enumerate(pictures)]})
    return tmp_path


def needs(command: str) -> list[pytest.MarkDecorator]:
    if "gst:" not in command:
        return []
    return [pytest.mark.apt, pytest.mark.skipif(bool(MISSING), reason=f"{MISSING}; the packages of apt.txt bring it")]


@pytest.mark.parametrize(("command", "lines"), [pytest.param(*one, id=one[0], marks=needs(one[0])) for one in RUN])
def test_a_command_runs_and_prints_what_the_page_says(
    recordings: Path, surgical_ml: Callable, command: str, lines: list[str]
) -> None:
    status, said = surgical_ml(command)
    if lines:
        assert (status, said) == (2, lines)
        assert not (recordings / "case").exists()
    else:
        assert status == 0, said
        assert (recordings / "case" / "decisions.jsonl").read_text().count("\n") >= 4


@pytest.mark.parametrize("command", [pytest.param(one, id=one, marks=needs(one)) for one in ELSEWHERE])
def test_a_command_for_other_hardware_is_refused_in_one_line_without_it(
    recordings: Path, surgical_ml: Callable, command: str
) -> None:
    if "/dev/video0" in command and Path("/dev/video0").exists():
        pytest.skip("needs a machine without /dev/video0: here the command would run")
    status, said = surgical_ml(command)
    assert status == 2
    (line,) = said
    assert line.startswith(f"surgical-ml: {shlex.split(command)[2]}: expected ")
    assert sorted(path.name for path in recordings.iterdir() if "case" in path.name) == ["case.mp4"]


def test_the_page_shows_every_kind_of_source() -> None:
    shown = " ".join([*(command for command, _ in RUN), *ELSEWHERE])
    kinds = ("case.mp4", "frames", "bag.mcap", "gst:", "/dev/video0", "decklinkvideosrc", "unixfdsrc", "deinterlace")
    assert [kind for kind in kinds if kind not in shown] == []
