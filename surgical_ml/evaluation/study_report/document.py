"""The whole page: its sections in the order in which they are read, and the file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from pydantic import ValidationError

from surgical_ml.errors import InputError
from surgical_ml.evaluation.markup import tag
from surgical_ml.evaluation.report_page import document, write_page
from surgical_ml.evaluation.study.shape import FILE, StudyShape
from surgical_ml.evaluation.study_report.deviations import deviations
from surgical_ml.evaluation.study_report.further import further
from surgical_ml.evaluation.study_report.head import header
from surgical_ml.evaluation.study_report.identity import identified
from surgical_ml.evaluation.study_report.latency import latency
from surgical_ml.evaluation.study_report.phases import confusion, conventions, each_phase
from surgical_ml.evaluation.study_report.reliability import reliability
from surgical_ml.evaluation.study_report.ribbons import ribbons
from surgical_ml.evaluation.study_report.style import STYLE
from surgical_ml.evaluation.study_report.subgroups import subgroups
from surgical_ml.evaluation.study_report.worst import worst

REPORT = "report.html"


def write_study_report(study: Mapping[str, Any], out: Path) -> Path:
    """Write `report.html` into the folder of an evaluation: one file that needs nothing else.

    Every number on it is one of `evaluation.json`, rounded. A section that the study has nothing for says so in a sentence.

    Args:
        study: what `evaluation.json` holds; see `study.shape.StudyShape`.
        out: the folder, with the pictures that `study["worst"]` names.

    Returns:
        The path of the report.

    Raises:
        InputError: the study is not of that shape or has no case, a picture is not below `out` or cannot be read, or the report
            cannot be written.
    """
    try:
        told = StudyShape.model_validate(study)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(out / FILE, "what a study of schema 1 holds", f"{place}: {first['msg']}") from error
    if not told.cases:
        raise InputError(out / FILE, "at least one case", "none")
    return write_page(_page(told, out), out / REPORT)


def _page(study: StudyShape, out: Path) -> Element:
    sections = [
        ribbons(study),
        confusion(study),
        each_phase(study),
        conventions(study),
        reliability(study),
        deviations(study),
        further(study),
        latency(study),
        subgroups(study),
        worst(study, out),
        identified(study),
    ]
    ways = [(one[0].attrib["id"], one[0].text or "") for one in sections]
    main = tag("main", *(part for one in sections for part in one))
    title = f"Evaluation report: {study.model.name}, version {study.model.version}"
    return document(title, STYLE, header(study, ways), main, _footer())


def _footer() -> Element:
    return tag(
        "footer", "Every number here comes from ", tag("code", FILE), " beside this file, which has them in full."
    )
