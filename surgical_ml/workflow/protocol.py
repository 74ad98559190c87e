"""A procedure's protocol: its phases, what follows what, and which tools belong where."""

import hashlib
import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from surgical_ml.errors import InputError
from surgical_ml.yaml_file import read_yaml

_SHIPPED = Path(__file__).parent / "protocols"

LONGEST_NAME = 4
"""Words in a name of a phase or a tool; a sentence about two of them stays within the twelve words of an advisory."""

_WORD_BEGINS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_")


def spoken(name: str) -> str:
    """A name as a person says it: `CalotTriangleDissection` as `Calot triangle dissection`, `ICGDye` as `ICG dye`."""
    first, *others = _WORD_BEGINS.sub(" ", name).split() or [""]
    return " ".join([first, *(word if word.isupper() and len(word) > 1 else word.lower() for word in others)])


class Phase(BaseModel):
    """One phase; `mean_s` is its usual length in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    mean_s: float = Field(gt=0, allow_inf_nan=False)
    next: tuple[str, ...]
    tools: tuple[str, ...]
    tolerated: tuple[str, ...] = ()


class Protocol(BaseModel):
    """A protocol file. `commit_s` and `mismatch_s`: seconds of evidence that a phase, and a tool mismatch, need.

    Both have to be more than one frame can give, whatever the frame rate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Literal[1] = Field(alias="schema")
    name: str = Field(min_length=1)
    version: str
    tools: tuple[str, ...] = Field(min_length=1)
    commit_s: float = Field(ge=1, allow_inf_nan=False)
    mismatch_s: float = Field(ge=0.5, allow_inf_nan=False)
    phases: tuple[Phase, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _consistent(self) -> "Protocol":
        names = self.phase_names
        for key, given in (("phases", names), ("tools", self.tools)):
            if len(set(given)) != len(given):
                raise ValueError(f"{key}: a name stands there twice")
            for name in given:
                if not name.isprintable() or not 1 <= len(spoken(name).split()) <= LONGEST_NAME:
                    raise ValueError(f"{key}: {name!r} is not a name of one to {LONGEST_NAME} words")
        for phase in self.phases:
            for key, used, known in (
                ("next", phase.next, names),
                ("tools", (*phase.tools, *phase.tolerated), self.tools),
            ):
                unknown = sorted(set(used) - set(known))
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
    values = read_yaml(path, "a protocol file")
    try:
        return Protocol.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "protocol"
        raise InputError(path, "a valid protocol", f"{place}: {first['msg']}") from error
