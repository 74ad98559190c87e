"""The mask and the overlay, made only while somebody looks, on a thread that nothing waits for."""

import array
import threading
from collections.abc import Callable

import cv2
from rclpy.lifecycle import LifecyclePublisher
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from surgical_ml.decision import Decision
from surgical_ml.evaluation.overlay import draw, label_map
from surgical_ml.video import Frame, Slot

OVERLAY_WIDTH_PX = 960
OVERLAY_QUALITY = 80


class Preview:
    """Publishes pictures of what was shown; a newer one replaces one that was not begun.

    Args:
        mask: publisher of `sensor_msgs/Image`, mono8: the network's label map at the frame's size, 0 = background.
        overlay: publisher of `sensor_msgs/CompressedImage`: the frame with the decision drawn on it, as JPEG.
        warn: told what went wrong; a picture that cannot be made is no reason to stop.
    """

    def __init__(self, mask: LifecyclePublisher, overlay: LifecyclePublisher, warn: Callable[[str], None]) -> None:
        self._mask, self._overlay, self._warn = mask, overlay, warn
        self._slot: Slot[tuple[Frame, Decision, Header]] = Slot()
        self._thread = threading.Thread(target=self._run, name="preview", daemon=True)
        self._thread.start()

    def show(self, frame: Frame, decision: Decision, header: Header) -> None:
        """Have a frame shown, if somebody subscribes."""
        if self._wanted(self._mask) or self._wanted(self._overlay):
            self._slot.put((frame, decision, header))

    def close(self) -> None:
        """Stop the thread."""
        self._slot.close()
        self._thread.join(5.0)

    @staticmethod
    def _wanted(publisher: LifecyclePublisher) -> bool:
        return bool(publisher.is_activated and publisher.get_subscription_count() > 0)

    def _run(self) -> None:
        while (item := self._slot.take(None)) is not None:
            frame, decision, header = item
            try:
                if self._wanted(self._mask) and decision.observation is not None:
                    self._publish_mask(frame, decision, header)
                if self._wanted(self._overlay):
                    self._publish_overlay(frame, decision, header)
            except Exception as error:  # also what a context that has shut down raises
                self._warn(f"preview: {error}")

    def _publish_mask(self, frame: Frame, decision: Decision, header: Header) -> None:
        grid = None if decision.observation is None else decision.observation.grid
        if grid is None:
            return
        data = array.array("B")
        data.frombytes(memoryview(label_map(grid, frame.width, frame.height)).cast("B"))
        self._mask.publish(
            Image(header=header, height=frame.height, width=frame.width, encoding="mono8", step=frame.width, data=data)
        )

    def _publish_overlay(self, frame: Frame, decision: Decision, header: Header) -> None:
        drawn = draw(frame, decision)
        if frame.width > OVERLAY_WIDTH_PX:
            size = (OVERLAY_WIDTH_PX, round(frame.height * OVERLAY_WIDTH_PX / frame.width))
            drawn = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
        _, encoded = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, OVERLAY_QUALITY])
        data = array.array("B", encoded.tobytes())
        self._overlay.publish(CompressedImage(header=header, format="jpeg", data=data))
