"""`surgical-ml calibrate confidence`: what the stated probability of a phase is worth."""

from pathlib import Path
from typing import Annotated

import typer

from surgical_ml.cli.output import Json, say, say_json
from surgical_ml.errors import InputError


def confidence(
    predictions: Annotated[
        Path, typer.Argument(help="Folder of case folders of surgical-ml replay, or of NAME-scores.csv matrices.")
    ],
    labels: Annotated[Path, typer.Option(help="Folder of phase labels of the same cases, none of them trained on.")],
    fps: Annotated[float, typer.Option(help="Labels per second.")],
    out: Annotated[Path, typer.Option(help="Calibration to write: .yaml or .json.")],
    procedure: Annotated[str, typer.Option(help="Data set or protocol whose phases they are.")] = "cholecystectomy",
    model: Annotated[
        str | None, typer.Option(help="Model that made the scores; needed with matrices, known of case folders.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Calibrate the confidence of phases on labelled cases: a temperature, and what to believe how far.

    Every other case is fitted on; the numbers are stated for the others. A case whose configuration names the file takes
    its bands of certainty from it.

    Example: surgical-ml calibrate confidence replays --labels truth --fps 1 --out confidence.yaml
    """
    import surgical_ml
    from surgical_ml.calibration.files import write
    from surgical_ml.calibration.model import Provenance
    from surgical_ml.engine import load_model
    from surgical_ml.evaluation.confidence import calibrate_confidence, confidence_sources, read_scored_cases

    cases, found = read_scored_cases(labels, predictions, procedure=procedure, fps=fps)
    named = None if model is None else load_model(model).sha256
    if found is not None and named is not None and named != found:
        raise InputError(predictions, f"decisions of the model {named}", f"of {found}")
    sha256 = found or named
    if sha256 is None:
        raise InputError("--model", "the model that made the scores, which matrices do not say", "none")
    provenance = Provenance(
        made_by=f"surgical_ml {surgical_ml.__version__}", **confidence_sources(labels, predictions, fps)
    )
    made = calibrate_confidence(cases, sha256, provenance, fps=fps)
    digest = write(made, out)
    if as_json:
        say_json({"digest": digest, "out": str(out), **made.model_dump(mode="json", by_alias=True)})
        return
    low, high = made.interval
    lines = [
        f"{out}: temperature {made.temperature:.2f} (95 % {low:.2f} to {high:.2f}) from {made.samples} samples, "
        f"digest {digest}",
        f"calibration error on other cases {made.ece_before:.3f} before, {made.ece_after:.3f} after",
    ]
    for point in made.operating_points:
        if point.least_confidence is None:
            lines.append(f"right in {point.accuracy:.0%}: no confidence is enough")
            continue
        held = "none of them" if point.held_out_accuracy is None else f"{point.held_out_accuracy:.1%} right"
        lines.append(
            f"right in {point.accuracy:.0%}: from confidence {point.least_confidence:.3f} on; other cases: "
            f"{point.coverage:.0%} of samples, {held}"
        )
    say("\n".join(lines))
