"""Protocols as files: those that ship, those of one's own, and who signed them."""

from pathlib import Path

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from surgical_ml.engine.signature import sign_file, signer_of
from surgical_ml.errors import InputError
from surgical_ml.workflow.protocol import Protocol, first_problem
from surgical_ml.yaml_file import read_yaml

_SHIPPED = Path(__file__).parent / "protocols"
_ENDINGS = (".yaml", ".yml")


def load_protocol(name_or_path: str | Path) -> Protocol:
    """A shipped protocol by its name, or a protocol file by its path.

    Raises:
        InputError: there is none, or it is not valid, or a signature beside it is not of it; names the first thing that is
            wrong.
    """
    path = protocol_path(name_or_path)
    protocol_signer(path)
    values = read_yaml(path, "a protocol file")
    try:
        return Protocol.model_validate(values)
    except ValidationError as error:
        raise InputError(path, "a valid protocol", first_problem(error)) from error


def protocol_path(name_or_path: str | Path) -> Path:
    """The file of a shipped protocol by its name; the path of any other.

    Raises:
        InputError: neither a path with the ending of a protocol file, nor the name of a shipped one.
    """
    path = Path(name_or_path)
    if path.suffix not in _ENDINGS:
        path = _SHIPPED / f"{name_or_path}.yaml"
        if path.parent != _SHIPPED or not path.is_file():
            known = sorted(file.stem for file in _SHIPPED.glob("*.yaml"))
            raise InputError(f"procedure {name_or_path}", f"one of {known}, or a protocol file", "neither")
    return path


def protocol_signer(path: Path) -> str | None:
    """Fingerprint of the key whose signature stands beside a protocol file; None where there is none.

    Raises:
        InputError: the signature, or the key beside it, is not of this file.
    """
    signature, signer = _signature_files(path)
    if not (signature.is_file() or signer.is_file()):
        return None
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(path, "a protocol file", error.strerror or "no file") from error
    return signer_of(content, path.name, signature, signer)


def write_protocol(path: Path, protocol: Protocol, head: str, key: Ed25519PrivateKey | None = None) -> str | None:
    """Write a protocol file, and the signature beside it; never over another one, and not half.

    Args:
        path: of the file, ending in `.yaml`.
        protocol: what it holds.
        head: what the first line tells a reader.
        key: that signs it, to `<file>.sig` and `<file>.pem`.

    Returns:
        Fingerprint of the key.

    Raises:
        InputError: the path has another ending, or something is there already.
    """
    if path.suffix not in _ENDINGS:
        raise InputError(path, "a file that ends in .yaml", "another ending")
    for there in (path, *_signature_files(path)):
        if there.exists():
            raise InputError(there, "no file, for a new protocol", "one")
    values = protocol.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    text = f"# {head}\n" + yaml.safe_dump(
        values, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True
    )
    aside = path.with_name(f".{path.name}.partial")
    aside.write_text(text, "utf-8")
    # The signature comes first: whoever finds the file finds it signed.
    name = None if key is None else sign_file(text.encode(), key, *_signature_files(path))
    aside.replace(path)
    return name


def _signature_files(path: Path) -> tuple[Path, Path]:
    return path.with_name(f"{path.name}.sig"), path.with_name(f"{path.name}.pem")
