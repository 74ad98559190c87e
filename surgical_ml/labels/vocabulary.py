"""The names and numbers that data sets give to phases, tools and structures."""

import re
from dataclasses import dataclass

from surgical_ml.errors import InputError

UNDEFINED = -1
"""The id of a sample that has no label."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The classes of one labelling.

    Attributes:
        name: of the data set or procedure.
        classes: names; the place of a name is its id.
    """

    name: str
    classes: tuple[str, ...]

    def id_of(self, label: str) -> int | None:
        """The id of a name or of a 0-based id written as text, -1 for `UNDEFINED`; None if it is neither.

        Names are compared without case and punctuation: `calot-triangle-dissection` is CalotTriangleDissection.
        """
        if re.fullmatch(r"-?[0-9]{1,4}", label):
            number = int(label)
            return number if UNDEFINED <= number < len(self.classes) else None
        wanted = _plain(label)
        return next((k for k, name in enumerate(self.classes) if _plain(name) == wanted), None)

    @property
    def expectation(self) -> str:
        """What a label may be, for an error message."""
        last = len(self.classes) - 1
        shown = ", ".join(self.classes[:8]) + (", ..." if last >= 8 else "")
        return f"a label of {self.name}: {shown}, or an id from 0 to {last}, or {UNDEFINED} for undefined"


CHOLEC80_PHASES = Vocabulary(
    "cholec80",
    (
        "Preparation",
        "CalotTriangleDissection",
        "ClippingCutting",
        "GallbladderDissection",
        "GallbladderPackaging",
        "CleaningCoagulation",
        "GallbladderRetraction",
    ),
)
M2CAI16_PHASES = Vocabulary("m2cai16", ("TrocarPlacement", *CHOLEC80_PHASES.classes))
MULTIBYPASS140_PHASES = Vocabulary(
    "multibypass140",
    (
        "preparation",
        "gastric_pouch_creation",
        "omentum_division",
        "gastrojejunal_anastomosis",
        "anastomosis_test",
        "jejunal_separation",
        "closure_petersen_space",
        "jejunojejunal_anastomosis",
        "closure_mesenteric_defect",
        "cleaning_coagulation",
        "disassembling",
        "other_intervention",
    ),
)
AUTOLAPARO_PHASES = Vocabulary(
    "autolaparo",
    (
        "Preparation",
        "DividingLigamentAndPeritoneum",
        "DividingUterineVesselsAndLigament",
        "TransectingTheVagina",
        "SpecimenRemoval",
        "Suturing",
        "Washing",
    ),
)
PHASES = {one.name: one for one in (CHOLEC80_PHASES, M2CAI16_PHASES, MULTIBYPASS140_PHASES, AUTOLAPARO_PHASES)}

CHOLEC80_TOOLS = Vocabulary(
    "cholec80-tools", ("Grasper", "Bipolar", "Hook", "Scissors", "Clipper", "Irrigator", "SpecimenBag")
)


def ids_of(labels: list[str], vocabulary: Vocabulary, where: str, first_line: int) -> list[int]:
    """Ids of many labels.

    Args:
        labels: as written in a file.
        vocabulary: what they may be.
        where: the file, for the error.
        first_line: the line of the first one.

    Raises:
        InputError: a label is unknown; names its line.
    """
    known = {label: vocabulary.id_of(label) for label in set(labels)}
    if None in known.values():
        k = next(k for k, label in enumerate(labels) if known[label] is None)
        raise InputError(f"{where}, line {first_line + k}", vocabulary.expectation, labels[k][:60])
    return [number for label in labels if (number := known[label]) is not None]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())
