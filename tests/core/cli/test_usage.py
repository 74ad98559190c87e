"""Every command alike: its help, its exit status, and one line for whatever is wrong."""

import errno
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from surgical_ml.cli import app

HEAVY = ("cv2", "onnxruntime", "numpy", "pydantic", "yaml", "rclpy", "torch", "cryptography")


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, by its words."""
    for name, below in getattr(command, "commands", {}).items():
        yield from leaves(below, (*path, name))
    if not hasattr(command, "commands"):
        yield path, command


COMMANDS = dict(leaves(get_command(app)))


def options(command: Any) -> set[str]:
    return {name for one in command.params for name in (*one.opts, *one.secondary_opts)}


def test_help_answers_without_importing_anything_heavy() -> None:
    probe = f"""
import sys
sys.argv = ["surgical-ml", "--help"]
from surgical_ml.cli import main
try:
    main()
except SystemExit as left:
    print(left.code, sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "0 []"
    for name in ("replay", "simulate", "audit", "benchmark", "doctor"):
        assert f" {name} " in done.stdout


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_shows_an_example_that_it_understands(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    _, found, example = (command.help or "").partition("Example: ")
    assert found
    words = shlex.split(example.splitlines()[0].partition(" | ")[0])
    assert words[: len(path) + 1] == ["surgical-ml", *path]
    assert {word for word in words if word.startswith("--")} <= options(command)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_speaks_to_machines(path: tuple[str, ...]) -> None:
    assert "--json" in options(COMMANDS[path])


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...], cli) -> None:
    done = cli(*path, "--help")
    assert done.status == 0
    assert "Example:" in done.out


@pytest.mark.parametrize("path", [(), ("audit",), ("benchmark",)], ids=" ".join)
def test_a_group_without_a_command_shows_its_help(path: tuple[str, ...], cli) -> None:
    done = cli(*path)
    assert done.status == 2
    assert "Usage: surgical-ml" in done.out
    assert done.err == ""


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("replya",), "replya"),
        (("audit", "shwo"), "shwo"),
        (("replay",), "video"),
        (("replay", "case.mp4"), "--out"),
        (("replay", "case.mp4", "--out", "out", "--every", "two"), "--every"),
        (("replay", "case.mp4", "--out", "out", "--colour"), "--colour"),
        (("audit", "show", "case", "--last", "0"), "--last"),
        (("benchmark", "pipeline", "--rounds", "0"), "--rounds"),
    ],
)
def test_bad_usage_is_one_line_that_names_it_and_where_help_is(arguments: tuple[str, ...], named: str, cli) -> None:
    line = cli(*arguments).line
    assert named in line
    assert "--help" in line


def test_what_nobody_foresaw_of_a_disk_is_one_line(cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "case"))

    monkeypatch.setattr("surgical_ml.audit.verify", full)
    assert cli("audit", "verify", tmp_path).line == f"surgical-ml: {tmp_path / 'case'}: No space left on device"


def test_a_mistake_of_ours_is_not_dressed_up_as_bad_input(cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def mistaken(_: object, **__: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr("surgical_ml.audit.verify", mistaken)
    with pytest.raises(RuntimeError, match="a mistake"):
        cli("audit", "verify", tmp_path)
