"""Sensitivity over false advisories per hour: what another operating point would have given."""

from collections.abc import Sequence
from itertools import groupby
from xml.etree.ElementTree import Element

from surgical_ml.evaluation.markup import tag
from surgical_ml.evaluation.report_drawing import key
from surgical_ml.evaluation.study.shape import CurvePoint
from surgical_ml.evaluation.study_report.axes import Axis, frame, round_up
from surgical_ml.evaluation.study_report.numbers import cell, defined
from surgical_ml.evaluation.study_report.parts import drawing, folded, row, table

_NAMES = {"held": "advisories whose condition stood for so long", "certainty": "advisories of so much certainty"}
_COLOURS = {"held": "#0072b2", "certainty": "#a14a00"}
_WIDTH, _HEIGHT = 976, 360


def operating_curve(points: Sequence[CurvePoint]) -> list[Element]:
    """A curve for each setting that can be varied afterwards, with the recorded operating point ringed."""
    if not points:
        return [tag("p", "No advisory was announced, so no other setting can be tried on the record.", class_="absent")]
    drawn = [one for one in points if defined(one.sensitivity, one.false_per_hour)]
    listed = table(
        "Every point of the curves",
        ("Setting", "Sensitivity", "False per hour", "As recorded"),
        [
            [
                row(
                    one.what,
                    cell(one.sensitivity, 2),
                    cell(one.false_per_hour, 2),
                    tag("td", "yes" if one.operating else "", class_="number"),
                )
                for one in points
            ]
        ],
    )
    if not drawn:
        why = (
            "No curve: without cases that are free of deviations there are no false advisories per hour, and without "
            "deviations no sensitivity."
        )
        return [tag("p", why, class_="absent"), folded("The settings as a table", listed)]
    said = (
        "Only what can honestly be tried on a record is tried: to leave out advisories that were announced, never to add some "
        "that were not. The upper left corner is best; the ring is what was recorded."
    )
    families = {
        name: list(group)
        for name, group in groupby(sorted(drawn, key=lambda one: one.family), key=lambda one: one.family)
    }
    signs = [
        key(tag("g", *_joined([(2, 6.5), (24, 6.5)], name), _dot(13, 6.5, name)), _NAMES[name]) for name in families
    ]
    signs.append(key(_ring(13, 6.5, 5), "as recorded"))
    return [tag("p", said), _drawn(families), tag("ul", *signs, class_="key"), folded("The curves as a table", listed)]


def _drawn(families: dict[str, list[CurvePoint]]) -> Element:
    most = max(float(one.false_per_hour) for group in families.values() for one in group)
    x = Axis(0, round_up(most), 62, _WIDTH - 24, "false advisories per hour of cases without a deviation")
    y = Axis(0, 1, _HEIGHT - 48, 38, "sensitivity: share of deviations announced")
    shapes = [*frame(x, y)]
    taken: list[tuple[float, float]] = []
    for name, group in families.items():
        places = [(x.place(float(one.false_per_hour)), y.place(float(one.sensitivity))) for one in group]
        shapes += _joined(places, name)
        for one, (px, py) in zip(group, places, strict=True):
            if one.operating:
                shapes.append(_ring(px, py))
            shapes.append(tag("g", tag("title", one.what), _dot(px, py, name)))
            words = one.what.removeprefix("held for ").removeprefix("announced with ")
            side = px > _WIDTH * 0.7
            spot = (px, py - 13 if name == "held" else py + 24)
            # What would be written over something else is left to the table below.
            if all(abs(spot[0] - a) > len(words) * 6.5 or abs(spot[1] - b) > 12 for a, b in taken):
                taken.append(spot)
                class_ = "label small halo" if side else "small halo"
                shapes.append(tag("text", words, x=spot[0] + (-2 if side else 8), y=spot[1], class_=class_))
    label = "Sensitivity over false advisories per hour"
    return drawing(_WIDTH, _HEIGHT, label, *shapes, wide=True)


def _joined(places: Sequence[tuple[float, float]], family: str) -> list[Element]:
    d = "M" + "L".join(f"{x} {y}" for x, y in places)
    dashes = None if family == "held" else "6 4"
    return [
        tag(
            "path",
            d=d,
            fill="none",
            stroke=_COLOURS[family],
            stroke_width=2,
            stroke_dasharray=dashes,
            shape_rendering="auto",
        )
    ]


def _dot(x: float, y: float, family: str) -> Element:
    """A disc, or a square: the shape tells the settings apart, colour only repeats it."""
    if family == "held":
        return tag("circle", cx=x, cy=y, r=4.5, fill=_COLOURS[family])
    return tag("rect", x=x - 4.5, y=y - 4.5, width=9, height=9, fill=_COLOURS[family])


def _ring(x: float, y: float, radius: float = 10) -> Element:
    return tag("circle", cx=x, cy=y, r=radius, fill="none", stroke="#1d252c", stroke_width=2)
