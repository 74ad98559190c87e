"""Flat calibration patterns: what they are, where their points are in a picture, and why they were not found."""

import re
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.calibration.rigid import Floats
from surgical_ml.calibration.view import View
from surgical_ml.errors import InputError

Gray = npt.NDArray[np.uint8]
Kind = Literal["chessboard", "circles", "asymmetric-circles", "charuco"]
SPECIFICATION = (
    "chessboard:9x6:10mm, circles:9x6:8mm, asymmetric-circles:4x11:8mm or charuco:11x8:10mm:7.5mm:DICT_5X5_100"
)
LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(mm|cm|m)")
PER_METRE = {"mm": 1000, "cm": 100, "m": 1}
# An edge spread over more than this share of the distance between points moves the points with it.
BLUR_SHARE = 0.22
BLUR_FLOOR_PX = 6.0
MIN_CHARUCO_CORNERS = 8
SECOND_LOOK_WIDTH = 960


@dataclass(frozen=True, slots=True)
class Pattern:
    """A flat pattern.

    Attributes:
        kind: `chessboard`, `circles`, `asymmetric-circles` or `charuco`.
        columns, rows: inner corners of a chessboard; circles in a row and rows; squares of a ChArUco board.
        spacing_m: side of a square; distance of circles in a row (asymmetric: half the distance between neighbours of
            one row, as OpenCV counts it).
        marker_m: side of a ChArUco marker.
        dictionary: its dictionary, by OpenCV's name.
    """

    kind: Kind
    columns: int
    rows: int
    spacing_m: float
    marker_m: float = 0.0
    dictionary: str = ""

    def __str__(self) -> str:
        text = f"{self.kind}:{self.columns}x{self.rows}:{1000 * self.spacing_m:g}mm"
        return f"{text}:{1000 * self.marker_m:g}mm:{self.dictionary}" if self.kind == "charuco" else text

    @property
    def points(self) -> Floats:
        """(N, 3) all points in metres, z = 0, in the order of their numbers."""
        if self.kind == "charuco":
            return np.asarray(self.board().getChessboardCorners(), dtype=np.float64)
        row, column = np.mgrid[: self.rows, : self.columns]
        if self.kind == "asymmetric-circles":
            column = 2 * column + row % 2
        flat = np.column_stack([column.ravel(), row.ravel(), np.zeros(row.size)])
        return flat.astype(np.float64) * self.spacing_m

    @property
    def upside_down_differs(self) -> bool:
        """Whether the pattern, turned by half a turn, can be told from itself; poses are ambiguous otherwise."""
        if self.kind == "chessboard":
            return (self.columns + self.rows) % 2 == 1
        return self.kind == "charuco" or (self.kind == "asymmetric-circles" and self.rows % 2 == 1)

    def board(self) -> Any:
        """OpenCV's ChArUco board."""
        dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, self.dictionary))
        return cv2.aruco.CharucoBoard((self.columns, self.rows), self.spacing_m, self.marker_m, dictionary)


def parse_pattern(text: str) -> Pattern:
    """A pattern from its specification, such as `chessboard:9x6:10mm`.

    Raises:
        InputError: it is not one.
    """
    parts = text.split(":")
    if len(parts) not in (3, 5) or parts[0] not in ("chessboard", "circles", "asymmetric-circles", "charuco"):
        raise InputError("pattern", SPECIFICATION, repr(text))
    if (parts[0] == "charuco") != (len(parts) == 5):
        raise InputError("pattern", SPECIFICATION, repr(text))
    size = re.fullmatch(r"(\d+)x(\d+)", parts[1])
    lengths = [LENGTH.fullmatch(part) for part in (parts[2:3] if len(parts) == 3 else parts[2:4])]
    if size is None or any(length is None for length in lengths):
        raise InputError("pattern", SPECIFICATION, repr(text))
    columns, rows = int(size[1]), int(size[2])
    metres = [float(length[1]) / PER_METRE[length[2]] for length in lengths if length]
    if not (min(columns, rows) >= 3 and max(columns, rows) <= 60):
        raise InputError("pattern", "3 to 60 columns and rows", f"{columns}x{rows}")
    if not 0.0002 <= metres[0] <= 0.2:
        raise InputError("pattern", "squares or spacing of 0.2 to 200 mm", f"{1000 * metres[0]:g} mm")
    if len(parts) == 3:
        return Pattern(parts[0], columns, rows, metres[0])  # type: ignore[arg-type]
    if not metres[1] < metres[0]:
        raise InputError("pattern", "markers smaller than squares", f"{1000 * metres[1]:g} of {1000 * metres[0]:g} mm")
    if not parts[4].startswith("DICT_") or not hasattr(cv2.aruco, parts[4]):
        raise InputError("pattern", "an OpenCV dictionary such as DICT_5X5_100", parts[4])
    return Pattern("charuco", columns, rows, metres[0], metres[1], parts[4])


def find(pattern: Pattern, image: npt.NDArray[np.uint8], name: str) -> View | str:
    """The pattern's points in a picture, or in a few words why they cannot be used.

    Args:
        pattern: what to look for.
        image: (H, W) or (H, W, 3) uint8.
        name: of the picture.

    Returns:
        A view; or the reason: `no pattern found`, `blurred: ...`, `two patterns`, `only 5 corners`.
    """
    gray = as_gray(image)
    found = _points(pattern, gray)
    if isinstance(found, str):
        return found
    numbers, pixels = found
    if not pattern.upside_down_differs and pixels[pattern.columns - 1, 0] < pixels[0, 0]:
        # Either end may be taken for the first; one rule for all pictures, so that both cameras of a pair take the same.
        pixels = pixels[::-1].copy()
    view = View(name, pixels, pattern.points[numbers], (gray.shape[1], gray.shape[0]))
    blur = edge_width_px(gray, pixels)
    spacing = typical_spacing_px(view)
    if blur > max(BLUR_FLOOR_PX, BLUR_SHARE * spacing):
        return f"blurred: edges {blur:.0f} px wide where points are {spacing:.0f} px apart"
    if pattern.kind == "charuco":
        return view
    if not isinstance(_points(pattern, _shrunk(_painted_over(gray, view))), str):
        return "two patterns"
    return view


def as_gray(image: npt.NDArray[np.uint8]) -> Gray:
    """One channel (H, W) of a picture."""
    return image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def typical_spacing_px(view: View) -> float:
    """Median distance in pixels between points that are neighbours on the pattern."""
    across = np.linalg.norm(view.points[:, None, :] - view.points[None, :, :], axis=2)
    np.fill_diagonal(across, np.inf)
    nearest = across.argmin(axis=1)
    return float(np.median(np.linalg.norm(view.pixels - view.pixels[nearest], axis=1)))


def edge_width_px(gray: Gray, pixels: Floats) -> float:
    """How wide edges are, in the direction in which they are widest: 2 where sharp, more where blurred or moved.

    Contrast over steepest slope in each of four directions, within the box that the points span.
    """
    (left, top), (right, bottom) = pixels.min(axis=0), pixels.max(axis=0)
    part = gray[max(0, int(top)) : int(bottom) + 2, max(0, int(left)) : int(right) + 2].astype(np.float32)
    if part.size < 64:
        return float("inf")
    low, high = np.percentile(part, (5, 95))
    dx = cv2.filter2D(part, -1, np.array([[-0.5, 0, 0.5]], np.float32))
    dy = cv2.filter2D(part, -1, np.array([[-0.5], [0], [0.5]], np.float32))
    slopes = []
    for angle in np.deg2rad([0, 45, 90, 135]):
        slopes.append(np.percentile(np.abs(np.cos(angle) * dx + np.sin(angle) * dy), 99))
    return float((high - low) / max(min(slopes), 1e-3))


def why_not_found(pattern: Pattern, images: list[npt.NDArray[np.uint8]]) -> str:
    """What pictures without the pattern show instead, in a few words; empty where nothing is recognised.

    Looks for a chessboard of another size, a mirrored print, and markers of another dictionary or board.
    """
    findings: dict[str, int] = {}
    for image in images:
        finding = _other_pattern(pattern, as_gray(image))
        if finding:
            findings[finding] = findings.get(finding, 0) + 1
    if not findings:
        return ""
    commonest = max(findings, key=lambda finding: findings[finding])
    return f"{commonest} in {findings[commonest]} of {len(images)} pictures looked at"


def _points(pattern: Pattern, gray: Gray) -> tuple[npt.NDArray[np.intp], Floats] | str:
    if pattern.kind == "charuco":
        return _charuco(pattern, gray)
    pixels = _chessboard(pattern, gray) if pattern.kind == "chessboard" else _circles(pattern, gray)
    if pixels is None:
        return "no pattern found"
    return np.arange(len(pixels)), pixels


def _chessboard(pattern: Pattern, gray: Gray) -> Floats | None:
    size = (pattern.columns, pattern.rows)
    flags = cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_ACCURACY
    found, corners = cv2.findChessboardCornersSB(gray, size, flags=flags)
    if not found or corners is None or len(corners) != pattern.columns * pattern.rows:
        return None
    pixels = np.asarray(corners, dtype=np.float64).reshape(-1, 2)
    if pattern.upside_down_differs and not _first_square_is_black(pattern, gray, pixels):
        pixels = pixels[::-1].copy()
    return pixels


def _first_square_is_black(pattern: Pattern, gray: Gray, pixels: Floats) -> bool:
    """Whether the first square between inner corners is darker than its neighbour in the row: fixes which end is up."""
    grid = pixels.reshape(pattern.rows, pattern.columns, 2)
    first = grid[:2, :2].mean(axis=(0, 1))
    second = grid[:2, 1:3].mean(axis=(0, 1))
    height, width = gray.shape
    shades = [float(gray[min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)]) for x, y in (first, second)]
    return shades[0] <= shades[1]


def _circles(pattern: Pattern, gray: Gray) -> Floats | None:
    layout = cv2.CALIB_CB_ASYMMETRIC_GRID if pattern.kind == "asymmetric-circles" else cv2.CALIB_CB_SYMMETRIC_GRID
    settings = cv2.SimpleBlobDetector.Params()
    settings.minArea, settings.maxArea = 20.0, gray.size / 50
    detector = cv2.SimpleBlobDetector.create(settings)
    for picture in (gray, 255 - gray):
        found, centres = cv2.findCirclesGrid(
            picture, (pattern.columns, pattern.rows), flags=layout | cv2.CALIB_CB_CLUSTERING, blobDetector=detector
        )
        if found and centres is not None:
            return np.asarray(centres, dtype=np.float64).reshape(-1, 2)
    return None


def _charuco(pattern: Pattern, gray: Gray) -> tuple[npt.NDArray[np.intp], Floats] | str:
    board = pattern.board()
    _, ids, _ = cv2.aruco.ArucoDetector(board.getDictionary()).detectMarkers(gray)
    if ids is None:
        return "no pattern found"
    flat = np.asarray(ids).ravel()
    own = np.asarray(board.getIds()).ravel()
    if np.unique(flat).size < flat.size:
        return "two patterns"
    strangers = np.setdiff1d(flat, own)
    if strangers.size > max(1, flat.size // 4):
        return f"markers of another board ({', '.join(map(str, strangers[:3]))})"
    corners, numbers, _, _ = cv2.aruco.CharucoDetector(board).detectBoard(gray)
    count = 0 if numbers is None else len(numbers)
    if count < MIN_CHARUCO_CORNERS:
        return f"only {count} corners"
    return np.asarray(numbers).ravel().astype(np.intp), np.asarray(corners, dtype=np.float64).reshape(-1, 2)


def _painted_over(gray: Gray, view: View) -> Gray:
    """The picture with the found pattern painted over, to see whether there is another."""
    homography, _ = cv2.findHomography(view.points[:, :2], view.pixels, 0)
    low, high = view.points[:, :2].min(axis=0), view.points[:, :2].max(axis=0)
    margin = 1.2 * (high - low).max() / 8
    box = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])
    box += margin * np.sign(box - box.mean(axis=0))
    outline = cv2.perspectiveTransform(box.reshape(-1, 1, 2), homography)
    copy = gray.copy()
    cv2.fillConvexPoly(copy, outline.astype(np.int32), int(np.median(gray)))
    return copy


def _shrunk(gray: Gray) -> Gray:
    """A picture at most 960 wide: whether there is another pattern shows there as well, in a fifth of the time."""
    height, width = gray.shape
    if width <= SECOND_LOOK_WIDTH:
        return gray
    size = (SECOND_LOOK_WIDTH, round(height * SECOND_LOOK_WIDTH / width))
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)


def _other_pattern(pattern: Pattern, gray: Gray) -> str:
    if pattern.kind == "charuco":
        flipped = np.ascontiguousarray(gray[:, ::-1])
        if not isinstance(_charuco(pattern, flipped), str):
            return "a mirrored print (or mirrored picture)"
        reason = _charuco(pattern, gray)
        if isinstance(reason, str) and reason.startswith("markers"):
            return reason
        for name in ("DICT_4X4_1000", "DICT_5X5_1000", "DICT_6X6_1000", "DICT_7X7_1000", "DICT_ARUCO_ORIGINAL"):
            if name[:8] == pattern.dictionary[:8]:
                continue
            _, ids, _ = cv2.aruco.ArucoDetector(
                cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, name))
            ).detectMarkers(gray)
            if ids is not None and len(ids) >= 4:
                return f"markers of {name.removesuffix('_1000')}"
    shape = chessboard_size(gray)
    if shape is None:
        return ""
    columns, rows = max(shape), min(shape)
    if pattern.kind == "chessboard" and {columns, rows} == {pattern.columns, pattern.rows}:
        return ""
    text = f"a chessboard of {columns}x{rows} inner corners"
    if pattern.kind == "chessboard" and {columns + 1, rows + 1} == {pattern.columns, pattern.rows}:
        text += f" ({columns + 1}x{rows + 1} squares: inner corners count)"
    return text


def chessboard_size(gray: Gray) -> tuple[int, int] | None:
    """Columns and rows of inner corners of whatever chessboard a picture shows, or None."""
    flags = cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_LARGER
    found, _, meta = cv2.findChessboardCornersSBWithMeta(gray, (3, 3), flags)
    if not found or meta is None or meta.ndim < 2:
        return None
    return int(meta.shape[1]), int(meta.shape[0])
