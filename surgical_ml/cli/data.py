"""`surgical-ml data`: the quality of data sets."""

from pathlib import Path
from typing import Annotated

import typer

from surgical_ml.cli.output import Json, progress_bar, say, say_json

data = typer.Typer(no_args_is_help=True, help="Check data sets before anyone trains on them.")


@data.callback()
def group() -> None:
    """Check data sets before anyone trains on them."""


@data.command("check")
def check(
    dataset: Annotated[Path, typer.Argument(help="Folder of the data set, with dataset.json in it.")],
    as_json: Json = False,
) -> None:
    """Look for what spoils a data set: broken files, wrong time bases, others' labels, leaks; exit 1 if any blocks.

    Example: surgical-ml data check cholec80
    """
    from surgical_ml.evaluation.dataset import check_dataset

    with progress_bar(str(dataset), "cases", quiet=as_json) as update:
        report = check_dataset(dataset, progress=update)
    if as_json:
        say_json(report.to_json())
    else:
        blocking = sum(finding.blocks for finding in report.findings)
        verdict = "passed" if report.passed else f"BLOCKED by {blocking} findings"
        lines = [str(finding) for finding in report.findings]
        say("\n".join([*lines, f"{dataset}: {verdict}, {len(report.cases)} cases"]))
    raise typer.Exit(0 if report.passed else 1)
