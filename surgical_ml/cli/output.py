"""What every command says, and how: for people or for machines, and a progress bar for those who watch."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Protocol

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def say(text: str) -> None:
    """Print text for people."""
    try:
        typer.echo(text)
    except BrokenPipeError:
        # The reader has seen enough, as `head` does: what is said from here on, nobody hears.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say_json(values: Any) -> None:
    """Print one JSON object, on one line."""
    say(json.dumps(values, sort_keys=True))


class Update(Protocol):
    """What a bar is told."""

    def __call__(self, done: int, total: int | None, what: str | None = None) -> None:
        """How many are done, and of how many, or None where nobody knows; and a new name for it where that changes."""


@contextmanager
def progress_bar(what: str, unit: str, *, quiet: bool) -> Iterator[Update]:
    """A bar on stderr with the rate and the time left; none where `quiet`, or where nobody watches a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total, what=None: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    # A bar that is drawn more often takes time from the work that it reports.
    with Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=4) as bar:
        task = bar.add_task(what, total=None, rate="")

        def update(done: int, total: int | None, what: str | None = None) -> None:
            speed = bar.tasks[0].speed
            bar.update(
                task, description=what, completed=done, total=total, rate=f"{speed:.0f} {unit}/s" if speed else ""
            )

        yield update
