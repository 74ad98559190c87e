"""What the classes of a data set are to the network: one of its own, or what is known in part."""

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError
from surgical_ml.labels import IGNORED as NOBODY_KNOWS
from surgical_ml.labels import LabelledSet
from surgical_ml.learning.classes import Classes
from surgical_ml.learning.frames import ANY_TOOL, IGNORED, NOT_A_TOOL

ANY, NONE = "(some tool)", "(no tool)"
ROBOTIC = "robotic_instrument"
"""A tool of its own in models that tell wristed instruments apart; in others they are the nearest type, or some tool."""

_OF_LAYOUT: Mapping[str, tuple[str, Mapping[str, str]]] = {
    # layout: (what every other class is, class -> tool or structure)
    "CholecSeg8k": (
        "background",
        {
            "Grasper": "grasper",
            "L-hook Electrocautery": "hook",
            "Liver": "liver",
            "Gallbladder": "gallbladder",
            "Cystic Duct": "cystic_duct",
        },
    ),
    "EndoVis 2017": (
        ANY,
        {
            "background": NONE,
            "Bipolar Forceps": "bipolar",
            "Prograsp Forceps": "grasper",
            "Grasping Retractor": "grasper",
            "Monopolar Curved Scissors": "scissors",
        },
    ),
    "EndoVis 2018": (
        NONE,
        {
            "instrument-shaft": ANY,
            "instrument-clasper": ANY,
            "instrument-wrist": ANY,
            "suction-instrument": "irrigator",
            "ultrasound-probe": ANY,
        },
    ),
    "AutoLaparo masks": (
        NONE,
        {
            "grasping forceps, manipulator": "grasper",
            "grasping forceps, shaft": "grasper",
            "dissecting and grasping forceps, manipulator": "grasper",
            "dissecting and grasping forceps, shaft": "grasper",
            "LigaSure, manipulator": ANY,
            "LigaSure, shaft": ANY,
            "electric hook, manipulator": "hook",
            "electric hook, shaft": "hook",
        },
    ),
}
"""Published sets that label no organs do not say that there are none: what is no tool there is no more than that."""

_WRISTED = ("EndoVis 2017", "EndoVis 2018")


def mask_targets(labelled: LabelledSet, classes: Classes) -> npt.NDArray[np.uint8]:
    """A table from the ids of a set's masks, (256,) uint8, to what the network is taught.

    Args:
        labelled: with masks.
        classes: of the network.

    Raises:
        InputError: a class of case folders of one's own is none of the network's.
    """
    table = np.full(256, IGNORED, np.uint8)
    known = {plain(name): k for k, name in enumerate(classes.segmentation)} | {ANY: ANY_TOOL, NONE: NOT_A_TOOL}
    rest, named = _OF_LAYOUT.get(labelled.layout, ("", {}))
    for k, name in enumerate(labelled.classes):
        target = named.get(name, rest) if rest else name
        if labelled.layout in _WRISTED and ROBOTIC in classes.tools and target not in (NONE, "irrigator"):
            target = ROBOTIC
        if target not in (ANY, NONE):
            target = plain(target)
        if target not in known:
            if not rest:
                expected = f"one of {', '.join(classes.segmentation)}"
                raise InputError(f"{labelled.folder}, mask class {name}", expected, name)
            # a published class that this network does not tell apart
            target = ANY if named.get(name) in ("grasper", "hook", "bipolar", "scissors", "irrigator") else NONE
        table[k] = known[target]
    table[NOBODY_KNOWS] = IGNORED
    return table


def tool_columns(labelled: LabelledSet, classes: Classes) -> list[int | None]:
    """For each tool of the network, its place among the tools of the set; None where the set does not label it."""
    names = [plain(name) for name in labelled.tools.classes] if labelled.tools else []
    return [names.index(plain(tool)) if plain(tool) in names else None for tool in classes.tools]


def plain(name: str) -> str:
    """A name without case and punctuation: SpecimenBag is specimen_bag."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())
