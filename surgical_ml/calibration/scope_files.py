"""How a scope was turned in each picture: as a list says, or as the notch of its field of view does."""

from dataclasses import dataclass, replace
from pathlib import Path

from surgical_ml.calibration.field import notch_angle
from surgical_ml.calibration.model import RejectedView
from surgical_ml.calibration.pictures import Collected, pictures_of
from surgical_ml.calibration.robot_files import csv_rows, finite_number
from surgical_ml.calibration.scope_fit import TurnedView
from surgical_ml.errors import InputError


@dataclass(frozen=True, slots=True)
class Turn:
    """One line of the list: where head and pattern stood, and the scope's turn in degrees, None where it is not known."""

    stand: str
    turn_deg: float | None


def read_turns(path: Path) -> dict[str, Turn]:
    """The turn of the scope in each picture, from `name,stand,turn_deg`; the last may be empty.

    Args:
        path: of the CSV; lines that begin with # are comments.

    Raises:
        InputError: a column is missing, a turn is no number, a name stands twice, a stand has no name; with the line.
    """
    found: dict[str, Turn] = {}
    for place, row in csv_rows(path, ("name", "stand", "turn_deg")):
        name, stand, turn = (row[column].strip() for column in ("name", "stand", "turn_deg"))
        if not name or name in found:
            raise InputError(place, "each picture's name once", repr(name))
        if not stand:
            raise InputError(f"{place}, stand", "a name of where head and pattern stood", "none")
        found[name] = Turn(stand, finite_number(place, "turn_deg", turn) if turn else None)
    return found


def notch_turns(turns: dict[str, Turn], pictures: str, notch_zero_deg: float) -> dict[str, Turn]:
    """The same list with the turns that were not known read from the notch, where a picture shows one.

    Args:
        turns: of `read_turns`.
        pictures: the folder.
        notch_zero_deg: what the notch reads at the reference.
    """
    found = dict(turns)
    for name, picture, _, _ in pictures_of(pictures):
        if picture is None or name not in found or found[name].turn_deg is not None:
            continue
        try:
            reading = notch_angle(picture)
        except InputError:
            continue  # stays unknown: the calibration finds it from the pattern
        found[name] = replace(found[name], turn_deg=(reading - notch_zero_deg + 180) % 360 - 180)
    return found


def turned_views(
    turns: dict[str, Turn], seen: Collected, listed_in: Path
) -> tuple[list[TurnedView], list[RejectedView]]:
    """Views with their turns, and the pictures that took no part.

    Args:
        turns: by the names of the pictures.
        seen: the pictures.
        listed_in: the list's file, for messages.

    Raises:
        InputError: no picture is in the list.
    """
    views = [
        TurnedView(view, turns[view.name].stand, turns[view.name].turn_deg) for view in seen.views if view.name in turns
    ]
    if not views:
        raise InputError(
            listed_in, f"turns of pictures such as {seen.views[0].name}", f"those of {', '.join([*turns][:3])}"
        )
    unlisted = [
        RejectedView(name=view.name, reason=f"no turn in {listed_in.name}")
        for view in seen.views
        if view.name not in turns
    ]
    return views, [*seen.rejected, *unlisted]
