"""`surgical-ml doctor`: what is here, what is missing, what needs it, and the command that brings it."""

from pathlib import Path
from typing import Annotated

import typer

from surgical_ml.cli.output import Json, say, say_json


def doctor(
    records: Annotated[Path | None, typer.Option(help="Folder of records to check; the assistant's otherwise.")] = None,
    as_json: Json = False,
) -> None:
    """Look at the environment, one line a thing; exit 1 only if no case could be judged here.

    Example: surgical-ml doctor
    """
    from surgical_ml.cli.environment import State, look

    findings = []
    for finding in look(records):
        findings.append(finding)
        if not as_json:
            say(str(finding))
    works = all(finding.state is State.OK for finding in findings if finding.vital)
    if as_json:
        say_json({"ok": works, "findings": [finding.to_json() for finding in findings]})
    else:
        lacking = sum(finding.state is not State.OK for finding in findings)
        say(f"{'The main job runs here' if works else 'THE MAIN JOB CANNOT RUN HERE'}; {lacking} findings above.")
    raise typer.Exit(0 if works else 1)
