"""What the drawings of all reports share: colours, signs, hatching, words inside boxes, and the ticks of a time axis."""

import textwrap
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from surgical_ml.evaluation.markup import tag
from surgical_ml.guidance import Priority

INK, FAINT, SILENT = "#1d252c", "#d9dfe4", "#5b6670"

PHASE_COLOURS = ("#56b4e9", "#009e73", "#f0e442", "#0072b2", "#cc79a7", "#e69f00", "#999999")
"""Okabe and Ito's, without the vermilion that urgent advisories keep to themselves; numbers tell them apart as well."""

PRIORITY_COLOURS = {
    Priority.HIGH: "#d55e00",
    Priority.MEDIUM: "#e69f00",
    Priority.LOW: "#0072b2",
    Priority.NONE: "#777777",
}

_LETTER = 6.8
_TICKS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
_MOST_TICKS = 10


def phase_colour(number: int) -> str:
    """The colour of the n-th phase, from 1."""
    return PHASE_COLOURS[(number - 1) % len(PHASE_COLOURS)]


def mark(priority: Priority, x: float, y: float, *, size: float = 6) -> Element:
    """The sign of a priority, around a point: a triangle, a disc, a square, or a ring; colour only repeats it."""
    fill = PRIORITY_COLOURS[priority]
    match priority:
        case Priority.HIGH:
            points = f"{x},{y - size} {x + size},{y + size * 0.8} {x - size},{y + size * 0.8}"
            return tag("polygon", points=points, fill=fill)
        case Priority.MEDIUM:
            return tag("circle", cx=x, cy=y, r=size * 0.85, fill=fill)
        case Priority.LOW:
            side = size * 1.5
            return tag("rect", x=x - side / 2, y=y - side / 2, width=side, height=side, fill=fill)
        case Priority.NONE:
            return tag("circle", cx=x, cy=y, r=size * 0.7, fill="none", stroke=fill, stroke_width=2)


def patterns() -> Element:
    """What the hatching of withheld stretches is drawn with; once in a page."""
    line = tag("path", d="M-1 7L7 -1M-1 1L1 -1M5 7L7 5", stroke=SILENT, stroke_width=1.1)
    ground = tag("rect", width=6, height=6, fill="#f4f5f6")
    hatch = tag("pattern", ground, line, id="hatching", width=6, height=6, patternUnits="userSpaceOnUse")
    return tag("defs", hatch)


def on_phase(number: int) -> str:
    """The class of words on the colour of the n-th phase: black reads well on every colour but the blue."""
    return "light" if phase_colour(number) == "#0072b2" else ""


def chip(number: int) -> Element:
    """The number of a phase on its colour, as it stands in front of its name."""
    class_ = f"chip {on_phase(number)}".strip()
    return tag("span", str(number), class_=class_, style=f"background: {phase_colour(number)}")


def key(shape: Element, words: str) -> Element:
    """One entry of the key to a drawing: a shape within 26 x 13, and what it means."""
    return tag("li", tag("svg", shape, width=26, height=13, viewBox="0 0 26 13", aria_hidden="true"), words)


def words_inside(
    start: float, end: float, top: float, tall: float, choices: Sequence[str], class_: str
) -> list[Element]:
    """The first of the texts that fits into a box, on as many lines as it has room for; nothing where none fits."""
    room = int((end - start - 3) / _LETTER)
    for words in choices:
        lines = textwrap.wrap(words, room, break_long_words=False) if room > 0 and words else []
        if lines and len(lines) * 13 <= tall + 2 and max(map(len, lines)) <= room:
            y = top + tall / 2 + 4 - 6.5 * (len(lines) - 1)
            x, said = (start + end) / 2, f"inside {class_}".strip()
            return [tag("text", line, x=x, y=y + 13 * k, class_=said) for k, line in enumerate(lines)]
    return []


def tick_s(length_s: float) -> int:
    """Seconds between the ticks of a time axis: a round number that gives at most ten of them."""
    return next((step for step in _TICKS_S if length_s <= step * _MOST_TICKS), 86400)


def sign(priority: Priority) -> Element:
    """The sign of a priority, to stand within text."""
    return tag("svg", mark(priority, 7, 7), width=14, height=14, class_="mark", aria_hidden="true")
