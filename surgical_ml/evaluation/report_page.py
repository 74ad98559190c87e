"""What every report is made of: a page that needs nothing outside itself, its tables, and its pictures."""

import base64
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from surgical_ml.errors import InputError
from surgical_ml.evaluation.markup import Inside, page, tag

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def document(title: str, style: str, *body: Element) -> Element:
    """A whole page whose browser is told to fetch nothing and to run nothing.

    Args:
        title: of the window.
        style: all of it.
        body: header, main, footer.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", style),
    )
    return tag("html", head, tag("body", *body), lang="en")


def write_page(root: Element, path: Path) -> Path:
    """Write a page beside its place and rename it, so that it is there whole or not at all.

    Args:
        root: of `document`.
        path: of the file.

    Returns:
        The path.

    Raises:
        InputError: it cannot be written.
    """
    aside = path.with_name(f".{path.name}.partial")
    try:
        aside.write_text(page(root), encoding="utf-8", newline="\n")
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise InputError(path, "a place that can be written to", error.strerror or str(error)) from error
    return path


def picture(path: Path, named_by: str, alt: str) -> Element:
    """A JPEG file as a picture that is part of the page.

    Args:
        path: of the file.
        named_by: the file that names it, for the error.
        alt: what a reader who cannot see it is told.

    Raises:
        InputError: it cannot be read.
    """
    try:
        data = base64.b64encode(path.read_bytes()).decode("ascii")
    except OSError as error:
        raise InputError(path, f"the picture that the {named_by} names", error.strerror or str(error)) from error
    return tag("img", src=f"data:image/jpeg;base64,{data}", alt=alt)


def figured(names: Sequence[str], rows: Sequence[Element]) -> Element:
    """A table whose first column names its rows and whose others are numbers."""
    head = [tag("th", name, scope="col", class_="number" if k else None) for k, name in enumerate(names)]
    return tag(
        "div", tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows), class_="figured"), class_="scroll"
    )


def identity(rows: Sequence[tuple[str, Sequence[Inside]]]) -> Element:
    """A table of names and what they stand for."""
    body = [tag("tr", tag("th", name, scope="row"), tag("td", *inside)) for name, inside in rows]
    return tag("table", tag("tbody", *body), class_="identity")
