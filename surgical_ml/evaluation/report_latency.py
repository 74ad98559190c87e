"""How long each stage of a case took."""

from xml.etree.ElementTree import Element

from surgical_ml.evaluation.case_story import CaseStory, Durations
from surgical_ml.evaluation.markup import tag
from surgical_ml.evaluation.report_page import figured
from surgical_ml.evaluation.report_words import spaced


def latency(story: CaseStory) -> list[Element]:
    """The section: a table of stages."""
    summary = story.summary
    device = f"on {summary.platform}" if summary.platform else "on a device that the summary does not name"
    found: list[Element] = [
        tag("h2", "Latency", id="latency"),
        tag(
            "p",
            f"Measured on this run, {device}, with the engine {summary.engine}; in milliseconds, to three digits. "
            + (
                "Frames came at their own pace, in real time."
                if summary.frames_per_s is None
                else f"When the summary was made, the case was judged at {summary.frames_per_s:g} frames/s."
            )
            + (" Decoding runs beside the rest and is no part of the total." if "decode" in story.durations else ""),
        ),
    ]
    if not story.durations:
        return [*found, tag("p", "No stage was timed.")]
    longest = max(one.percentile_us(99) for one in story.durations.values()) or 1
    rows = [
        tag(
            "tr",
            tag("th", spaced(name), scope="row"),
            *(tag("td", f"{us / 1000:.2f}", class_="number") for us in _percentiles(one)),
            tag("td", f"{one.count:,}", class_="number"),
            tag("td", _spread(one, longest), class_="number"),
        )
        for name, one in story.durations.items()
    ]
    return [*found, figured(("Stage", "p50", "p95", "p99", "max", "Frames", "From p50 to p99"), rows)]


def _percentiles(one: Durations) -> list[int]:
    return [one.percentile_us(50), one.percentile_us(95), one.percentile_us(99), one.max_us]


def _spread(one: Durations, longest_us: int) -> Element:
    """A line from the median to the 99th percentile, on a scale that all stages share."""
    wide = 170
    begin, end = (4 + us * (wide - 8) / longest_us for us in (one.percentile_us(50), one.percentile_us(99)))
    return tag(
        "svg",
        tag("path", d=f"M{begin:.1f} 7H{end:.1f}", stroke="#0072b2", stroke_width=2),
        tag("circle", cx=f"{begin:.1f}", cy=7, r=3.5, fill="#0072b2"),
        width=wide,
        height=14,
        viewBox=f"0 0 {wide} 14",
        aria_hidden="true",
    )
