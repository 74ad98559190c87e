"""Needs, requirements, hazards, risk controls and software items: read from YAML, and checked against each other."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from surgical_ml.errors import InputError
from surgical_ml.yaml_file import read_yaml

ITEMS = Path(__file__).parent / "items"
"""The module's own."""

Text = Annotated[str, StringConstraints(min_length=8, strip_whitespace=True)]
Level = Annotated[int, Field(ge=1, le=5)]


class _Item(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    text: Text

    @property
    def digest(self) -> str:
        """SHA-256 of the content, hex; a link between two items is suspect once either's has changed."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


class Need(_Item):
    """What somebody must be able to rely on."""

    id: str = Field(pattern=r"^UN-\d\d$")
    who: str = Field(min_length=3)


class ArchitectureItem(_Item):
    """A software item: a part of the tree with its safety class (IEC 62304), and its rigor in the second edition."""

    id: str = Field(pattern=r"^ARC-[A-Z]+$")
    path: str
    class_: Literal["A", "B", "C"] = Field(alias="class")
    rigor: Literal["I", "II"]


class Requirement(_Item):
    """What the software shall do; the item that carries it out, and the needs that it is there for."""

    id: str = Field(pattern=r"^SRS-\d\d\d$")
    item: str
    needs: tuple[str, ...] = Field(min_length=1)

    @field_validator("text")
    @classmethod
    def _shall(cls, text: str) -> str:
        if "shall" not in text.split():
            raise ValueError("a requirement says what shall be")
        return text


class Control(_Item):
    """A measure against hazards; ISO 14971 prefers inherent to protective ones, and both to information."""

    id: str = Field(pattern=r"^RC-\d\d$")
    kind: Literal["inherent", "protective", "information"]
    requirements: tuple[str, ...] = Field(min_length=1)


class Hazard(_Item):
    """What can go wrong: events, harm, severity and probability (1 to 5) before and after the controls."""

    id: str = Field(pattern=r"^HAZ-\d\d$")
    sequence: Text
    harm: Text
    severity: Level
    probability: tuple[Level, Level]
    controls: tuple[str, ...] = Field(min_length=1)

    @field_validator("probability")
    @classmethod
    def _lower(cls, probability: tuple[int, int]) -> tuple[int, int]:
        if probability[1] >= probability[0]:
            raise ValueError("controls make a hazard less probable")
        return probability


@dataclass(frozen=True, slots=True)
class Items:
    """Everything that is traced, by id, in the order of the files."""

    needs: dict[str, Need]
    architecture: dict[str, ArchitectureItem]
    requirements: dict[str, Requirement]
    controls: dict[str, Control]
    hazards: dict[str, Hazard]

    def links(self) -> tuple[tuple[str, str], ...]:
        """Every link from one item to another, by their ids."""
        found: list[tuple[str, str]] = []
        for one in self.requirements.values():
            found += [(one.id, other) for other in (*one.needs, one.item)]
        for control in self.controls.values():
            found += [(control.id, other) for other in control.requirements]
        for hazard in self.hazards.values():
            found += [(hazard.id, other) for other in hazard.controls]
        return tuple(found)

    def digest_of(self, name: str) -> str:
        """The digest of one item."""
        everything: tuple[dict[str, _Item], ...] = (
            dict(self.needs),
            dict(self.architecture),
            dict(self.requirements),
            dict(self.controls),
            dict(self.hazards),
        )
        return next(kind[name].digest for kind in everything if name in kind)


Kind = TypeVar("Kind", bound=_Item)


def load_items(folder: Path = ITEMS) -> Items:
    """Read the five files of a folder.

    Raises:
        InputError: a file is missing or wrong; an id stands there twice, is unknown, or leads nowhere: a need without a
            requirement, a requirement that no need asks for, a hazard without a control, a control without a hazard.
    """
    items = Items(
        _read(folder, "needs", Need),
        _read(folder, "architecture", ArchitectureItem),
        _read(folder, "requirements", Requirement),
        _read(folder, "controls", Control),
        _read(folder, "hazards", Hazard),
    )
    for file, users, known in (
        ("requirements", [(one.id, one.needs) for one in items.requirements.values()], items.needs.keys()),
        ("requirements", [(one.id, (one.item,)) for one in items.requirements.values()], items.architecture.keys()),
        ("controls", [(one.id, one.requirements) for one in items.controls.values()], items.requirements.keys()),
        ("hazards", [(one.id, one.controls) for one in items.hazards.values()], items.controls.keys()),
    ):
        for name, used in users:
            _all_known(folder / f"{file}.yaml", name, used, known)
    for file, names, led_to in (
        ("needs", items.needs.keys(), [one.needs for one in items.requirements.values()]),
        ("controls", items.controls.keys(), [one.controls for one in items.hazards.values()]),
    ):
        unused = sorted(set(names) - {name for one in led_to for name in one})
        if unused:
            raise InputError(
                folder / f"{file}.yaml", "items that something else refers to", f"{unused[0]}, which nothing does"
            )
    return items


def _read(folder: Path, name: str, kind: type[Kind]) -> dict[str, Kind]:
    path = folder / f"{name}.yaml"
    key = "items" if name == "architecture" else name
    values = read_yaml(path, f"a file of {name}")
    if not isinstance(values, dict) or values.get("schema") != 1 or not isinstance(values.get(key), list):
        raise InputError(path, f"schema: 1 and a list of {key}", type(values).__name__)
    found: dict[str, Kind] = {}
    for place, value in enumerate(values[key]):
        try:
            one = kind.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            name_of = value.get("id", place) if isinstance(value, dict) else place
            raise InputError(path, f"{name_of}: {where}: {first['msg']}", repr(first["input"])) from error
        if one.id in found:
            raise InputError(path, "each id once", f"{one.id} twice")
        found[one.id] = one
    return found


def _all_known(path: Path, name: str, used: Iterable[str], known: Iterable[str]) -> None:
    unknown = sorted(set(used) - set(known))
    if unknown:
        raise InputError(path, f"{name} to refer to what is there", unknown[0])
