"""The report of a camera's calibration: where points were seen, how they miss, and the picture without its distortion."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import cv2
import numpy as np

from surgical_ml.calibration.files import digest
from surgical_ml.calibration.lens import Lens
from surgical_ml.calibration.model import INTERVAL_95, CameraCalibration, StereoCalibration
from surgical_ml.calibration.pictures import missing
from surgical_ml.calibration.rigid import Floats
from surgical_ml.calibration.view import View
from surgical_ml.evaluation.markup import tag
from surgical_ml.evaluation.report_page import document, figured, write_page
from surgical_ml.evaluation.report_style import STYLE
from surgical_ml.video import Image

_WIDE = 960.0
_ARROW = 60.0
"""How much longer than the truth a residual is drawn, at the size of the drawing."""

_MOST_ARROWS = 1500
_PICTURE_WIDE = 800


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One camera, as the page shows it.

    Attributes:
        name: `left` or `right`; empty of a single camera.
        lens: calibrated.
        views: that took part; residuals: for each, (N, 2) seen minus projected, pixels.
        sample: (H, W, 3) BGR, a picture of the pattern.
    """

    name: str
    lens: Lens
    views: tuple[View, ...]
    residuals: tuple[Floats, ...]
    sample: Image


def write_calibration_page(path: Path, made: CameraCalibration | StereoCalibration, sides: Sequence[Side]) -> Path:
    """Write the page.

    Args:
        path: of the HTML file.
        made: the calibration, with its quality.
        sides: its camera or cameras.

    Raises:
        InputError: the page cannot be written.
    """
    title = "Calibration of a camera" if len(sides) == 1 else "Calibration of two cameras"
    head = tag(
        "header",
        tag("p", "surgical_ml", class_="kicker"),
        tag("h1", title),
        tag("p", made.provenance.method, class_="lead"),
        tag("p", f"Digest {digest(made)}", class_="quiet"),
    )
    body = tag("main", *_quality(made, sides), *(part for side in sides for part in _side(side)), *_parameters(made))
    foot = tag("footer", tag("p", f"Made by {made.provenance.made_by}.", class_="quiet"))
    return write_page(document(title, STYLE, head, body, foot), path)


def _quality(made: CameraCalibration | StereoCalibration, sides: Sequence[Side]) -> list[Element]:
    quality = made.quality
    if quality is None:
        return []
    kind = "reprojection" if len(sides) == 1 else "from epipolar lines"
    held = "none" if quality.holdout_rms_px is None else f"{quality.holdout_rms_px:.2f} px"
    figures = [
        (
            "Views that took part",
            str(quality.views),
            f"{quality.points} points, {len(quality.rejected)} pictures left out",
        ),
        ("Reprojection", f"{quality.rms_px:.2f} px", "RMS of the views that the fit used"),
        ("Held out", held, f"RMS {kind}, each view judged by a fit without it"),
    ]
    told = [
        tag("div", tag("dt", name), tag("dd", value, class_="figure"), tag("dd", words))
        for name, value, words in figures
    ]
    parts = [tag("h2", "How well it fits"), tag("dl", *told, class_="figures")]
    wanted = missing(sides[0].views)
    if wanted:
        better = tag("ul", *(tag("li", one) for one in wanted))
        parts.append(tag("section", tag("p", "It would be better with"), better, class_="notice"))
    rows = [
        tag("tr", tag("th", name, scope="row"), tag("td", f"{error:.2f}", class_="number"))
        for name, error in sorted(quality.view_rms_px, key=lambda one: -one[1])
    ]
    parts.append(tag("details", tag("summary", "Every view, worst first"), figured(["View", "RMS, px"], rows)))
    if quality.rejected:
        reasons = [tag("tr", tag("th", one.name, scope="row"), tag("td", one.reason)) for one in quality.rejected]
        names = tag("tr", tag("th", "Picture", scope="col"), tag("th", "Why it was left out", scope="col"))
        table = tag("div", tag("table", tag("thead", names), tag("tbody", *reasons)), class_="scroll")
        parts.append(tag("details", tag("summary", "Pictures that were left out"), table))
    return parts


def _side(side: Side) -> list[Element]:
    of = f" of the {side.name} camera" if side.name else ""
    return [
        tag("h2", f"Where points were seen{of}, and how they miss"),
        tag(
            "p",
            f"Each line leads from where a point should be to where it was seen, {_ARROW:.0f} times as long as it is. "
            "Lines that point one way in one place say that the lens model does not fit there; empty places say that "
            "nothing is known of the lens there.",
        ),
        tag("div", _arrows(side), class_="drawing"),
        tag("h2", f"The picture{of} without its distortion"),
        tag("p", "Straight edges of the pattern are straight here, right into the corners."),
        _undistorted(side),
    ]


def _arrows(side: Side) -> Element:
    width, height = side.views[0].image_size
    scale = _WIDE / width
    pixels = np.concatenate([view.pixels for view in side.views])
    misses = np.concatenate(side.residuals)
    rows, columns = 6, 8
    counts, _, _ = np.histogram2d(pixels[:, 1], pixels[:, 0], bins=(rows, columns), range=[[0, height], [0, width]])
    most = max(float(counts.max()), 1.0)
    cell_wide, cell_tall = _WIDE / columns, height * scale / rows
    cells = [
        tag(
            "rect",
            tag("title", f"{int(counts[row, column])} points"),
            x=f"{column * cell_wide:.1f}",
            y=f"{row * cell_tall:.1f}",
            width=f"{cell_wide:.1f}",
            height=f"{cell_tall:.1f}",
            fill="#0072b2" if counts[row, column] else "#ffffff",
            fill_opacity=f"{0.08 + 0.3 * counts[row, column] / most:.2f}",
            stroke="#d9dfe4",
        )
        for row in range(rows)
        for column in range(columns)
    ]
    step = max(1, -(-len(pixels) // _MOST_ARROWS))
    starts = (pixels - misses)[::step] * scale
    ends = starts + misses[::step] * scale * _ARROW
    path = "".join(f"M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}" for (a, b), (c, d) in zip(starts, ends, strict=True))
    centre = tag(
        "circle", tag("title", "principal point"), cx=f"{side.lens.cx * scale:.1f}", cy=f"{side.lens.cy * scale:.1f}",
        r=5, fill="none", stroke="#d55e00", stroke_width=2,
    )  # fmt: skip
    arrows = tag("path", d=path, stroke="#1d252c", stroke_width=1, fill="none", class_="mark")
    words = f"Coverage and residuals of {len(pixels)} points"
    return tag(
        "svg", *cells, arrows, centre, viewBox=f"0 0 {_WIDE:.0f} {height * scale:.0f}", role="img", aria_label=words
    )


def _undistorted(side: Side) -> Element:
    picture = side.lens.undistort(side.sample)
    height, width = picture.shape[:2]
    if width > _PICTURE_WIDE:
        size = (_PICTURE_WIDE, round(height * _PICTURE_WIDE / width))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    data = base64.b64encode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()).decode("ascii")
    alt = "A picture of the pattern, undistorted"
    return tag("p", tag("img", src=f"data:image/jpeg;base64,{data}", alt=alt, style="max-width: 100%"))


def _parameters(made: CameraCalibration | StereoCalibration) -> list[Element]:
    covariance = made.covariance
    if covariance is None:
        return []
    values = _values(made)
    rows = []
    for name, unit, value in zip(covariance.parameters, covariance.units, values, strict=True):
        half = INTERVAL_95 * covariance.deviation(name)
        cells = (f"{value:.4f}", f"{half:.4f}", "" if unit == "1" else unit)
        rows.append(tag("tr", tag("th", name, scope="row"), *(tag("td", cell, class_="number") for cell in cells)))
    words = (
        "Half of the 95 % interval is how far the truth may lie to either side, as the scatter of the points tells it."
    )
    return [
        tag("h2", "Every parameter, and how sure it is"),
        tag("p", words),
        figured(["Parameter", "Value", "± 95 %", "Unit"], rows),
    ]


def _values(made: CameraCalibration | StereoCalibration) -> list[float]:
    lenses = [float(value) for lens in made.lenses for value in lens.parameters]
    if isinstance(made, CameraCalibration) or made.right_from_left is None:
        return lenses
    motion = made.right_from_left.matrix
    turn = np.degrees(cv2.Rodrigues(motion[:3, :3])[0].ravel())
    return [*(float(value) for value in turn), *(float(1000 * value) for value in motion[:3, 3]), *lenses]
