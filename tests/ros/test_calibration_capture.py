"""Calibrating live: the board moved before a camera on a topic, what is missing said, and the file written."""

import array
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from live import PATIENCE_S
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from std_srvs.srv import Trigger
from waiting import wait_until

sys.path.insert(0, str(Path(__file__).parents[1] / "core" / "calibration"))
from pictures_of_patterns import picture
from rendered_boards import BOARD, SMALL, poses

from surgical_ml.calibration import files
from surgical_ml.calibration.model import Validity
from surgical_ml.ros.calibration_capture import CalibrationCapture
from surgical_ml.ros.qos import CAMERA_INFO, IMAGE, PREVIEW


class Stand:
    """A camera before which a board is held, and somebody who reads what is said."""

    def __init__(self, make_node, out):
        self.node = make_node(CalibrationCapture, "image", BOARD, "pinhole", out, Validity(camera="head 7"))
        self.other = make_node("camera", namespace="/surgical_ml")
        self._publisher = self.other.create_publisher(Image, "image", IMAGE)
        self.said = []
        self.other.create_subscription(
            String, "calibration/progress", lambda message: self.said.append(json.loads(message.data)), CAMERA_INFO
        )
        self.stamp = 0
        self.wait(lambda: self.said and self._publisher.get_subscription_count() > 0, "both to know of each other")

    def wait(self, condition, what):
        wait_until(condition, PATIENCE_S, self.node, self.other, what=what)

    def publish(self, image):
        height, width, _ = image.shape
        message = Image(height=height, width=width, encoding="bgr8", step=3 * width)
        message.header.stamp.sec = self.stamp
        message.data = array.array("B", image.tobytes())
        self._publisher.publish(message)

    def show(self, image):
        """One picture; returns what is said of it. One that got lost is sent again; a second one of a stamp is refused."""
        self.stamp += 1
        before = len(self.said)

        def heard():
            self.publish(image)
            return len(self.said) > before

        self.wait(heard, "what is said of a picture")
        return self.said[-1]

    def finish(self):
        client = self.other.create_client(Trigger, "calibration_capture/finish")
        self.wait(client.service_is_ready, "the service")
        answer = client.call_async(Trigger.Request())
        self.wait(answer.done, "the answer")
        return answer.result()


@pytest.fixture
def stand(make_node, tmp_path):
    return Stand(make_node, tmp_path / "camera.yaml")


def boards():
    rng = np.random.default_rng(1)
    return [picture(BOARD, SMALL, pose, rng) for pose in poses()]


def test_a_board_that_is_held_here_and_there_calibrates_the_camera(stand, tmp_path):
    assert stand.said[-1]["missing"] == ["15 more views"]
    for k, image in enumerate(boards(), 1):
        assert stand.show(image)["verdict"] == "moving"
        said = stand.show(image)
        assert (said["verdict"], said["views"]) == ("taken", k)
    assert stand.show(image)["verdict"] == "known"
    assert "3 more views" in said["missing"]
    answer = stand.finish()
    assert answer.success, answer.message
    made = files.read(tmp_path / "camera.yaml")
    assert made.lens.fx == pytest.approx(SMALL.fx, rel=0.01)
    assert (made.validity.camera, made.quality.views) == ("head 7", 12)
    assert made.provenance.method == "chessboard:9x6:4mm, pinhole, live from image"
    assert made.provenance.made_at is not None


def test_what_is_too_little_to_calibrate_from_is_refused_with_the_reason_and_no_file(stand, tmp_path):
    assert stand.show(np.full((270, 480, 3), 90, np.uint8))["reason"] == "no pattern found"
    answer = stand.finish()
    assert not answer.success
    assert "at least 5 views" in answer.message
    assert list(tmp_path.iterdir()) == []


def test_it_publishes_nothing_outside_its_own_names(stand):
    own = {
        topic
        for topic, _ in stand.other.get_publisher_names_and_types_by_node("calibration_capture", "/surgical_ml")
        if topic not in ("/rosout", "/parameter_events")
    }
    assert own == {"/surgical_ml/calibration/progress", "/surgical_ml/calibration/preview/compressed"}


def test_the_points_are_shown_to_whoever_looks(stand):
    shown = []
    stand.other.create_subscription(CompressedImage, "calibration/preview/compressed", shown.append, PREVIEW)
    stand.wait(lambda: stand.node.count_subscribers("calibration/preview/compressed") == 1, "the viewer")
    image = boards()[0]

    def seen():
        stand.stamp += 1
        stand.publish(image)
        return shown

    stand.wait(seen, "a picture with points")
    assert shown[-1].format == "jpeg"
