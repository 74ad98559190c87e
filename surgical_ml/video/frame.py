"""One picture of the endoscope, as everything downstream sees it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One acquired picture.

    Attributes:
        image: (H, W, 3) uint8, BGR, C-contiguous; the left picture of a stereo endoscope.
        stamp_ns: when it was acquired, integer nanoseconds of the buffer's own clock (file: media time).
        index: its number in the source, from 0; a gap means that frames were dropped.
        right: (H, W, 3) uint8, BGR, C-contiguous, of the left one's size: the right picture; None for a mono endoscope.

    Raises:
        InputError: a picture is not what is said above, or has no pixel.
    """

    image: Image
    stamp_ns: int
    index: int
    right: Image | None = None

    def __post_init__(self) -> None:
        for name, picture in (("image", self.image), ("right", self.right)):
            if picture is None:
                continue
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
                found = f"{picture.shape} {picture.dtype}"
                raise InputError(f"frame {self.index}: {name}", "(H, W, 3) uint8, at least one pixel", found)
            if not picture.flags.c_contiguous:
                raise InputError(f"frame {self.index}: {name}", "a C-contiguous array", f"strides {picture.strides}")
        if self.right is not None and self.right.shape != self.image.shape:
            expected, found = f"the left one's {self.image.shape}", f"{self.right.shape}"
            raise InputError(f"frame {self.index}: right", expected, found)

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.image.shape[0])
