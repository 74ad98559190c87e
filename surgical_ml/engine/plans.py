"""Engine plans: where they lie, what they were built for, and why one is refused.

A plan is what TensorRT makes of a network for one machine. It lies beside its ONNX file as `NAME.plan`, and beside it
`NAME.plan.json` says what it was built from and for. A plan is code that will run: it is read only after both agree, and a
site that signs its plans has only its own read.
"""

import hashlib
import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from surgical_ml.engine.cuda import Device
from surgical_ml.engine.manifest import Digest, check_digest
from surgical_ml.engine.onnx_file import precision_of
from surgical_ml.engine.signature import fingerprint
from surgical_ml.errors import InputError


@dataclass(frozen=True, slots=True)
class PlanKey:
    """Everything that a plan must have been built for; where one of them differs, it is built anew.

    Attributes:
        onnx: SHA-256 of the network's file, hex.
        tensorrt: version of TensorRT.
        gpu: name of the device, as CUDA gives it.
        compute_capability: of the device, "major.minor".
        driver: version of the driver, and the CUDA it brings.
        precision: of the network, as it stands in its file.
    """

    onnx: str
    tensorrt: str
    gpu: str
    compute_capability: str
    driver: str
    precision: str

    @classmethod
    def of(cls, onnx: Path, network: bytes, tensorrt: str, device: Device) -> "PlanKey":
        """The key of a network's content on this machine.

        Raises:
            InputError: it is no ONNX file.
        """
        return cls(
            hashlib.sha256(network).hexdigest(),
            tensorrt,
            device.name,
            device.compute_capability,
            device.driver,
            precision_of(network, onnx),
        )


class PlanFile(BaseModel):
    """What stands in `NAME.plan.json`.

    `folded` says whether the picture comes as uint8 and labels come out, or everything as in the ONNX file. `signer` is an
    Ed25519 public key, and `signature` its signature of everything else, both in hex; or neither is there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Literal[1] = Field(alias="schema")
    sha256: Digest
    folded: bool
    key: PlanKey
    signer: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    signature: str | None = Field(None, pattern="^[0-9a-f]{128}$")

    def signed(self) -> bytes:
        """What the signature is of."""
        return json.dumps(self.model_dump(exclude={"signer", "signature"}), sort_keys=True).encode()


def plan_of(onnx: Path) -> Path:
    """Where the plan of a network lies."""
    return onnx.with_suffix(".plan")


def build_command(onnx: Path) -> str:
    """The command that builds the plan of a network of a model folder."""
    return f"surgical-ml model build {onnx.parent} --engine tensorrt --network {onnx.stem}"


def require_plan(onnx: Path, signer: str | None = None) -> PlanFile:
    """What is said of a network's plan.

    Args:
        onnx: the network's file.
        signer: fingerprint of the key that must have signed it; None asks for no signature.

    Raises:
        InputError: there is none, with the command that builds it; what is said of it cannot be read; or it is not signed by
            that key, with both fingerprints.
    """
    plan, described = plan_of(onnx), _described(plan_of(onnx))
    for path in (plan, described):
        if not path.is_file():
            raise InputError(path, f"a plan, built before by: {build_command(onnx)}", "no file")
    try:
        file = PlanFile.model_validate_json(described.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "plan"
        raise InputError(described, "a valid description of a plan", f"{place}: {first['msg']}") from error
    found = _signer(described, file)
    if signer is not None and found != signer:
        raise InputError(described, f"a signature by the key {signer}", f"one by {found}" if found else "none")
    return file


def _signer(described: Path, file: PlanFile) -> str | None:
    """Fingerprint of the key whose signature holds; None where there is none at all."""
    if file.signer is None and file.signature is None:
        return None
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(file.signer or "0" * 64))
    try:
        key.verify(bytes.fromhex(file.signature or ""), file.signed())
    except InvalidSignature as error:
        raise InputError(
            described, f"a signature of it by the key {fingerprint(key)}", "one of something else"
        ) from error
    return fingerprint(key)


def read_plan(onnx: Path, file: PlanFile, here: PlanKey) -> bytes:
    """A plan's content, if it is the one that is described and was built for what is here.

    Raises:
        InputError: it was built from or for something else, with both values of each difference and the command that builds it
            anew; or its bytes have changed.
    """
    plan = plan_of(onnx)
    differing = [
        (field.name.replace("_", " "), getattr(here, field.name), getattr(file.key, field.name))
        for field in fields(here)
        if getattr(here, field.name) != getattr(file.key, field.name)
    ]
    if differing:
        expected = ", ".join(f"{name} {ours}" for name, ours, _ in differing)
        found = ", ".join(f"{name} {theirs}" for name, _, theirs in differing)
        raise InputError(plan, f"a plan for {expected}", f"one for {found}; build it anew: {build_command(onnx)}")
    check_digest(plan, file.sha256)
    return plan.read_bytes()


def write_plan(
    onnx: Path, content: bytes, key: PlanKey, *, folded: bool, signing: Ed25519PrivateKey | None = None
) -> Path:
    """Put a plan beside its network, whole or not at all, and signed where there is a key to sign with; its path.

    Raises:
        InputError: the folder cannot be written to.
    """
    plan = plan_of(onnx)
    described = PlanFile(
        schema=1,
        sha256=hashlib.sha256(content).hexdigest(),
        folded=folded,
        key=key,
        signer=None,
        signature=None,
    )
    if signing is not None:
        signer, signature = signing.public_key().public_bytes_raw(), signing.sign(described.signed())
        described = described.model_copy(update={"signer": signer.hex(), "signature": signature.hex()})
    # What is described last is refused where it stopped in between: the digests would differ.
    write_whole(plan, content)
    text = described.model_dump_json(indent=2, by_alias=True, exclude_none=True)
    write_whole(_described(plan), f"{text}\n".encode())
    return plan


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all.

    Raises:
        InputError: its folder cannot be written to.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise InputError(path, "a place that can be written to", error.strerror or str(error)) from error


def _described(plan: Path) -> Path:
    return plan.with_name(f"{plan.name}.json")
