"""What the people who made a data set say of it: the file `dataset.json`."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from surgical_ml.errors import InputError
from surgical_ml.evaluation.dataset.finding import Finding, block, warn
from surgical_ml.labels import read_json

CARD = "dataset.json"


class DatasetCard(BaseModel):
    """A data set's card.

    Attributes:
        name: of the data set.
        licence: its SPDX id or name; training on an unknown one is blocked.
        de_identified: whether nothing in it names a patient: files, metadata, burnt-in text, out-of-body views.
        procedure: a data set of `surgical_ml.labels.PHASES`, for the vocabulary of phases.
        phase_fps: samples/s of the phase files.
        video_fps: frames/s, where only pictures are there.
        splits: split -> cases.
        patients: case -> patient, a pseudonym; a case that is not named is a patient of its own.
        frames: case -> pictures that it should have.
        sha256: file below the folder -> digest, hex.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Literal[1] = Field(alias="schema")
    name: str = Field(min_length=1)
    licence: str = ""
    de_identified: bool = False
    procedure: str = "cholec80"
    phase_fps: float = Field(default=25.0, gt=0)
    video_fps: float = Field(default=1.0, gt=0)
    splits: dict[str, tuple[str, ...]] = {}
    patients: dict[str, str] = {}
    frames: dict[str, int] = {}
    sha256: dict[str, str] = {}


def read_card(folder: Path) -> DatasetCard | None:
    """The card of a data set; None where there is none.

    Raises:
        InputError: it is not valid; names the first thing that is wrong.
    """
    path = folder / CARD
    if not path.exists():
        return None
    try:
        return DatasetCard.model_validate(read_json(path, "a data set's card"))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "card"
        raise InputError(path, "a data set's card", f"{place}: {first['msg']}") from error


def check_card(card: DatasetCard | None) -> list[Finding]:
    """Licence and de-identification must be stated."""
    if card is None:
        return [block("card-missing", "dataset", f"a file {CARD} with licence, de_identified and splits", "none")]
    findings = []
    if not card.licence.strip():
        findings.append(block("licence-missing", "dataset", "a licence", "none"))
    elif "NC" in card.licence.upper().replace("-", " ").split():
        findings.append(warn("licence-non-commercial", "dataset", "a licence that allows any use", card.licence))
    if not card.de_identified:
        findings.append(block("de-identification-missing", "dataset", "de_identified: true", "not stated, or false"))
    if not card.splits:
        findings.append(warn("splits-missing", "dataset", "splits, so that leaks between them can be seen", "none"))
    return findings
