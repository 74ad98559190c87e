"""`surgical-ml evaluate`: predictions against ground truth, in a convention that is named."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from surgical_ml.cli.evaluate_cases import cases
from surgical_ml.cli.evaluate_compare import compare, study
from surgical_ml.cli.evaluate_networks import networks
from surgical_ml.cli.output import progress_bar, say
from surgical_ml.errors import InputError

evaluate = typer.Typer(
    no_args_is_help=True, help="Score predictions against ground truth, in a convention that is named."
)
evaluate.command("cases")(cases)
evaluate.command("study")(study)
evaluate.command("compare")(compare)
evaluate.command("networks")(networks)

Labels = Annotated[Path, typer.Option(help="Folder of the ground truth.")]
Predictions = Annotated[Path, typer.Option(help="Folder of the predictions, with the same cases.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write every number to this file, too; - is the screen.")]
Procedure = Annotated[str, typer.Option(help="cholec80, m2cai16, multibypass140, or a protocol by name or file.")]


@evaluate.command("phases")
def phases(
    labels: Labels,
    predictions: Predictions,
    fps: Annotated[float, typer.Option(help="Samples/s of the files; declared, never guessed.")],
    protocol: Annotated[str, typer.Option(help="strict, per-phase, pooled, official or corrected.")] = "strict",
    procedure: Procedure = "cholec80",
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
    lines = [
        f"protocol {scores.protocol}, {done.procedure}, {scores.fps:g} samples/s, {len(scores.cases)} cases, "
        f"{sum(scores.frames)} frames, surgical_ml {scores.version}; percent",
        f"NaN policy: {scores.nan_policy}",
        *(f"note: {note}" for note in done.notes),
        "",
        *_table("phase", scores.phases, scores.phase_values),
        "",
    ]
    for measure, summary in {"accuracy": scores.accuracy, **scores.summaries}.items():
        interval = done.intervals.get(measure)
        shown = (
            f"; {interval.level:.0%} {interval.method} [{interval.low:.2f}, {interval.high:.2f}]" if interval else ""
        )
        lines.append(f"{measure:10}{summary}{shown}")
    _report(done.to_json(), lines, json_file)


@evaluate.command("gestures")
def gestures(
    predictions: Annotated[Path, typer.Option(help="Folder of .mat splits, or of label files with --labels.")],
    fps: Annotated[float, typer.Option(help="Samples/s of the files; declared, never guessed.")],
    labels: Annotated[
        Path | None, typer.Option(help="Folder of the ground truth; .mat splits hold it already.")
    ] = None,
    hold_s: Annotated[float, typer.Option(help="How long a label must be predicted to count as seen, s.")] = 2.0,
    procedure: Procedure = "cholec80",
    json_file: JsonFile = None,
) -> None:
    """Score segments: edit, F1 at 10, 25 and 50 %, fragments, transition latency, false starts.

    Example: surgical-ml evaluate gestures --predictions sensors_ED-TCN_L2_C15 --fps 30
    """
    from surgical_ml.evaluation.external import evaluate_gestures

    done = evaluate_gestures(predictions, labels, fps=fps, hold_s=hold_s, procedure=procedure)
    values, scores = done.to_json(), done.everything
    measures = ("edit", "f1@10", "f1@25", "f1@50")
    lines = [
        f"protocol segmental, {fps:g} samples/s, {len(scores.cases)} cases, {sum(scores.frames)} frames, "
        f"surgical_ml {scores.version}; percent",
        f"NaN policy: {values['nan_policy']}",
        "",
    ]
    if done.splits:
        columns = {m: [one.summaries[m].mean for one in done.splits.values()] for m in measures}
        means = {m: done.mean_over_splits(m) for m in measures}
        lines += [*_table("split", tuple(done.splits), columns), ""]
        lines.append("mean over splits: " + ", ".join(f"{m} {means[m]:.2f}" for m in measures))
    lines += [f"{measure:18}{summary}" for measure, summary in scores.summaries.items()]
    lines.append("all segments in one pool: " + ", ".join(f"{m} {value:.2f}" for m, value in scores.pooled_f1.items()))
    latency = values["latency_s"]
    lines.append(
        f"latency of {latency['transitions']} transitions, held {hold_s:g} s: median {_digits(latency['median'])} "
        f"s, p90 {_digits(latency['p90'])} s, {latency['misses']} missed"
    )
    _report(values, lines, json_file)


@evaluate.command("segmentation")
def segmentation(
    labels: Labels,
    predictions: Annotated[Path, typer.Option(help="Folder of label-map PNGs at the same paths below it.")],
    classes: Annotated[Path | None, typer.Option(help="JSON names of the ids; else classes.json, or the ids.")] = None,
    truth_format: Annotated[str, typer.Option(help="label-map, endovis18 or cholecseg8k.")] = "label-map",
    json_file: JsonFile = None,
) -> None:
    """Score masks: Challenge, ISI, mean-class and cumulative IoU, Dice, NSD, HD95, flicker.

    Example: surgical-ml evaluate segmentation --labels data --predictions replays
    """
    from surgical_ml.evaluation.external import evaluate_segmentation, read_classes

    names = None if classes is None else read_classes(classes)
    with progress_bar("masks", "frames", quiet=False) as update:
        scores = evaluate_segmentation(labels, predictions, classes=names, truth_format=truth_format, progress=update)
    values = scores.to_json()
    lines = [
        f"protocol segmentation, {len(scores.videos)} cases, {sum(scores.frames)} frames, "
        f"surgical_ml {scores.version}; shares of 1, hd95 in px",
        f"NaN policy: {scores.nan_policy}",
        "",
        *_table("class", scores.classes, scores.class_values, digits=4),
        "",
        f"Challenge IoU  {scores.challenge_iou:.4f}",
        f"ISI IoU        {scores.isi_iou:.4f}",
        f"mean-class IoU {scores.mean_class_iou:.4f}",
        f"cumulative IoU {scores.cumulative_iou:.4f}",
        "mean over classes: " + ", ".join(f"{m} {_digits(values[m], 4)}" for m in scores.class_values if m != "iou"),
        f"flicker, as a ratio to the truth's own: {_digits(values['flicker_ratio'])}",
    ]
    _report(values, lines, json_file)


@evaluate.command("tools")
def tools(
    labels: Labels,
    predictions: Predictions,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT of the pictures in pixels, to score tips too.")] = None,
    json_file: JsonFile = None,
) -> None:
    """Score tool presence, and with --size tool tips.

    Example: surgical-ml evaluate tools --labels data --predictions replays --size 854x480
    """
    from surgical_ml.evaluation.external import evaluate_tools

    size_px = None
    if size is not None:
        width, _, height = size.partition("x")
        if not (width.isdecimal() and height.isdecimal()):
            raise InputError("size", "WIDTHxHEIGHT", size)
        size_px = int(width), int(height)
    done = evaluate_tools(labels, predictions, size_px=size_px)
    scores, values = done.presence, done.to_json()
    lines = [
        f"protocol {values['protocol']}, {len(scores.videos)} cases, {sum(scores.frames)} frames, "
        f"surgical_ml {scores.version}; percent",
        f"NaN policy: {values['nan_policy']}",
        "",
        *_table("tool", scores.classes, {"ap": scores.class_values}),
        "",
        f"mAP {scores.summary}",
    ]
    if done.tips is not None:
        tips = values["tips"]
        lines.append(
            f"tips, {tips['protocol']}: {_digits(tips['pck']['mean'])} %, median {_digits(tips['median_px'])} px, "
            f"{tips['truths']} true, {tips['missing']} missing, {tips['extra']} extra"
        )
    _report(values, lines, json_file)


@evaluate.command("deviations")
def deviations(labels: Labels, predictions: Predictions, json_file: JsonFile = None) -> None:
    """Score how deviations are announced: sensitivity, precision, delay, false advisories per hour, every miss.

    Example: surgical-ml evaluate deviations --labels data --predictions replays
    """
    from surgical_ml.evaluation.external import evaluate_deviations

    scores = evaluate_deviations(labels, predictions)
    values = scores.to_json()
    delay = values["delay_s"]
    lines = [
        f"protocol {values['protocol']}, {len(scores.cases)} cases, surgical_ml {scores.version}",
        f"NaN policy: {values['nan_policy']}",
        "",
        *_table(
            "kind",
            tuple(scores.kinds),
            {
                name: [row[k] for row in scores.kinds.values()]
                for k, name in enumerate(("deviations", "matched", "advisories"))
            },
            digits=0,
        ),
        "",
        f"sensitivity {scores.sensitivity}",
        f"precision   {scores.precision}",
        f"F1          {scores.f1}",
        f"delay of {delay['events']} deviations: median {_digits(delay['median'])} s, p95 {_digits(delay['p95'])} s",
        f"false advisories per hour in {scores.clean_hours:.2f} hours without deviations: "
        + (", ".join(f"{name} {rate:.2f}" for name, rate in scores.false_per_hour.items()) or "none"),
        *(
            f"missed: {miss.case}, {miss.event.kind} {miss.event.subject} from {miss.event.onset_s:g} to "
            f"{miss.event.end_s:g} s"
            for miss in scores.misses
        ),
    ]
    _report(values, lines, json_file)


def _table(head: str, names: tuple[str, ...], columns: dict[str, Any], digits: int = 2) -> list[str]:
    """A row for each name, a column for each measure."""
    width = max(map(len, (head, *names)))
    rows = [f"{head:{width}}" + "".join(f"{measure:>12}" for measure in columns)]
    for k, name in enumerate(names):
        rows.append(f"{name:{width}}" + "".join(f"{float(values[k]):12.{digits}f}" for values in columns.values()))
    return rows


def _digits(value: float | str, digits: int = 2) -> str:
    """A number as JSON holds it, `Inf` and `NaN` included, rounded for people."""
    return f"{float(value):.{digits}f}"


def _report(values: dict[str, Any], lines: list[str], json_file: Path | None) -> None:
    """Print the text, or the JSON in its place; write the JSON aside and rename it."""
    encoded = json.dumps(values, indent=1, allow_nan=False)
    if json_file == Path("-"):
        say(encoded)
        return
    if json_file is not None:
        aside = json_file.with_name(json_file.name + ".partial")
        try:
            aside.write_text(encoded + "\n", "utf-8")
            aside.replace(json_file)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise InputError(json_file, "a file that can be written", error.strerror or str(error)) from error
    say("\n".join(lines))
