"""`surgical-ml audit`: what was recorded, whether it is whole, and whether it comes out the same again."""

import json
import time
from collections import Counter, deque
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surgical_ml.cli.audit_keys import audit_key, audit_rotate, audit_shred
from surgical_ml.cli.audit_log import Log, Pins, WitnessKey, WitnessUrl, courier_of, key_of, log_of, moment
from surgical_ml.cli.audit_prove import audit_check_proof, audit_prove
from surgical_ml.cli.audit_witness import audit_stamp, witness
from surgical_ml.cli.output import Json, progress_bar, say, say_json
from surgical_ml.errors import InputError

if TYPE_CHECKING:
    from surgical_ml.evaluation.record_replay import Difference

audit = typer.Typer(no_args_is_help=True, help="Check, read and replay the record of a case.")

audit.command("key")(audit_key)
audit.command("rotate")(audit_rotate)
audit.command("shred")(audit_shred)
audit.command("prove")(audit_prove)
audit.command("check-proof")(audit_check_proof)
audit.command("stamp")(audit_stamp)
audit.add_typer(witness, name="witness")

FOLLOW_S = 0.5


@audit.command("verify")
def audit_verify(
    folder: Log,
    pin: Pins = None,
    at: WitnessUrl = None,
    witness_key: WitnessKey = None,
    authority: Annotated[Path | None, typer.Option(help="Root certificates of time-stamping authorities, PEM.")] = None,
    as_json: Json = False,
) -> None:
    """Read a whole log; exit 1 if anything was changed, and say where: file, entry, byte.

    Example: surgical-ml audit verify case --pin 0123...cdef
    """
    from surgical_ml.audit import verify
    from surgical_ml.audit.timestamp import read_authorities

    log = log_of(folder)
    keys = [] if witness_key is None else [key_of(witness_key)]
    roots = [] if authority is None else read_authorities(authority)
    report = verify(log, pins=pin or (), witnesses=keys, authorities=roots)
    if at is not None and report.origin:
        seen = courier_of(at, witness_key).seen(report.origin)
        report = verify(log, pins=pin or (), witnesses=keys, authorities=roots, seen=[seen] if seen else [])
    if as_json:
        values = {
            name: getattr(report, name) for name in ("ok", "entries", "head", "torn_tail", "signed", "root", "origin")
        }
        faults = [{"file": one.file, "entry": one.entry, "byte": one.byte, "told": one.told} for one in report.faults]
        say_json(values | {"problems": report.problems, "faults": faults, "unprovable": report.unprovable})
    else:
        verdict = "whole" if report.ok else "DAMAGED"
        lines = [f"{log}: {verdict}, {report.entries} entries, head {report.head}"]
        if report.signed:
            lines.append(f"{report.signed} of them signed under {report.checkpoints} checkpoints of {report.origin}")
        lines += [*report.problems, *(f"not proved: {one}" for one in report.unprovable)]
        say("\n".join(lines))
    raise typer.Exit(0 if report.ok else 1)


@audit.command("show")
def audit_show(
    folder: Log,
    type_: Annotated[str | None, typer.Option("--type", help="Only entries of this type.")] = None,
    case: Annotated[str | None, typer.Option(help="Only entries of this case.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only entries of this actor.")] = None,
    since: Annotated[str | None, typer.Option(help="Only entries from this moment on, UTC.")] = None,
    until: Annotated[str | None, typer.Option(help="Only entries before this moment, UTC.")] = None,
    last: Annotated[int | None, typer.Option(min=1, help="Only the last N of them.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with entries as they are written.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print each entry whole, one JSON object a line.")] = False,
) -> None:
    """Print the entries of a log, oldest first.

    Example: surgical-ml audit show case --type decision --last 3
    """
    from surgical_ml.audit import read
    from surgical_ml.audit.reader import watch

    log, kinds = log_of(folder), set[str]()
    begin, end = moment(since, "--since"), moment(until, "--until")
    kept: deque[dict[str, Any]] = deque(maxlen=last)

    def tell() -> None:
        while kept:
            entry = kept.popleft()
            say(json.dumps(entry, sort_keys=True) if as_json else _line(entry))

    def pause() -> bool:
        tell()
        time.sleep(FOLLOW_S)
        return True

    for _, entry in watch(log, pause) if follow else read(log):
        kinds.add(str(entry["type"]))
        when = int(entry["t_utc"])
        if (
            (type_ is None or entry["type"] == type_)
            and (case is None or entry["case"] == case)
            and (actor is None or entry["actor"] == actor)
            and (begin is None or when >= begin)
            and (end is None or when < end)
        ):
            kept.append(dict(entry))
            if last is None:
                tell()
    if type_ is not None and type_ not in kinds:
        raise InputError(f"{log}: type", f"one of {sorted(kinds)}", type_)
    tell()


@audit.command("replay")
def audit_replay(
    folder: Log,
    video: Annotated[
        str | None, typer.Option(help="What the case was recorded from; what the networks saw is believed otherwise.")
    ] = None,
    case: Annotated[str | None, typer.Option(help="Which case of the log; its first one otherwise.")] = None,
    changed: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting to be other than recorded, NAME=VALUE; may be repeated."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a recorded case again and compare every decision; exit 1 names the first that differs, and why.

    Example: surgical-ml audit replay case --video case.mp4
    """
    from surgical_ml.evaluation.record_replay import replay_record

    log = log_of(folder)
    with progress_bar(log.parent.name or log.name, "decisions", quiet=as_json) as update:
        compared = count(1)
        found = replay_record(
            log,
            video,
            case=case,
            changes=dict(_setting(one) for one in changed or ()),
            observe=lambda *_: update(next(compared), None),
        )
    if as_json:
        say_json(
            {
                "same": found.same,
                "compared": found.compared,
                "differing": len(found.differences),
                "differences": [[one.seq, one.why] for one in found.differences],
                "first_difference": _difference(found.differences[0]) if found.differences else None,
                "missing_frames": list(found.missing_frames),
                "from_record": list(found.from_record),
                "changed": {one.name: [one.recorded, one.found] for one in found.changed},
            }
        )
    else:
        lines = [f"{log}: {found.compared} decisions compared, {'all the same' if found.same else 'NOT THE SAME'}"]
        lines += [f"{one.name}: recorded {one.recorded}, now {one.found}" for one in found.changed]
        if found.differences:
            lines.append(f"{len(found.differences)} differ: decisions {_ranges(one.seq for one in found.differences)}")
            lines.append(f"the first: {_told(found.differences[0])}")
            reasons = Counter(one.why for one in found.differences)
            lines += [f"{times} of them: {why}" for why, times in reasons.most_common()]
        if found.from_record:
            told = f"{len(found.from_record)} frames were not kept and not looked at again, only what came after the networks"
            lines.append(f"{told}: frames {_ranges(found.from_record)}")
        if found.missing_frames:
            lines.append(f"{video} does not hold frames {_ranges(found.missing_frames)}, which were judged")
        say("\n".join(lines))
    raise typer.Exit(0 if found.same else 1)


def _setting(text: str) -> tuple[str, Any]:
    """A name and a value, JSON or plain text."""
    name, is_there, value = text.partition("=")
    if not name or not is_there:
        raise InputError("--set", "NAME=VALUE", text)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _ranges(numbers: Iterable[int]) -> str:
    """Numbers that follow each other as their first and last one."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def _line(entry: dict[str, Any]) -> str:
    """An entry on one line, as far as a person reads it."""
    body = json.dumps(entry["body"], sort_keys=True, ensure_ascii=False)
    short = body if len(body) <= 120 else body[:119] + "…"
    when = datetime.fromtimestamp(int(entry["t_utc"]) / 1e9, UTC)
    return f"{entry['seq']:>7}  {when:%Y-%m-%d %H:%M:%S.%f}  {entry['type']:<14}  {entry['case']}  {short}"


def _difference(one: "Difference") -> dict[str, Any]:
    return {"seq": one.seq, "event": one.event, "recorded": one.recorded, "computed": one.computed, "why": one.why}


def _told(one: "Difference") -> str:
    """Where a decision differs: what a reader looks for, and only where that is the same, its digest."""
    event = ", ".join(f"{name} {value}" for name, value in sorted(one.event.items()))
    names = [name for name in sorted(one.recorded) if one.recorded[name] != one.computed.get(name)]
    told = [name for name in names if name != "sha256"] or names
    pairs = "; ".join(f"{name}: recorded {one.recorded[name]!r}, now {one.computed.get(name)!r}" for name in told)
    return f"decision {one.seq} ({event}): {one.why}; {pairs}"
