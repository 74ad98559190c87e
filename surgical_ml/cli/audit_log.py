"""What the commands of `surgical-ml audit` have in common: the log that is named, and those whose word counts."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surgical_ml.errors import InputError

if TYPE_CHECKING:
    from surgical_ml.audit.courier import Courier
    from surgical_ml.audit.note import VerifierKey

Log = Annotated[Path, typer.Argument(help="Folder of the log, or of the case that holds it as `audit`.")]
Pins = Annotated[
    list[str] | None,
    typer.Option("--pin", help="Fingerprint of a device key that may stand behind the log (hex); may be repeated."),
]
WitnessUrl = Annotated[str | None, typer.Option("--witness", help="Address of a witness, http://host:port.")]
WitnessKey = Annotated[str | None, typer.Option(help="The witness's verifier key, or a file that holds it.")]


def log_of(folder: Path) -> Path:
    """The log itself, where the folder of its case was named."""
    return folder / "audit" if (folder / "audit").is_dir() else folder


def key_of(text: str) -> "VerifierKey":
    """A verifier key, or that of a file.

    Raises:
        InputError: it is none.
    """
    from surgical_ml.audit.note import VerifierKey

    path = Path(text)
    if len(text) < 256 and path.is_file():
        return VerifierKey.parse(path.read_text("utf-8").strip(), text)
    return VerifierKey.parse(text, "key")


def courier_of(url: str, key: str | None) -> "Courier":
    """The witness at an address.

    Raises:
        InputError: its key is not named, or is none.
    """
    from surgical_ml.audit.courier import Courier

    if key is None:
        raise InputError("--witness-key", "the key of the witness, since its word is checked by it", "none")
    return Courier(url, key_of(key))


def moment(text: str | None, name: str) -> int | None:
    """A moment as UTC in nanoseconds; what names no zone counts as UTC.

    Raises:
        InputError: it is none.
    """
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(name, "a moment such as 2026-11-25T08:30:00", text) from error
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return round(when.timestamp() * 1_000_000) * 1000
