"""`report.html`: one case on one page, for a surgeon, an engineer and a reviewer; nothing outside the file is needed."""

from pathlib import Path
from xml.etree.ElementTree import Element

from surgical_ml.evaluation.case_story import CaseStory, read_story
from surgical_ml.evaluation.markup import tag
from surgical_ml.evaluation.report_advisories import advisories
from surgical_ml.evaluation.report_course import course_section, silence
from surgical_ml.evaluation.report_evidence import identified, pictures
from surgical_ml.evaluation.report_groups import groups
from surgical_ml.evaluation.report_head import header
from surgical_ml.evaluation.report_latency import latency
from surgical_ml.evaluation.report_page import document, write_page
from surgical_ml.evaluation.report_style import STYLE
from surgical_ml.guidance import Kind

REPORT = "report.html"


def write_report(folder: Path) -> Path:
    """Write `report.html` into a case folder.

    The files are read a line at a time. Neither the memory this takes nor the file grows with the length of the case: they
    grow with the number of different things that happened in it, and the file only up to a limit that it states.

    Args:
        folder: of a case, as `replay_case` leaves it.

    Returns:
        The path of the report.

    Raises:
        InputError: the folder is no case folder, one of its files is not what it must be, or the report cannot be written.
    """
    return write_page(_document(folder, read_story(folder)), folder / REPORT)


def _document(folder: Path, story: CaseStory) -> Element:
    procedural, procedural_left = groups(story, Kind.PROCEDURAL)
    technical, technical_left = groups(story, Kind.TECHNICAL)
    main = tag(
        "main",
        *course_section(story, procedural),
        *advisories(story, procedural, procedural_left, technical, technical_left),
        *silence(story),
        *latency(story),
        *pictures(folder, story),
        *identified(story),
    )
    title = f"Case report: {story.summary.video}"
    return document(title, STYLE, header(story, procedural), main, _footer())


def _footer() -> Element:
    return tag(
        "footer",
        "Every number here comes from decisions.jsonl, timings.jsonl and summary.json beside this file. Check the log with ",
        tag("code", "surgical-ml audit verify CASE/audit"),
        ".",
    )
