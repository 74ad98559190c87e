"""What the sections of an evaluation report are put together from: drawings that scroll, depth that folds, captions."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from surgical_ml.evaluation.markup import Inside, tag


def section(id_: str, title: str, *inside: Inside) -> list[Element]:
    """A heading and what follows it; text becomes a paragraph."""
    parts = [tag("p", one) if isinstance(one, str) else one for one in inside if one is not None]
    return [tag("h2", title, id=id_), *parts]


def absent(id_: str, title: str, why: str) -> list[Element]:
    """A section that has nothing to say, and one sentence that says why."""
    return section(id_, title, tag("p", why, class_="absent"))


def drawing(width: float, height: float, label: str, *shapes: Element, wide: bool = False) -> Element:
    """A drawing with what it shows in words; a wide one keeps its size and is scrolled on a small screen."""
    box = f"0 0 {width:g} {height:g}"
    if wide:
        picture = tag("svg", *shapes, viewBox=box, role="img", aria_label=label)
        return tag("div", picture, class_="drawing", tabindex=0, role="region", aria_label=f"{label}; scrolls sideways")
    picture = tag("svg", *shapes, viewBox=box, role="img", aria_label=label, style=f"max-width: {width:g}px")
    return tag("div", picture, class_="diagram")


def folded(summary: str, *inside: Inside) -> Element:
    """Depth that is opened by hand, and always open on paper."""
    return tag("details", tag("summary", summary), *inside)


def table(
    caption: Inside,
    heads: Sequence[Inside],
    bodies: Sequence[Sequence[Element]],
    *,
    class_: str = "figured",
    words: int = 0,
) -> Element:
    """A table with its caption; the first column names its rows, the last ones may be words, the others are numbers.

    Args:
        caption: what the table is of, with its convention.
        heads: of the columns.
        bodies: groups of rows.
        class_: of the table.
        words: how many of the last columns hold words.
    """
    numbers = range(1, len(heads) - words)
    head = [tag("th", one, scope="col", class_="number" if k in numbers else None) for k, one in enumerate(heads)]
    parts = [tag("tbody", *rows) for rows in bodies if rows]
    inside = tag("table", tag("caption", tag("span", caption)), tag("thead", tag("tr", *head)), *parts, class_=class_)
    return tag("div", inside, class_="scroll", tabindex=0)


def row(name: Inside, *cells: Element, class_: str | None = None) -> Element:
    """A row under its name."""
    return tag("tr", tag("th", name, scope="row"), *cells, class_=class_)
