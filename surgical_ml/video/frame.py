"""One picture of the endoscope, as everything downstream sees it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One acquired picture.

    Attributes:
        image: (H, W, 3) uint8, BGR, C-contiguous; the left picture of a stereo endoscope.
        stamp_ns: when it was acquired, integer nanoseconds of the buffer's own clock (file: media time).
        index: its number in the source, from 0; a gap means that frames were dropped.
        right: (H, W, 3) uint8, BGR, the right picture, or None for a mono endoscope.
    """

    image: Image
    stamp_ns: int
    index: int
    right: Image | None = None

    def __post_init__(self) -> None:
        for name, picture in (("image", self.image), ("right", self.right)):
            if picture is None:
                continue
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                raise ValueError(
                    f"frame {self.index}: {name}: expected (H, W, 3) uint8, found {picture.shape} {picture.dtype}"
                )

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.image.shape[0])
