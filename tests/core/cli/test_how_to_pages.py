"""Every command of the how-to pages runs as it stands there, in order, and prints what it is said to print."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[3] / "docs"
LONGEST_S = 300
"""A page takes seconds on a machine that is idle."""


def commands(page: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a page's console blocks, with the lines that are said to follow."""
    for block in re.findall(r"^```console\n(.*?)^```$", (DOCS / page).read_text("utf-8"), re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.splitlines()
            yield command, lines


def shape(line: str) -> str:
    """A line without what differs from run to run: numbers and digests."""
    return re.sub(r"\b[0-9a-f]{64}\b|\d+(\.\d+)?", "N", line)


@pytest.mark.parametrize(
    "page", ["engines.md", "replay.md", "cases.md", "audit.md", "performance.md", "simulation.md", "protocols.md"]
)
def test_every_command_of_a_page_runs_and_prints_what_the_page_says(page: str, tmp_path: Path) -> None:
    there = dict(os.environ, PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    listed = list(commands(page))
    assert listed
    for command, lines in listed:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=tmp_path,
            env=there,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, command
        said = [shape(line) for line in (done.stdout + done.stderr).splitlines()]
        assert {shape(line) for line in lines} <= set(said), f"{command}\n{done.stdout}{done.stderr}"
