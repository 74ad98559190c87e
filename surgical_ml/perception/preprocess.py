"""From a frame to the network's input, and from the network's grid back to the frame."""

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np

from surgical_ml.engine import InputSpec, Tensor
from surgical_ml.video import ContentArea, Image

STRIDE = 4


@dataclass(frozen=True, slots=True)
class Placement:
    """How the content area lies in the network's input: input = (frame - origin) * scale + pad, in pixels."""

    scale: float
    origin: tuple[int, int]
    pad: tuple[int, int]

    def to_frame(self, x: float, y: float) -> tuple[float, float]:
        """A point of the network's input, in the frame's pixels."""
        return (
            (x - self.pad[0]) / self.scale + self.origin[0],
            (y - self.pad[1]) / self.scale + self.origin[1],
        )


class Preprocessor:
    """Crops to the content area, fits it into the network's input with black bars, and normalises.

    The resize is bilinear without anti-aliasing, because that is what the networks were trained with and because it
    costs a fifth of the better one. Buffers are kept: what `__call__` returns is valid until the next call.

    Args:
        spec: the network's image.
        dtype: that the engine takes it in; float32 is normalised here, uint8 where the network runs.
    """

    def __init__(self, spec: InputSpec, dtype: str = "float32") -> None:
        self._normalises = dtype == "float32"
        self._size = (spec.width, spec.height)
        self._canvas = np.zeros((spec.height, spec.width, 3), np.uint8)
        self._tensor = np.zeros((1, 3, spec.height, spec.width), np.float32)
        self._gain = [np.float32(1 / (255 * std)) for std in spec.std]
        self._bias = [np.float32(-mean / std) for mean, std in zip(spec.mean, spec.std, strict=True)]

    def __call__(self, image: Image, content: ContentArea) -> tuple[Tensor, str, Placement]:
        """The (1, 3, H, W) float32 RGB tensor, the SHA-256 of its uint8 source, and where the picture went in it.

        The source itself, (1, H, W, 3) BGR, stands in the place of the tensor where the engine normalises.
        """
        x, y, width, height = content.box
        out_width, out_height = self._size
        scale = min(out_width / width, out_height / height)
        inner_width = min(out_width, max(1, round(width * scale)))
        inner_height = min(out_height, max(1, round(height * scale)))
        pad_x, pad_y = (out_width - inner_width) // 2, (out_height - inner_height) // 2
        if (inner_width, inner_height) != self._size:
            self._canvas[:] = 0
        target = self._canvas[pad_y : pad_y + inner_height, pad_x : pad_x + inner_width]
        crop = image[y : y + height, x : x + width]
        target[:] = cv2.resize(crop, (inner_width, inner_height), interpolation=cv2.INTER_LINEAR)
        digest = hashlib.sha256(self._canvas.data).hexdigest()
        if not self._normalises:
            return self._canvas[None], digest, Placement(scale, (x, y), (pad_x, pad_y))
        for channel in range(3):
            # BGR in, RGB out; one pass each, into the buffer that the engine reads.
            np.multiply(self._canvas[:, :, 2 - channel], self._gain[channel], out=self._tensor[0, channel])
            self._tensor[0, channel] += self._bias[channel]
        return self._tensor, digest, Placement(scale, (x, y), (pad_x, pad_y))
