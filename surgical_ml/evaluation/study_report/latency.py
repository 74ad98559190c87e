"""How long a decision takes at the video's own pace, and, apart from it, how fast recorded cases are judged."""

from xml.etree.ElementTree import Element

from surgical_ml.evaluation.markup import tag
from surgical_ml.evaluation.report_drawing import INK
from surgical_ml.evaluation.report_words import count, spaced
from surgical_ml.evaluation.study.shape import LatencyShape, Number, StudyShape
from surgical_ml.evaluation.study_report.axes import Axis, frame, round_up
from surgical_ml.evaluation.study_report.numbers import cell, defined, number
from surgical_ml.evaluation.study_report.parts import drawing, row, section, table

_WIDTH, _HEIGHT = 976, 320


def latency(study: StudyShape) -> list[Element]:
    """The section; without a real-time run there is no latency, and throughput is never put in its place."""
    parts: list[Element | str] = []
    one = study.latency
    if one is None:
        why = (
            "This real-time run left no latencies."
            if study.mode == "realtime"
            else "Not measured: the cases were judged as fast as they went, and latency only has a meaning at the video's own "
            "pace (evaluate cases with --realtime)."
        )
        parts.append(tag("p", why, class_="absent"))
    else:
        parts += _measured(one)
    if study.throughput is not None:
        parts.append(tag("h3", "Throughput, which is no latency"))
        speed = f"{number(study.throughput.frames_per_s)} frames/s by one worker on {study.throughput.device}"
        parts.append(
            f"Recorded cases were judged at {speed}. This says how long an evaluation takes, not how old an answer is."
        )
    return section("latency", "Latency", *parts)


def _measured(one: LatencyShape) -> list[Element | str]:
    said = (
        f"From the moment a frame was taken to its decision, at the video's own pace, on {one.device}: "
        f"{count(one.frames, 'frame')} of {count(one.cases, 'case')}; {count(one.drops, 'frame was', 'frames were')} dropped."
    )
    rows = [row("Whole way", *(cell(v, 1) for v in (one.p50_ms, one.p95_ms, one.p99_ms, one.max_ms)))]
    rows += [_told(spaced(name), values) for name, values in one.stages_ms.items()]
    rows.append(_told("Age of the answer on show", one.age_ms))
    caption = f"Milliseconds, measured on {one.device}"
    return [said, _histogram(one), table(caption, ("Part", "p50", "p95", "p99", "max"), [rows])]


def _told(name: str, values: dict[str, Number]) -> Element:
    return row(name, *(cell(values.get(key)) for key in ("p50", "p95", "p99", "max")))


def _histogram(one: LatencyShape) -> Element:
    """Bars whose area is the number of frames: they need not be equally wide."""
    bars = [(float(low), float(high), number_) for low, high, number_ in one.histogram if float(high) > float(low)]
    filled = [bar for bar in bars if bar[2]]
    if not filled:
        return tag("p", "The histogram has no frames.", class_="absent")
    x = Axis(0, round_up(filled[-1][1], 8), 70, _WIDTH - 16, "latency, ms")
    y = Axis(0, round_up(max(n / (high - low) for low, high, n in filled)), _HEIGHT - 44, 34, "frames per ms")
    shapes = [*frame(x, y, steps=8)]
    for low, high, frames in filled:
        left, right, top = x.place(low), x.place(high), y.place(frames / (high - low))
        box = {"x": left, "y": top, "width": round(right - left, 1), "height": round(y.begin - top, 1)}
        said = f"{low:g} to {high:g} ms: {count(frames, 'frame')}"
        shapes.append(tag("rect", tag("title", said), **box, fill="#56b4e9", stroke=INK, stroke_width=0.8))
    last = 0.0
    for name, value in (("p50", one.p50_ms), ("p95", one.p95_ms), ("p99", one.p99_ms)):
        if defined(value):
            px = x.place(float(value))
            shapes.append(tag("path", d=f"M{px} 26V{y.begin}", stroke=INK, stroke_width=1.4, stroke_dasharray="4 3"))
            # Names that would cover each other are put side by side.
            last = max(px - 13, last + 30)
            shapes.append(tag("text", name, x=last, y=20, class_="strong small"))
    return drawing(_WIDTH, _HEIGHT, "Histogram of latency in milliseconds, with p50, p95 and p99", *shapes, wide=True)
