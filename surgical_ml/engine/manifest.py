"""The model manifest: what a model is, what its numbers mean, and the digests that its files must have."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from surgical_ml.engine.signature import check_signature
from surgical_ml.errors import InputError
from surgical_ml.places import shared_folder

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Triple = tuple[float, float, float]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputSpec(_Strict):
    """The network's image: its size in pixels, and the mean and deviation of RGB in 0..1."""

    width: int = Field(gt=0, multiple_of=32)
    height: int = Field(gt=0, multiple_of=32)
    mean: Triple
    std: Triple


class Thresholds(_Strict):
    """Operating points that were chosen on validation data; novelty is in units of its calibrated limit."""

    presence: float = Field(gt=0, lt=1)
    tip: float = Field(gt=0, lt=1)
    in_body: float = Field(gt=0, lt=1)
    novelty: float = Field(gt=0)


class FileEntry(_Strict):
    """A file of the model, by name and digest."""

    path: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    sha256: Digest


class Manifest(_Strict):
    """`manifest.json` of a model folder. The order of every list is the order of the network's channels."""

    schema_: Literal[1] = Field(alias="schema")
    name: str = Field(min_length=1)
    version: str = Field(min_length=1)
    procedure: str
    licence: str
    input: InputSpec
    tools: tuple[str, ...] = Field(min_length=1)
    structures: tuple[str, ...]
    segmentation: tuple[str, ...]
    phases: tuple[str, ...] = Field(min_length=2)
    qualities: tuple[str, ...]
    thresholds: Thresholds
    files: dict[Literal["frame", "phase"], FileEntry]
    trained_on: str
    precision: Literal["fp32", "fp16", "int8"] = Field("fp32", description="of the frame network, as its file has it")
    parent: Digest | None = Field(None, description="digest of the model that this one was made from")

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        if set(self.files) != {"frame", "phase"}:
            raise ValueError("files: both frame and phase are needed")
        if self.segmentation != ("background", *self.tools, *self.structures):
            raise ValueError("segmentation: must be background, then the tools, then the structures")
        for name in ("tools", "structures", "phases", "qualities"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: a name stands there twice")
        return self


@dataclass(frozen=True, slots=True)
class Model:
    """A model folder whose files match its manifest; `sha256` is the manifest's own digest and names the model."""

    folder: Path
    manifest: Manifest
    sha256: str

    def file(self, network: Literal["frame", "phase"]) -> Path:
        """Path of a network."""
        return self.folder / self.manifest.files[network].path


def load_model(name_or_folder: str | Path, *, key: str | None = None) -> Model:
    """Find a model and check every file of it against its digest.

    Args:
        name_or_folder: a folder with a `manifest.json`; or `name` or `name/version` below the shipped `models` folder,
            where a name alone means its highest version.
        key: fingerprint of the key that must have signed it; None asks for no signature.

    Raises:
        InputError: nothing is there, the manifest is not valid, a file's digest differs (both are in the message), or the
            model is not signed by that key.
    """
    folder = _find(name_or_folder)
    path = folder / "manifest.json"
    if not path.is_file():
        raise InputError(path, "a model manifest", "no file")
    raw = path.read_bytes()
    if key is not None:
        check_signature(folder, raw, key)
    try:
        manifest = Manifest.model_validate(json.loads(raw))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise InputError(path, "a valid model manifest", f"{place}: {first['msg']}") from error
    except ValueError as error:
        raise InputError(path, "JSON", str(error)) from error
    for entry in manifest.files.values():
        check_digest(folder / entry.path, entry.sha256)
    return Model(folder, manifest, hashlib.sha256(raw).hexdigest())


def check_digest(path: Path, expected: str) -> None:
    """Raise `InputError`, with both digests, unless the file's SHA-256 is `expected`."""
    if not path.is_file():
        raise InputError(path, f"a file with sha256 {expected}", "no file")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise InputError(path, f"sha256 {expected}", f"sha256 {found}")


def _find(name_or_folder: str | Path) -> Path:
    given = Path(name_or_folder)
    if given.is_dir():
        return given
    if given.is_absolute() or ".." in given.parts:
        raise InputError(given, "a model folder", "no folder")
    models = shared_folder("models")
    chosen = models / given
    if len(given.parts) == 1 and chosen.is_dir():
        versions = [folder for folder in chosen.iterdir() if (folder / "manifest.json").is_file()]
        if versions:
            return max(versions, key=lambda folder: _version_key(folder.name))
    if chosen.is_dir():
        return chosen
    known = sorted(f"{path.parent.parent.name}/{path.parent.name}" for path in models.glob("*/*/manifest.json"))
    raise InputError(f"model {name_or_folder}", f"a model folder, or one of {known}", "neither")


def _version_key(version: str) -> tuple[tuple[int, int | str], ...]:
    """Numbers in order of size: 10 after 9."""
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in version.split("."))
