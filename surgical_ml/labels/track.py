"""Labels of one case on its frames, and whether they can be at the rate somebody declares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError

SLOWEST_VIDEO_FPS = 10
FASTEST_VIDEO_FPS = 120
"""Frames/s that the video of an endoscope has; a frame column that needs another contradicts the declared rate."""

LONGEST_CASE_S = 12 * 3600
"""Labels that would make a case longer are of another rate: 38 minutes at 25 Hz are 16 hours at 1 Hz."""


@dataclass(frozen=True, slots=True)
class LabelTrack:
    """One case's labels.

    Attributes:
        case: its name.
        path: the file they come from.
        frames: (n,) int64, frame numbers as the file has them.
        labels: (n,) int64, ids from 0, -1 = undefined.
        dropped: the first line, where it was left out as a header; empty where there was none.
        unmatched: labels that are not in the vocabulary and were read as undefined, with how often.
    """

    case: str
    path: Path
    frames: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    dropped: str = ""
    unmatched: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


def check_rate(frames: npt.NDArray[np.int64], fps: float, path: Path) -> None:
    """Refuse frame numbers that contradict a declared rate.

    Numbers that count 0, 1, 2 fit any rate up to the length of the longest operation. Any other step says how many
    frames of the video lie between two samples, and so step x rate is the video's rate.

    Args:
        frames: (n,).
        fps: samples/s, as declared.
        path: of their file, for the error.

    Raises:
        InputError: the rate is not above 0, or the numbers contradict it.
    """
    if not (np.isfinite(fps) and fps > 0):
        raise InputError("fps", "samples per second, above 0", str(fps))
    if len(frames) / fps > LONGEST_CASE_S:
        found = f"{len(frames)} samples, which are {len(frames) / fps / 3600:.1f} hours: another rate?"
        raise InputError(path, f"a case of at most {LONGEST_CASE_S // 3600} hours at {fps:g} samples/s", found)
    if len(frames) < 2:
        return
    step = int(np.median(np.diff(frames)))
    video_fps = float(frames[-1] - frames[0]) / (len(frames) - 1) * fps
    if step > 1 and not SLOWEST_VIDEO_FPS <= video_fps <= FASTEST_VIDEO_FPS:
        found = f"every {step}th frame of the video, which would have {video_fps:g} frames/s"
        raise InputError(path, f"samples at the declared {fps:g}/s", found)


def check_even(frames: npt.NDArray[np.int64], path: Path) -> None:
    """Refuse frame numbers that repeat, fall or skip; a step may be off by one, as 29.97 frames/s makes it.

    Args:
        frames: (n,).
        path: of their file, for the error.

    Raises:
        InputError: the numbers do not rise by even steps.
    """
    if len(frames) < 2:
        return
    steps = np.diff(frames)
    step = int(np.median(steps))
    odd = (steps < 1) | (np.abs(steps - step) > (1 if step > 2 else 0))
    if odd.any():
        k = int(odd.argmax())
        raise InputError(path, f"frame numbers that rise by {max(step, 1)}", f"{frames[k + 1]} after {frames[k]}")
