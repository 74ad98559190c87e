"""A procedure's protocol: its phases, what follows what, and which tools belong where."""

import hashlib
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from surgical_ml.errors import InputError

_SHIPPED = Path(__file__).parent / "protocols"


class Phase(BaseModel):
    """One phase; `mean_s` is its usual length in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    mean_s: float = Field(gt=0)
    next: tuple[str, ...]
    tools: tuple[str, ...]
    tolerated: tuple[str, ...] = ()


class Protocol(BaseModel):
    """A protocol file. `commit_s` and `mismatch_s`: seconds of evidence that a phase, and a tool mismatch, need."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Literal[1] = Field(alias="schema")
    name: str = Field(min_length=1)
    version: str
    tools: tuple[str, ...] = Field(min_length=1)
    commit_s: float = Field(gt=0)
    mismatch_s: float = Field(gt=0)
    phases: tuple[Phase, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _consistent(self) -> "Protocol":
        names = self.phase_names
        if len(set(names)) != len(names):
            raise ValueError("phases: a name stands there twice")
        for phase in self.phases:
            for key, given, known in (
                ("next", phase.next, names),
                ("tools", (*phase.tools, *phase.tolerated), self.tools),
            ):
                unknown = sorted(set(given) - set(known))
                if unknown:
                    raise ValueError(f"{phase.name}: {key}: {unknown[0]} is not one of {list(known)}")
        return self

    @property
    def phase_names(self) -> tuple[str, ...]:
        """The phases, in the protocol's order."""
        return tuple(phase.name for phase in self.phases)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical content, hex."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def phase(self, name: str) -> Phase:
        """The phase of that name."""
        return self.phases[self.phase_names.index(name)]


def load_protocol(name_or_path: str | Path) -> Protocol:
    """A shipped protocol by its name, or a protocol file by its path.

    Raises:
        InputError: there is none, or it is not valid; names the first thing that is wrong.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = _SHIPPED / f"{name_or_path}.yaml"
        if path.parent != _SHIPPED or not path.is_file():
            known = sorted(file.stem for file in _SHIPPED.glob("*.yaml"))
            raise InputError(f"procedure {name_or_path}", f"one of {known}, or a protocol file", "neither")
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(path, "a protocol file", error.strerror or "no file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(path, "YAML", str(error).splitlines()[0]) from error
    try:
        return Protocol.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "protocol"
        raise InputError(path, "a valid protocol", f"{place}: {first['msg']}") from error
