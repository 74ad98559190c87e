"""`surgical-ml audit key | rotate | shred`: what is done with the keys of this device and of its cases."""

import time
from typing import Annotated

import typer

from surgical_ml.cli.audit_log import Log, log_of
from surgical_ml.cli.output import Json, say, say_json
from surgical_ml.errors import InputError


def audit_key(as_json: Json = False) -> None:
    """Print this device's verifier key, and the fingerprint to pin where its logs are checked.

    Example: surgical-ml audit key
    """
    from surgical_ml.audit import Keyring
    from surgical_ml.places import default_keys

    keyring = Keyring(default_keys())
    if as_json:
        say_json({"key": keyring.key.text, "fingerprint": keyring.key.fingerprint, "folder": str(keyring.folder)})
    else:
        say(f"{keyring.key.text}\nfingerprint {keyring.key.fingerprint}, in {keyring.folder}")


def audit_shred(
    folder: Log,
    yes: Annotated[bool, typer.Option("--yes", help="Really: what is destroyed here never comes back.")] = False,
    as_json: Json = False,
) -> None:
    """Destroy the key of a log's identities and pictures; every proof stays valid.

    Example: surgical-ml audit shred case --yes
    """
    from surgical_ml.audit import AuditWriter, Keyring, verify
    from surgical_ml.places import default_keys

    log = log_of(folder)
    if not yes:
        raise InputError("shred", "--yes, since nothing brings the secrets back", "nothing")
    report = verify(log)
    if not report.ok:
        raise InputError(log, "a log that is whole", report.problems[0])
    with AuditWriter(log, keyring=Keyring(default_keys())) as writer:
        writer.shred()
        entries, head = writer.head
    if as_json:
        say_json({"shredded": str(log), "entries": entries, "head": head})
    else:
        say(f"{log}: the key of its secrets is destroyed; {entries} entries, head {head}")


def audit_rotate(as_json: Json = False) -> None:
    """Replace this device's key; the old key and the new one both sign that.

    Example: surgical-ml audit rotate
    """
    from surgical_ml.audit import Keyring
    from surgical_ml.places import default_keys

    keyring = Keyring(default_keys())
    old = keyring.key
    new = keyring.rotate(time.time_ns())
    if as_json:
        say_json({"old": old.fingerprint, "new": new.fingerprint, "folder": str(keyring.folder)})
    else:
        say(f"{keyring.folder}: {old.fingerprint} was replaced by {new.fingerprint}")
