"""Whether the module is as often right as it is sure: near transitions and between them."""

from xml.etree.ElementTree import Element

from surgical_ml.evaluation.markup import tag
from surgical_ml.evaluation.report_drawing import FAINT, INK, SILENT
from surgical_ml.evaluation.report_words import count
from surgical_ml.evaluation.study.shape import ReliabilityShape, StudyShape
from surgical_ml.evaluation.study_report.axes import Axis, frame, round_up
from surgical_ml.evaluation.study_report.numbers import cell, number
from surgical_ml.evaluation.study_report.parts import absent, drawing, folded, row, section, table

_TITLE = "How sure, and how often right"
_PARTS = (("boundary", "within 10 s of a true transition"), ("interior", "everywhere else"))


def reliability(study: StudyShape) -> list[Element]:
    """The section: two reliability diagrams with their counts, and what else is known of the scores."""
    one = study.calibration
    if one is None:
        why = "No case has both labelled phases and recorded phase scores, so nobody can say how far the scores can be trusted."
        return absent("calibration", _TITLE, why)
    parts = {"boundary": one.boundary, "interior": one.interior}
    said = (
        "A disc is a group of frames of which the module was about equally sure. On the diagonal it was right as often as it "
        "was sure; below the diagonal it was too sure, by the length of the line. Frames near a transition are shown "
        "apart: there even people disagree, and mixing them in hides how the rest does."
    )
    figures = [
        tag(
            "figure",
            _diagram(parts[name], words),
            tag("figcaption", tag("strong", name.capitalize()), f", {words}. {_verdict(parts[name])}"),
        )
        for name, words in _PARTS
    ]
    also = [
        row("ECE of all frames", cell(one.all_.ece, 4), tag("td", "mean distance from the diagonal, 0 is best")),
        row("Classwise ECE", cell(one.classwise_ece, 4), tag("td", "the same, of each phase by itself")),
        row("Brier score", cell(one.brier, 4), tag("td", "squared distance of the scores from what was true")),
        row("Negative log-likelihood", cell(one.nll, 4), tag("td", "how surprised the scores were, nats")),
        row("AURC", cell(one.aurc, 4), tag("td", "share of errors, averaged over how much is withheld")),
        row(
            "Risk at 80 % coverage", cell(one.risk_80, 4), tag("td", "share of errors among the surest 80 % of frames")
        ),
        row(
            "Risk at 90 % coverage", cell(one.risk_90, 4), tag("td", "share of errors among the surest 90 % of frames")
        ),
    ]
    base = f"{count(one.cases, 'case')}, {count(one.frames, 'frame')}"
    caption = f"Scores of all frames, shares from 0 to 1; {base}. {one.nan_policy.capitalize()}."
    bins = [_bins(parts[name], f"{name.capitalize()}, {words}") for name, words in _PARTS]
    return section(
        "calibration",
        _TITLE,
        said,
        tag("div", *figures, class_="pair"),
        table(caption, ("Measure", "Value", "What it is"), [also], class_="measures", words=1),
        folded("The discs as tables", tag("div", *bins, class_="pair")),
    )


def _verdict(one: ReliabilityShape) -> str:
    filled = [b for b in one.bins if b.count]
    if not filled:
        return "No frame."
    gap = sum(b.count * (float(b.confidence) - float(b.accuracy)) for b in filled)
    leaning = "on the whole too sure" if gap > 0 else "on the whole less sure than right" if gap < 0 else "balanced"
    return f"ECE {number(one.ece, 3)} of {one.n:,} frames; {leaning}."


def _diagram(one: ReliabilityShape, words: str) -> Element:
    x = Axis(0, 1, 52, 352, "how sure: score of the phase")
    y = Axis(0, 1, 314, 14, "share of frames that were right")
    most = round_up(max(b.count for b in one.bins), 2)
    bars = Axis(0, most, 424, 364)
    shapes = [*frame(Axis(0, 1, 52, 352), y)]
    shapes.append(tag("path", d=f"M{x.begin} {y.begin}L{x.end} {y.end}", stroke=SILENT, stroke_dasharray="5 4"))
    for b in one.bins:
        if not b.count:
            continue
        px, py, on = x.place(float(b.confidence)), y.place(float(b.accuracy)), y.place(float(b.confidence))
        said = f"{b.low:.2f} to {b.high:.2f}: sure {number(b.confidence, 2)}, right {number(b.accuracy, 2)}, {b.count:,} frames"
        shapes.append(tag("path", d=f"M{px} {on}V{py}", stroke="#d55e00", stroke_width=2))
        shapes.append(tag("circle", tag("title", said), cx=px, cy=py, r=4.5, fill="#0072b2"))
        left, right, top = x.place(b.low), x.place(b.high), bars.place(b.count)
        bar = {"x": left + 1, "y": top, "width": round(right - left - 2, 1), "height": round(bars.begin - top, 1)}
        shapes.append(tag("rect", tag("title", said), **bar, fill=SILENT))
    shapes.append(tag("path", d=f"M{x.begin} {bars.end}H{x.end}", stroke=FAINT, stroke_width=0.8))
    shapes.append(
        tag("path", d=f"M{x.begin} {bars.end}V{bars.begin}H{x.end}", fill="none", stroke=INK, stroke_width=0.8)
    )
    shapes.append(tag("text", f"{most:,.0f}", x=x.begin - 6, y=bars.end + 4, class_="label quiet small"))
    shapes.append(tag("text", "0", x=x.begin - 6, y=bars.begin + 4, class_="label quiet small"))
    shapes.append(tag("text", "frames", x=12, y=394, transform="rotate(-90 12 394)", class_="tick"))
    shapes.append(tag("text", x.label, x=(x.begin + x.end) / 2, y=446, class_="tick"))
    return drawing(362, 452, f"Reliability {words}: share right over how sure, with the number of frames", *shapes)


def _bins(one: ReliabilityShape, title: str) -> Element:
    rows = [
        row(
            f"{b.low:.3f} to {b.high:.3f}",
            cell(b.confidence, 3),
            cell(b.accuracy, 3),
            tag("td", f"{b.count:,}", class_="number"),
        )
        for b in one.bins
        if b.count
    ]
    return table(title, ("Score", "Mean score", "Share right", "Frames"), [rows])
