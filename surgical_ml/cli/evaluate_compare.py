"""`surgical-ml evaluate study` and `evaluate compare`: what evaluated cases say, and two models on the same ones."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surgical_ml.cli.output import Json, progress_bar, say, say_json
from surgical_ml.errors import InputError

if TYPE_CHECKING:
    from surgical_ml.evaluation.study import Study, StudyComparison

Drop = Annotated[
    float | None, typer.Option(help="Percent points that the worst subgroup may lose; asks for the release gate.")
]


def study(
    out: Annotated[Path, typer.Argument(help="Folder that evaluate cases has written.")],
    labels: Annotated[
        Path | None, typer.Option(help="Folder of the ground truth; without it nothing is scored.")
    ] = None,
    groups: Annotated[Path | None, typer.Option(help="CSV table case,site,camera,... of properties of cases.")] = None,
    largest_drop: Drop = None,
    also: Annotated[
        list[str] | None, typer.Option(help="NAME=FOLDER of other predictions, to rank; repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compute again what evaluated cases say, without running them: evaluation.json and report.html.

    Example: surgical-ml evaluate study results --labels data --largest-drop 5
    """
    from surgical_ml.evaluation.study import write_study

    others = {}
    for one in also or []:
        name, equals, folder = one.partition("=")
        if not (name and equals and folder) or name in others:
            raise InputError("also", "NAME=FOLDER, each name once", one)
        others[name] = Path(folder)
    with progress_bar("cases", "cases", quiet=as_json) as update:
        done = write_study(out, labels, groups=groups, largest_drop=largest_drop, also=others, progress=update)
    if as_json:
        say_json(done.values)
    else:
        say("\n".join(study_lines(done)))
    if done.blocked:
        raise typer.Exit(1)


def study_lines(done: "Study") -> list[str]:
    """A study in a few lines: what was scored, the headline of each convention, the gate, the notes, the page."""
    values = done.values
    lines = [
        f"protocol study of evaluated cases, {values['data']['cases']} cases, {values['data']['frames']} frames, "
        f"{values['mode']}, surgical_ml {values['software']['version']}"
    ]
    for name, one in values["conventions"].items():
        shown = [
            f"{measure} {float(one[measure]['estimate']):.2f} "
            f"[{float(one[measure]['low']):.2f}, {float(one[measure]['high']):.2f}]"
            for measure in ("accuracy", "jaccard")
        ]
        lines.append(f"{name}: {', '.join(shown)} %; {one['cases']} cases, {one['frames']} frames at {one['fps']:g}/s")
    if (events := values["deviations"]) is not None:
        found = sum(row["found"] for row in events["by_kind"])
        lines.append(
            f"deviations: {found} of {events['deviations']} announced, {len(events['false'])} false advisories"
        )
    lines += values["ranking_flips"]
    if (gate := values["gate"]) is not None:
        lines.append(_gate(gate))
    return [*lines, *(f"note: {note}" for note in values["notes"]), f"report: {done.report}"]


def compare(
    first: Annotated[Path, typer.Argument(help="Folder of the new model's study.")],
    second: Annotated[Path, typer.Argument(help="Folder of the reference's, of the same cases.")],
    margin: Annotated[float, typer.Option(help="Percent points that do not matter; fixed before anybody looks.")],
    measure: Annotated[list[str] | None, typer.Option(help="Measure of the family; repeatable.")] = None,
    largest_drop: Drop = None,
    as_json: Json = False,
) -> None:
    """Say whether the first model may take the second's place: exit 1 if that is not shown, or the gate does not pass.

    Example: surgical-ml evaluate compare new reference --margin 1 --largest-drop 3
    """
    from surgical_ml.evaluation.study import FAMILY, compare_studies

    done = compare_studies(first, second, margin=margin, measures=tuple(measure or FAMILY), largest_drop=largest_drop)
    if as_json:
        say_json(done.to_json())
    else:
        say("\n".join(_comparison_lines(done)))
    if not done.passed:
        raise typer.Exit(1)


def _comparison_lines(done: "StudyComparison") -> list[str]:
    values = done.to_json()
    lines = [
        f"protocol {values['protocol']}: {values['cases']} cases, {values['frames']} frames at {float(values['fps'] or 0):g}/s",
        f"margin {done.margin:g} percent points, fixed before",
        f"{'measure':12}{'first':>9}{'second':>9}{'difference':>12}{'95 %':>18}{'p Holm':>9}",
    ]
    for one in done.measures:
        difference = one.comparison.difference
        interval = f"[{difference.low:.2f}, {difference.high:.2f}]"
        said = "not inferior" if one.not_inferior else "not shown not to be inferior"
        lines.append(
            f"{one.measure:12}{one.first:9.2f}{one.second:9.2f}{difference.estimate:12.2f}{interval:>18}"
            f"{one.p_holm:9.4f}  {said}"
        )
    if values["gate"] is not None:
        lines.append(_gate(values["gate"]))
    return [*lines, "passed" if done.passed else "not passed"]


def _gate(gate: dict[str, object]) -> str:
    """The verdict with the group that decided it."""
    drop, small = float(str(gate["drop"])), gate["insufficient"]
    words = f"gate, {float(str(gate['largest_drop'])):g} percent points: {gate['verdict']}"
    words += (
        f"; worst group {gate['worst']}, {drop:.2f} below" if gate["drop"] != "NaN" else "; no group could be judged"
    )
    if isinstance(small, list) and small:
        words += f"; too small to judge: {', '.join(map(str, small))}"
    return words
