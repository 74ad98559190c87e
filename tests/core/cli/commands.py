"""The command line as a process of its own: to be stopped, to fill a disk, to write to a terminal."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LONGEST_S = 60.0
"""Nothing here takes a tenth of it; a machine may be that busy."""


def start(*arguments: object, **how: Any) -> "subprocess.Popen[str]":
    """Start `surgical-ml` with these arguments; as `subprocess.Popen` otherwise."""
    command = [sys.executable, "-m", "surgical_ml.cli", *map(str, arguments)]
    how = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
        "env": os.environ | {"COLUMNS": "120"},
    } | how
    return subprocess.Popen(command, **how)


def wait_for(what: Callable[[], Any]) -> Any:
    """Wait until something is there, and return it."""
    until = time.monotonic() + LONGEST_S
    while time.monotonic() < until:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError("it never came")


def many(folder: Path, picture: Path, count: int = 10_000) -> Path:
    """A folder of pictures, by default more than any test will wait for, all of them one file."""
    folder.mkdir()
    for k in range(count):
        (folder / f"{k:06d}{picture.suffix}").hardlink_to(picture)
    return folder
