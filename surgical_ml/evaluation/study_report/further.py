"""What else was scored: instruments, tips, masks, time, and the view, as the metrics library writes it."""

from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element

from surgical_ml.evaluation.markup import tag
from surgical_ml.evaluation.report_words import spaced
from surgical_ml.evaluation.study.shape import IntervalShape, StudyShape
from surgical_ml.evaluation.study_report.numbers import cell, interval_cell, number
from surgical_ml.evaluation.study_report.parts import folded, row, section, table

_IDENTITY = ("protocol", "fps", "nan_policy", "version", "cases", "frames", "unit")
_NAMES = {
    "map": "Mean average precision",
    "map_all_frames": "Mean average precision, all frames at once",
    "ap": "Average precision",
    "ap_all_frames": "All frames at once",
    "interval": "With its interval",
    "pck": "PCK",
    "median_px": "Median error, px",
    "missing": "True tips that were not found",
    "extra": "Tips found where none was",
    "truths": "True tips",
    "mae": "Mean absolute error",
    "clock_mae": "The same of a clock alone",
    "auroc": "AUROC",
    "leaked_s": "Seconds shown from outside the body, a case",
    "challenge_iou": "Challenge IoU",
    "isi_iou": "ISI IoU",
    "mean_class_iou": "Mean-class IoU",
    "cumulative_iou": "Cumulative IoU",
    "iou": "IoU",
    "hd95": "HD95, px",
}
_SECTIONS = (
    ("tools", "Instruments present", "No case has labelled instruments: how well they are recognised was not scored."),
    ("tips", "Instrument tips", "No case has labelled tips: where they are seen was not scored."),
    (
        "segmentation",
        "Masks",
        "No masks were written with the cases, or none are labelled: segmentation was not scored.",
    ),
    ("progress", "Progress", "No case says how far it truly was: progress was not scored."),
    ("out_of_body", "Out of the body", "No case says when the camera was outside the body: this was not scored."),
)


def further(study: StudyShape) -> list[Element]:
    """The section: a table for each group of measures, or a sentence for what was not scored."""
    parts: list[Element] = []
    missing: list[str] = []
    for name, title, why in _SECTIONS:
        values: dict[str, Any] | None = getattr(study, name)
        if values is None:
            missing.append(why)
        else:
            parts += [tag("h3", title), *_told(values)]
    return section(
        "further", "Instruments, tips, masks, time and view", *parts, *(tag("p", w, class_="absent") for w in missing)
    )


def _told(values: Mapping[str, Any]) -> Iterator[Element]:
    rows = list(_rows(values))
    unit = f", {values['unit']}" if values.get("unit") else ""
    rate = f" at {number(values['fps'])} frames/s" if "fps" in values else ""
    frames = f", {values['frames']:,} frames" if "frames" in values else ""
    many = f"{values['cases']:,} cases{frames}{rate}" if "cases" in values else "cases as above"
    caption = f"{_capital(str(values.get('protocol', 'as its script does')))}{unit}; {many}"
    if values.get("nan_policy"):
        caption += f". Undefined values: {values['nan_policy']}"
    yield table(caption, ("Measure", "Value", "Worst case", "Worst tenth"), [rows], class_="measures")
    for key, group in values.items():
        if isinstance(group, list) and group and isinstance(group[0], Mapping):
            yield folded(f"{_name(key)}: {len(group)} rows", _listed(_name(key), group))


def _rows(values: Mapping[str, Any], before: str = "") -> Iterator[Element]:
    for key, value in values.items():
        name = f"{before}{_name(key)}"
        if (key in _IDENTITY and not before) or isinstance(value, list):
            continue
        if not isinstance(value, Mapping):
            yield row(name, _plain(value), tag("td"), tag("td"))
        elif "estimate" in value:
            yield row(
                name,
                interval_cell(IntervalShape.model_validate(value), _digits(value["estimate"])),
                tag("td"),
                tag("td"),
            )
        elif "mean" in value:
            digits = _digits(value["mean"])
            cells = [tag("td") if value.get(k) is None else cell(value[k], digits) for k in ("worst", "cvar10")]
            below = (
                ""
                if value.get("sd") is None
                else f"± {number(value['sd'], digits)} over {value.get('n')} {value.get('sd_over')}"
            )
            mean = tag("td", number(value["mean"], digits), " ", tag("span", below, class_="below"), class_="number")
            yield row(name, mean, *cells)
        else:
            yield from _rows(value, f"{name}, ")


def _listed(title: str, group: list[dict[str, Any]]) -> Element:
    keys = list(group[0])
    rows = [row(str(one[keys[0]]), *(_plain(one.get(key)) for key in keys[1:])) for one in group]
    return table(title, tuple(_name(key) for key in keys), [rows])


def _plain(value: object) -> Element:
    if isinstance(value, bool) or value is None or (isinstance(value, str) and value not in ("NaN", "Inf", "-Inf")):
        return tag("td", "–" if value is None else str(value), class_="number")
    if isinstance(value, int):
        return tag("td", f"{value:,}", class_="number")
    return cell(float(str(value)), _digits(str(value)))


def _digits(value: float | str) -> int:
    """Shares of 1 to three decimals, percent and pixels to one."""
    return 3 if abs(float(value)) <= 1 else 1


def _name(key: str) -> str:
    return _NAMES.get(key, spaced(key))


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
