"""`surgical-ml audit prove` and `check-proof`: one entry, or the growth of a log, shown to somebody who has no log."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from surgical_ml.cli.audit_log import Log, Pins, key_of, log_of
from surgical_ml.cli.output import Json, say, say_json
from surgical_ml.errors import InputError


def audit_prove(
    folder: Log,
    entry: Annotated[int | None, typer.Option(min=0, help="Number of the entry to prove.")] = None,
    since: Annotated[
        int | None, typer.Option(min=0, help="Size of an older tree that the log still begins with.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write the proof to; the entry goes beside it, as .json. Printed otherwise."),
    ] = None,
    pin: Pins = None,
    as_json: Json = False,
) -> None:
    """Prove that an entry is in the log, or that the log has only grown since it had a size.

    Example: surgical-ml audit prove case --entry 3 --out entry3.tlog-proof
    """
    from surgical_ml.audit.prove import prove_entry, prove_growth

    if (entry is None) == (since is None):
        raise InputError("prove", "one of --entry and --since", "none" if entry is None else "both")
    log, stored = log_of(folder), None
    if entry is not None:
        stored, shown = prove_entry(log, entry, pin or ())
        proof = shown.encode()
    else:
        growth, _ = prove_growth(log, since or 0, pin or ())
        proof = growth.encode()
    told = {"entry": entry, "since": since, "proof": proof.decode()}
    if out is None:
        if as_json:
            say_json(told)
        else:
            say(proof.decode().rstrip("\n"))
        return
    for path, data in ((out, proof), (out.with_suffix(".json"), stored)):
        if data is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f"{path.name}.partial")
            aside.write_bytes(data)
            aside.rename(path)
    if as_json:
        say_json(told | {"file": str(out)})
        return
    say(f"{out}: {f'entry {entry}' if entry is not None else f'growth from {since} entries'}, proved")


def audit_check_proof(
    proof: Annotated[Path, typer.Argument(help="A .tlog-proof file.")],
    entry: Annotated[
        Path | None, typer.Option(help="The entry's stored bytes; beside the proof, as .json, otherwise.")
    ] = None,
    key: Annotated[list[str] | None, typer.Option(help="Verifier key of the log, or a file that holds it.")] = None,
    as_json: Json = False,
) -> None:
    """Check a proof of an entry without its log; exit 1 if it proves something else.

    Example: surgical-ml audit check-proof entry3.tlog-proof --key case/audit/keys/0123abcd.vkey
    """
    from surgical_ml.audit import AuditError
    from surgical_ml.audit.prove import Proof
    from surgical_ml.audit.public import read_bytes

    if not key:
        raise InputError("--key", "the verifier key of the log", "none")
    keys = [key_of(one) for one in key]
    shown = Proof.parse(read_bytes(proof), str(proof))
    stored = read_bytes(entry or proof.with_suffix(".json"))
    try:
        checkpoint = shown.check(stored, keys, str(proof))
    except AuditError as error:
        if as_json:
            say_json({"ok": False, "problem": str(error)})
        else:
            say(str(error))
        sys.exit(1)
    values = {"ok": True, "entry": shown.index, "origin": checkpoint.origin, "size": checkpoint.size}
    if as_json:
        say_json(values)
    else:
        kind = json.loads(stored)["type"]
        say(f"{proof}: {kind} is entry {shown.index} of the {checkpoint.size} of {checkpoint.origin}")
