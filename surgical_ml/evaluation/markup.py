"""HTML and SVG as elements, never as text: whatever a file says is escaped because nothing else is possible."""

import re
from xml.etree.ElementTree import Element, tostring

Inside = Element | str | None

# What HTML allows in no text at all: control characters, halves of surrogate pairs, and two that are no characters.
_NO_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def tag(name: str, /, *inside: Inside, **attributes: object) -> Element:
    """One element with its children, in order; None is left out, and so is an attribute that is None.

    Args:
        name: of the element.
        inside: elements and text.
        attributes: `class_` is written `class`, `stroke_width` as `stroke-width`.
    """
    element = Element(name)
    for key, value in attributes.items():
        if value is not None:
            element.set(key.rstrip("_").replace("_", "-"), _clean(str(value)))
    last: Element | None = None
    for one in inside:
        if isinstance(one, Element):
            element.append(one)
            last = one
        elif one is not None and last is None:
            element.text = (element.text or "") + _clean(one)
        elif one is not None and last is not None:
            last.tail = (last.tail or "") + _clean(one)
    return element


def page(root: Element) -> str:
    """A whole HTML5 document."""
    return "<!DOCTYPE html>\n" + tostring(root, encoding="unicode", method="html") + "\n"


def _clean(text: str) -> str:
    return _NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", text)
