"""`surgical-ml cases`: a site's own cases: how long they take, what is used in them, what departs, and how that changes."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surgical_ml.cli.output import Json, say, say_json

if TYPE_CHECKING:
    from surgical_ml.evaluation.case_store import StoredCase

cases = typer.Typer(no_args_is_help=True, help="Keep a site's cases, and see what they were like.")

Store = Annotated[Path, typer.Argument(help="Folder of the case store: one folder a case.")]
Procedure = Annotated[str | None, typer.Option(help="Only cases of this protocol; needed where there are several.")]
_DAY = ["%Y-%m-%d"]
Since = Annotated[datetime | None, typer.Option(formats=_DAY, help="Only cases from this day on.")]
Until = Annotated[datetime | None, typer.Option(formats=_DAY, help="Only cases up to this day.")]


@cases.command("add")
def add(
    store: Store,
    folders: Annotated[list[Path], typer.Argument(help="Case folders that `surgical-ml replay` wrote.")],
    day: Annotated[
        datetime | None, typer.Option("--date", formats=_DAY, help="When they were; as their records say otherwise.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Copy cases into a store: their summary, decisions and timings.

    Example: surgical-ml cases add ours case --date 2026-03-14
    """
    from surgical_ml.evaluation.case_store import add_case

    added = [str(add_case(store, folder, None if day is None else day.date())) for folder in folders]
    if as_json:
        say_json({"added": added})
    else:
        say("\n".join(added))


@cases.command("index")
def index(
    store: Store,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Throw the index away, and make it again.")] = False,
    as_json: Json = False,
) -> None:
    """Bring the index up to date with the folders; exit 1 names cases that cannot be read.

    Example: surgical-ml cases index ours
    """
    from surgical_ml.evaluation.case_store import update_index

    done = update_index(store, rebuild=rebuild)
    if as_json:
        say_json({"cases": done.cases, "read": list(done.read), "refused": dict(done.refused)})
    else:
        lines = [f"{store}: {done.cases} cases, {len(done.read)} of them new or changed"]
        say("\n".join([*lines, *(f"{name} is left out: {why}" for name, why in done.refused)]))
    raise typer.Exit(1 if done.refused else 0)


@cases.command("show")
def show(
    store: Store,
    procedure: Procedure = None,
    since: Since = None,
    until: Until = None,
    as_json: Json = False,
) -> None:
    """Durations, tools, transitions and deviations of a site's cases; the index is brought up to date first.

    Example: surgical-ml cases show ours --since 2026-01-01
    """
    from surgical_ml.evaluation.case_statistics import describe_cases

    told = describe_cases(_chosen(store, procedure, since, until))
    if as_json:
        say_json(told)
        return
    days = f", {told['first']} to {told['last']}" if told["first"] else ""
    lines = [
        f"{told['procedure']}: {told['cases']} cases{days}, {told['hours']:.1f} h; a case {_spread(told['length_s'])}"
    ]
    width = max(map(len, told["phases"]))
    lines += ["", f"{'phase':{width}}  {'cases':>5}  {'visits':>6}  a visit"]
    for name, phase in told["phases"].items():
        lines.append(f"{name:{width}}  {phase['cases']:>5}  {phase['visits']:>6}  {_spread(phase['visit_s'])}")
        used = [f"{tool} {one['cases']}/{one['of']}" for tool, one in phase["tools"].items() if one["cases"]]
        lines += [f"{'':{width}}  seen in: {', '.join(used)}"] if used else []
    lines += ["", "what followed what"]
    lines += [f"{one['times']:>5}  {one['from']} -> {one['to']} (in {one['cases']} cases)" for one in told["steps"]]
    lines += ["", "departures that were announced" if told["departures"] else "no departure was announced"]
    for one in told["departures"]:
        rate = "" if one["per_hour"] is None else f", {one['per_hour']:.2f}/h"
        lines.append(
            f"{one['times']:>5}  {one['code']} {one['subject']}, {one['priority']} (in {one['cases']} cases{rate})"
        )
    say("\n".join(lines))


@cases.command("trends")
def trends(
    store: Store,
    by: Annotated[str, typer.Option(help="month or quarter.")] = "month",
    procedure: Procedure = None,
    since: Since = None,
    until: Until = None,
    as_json: Json = False,
) -> None:
    """How long cases and phases took, and how often something departed, month by month or quarter by quarter.

    Example: surgical-ml cases trends ours --by quarter
    """
    from surgical_ml.evaluation import case_statistics

    told = case_statistics.trends(_chosen(store, procedure, since, until), by)
    if as_json:
        say_json({"by": by, "periods": told})
        return
    lines = []
    for one in told:
        lines.append(f"{one['period']}: {one['cases']} cases, {one['hours']:.1f} h; a case {_spread(one['length_s'])}")
        lines += [f"    {name}: {_spread(length)}" for name, length in one["phases"].items() if length is not None]
        rates = [f"{code} {n['times']} ({n['per_hour']}/h)" for code, n in one["departures"].items()]
        lines.append(f"    departures: {', '.join(rates) or 'none'}")
    say("\n".join(lines))


def _chosen(
    store: Path, procedure: str | None, since: datetime | None, until: datetime | None
) -> "tuple[StoredCase, ...]":
    from surgical_ml.evaluation.case_statistics import chosen_cases
    from surgical_ml.evaluation.case_store import stored_cases, update_index

    for name, why in update_index(store).refused:
        typer.echo(f"surgical-ml: {name} is left out: {why}", err=True)
    return chosen_cases(
        stored_cases(store),
        procedure=procedure,
        since=None if since is None else since.date(),
        until=None if until is None else until.date(),
    )


def _spread(length: dict[str, Any] | None) -> str:
    """Median and quartiles, in minutes from two minutes on."""
    if length is None:
        return "takes: too few cases to say"
    unit, part = ("s", 1) if length["median"] < 120 else ("min", 60)
    median, low, high = (f"{length[key] / part:.1f}" for key in ("median", "low", "high"))
    return f"takes {median} {unit} (quartiles {low} to {high})"
