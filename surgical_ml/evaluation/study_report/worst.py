"""The moments that say most about where the module fails, with their frames."""

from pathlib import Path
from xml.etree.ElementTree import Element

from surgical_ml.errors import InputError
from surgical_ml.evaluation.markup import tag
from surgical_ml.evaluation.report_page import picture
from surgical_ml.evaluation.study.shape import StudyShape, WorstShape
from surgical_ml.evaluation.study_report.numbers import at
from surgical_ml.evaluation.study_report.parts import absent, row, section, table

_TITLE = "Worst moments"


def worst(study: StudyShape, out: Path) -> list[Element]:
    """The section: pictures where there are some, a list of the rest.

    Raises:
        InputError: a picture is named that is not a JPEG below `out`, or that cannot be read.
    """
    if not study.worst:
        why = "No moment was picked out: nothing wrong was shown, missed or announced for nothing, or no truth says so."
        return absent("worst", _TITLE, why)
    figures = [_figure(one, out) for one in study.worst if one.image is not None]
    rest = [one for one in study.worst if one.image is None]
    parts: list[Element | str] = [
        "The longest stretches in which something wrong was shown, the surest mistakes, misses and false advisories. They are "
        "picked because they are bad; they say nothing of how the module mostly does."
    ]
    if figures:
        parts.append(tag("div", *figures, class_="pictures"))
    if rest:
        why = "Without a picture: the video was not at hand when the study was made"
        rows = [row(one.case, tag("td", at(one.at_s)), tag("td", f"{one.index:,}"), tag("td", one.why)) for one in rest]
        parts.append(table(why, ("Case", "At", "Frame", "What was wrong"), [rows], class_="listed", words=3))
    return section("worst", _TITLE, *parts)


def _figure(one: WorstShape, out: Path) -> Element:
    path = (out / str(one.image)).resolve()
    if path.suffix != ".jpg" or not path.is_relative_to(out.resolve()):
        raise InputError(
            f"worst moment of {one.case}", "a picture (*.jpg) below the folder of the evaluation", str(one.image)
        )
    words = tag(
        "figcaption", tag("strong", f"{one.case}, {at(one.at_s)}"), f", frame {one.index:,}", tag("br"), one.why
    )
    return tag("figure", picture(path, "evaluation", f"{one.case}, frame {one.index}: {one.why}"), words)
