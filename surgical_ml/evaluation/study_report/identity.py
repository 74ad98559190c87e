"""What the numbers depend on: enough to get the same ones again, or to know why one does not."""

from xml.etree.ElementTree import Element

from surgical_ml.evaluation.markup import Inside, tag
from surgical_ml.evaluation.report_page import identity
from surgical_ml.evaluation.report_words import count
from surgical_ml.evaluation.study.shape import IntervalShape, StudyShape
from surgical_ml.evaluation.study_report.numbers import method, number
from surgical_ml.evaluation.study_report.parts import section


def identified(study: StudyShape) -> list[Element]:
    """The section."""
    judged = sorted({float(case.fps) for case in study.cases})
    rates = (
        " and ".join(number(rate) for rate in judged)
        if len(judged) < 4
        else f"{number(judged[0])} to {number(judged[-1])}"
    )
    scored = "no phases were scored" if study.fps is None else f"phases scored at {number(study.fps)} frames/s"
    rows: list[tuple[str, list[Inside]]] = [
        ("Software", [f"{study.software.name} {study.software.version}"]),
        ("Model", [f"{study.model.name}, version {study.model.version}", tag("br"), tag("code", study.model.sha256)]),
        ("Protocol", [study.protocol.name, tag("br"), tag("code", study.protocol.sha256)]),
        ("Configuration", [tag("code", study.config_sha256)]),
        ("Engine", [study.engine]),
        ("Machine", [study.platform or "not named"]),
        ("Truth", [study.data.labels or "none"]),
        ("Data", [f"{count(study.data.cases, 'case')}, {count(study.data.frames, 'judged frame')}"]),
        ("Frame rate", [f"judged at {rates} frames/s; {scored}"]),
        (
            "Pace",
            [
                "real time, with drops"
                if study.mode == "realtime"
                else "throughput: as fast as it went, nothing dropped"
            ],
        ),
        ("Undefined values", [study.nan_policy]),
        ("Intervals", [method(_intervals(study)) or "none"]),
    ]
    said = (
        "What this evaluation depends on; digests are SHA-256. The unit of every interval is the case, never the frame."
    )
    return section("identity", "Identity", tag("p", said, class_="quiet"), identity(rows))


def _intervals(study: StudyShape) -> list[IntervalShape]:
    found = [value for one in study.conventions.values() for value in (one.accuracy, one.jaccard)]
    found += [one.interval for block in study.subgroups for one in block.rows if one.interval is not None]
    if study.deviations is not None:
        found += [study.deviations.sensitivity, study.deviations.precision]
    return found
