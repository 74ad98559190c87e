"""`surgical-ml audit`: what was recorded, whether it is whole, and whether it comes out the same again."""

import json
from collections import deque
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surgical_ml.cli.output import Json, progress_bar, say, say_json
from surgical_ml.errors import InputError

if TYPE_CHECKING:
    from surgical_ml.evaluation.record_replay import Difference

audit = typer.Typer(no_args_is_help=True, help="Check, read and replay the record of a case.")

Log = Annotated[Path, typer.Argument(help="Folder of the log, or of the case that holds it as `audit`.")]


@audit.command("verify")
def audit_verify(folder: Log, as_json: Json = False) -> None:
    """Read a whole log; exit 1 if an entry is missing, changed or out of order.

    Example: surgical-ml audit verify case
    """
    from surgical_ml.audit import verify

    log = _log(folder)
    report = verify(log)
    if as_json:
        say_json(
            {
                "ok": report.ok,
                "entries": report.entries,
                "head": report.head,
                "torn_tail": report.torn_tail,
                "problems": list(report.problems),
            }
        )
    else:
        verdict = "whole" if report.ok else "DAMAGED"
        say("\n".join([f"{log}: {verdict}, {report.entries} entries, head {report.head}", *report.problems]))
    raise typer.Exit(0 if report.ok else 1)


@audit.command("show")
def audit_show(
    folder: Log,
    type_: Annotated[str | None, typer.Option("--type", help="Only entries of this type.")] = None,
    last: Annotated[int | None, typer.Option(min=1, help="Only the last N of them.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each entry whole, one JSON object a line.")] = False,
) -> None:
    """Print the entries of a log, oldest first.

    Example: surgical-ml audit show case --type decision --last 3
    """
    from surgical_ml.audit import read

    log, kinds = _log(folder), set[str]()
    kept: deque[dict[str, Any]] = deque(maxlen=last)
    for _, entry in read(log):
        kinds.add(str(entry["type"]))
        if type_ is not None and entry["type"] != type_:
            continue
        kept.append(dict(entry))
        if last is None:
            say(json.dumps(kept.pop(), sort_keys=True) if as_json else _line(kept.pop()))
    if type_ is not None and type_ not in kinds:
        raise InputError(f"{log}: type", f"one of {sorted(kinds)}", type_)
    for entry in kept:
        say(json.dumps(entry, sort_keys=True) if as_json else _line(entry))


@audit.command("replay")
def audit_replay(
    folder: Log,
    video: Annotated[str, typer.Option(help="What the case was recorded from.")],
    case: Annotated[str | None, typer.Option(help="Which case of the log; its first one otherwise.")] = None,
    as_json: Json = False,
) -> None:
    """Run a recorded case again and compare every decision; exit 1 names the first that differs.

    Example: surgical-ml audit replay case --video case.mp4
    """
    from surgical_ml.evaluation.record_replay import replay_record

    log = _log(folder)
    with progress_bar(log.parent.name or log.name, "decisions", quiet=as_json) as update:
        compared = count(1)
        found = replay_record(log, video, case=case, observe=lambda *_: update(next(compared), None))
    if as_json:
        say_json(
            {
                "same": found.same,
                "compared": found.compared,
                "differing": len(found.differences),
                "first_difference": _difference(found.differences[0]) if found.differences else None,
                "missing_frames": list(found.missing_frames),
            }
        )
    else:
        lines = [f"{log}: {found.compared} decisions compared, {'all the same' if found.same else 'NOT THE SAME'}"]
        if found.differences:
            lines.append(f"{len(found.differences)} differ; the first: {_told(found.differences[0])}")
        if found.missing_frames:
            lines.append(f"{video} ends before frame {found.missing_frames[0]}, which was judged")
        say("\n".join(lines))
    raise typer.Exit(0 if found.same else 1)


def _log(folder: Path) -> Path:
    """The log itself, where the folder of its case was named."""
    return folder / "audit" if (folder / "audit").is_dir() else folder


def _line(entry: dict[str, Any]) -> str:
    """An entry on one line, as far as a person reads it."""
    body = json.dumps(entry["body"], sort_keys=True, ensure_ascii=False)
    short = body if len(body) <= 120 else body[:119] + "…"
    when = datetime.fromtimestamp(int(entry["t_utc"]) / 1e9, UTC)
    return f"{entry['seq']:>7}  {when:%Y-%m-%d %H:%M:%S.%f}  {entry['type']:<14}  {entry['case']}  {short}"


def _difference(one: "Difference") -> dict[str, Any]:
    return {"seq": one.seq, "event": one.event, "recorded": one.recorded, "computed": one.computed}


def _told(one: "Difference") -> str:
    """Where a decision differs: what a reader looks for, and only where that is the same, its digest."""
    event = ", ".join(f"{name} {value}" for name, value in sorted(one.event.items()))
    names = [name for name in sorted(one.recorded) if one.recorded[name] != one.computed.get(name)]
    told = [name for name in names if name != "sha256"] or names
    pairs = "; ".join(f"{name}: recorded {one.recorded[name]!r}, now {one.computed.get(name)!r}" for name in told)
    return f"decision {one.seq} ({event}): {pairs}"
