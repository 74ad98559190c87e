"""`surgical-ml evaluate`: predictions against ground truth, in a convention that is named."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from surgical_ml.errors import InputError

evaluate = typer.Typer(no_args_is_help=True, help="Score predictions against ground truth.")

Labels = Annotated[Path, typer.Option(help="Folder of the ground truth.")]
Predictions = Annotated[Path, typer.Option(help="Folder of the predictions, with the same cases.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write every number to this file, too; - is the screen.")]


@evaluate.command("phases")
def phases(
    labels: Labels,
    predictions: Predictions,
    fps: Annotated[float, typer.Option(help="Samples/s of the files; declared, never guessed.")],
    protocol: Annotated[str, typer.Option(help="strict, per-phase, pooled, official or corrected.")] = "strict",
    procedure: Annotated[
        str, typer.Option(help="cholec80, m2cai16, multibypass140, or a protocol by name or file.")
    ] = "cholec80",
    leave_out_undefined: Annotated[
        bool, typer.Option("--leave-out-undefined", help="Score only samples that have a truth.")
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Score phase recognition.

    Example: surgical-ml evaluate phases --labels truth --predictions mine --fps 1 --protocol official
    """
    from surgical_ml.evaluation.external import evaluate_phases
    from surgical_ml.evaluation.metrics import PROTOCOLS

    chosen = next((one for one in PROTOCOLS if one == protocol), None)
    if chosen is None:
        raise InputError("protocol", f"one of {list(PROTOCOLS)}", protocol)
    done = evaluate_phases(
        labels,
        predictions,
        fps=fps,
        protocol=chosen,
        procedure=procedure,
        leave_out_undefined=leave_out_undefined,
    )
    scores = done.scores
    measures = list(scores.phase_values)
    width = max(map(len, scores.phases))
    lines = [
        f"protocol {scores.protocol}, {done.procedure}, {scores.fps:g} samples/s, {len(scores.cases)} cases, "
        f"{sum(scores.frames)} frames, surgical_ml {scores.version}; percent",
        f"NaN policy: {scores.nan_policy}",
        *(f"note: {note}" for note in done.notes),
        "",
        f"{'phase':{width}}" + "".join(f"{measure:>11}" for measure in measures),
    ]
    for p, name in enumerate(scores.phases):
        lines.append(f"{name:{width}}" + "".join(f"{scores.phase_values[measure][p]:11.2f}" for measure in measures))
    lines += ["", f"{'accuracy':10}{scores.accuracy}"]
    lines += [f"{measure:10}{summary}" for measure, summary in scores.summaries.items()]
    _report(done.to_json(), "\n".join(lines), json_file)


def _report(values: dict[str, Any], text: str, json_file: Path | None) -> None:
    """Print the text, or the JSON in its place; write the JSON aside and rename it."""
    encoded = json.dumps(values, indent=1, allow_nan=False)
    if json_file == Path("-"):
        typer.echo(encoded)
        return
    if json_file is not None:
        aside = json_file.with_name(json_file.name + ".partial")
        try:
            aside.write_text(encoded + "\n", "utf-8")
            aside.replace(json_file)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise InputError(json_file, "a file that can be written", error.strerror or str(error)) from error
    typer.echo(text)
