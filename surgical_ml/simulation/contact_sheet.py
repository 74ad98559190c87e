"""A contact sheet of the rich look, to be looked at: `python -m surgical_ml.simulation.contact_sheet FILE`."""

import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.simulation.plan import CLASSES, RICH_DISTURBANCES, TOOLS, CasePlan, Scene, plan_case, shuffle_tools
from surgical_ml.simulation.renderer import Renderer

COLUMNS, ROWS = 4, 6
_TILE = (640, 384)
_SHOWN = (320, 192)
_COLOURS = np.array(
    [(0, 255, 0), (255, 160, 0), (0, 220, 255), (255, 0, 255), (255, 255, 0), (0, 128, 255), (180, 255, 180)], np.uint8
)
"""Of the outline of each tool, BGR."""


def contact_sheet(first_seed: int = 0) -> npt.NDArray[np.uint8]:
    """Varied frames of the rich look, one of a case each, their instruments outlined, (1152, 1280, 3) uint8 BGR."""
    tiles = []
    for k in range(COLUMNS * ROWS):
        scene: Scene = ("operation", "tissue", "tissue")[k % 3]
        plan = plan_case(
            first_seed + k,
            duration_s=120.0,
            split="held-out" if k % 4 == 3 else "train",
            disturbances=("smoke", "blood", *RICH_DISTURBANCES) if k % 5 == 4 else (),
            look="rich",
            scene=scene,
        )
        plan = shuffle_tools(plan, plan.seed) if scene == "tissue" else plan
        picture = Renderer(plan, _TILE).at(_moment(plan))
        shown = cv2.resize(picture.image, _SHOWN, interpolation=cv2.INTER_AREA)
        small = cv2.resize(picture.mask, _SHOWN, interpolation=cv2.INTER_NEAREST)
        for colour, tool in zip(_COLOURS.tolist(), TOOLS, strict=True):
            of_tool = (small == CLASSES.index(tool)).astype(np.uint8)
            outlines, _ = cv2.findContours(of_tool, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(shown, outlines, -1, colour, 1)
        tiles.append(shown)
    left = iter(tiles)
    return np.asarray(cv2.vconcat([cv2.hconcat(list(islice(left, COLUMNS))) for _ in range(ROWS)]), np.uint8)


def _moment(plan: CasePlan) -> float:
    """The middle of a disturbance, or of the time that the case's most hands are at work."""
    spans = [(one.start_s, one.end_s) for one in plan.disturbances] or [(use.start_s, use.end_s) for use in plan.tools]
    middles = [(start + end) / 2 for start, end in spans]
    return max(middles, key=lambda t_s: (len(plan.tools_at(t_s)), -abs(t_s - plan.duration_s / 2)))


def main() -> None:
    """Write the sheet to the file that is named on the command line."""
    data = cv2.imencode(".jpg", contact_sheet(), [cv2.IMWRITE_JPEG_QUALITY, 72])[1]
    Path(sys.argv[1]).write_bytes(data.tobytes())


if __name__ == "__main__":
    main()
