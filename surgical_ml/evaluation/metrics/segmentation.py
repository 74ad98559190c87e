"""Segmentation masks, in each convention that the field prints.

Per frame f and class c (background excluded), with masks P and G, areas |.|:

    IoU   = |P and G| / |P or G|                Dice = 2 |P and G| / (|P| + |G|)
    NSD   = (boundary of P within t of G's + boundary of G within t of P's) / (both boundaries)
    HD95  = the larger of the two 95th percentiles of distances from one boundary to the other, px

    Challenge IoU  = mean over frames with a truth of the mean IoU over the classes in the truth
    ISI IoU        = mean over frames with anything of the mean IoU over the classes in truth or prediction
    mean-class IoU = mean over classes of the mean IoU over the frames where the class is in truth or prediction
    cumulative IoU = sum of intersections / sum of unions

(ISINet, SurgicalSAM; where theirs leaves the union of a frame without any prediction out of the cumulative IoU, it is
in it here.) Dice, NSD and HD95 are taken per class and frame, then averaged over the frames of a video, over videos,
over classes. A frame where truth and prediction both lack a class is left out for it; where one of them lacks it,
Dice and NSD are 0 and HD95 is the picture's diagonal. Boundaries are the pixels of a mask with one of their four
neighbours outside it or outside the picture. Shares are from 0 to 1.

    flicker = 1 - mean over consecutive frames of the mean IoU over the classes in either of a video's own masks;
    given as a
              ratio to the truth's flicker
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

import surgical_ml
from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics.cases import Numbers
from surgical_ml.evaluation.metrics.phases import nan_mean
from surgical_ml.evaluation.metrics.summary import plain_number

LabelMap = npt.NDArray[np.int64]

IGNORED = 255
"""Pixels whose truth is this are background in truth and prediction: nobody can tell what they are."""

TOLERANCES_PX = (2, 5)
"""Of NSD, at `REFERENCE_WIDTH_PX`; they grow with the picture."""

REFERENCE_WIDTH_PX = 512

NAN_POLICY = (
    "a class that truth and prediction of a frame both lack is left out; where one lacks it Dice and NSD are 0 and "
    "HD95 is the picture's diagonal; pixels of truth 255 are left out"
)


@dataclass(frozen=True, slots=True)
class FrameScores:
    """One frame; every array has a place for each class, background at 0 and meaningless.

    Attributes:
        overlap, union, truth, prediction: areas in pixels.
        nsd: (2, classes), at `TOLERANCES_PX`.
        hd95_px: (classes,).
    """

    overlap: npt.NDArray[np.int64]
    union: npt.NDArray[np.int64]
    truth: npt.NDArray[np.int64]
    prediction: npt.NDArray[np.int64]
    nsd: Numbers
    hd95_px: Numbers


@dataclass(frozen=True, slots=True)
class SegmentationScores:
    """Scores of a set of videos; per-class arrays have no place for background.

    Attributes:
        classes: names without background.
        videos: names.
        frames: of each video.
        challenge_iou, isi_iou, mean_class_iou, cumulative_iou: over all frames.
        class_values: measure -> (classes,): `iou`, `dice`, `nsd_2px`, `nsd_5px`, `hd95_px`.
        video_values: measure -> (videos,): the conventions and measures, each video for itself.
        flicker, truth_flicker: (videos,).
    """

    version: str
    classes: tuple[str, ...]
    videos: tuple[str, ...]
    frames: tuple[int, ...]
    challenge_iou: float
    isi_iou: float
    mean_class_iou: float
    cumulative_iou: float
    class_values: dict[str, Numbers]
    video_values: dict[str, Numbers]
    flicker: Numbers
    truth_flicker: Numbers

    @property
    def nan_policy(self) -> str:
        """How undefined values are treated."""
        return NAN_POLICY

    @property
    def flicker_ratio(self) -> Numbers:
        """(videos,): 1 is as restless as the truth."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.flicker / self.truth_flicker, np.float64)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        ratio = self.flicker_ratio
        return {
            "protocol": "segmentation",
            "nan_policy": NAN_POLICY,
            "version": self.version,
            "unit": "share of 1; hd95 in px",
            "cases": len(self.videos),
            "frames": sum(self.frames),
            "challenge_iou": plain_number(self.challenge_iou),
            "isi_iou": plain_number(self.isi_iou),
            "mean_class_iou": plain_number(self.mean_class_iou),
            "cumulative_iou": plain_number(self.cumulative_iou),
            **{name: plain_number(_mean(values)) for name, values in self.class_values.items() if name != "iou"},
            "flicker_ratio": plain_number(_mean(ratio)),
            "classes": [
                {"class": name} | {measure: plain_number(values[c]) for measure, values in self.class_values.items()}
                for c, name in enumerate(self.classes)
            ],
            "per_case": [
                {
                    "case": name,
                    "frames": self.frames[k],
                    **{measure: plain_number(values[k]) for measure, values in self.video_values.items()},
                    "flicker": plain_number(self.flicker[k]),
                    "truth_flicker": plain_number(self.truth_flicker[k]),
                    "flicker_ratio": plain_number(ratio[k]),
                }
                for k, name in enumerate(self.videos)
            ],
        }


def score_segmentation(
    videos: Mapping[str, Iterable[tuple[LabelMap, LabelMap]]], classes: Sequence[str]
) -> SegmentationScores:
    """Score label maps; frames are asked for one after another and not kept.

    Args:
        videos: name -> frames in order of time, each truth and prediction, (height, width) ids.
        classes: names, background first.

    Raises:
        InputError: there is no video, a video has no frame, the two maps of a frame are not of one size, or an id is
            not a class; a truth may also have `IGNORED`.
    """
    if not videos or len(classes) < 2:
        raise InputError("videos and classes", "at least one video, and a class beside background", "none")
    rows: list[FrameScores] = []
    owners, flicker, truth_flicker = [], [], []
    for k, (name, frames) in enumerate(videos.items()):
        restless, truly = _Restlessness(len(classes)), _Restlessness(len(classes))
        for number, pair in enumerate(frames):
            truth, prediction = _checked(*pair, len(classes), f"{name}, frame {number}")
            rows.append(_frame(truth, prediction, len(classes)))
            owners.append(k)
            truly.see(truth)
            restless.see(prediction)
        if not owners or owners[-1] != k:
            raise InputError(name, "at least one frame", "none")
        flicker.append(restless.flicker)
        truth_flicker.append(truly.flicker)
    owner = np.array(owners)
    overlap, union, truth_area, area = (
        np.stack([getattr(row, field) for row in rows])[:, 1:] for field in ("overlap", "union", "truth", "prediction")
    )
    with np.errstate(invalid="ignore"):
        iou = overlap / union
        per_class = {
            "iou": iou,
            "dice": 2 * overlap / (truth_area + area),
            **{f"nsd_{t}px": np.stack([row.nsd[j, 1:] for row in rows]) for j, t in enumerate(TOLERANCES_PX)},
            "hd95_px": np.stack([row.hd95_px[1:] for row in rows]),
        }
    members = [owner == k for k in range(len(videos))]
    of_video = {
        measure: np.stack([nan_mean(values[one], 0) for one in members]) for measure, values in per_class.items()
    }
    conventions = [_conventions(overlap[one], union[one], truth_area[one] > 0) for one in members]
    return SegmentationScores(
        surgical_ml.__version__,
        tuple(classes[1:]),
        tuple(videos),
        tuple(int(one.sum()) for one in members),
        *_conventions(overlap, union, truth_area > 0),
        {"iou": nan_mean(iou, 0)} | {m: nan_mean(values, 0) for m, values in of_video.items() if m != "iou"},
        {
            name: np.array([one[j] for one in conventions])
            for j, name in enumerate(("challenge_iou", "isi_iou", "mean_class_iou", "cumulative_iou"))
        }
        | {measure: nan_mean(values, 1) for measure, values in of_video.items() if measure != "iou"},
        np.array(flicker),
        np.array(truth_flicker),
    )


def _frame(truth: LabelMap, prediction: LabelMap, classes: int) -> FrameScores:
    joint = np.bincount((truth * classes + prediction).ravel(), minlength=classes * classes)
    table = joint.reshape(classes, classes).astype(np.int64)
    true, predicted, overlap = table.sum(axis=1), table.sum(axis=0), table.diagonal().copy()
    nsd, hd95 = np.full((len(TOLERANCES_PX), classes), np.nan), np.full(classes, np.nan)
    scale = truth.shape[1] / REFERENCE_WIDTH_PX
    for c in range(1, classes):
        if true[c] and predicted[c]:
            nsd[:, c], hd95[c] = _surfaces(truth == c, prediction == c, [t * scale for t in TOLERANCES_PX])
        elif true[c] or predicted[c]:
            nsd[:, c], hd95[c] = 0, float(np.hypot(*truth.shape))
    return FrameScores(overlap, true + predicted - overlap, true, predicted, nsd, hd95)


class _Restlessness:
    """Follows the masks of one video."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._last: LabelMap | None = None
        self._overlaps: list[float] = []

    def see(self, mask: LabelMap) -> None:
        """The next frame's mask."""
        if self._last is not None and self._last.shape == mask.shape:
            n = self._classes
            table = np.bincount((self._last * n + mask).ravel(), minlength=n * n).reshape(n, n)[1:, 1:]
            whole = np.bincount(self._last.ravel(), minlength=n)[1:] + np.bincount(mask.ravel(), minlength=n)[1:]
            there = whole > 0
            if there.any():
                both = table.diagonal()[there]
                self._overlaps.append(float((both / (whole[there] - both)).mean()))
        self._last = mask

    @property
    def flicker(self) -> float:
        """NaN where no two consecutive frames show anything."""
        return 1 - float(np.mean(self._overlaps)) if self._overlaps else float("nan")


def _checked(truth: LabelMap, prediction: LabelMap, classes: int, where: str) -> tuple[LabelMap, LabelMap]:
    """Both maps with the ignored pixels as background."""
    truth, prediction = np.asarray(truth, np.int64), np.asarray(prediction, np.int64)
    if truth.ndim != 2 or truth.shape != prediction.shape or truth.size == 0:
        raise InputError(where, "truth and prediction of one size", f"{truth.shape} and {prediction.shape}")
    ignored = truth == IGNORED
    if classes <= IGNORED and ignored.any():
        truth, prediction = np.where(ignored, 0, truth), np.where(ignored, 0, prediction)
    for what, mask in (("truth", truth), ("prediction", prediction)):
        low, high = int(mask.min()), int(mask.max())
        if low < 0 or high >= classes:
            raise InputError(f"{where}, {what}", f"ids from 0 to {classes - 1}", str(low if low < 0 else high))
    return truth, prediction


def _conventions(
    overlap: npt.NDArray[np.int64], union: npt.NDArray[np.int64], in_truth: npt.NDArray[np.bool_]
) -> tuple[float, float, float, float]:
    """(frames, classes) areas -> Challenge, ISI, mean-class and cumulative IoU."""
    with np.errstate(invalid="ignore"):
        iou = overlap / union
    challenge = _mean(nan_mean(np.where(in_truth, iou, np.nan), 1))
    total = int(union.sum())
    cumulative = int(overlap.sum()) / total if total else float("nan")
    return challenge, _mean(nan_mean(iou, 1)), _mean(nan_mean(iou, 0)), cumulative


def _surfaces(
    truth: npt.NDArray[np.bool_], prediction: npt.NDArray[np.bool_], tolerances: Sequence[float]
) -> tuple[Numbers, float]:
    """NSD at each tolerance, and HD95, of two masks that are not empty."""
    rows = np.flatnonzero((truth | prediction).any(axis=1))
    columns = np.flatnonzero((truth | prediction).any(axis=0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    edges = [_boundary(mask[window]) for mask in (truth, prediction)]
    from_truth, from_prediction = (
        cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[other].astype(np.float64)
        for edge, other in (edges[::-1], edges)
    )
    nsd = [
        ((from_truth <= t).sum() + (from_prediction <= t).sum()) / (len(from_truth) + len(from_prediction))
        for t in tolerances
    ]
    return np.array(nsd), float(max(np.percentile(from_truth, 95), np.percentile(from_prediction, 95)))


def _boundary(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Pixels of a mask with a neighbour outside; the window's border is the mask's, or the picture's."""
    padded = np.pad(mask, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(mask & ~inside)


def _mean(values: Numbers) -> float:
    """Mean of the defined values."""
    return float(nan_mean(np.asarray(values, np.float64), 0))
