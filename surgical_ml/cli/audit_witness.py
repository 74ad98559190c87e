"""`surgical-ml audit witness` and `stamp`: those outside who can say later what a log held."""

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surgical_ml.cli.audit_log import Log, Pins, WitnessKey, courier_of, key_of, log_of
from surgical_ml.cli.output import Json, say, say_json
from surgical_ml.errors import InputError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

witness = typer.Typer(no_args_is_help=True, help="A second host that signs what it has seen of a log.")


@witness.command("serve")
def witness_serve(
    folder: Annotated[Path, typer.Argument(help="Where the witness keeps its key and what it has seen.")],
    device: Annotated[
        list[str], typer.Option(help="Verifier key of a device, or a file that holds it; may be repeated.")
    ],
    name: Annotated[
        str, typer.Option(help="Name of the witness's key, without spaces and pluses.")
    ] = "surgical-ml-witness",
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen at; 0 takes a free one.")] = 8476,
    as_json: Json = False,
) -> None:
    """Sign the checkpoints of these devices' logs, each only if it begins with the one before, until interrupted.

    Example: surgical-ml audit witness serve /var/lib/witness --device device.vkey
    """
    from surgical_ml.audit.witness import Witness
    from surgical_ml.audit.witness_server import witness_server

    seen = Witness(folder, name, _own_key(folder / "witness.pem"), [key_of(one) for one in device])
    with witness_server(seen, host, port) as server:
        address = f"{server.server_address[0]!s}:{server.server_address[1]}"
        if as_json:
            say_json({"address": address, "key": seen.key.text})
        else:
            say(f"{address}: {seen.key.text}")
        server.serve_forever()


@witness.command("send")
def witness_send(
    folder: Log,
    url: Annotated[str, typer.Option(help="Address of the witness, http://host:port.")],
    witness_key: WitnessKey = None,
    pin: Pins = None,
    every: Annotated[float | None, typer.Option(min=0.1, help="Go on, and look again after so many seconds.")] = None,
    as_json: Json = False,
) -> None:
    """Have a log's newest checkpoint signed by a witness; what cannot be delivered is delivered the next time.

    Example: surgical-ml audit witness send case --url http://witness:8476 --witness-key witness.vkey
    """
    courier, log = courier_of(url, witness_key), log_of(folder)
    told = -1
    while True:
        try:
            size = courier.deliver(log, pin or ())
        except OSError as error:
            if every is None:
                raise InputError(url, "a witness", str(error)) from error
            if told != 0 and as_json:
                say_json({"log": str(log), "witness": url, "signed": None})
            elif told != 0:
                say(f"{url}: cannot be reached; the log keeps what is to be sent")
            told = 0
        else:
            if size != told and as_json:
                say_json({"log": str(log), "witness": url, "signed": size})
            elif size != told:
                say(f"{log}: {size} entries signed by {url}")
            told = size
        if every is None:
            return
        time.sleep(every)


def audit_stamp(
    folder: Log,
    url: Annotated[str, typer.Option(help="Address of an RFC 3161 time-stamping authority.")],
    authority: Annotated[Path, typer.Option(help="Its root certificates, PEM.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Only the newest N checkpoints that have no stamp.")] = None,
    as_json: Json = False,
) -> None:
    """Have kept checkpoints time-stamped; those that cannot be are stamped the next time.

    Example: surgical-ml audit stamp case --url http://tsa.example/ --authority tsa.pem
    """
    from surgical_ml.audit.timestamp import authority as at
    from surgical_ml.audit.timestamp import read_authorities, stamp

    log = log_of(folder)
    roots = read_authorities(authority)
    try:
        done = stamp(log, at(url), roots, limit=limit)
    except OSError as error:
        raise InputError(url, "a time-stamping authority", str(error)) from error
    if as_json:
        say_json({"log": str(log), "stamped": len(done)})
    else:
        say(f"{log}: {len(done)} checkpoints stamped")


def _own_key(path: Path) -> "Ed25519PrivateKey":
    """The witness's signing key; made, readable by its owner only, where there is none."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        aside = path.with_suffix(f".{threading.get_native_id()}")
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(made)
            os.fsync(file.fileno())
        aside.rename(path)
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise InputError(path, "an Ed25519 private key in PEM", "something else") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(path, "an Ed25519 private key in PEM", type(key).__name__)
    return key
