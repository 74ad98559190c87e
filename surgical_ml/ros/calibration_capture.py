"""Calibrating a camera live: watches an image topic for a pattern, says what is still missing, and writes the calibration.

No part of the operating-room launch. It publishes below its own namespace only, and only words and pictures.
"""

import array
import json
from pathlib import Path

import cv2
import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header, String
from std_srvs.srv import Trigger

import surgical_ml
from surgical_ml.calibration.capture import Capture, Look
from surgical_ml.calibration.files import write
from surgical_ml.calibration.lens import LensModel
from surgical_ml.calibration.model import Provenance, Validity
from surgical_ml.calibration.pattern import Pattern
from surgical_ml.errors import InputError
from surgical_ml.ros.image_source import ImageSource
from surgical_ml.ros.qos import CAMERA_INFO, PREVIEW
from surgical_ml.ros.spinning import spin
from surgical_ml.video import Frame

PREVIEW_WIDTH_PX = 960
PREVIEW_QUALITY = 80


class CalibrationCapture(Node):
    """Looks at every picture that it finds the time for.

    `calibration/progress` (`std_msgs/String`, JSON, kept for late joiners) has `views`, the `verdict` about the latest
    picture with its `reason`, and `missing`, what to do with the pattern next. `calibration/preview/compressed` shows the
    points that were found, while somebody subscribes. The service `~/finish` (`std_srvs/Trigger`) calibrates and
    writes the file; where that is refused, its answer says why, and taking pictures goes on.

    Args:
        topic: of `sensor_msgs/Image`; relative to the node's namespace.
        pattern, model: as `Capture` takes them.
        out: file to write.
        validity: that the calibration will state.
        keywords: of `rclpy.node.Node`.
    """

    def __init__(
        self, topic: str, pattern: Pattern, model: LensModel, out: Path, validity: Validity, **keywords: object
    ) -> None:
        super().__init__("calibration_capture", **({"namespace": "/surgical_ml"} | keywords))
        self._capture = Capture(pattern, model)
        self._method = f"{pattern}, {model}, live from {topic}"
        self._out, self._validity = out, validity
        self._progress = self.create_publisher(String, "calibration/progress", CAMERA_INFO)
        self._preview = self.create_publisher(CompressedImage, "calibration/preview/compressed", PREVIEW)
        self.create_service(Trigger, "~/finish", self._finish)
        self._tell(Look("not seen", "no picture yet", None))
        self._source = ImageSource(self, topic, self._take)
        self._source.start()

    def _take(self, frame: Frame) -> None:
        try:
            look = self._capture.look(frame.image, f"{frame.stamp_ns / 1e9:.2f} s")
        except InputError as refused:
            look = Look("not seen", str(refused), None)
        self._tell(look)
        if self._preview.get_subscription_count() > 0:
            self._show(frame, look)

    def _tell(self, look: Look) -> None:
        told = {
            "views": self._capture.views,
            "verdict": look.verdict,
            "reason": look.reason,
            "missing": list(self._capture.missing),
        }
        self._progress.publish(String(data=json.dumps(told)))

    def _show(self, frame: Frame, look: Look) -> None:
        scale = min(1.0, PREVIEW_WIDTH_PX / frame.width)
        drawn = cv2.resize(frame.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        colour = (80, 200, 80) if look.verdict in ("taken", "known") else (0, 140, 255)
        for x, y in np.empty((0, 2)) if look.pixels is None else look.pixels * scale:
            cv2.circle(drawn, (round(x), round(y)), 3, colour, -1, cv2.LINE_AA)
        _, encoded = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, PREVIEW_QUALITY])
        header = Header(frame_id=self._source.frame_id, stamp=self.get_clock().now().to_msg())
        self._preview.publish(CompressedImage(header=header, format="jpeg", data=array.array("B", encoded.tobytes())))

    def _finish(self, _: Trigger.Request, answer: Trigger.Response) -> Trigger.Response:
        now = self.get_clock().now().nanoseconds // 1_000_000_000
        made_at = f"{np.datetime64(now, 's')}Z"
        provenance = Provenance(made_by=f"surgical_ml {surgical_ml.__version__}", made_at=made_at, method=self._method)
        try:
            made = self._capture.finish(provenance, self._validity)
            digest = write(made, self._out)
        except InputError as refused:
            answer.success, answer.message = False, str(refused)
            return answer
        quality = made.quality
        held = "none" if quality is None or quality.holdout_rms_px is None else f"{quality.holdout_rms_px:.2f} px"
        answer.success = True
        answer.message = f"{self._out}: {self._capture.views} views, held out {held}, digest {digest}"
        self.get_logger().info(answer.message)
        return answer


def run(topic: str, pattern: Pattern, model: LensModel, out: Path, validity: Validity) -> None:
    """Run the node until it is stopped; arguments as `CalibrationCapture` takes them."""
    rclpy.init()
    node = CalibrationCapture(topic, pattern, model, out, validity)
    try:
        spin(node)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
