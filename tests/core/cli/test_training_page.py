"""The how-to page on training names commands and options that there are, and a layout that is read."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from surgical_ml.labels import DATASET_LAYOUTS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "training.md").read_text("utf-8")


def test_every_option_of_a_command_on_the_page_is_one_that_the_command_has() -> None:
    lines = re.findall(r"^(?:\$ surgical-ml|torchrun .* -m surgical_ml\.cli) (.*)$", PAGE, re.MULTILINE)
    assert len(lines) == 5
    helps: dict[tuple[str, ...], str] = {}
    for line in lines:
        words = shlex.split(line)
        command = tuple(words[: 1 if words[0] == "replay" else 2])
        if command not in helps:
            done = subprocess.run(
                [sys.executable, "-m", "surgical_ml.cli", *command, "--help"],
                capture_output=True,
                text=True,
                check=True,
                env={"COLUMNS": "200", "TERM": "dumb", "PATH": "/usr/bin"},
            )
            helps[command] = done.stdout
        for option in (word for word in words if word.startswith("--")):
            assert re.search(rf"{option}\b", helps[command]), f"{line}: {option}"


def test_every_data_set_that_is_read_is_named_on_the_page() -> None:
    for layout in DATASET_LAYOUTS:
        name = layout.removesuffix(" masks").removesuffix(" folders")
        year = re.fullmatch(r"EndoVis (\d+)", name)
        assert (year[1] if year else name) in PAGE
