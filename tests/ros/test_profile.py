"""The middleware's profile: pictures sent best effort between two processes arrive whole and all."""

import array
from pathlib import Path

from processes import running
from sensor_msgs.msg import Image
from std_msgs.msg import String
from waiting import PATIENCE_S, wait_until

from surgical_ml.ros import qos
from surgical_ml.ros.profile import environment

HEIGHT, WIDTH, COUNT = 720, 1280, 20

VIEWER = """
import contextlib

import rclpy
from rclpy.executors import ExternalShutdownException
from sensor_msgs.msg import Image
from std_msgs.msg import String

from surgical_ml.ros import qos

rclpy.init()
node = rclpy.create_node("viewer")
answers = node.create_publisher(String, "seen", 10)


def see(message):
    whole = len(message.data) == message.step * message.height
    answers.publish(String(data=f"{message.header.frame_id} {whole}"))


node.create_subscription(Image, "picture", see, qos.IMAGE)
with contextlib.suppress(ExternalShutdownException):
    rclpy.spin(node)
"""


def test_the_environment_names_a_profile_that_is_there():
    variables = environment()
    assert "shared_memory" in Path(variables["FASTRTPS_DEFAULT_PROFILES_FILE"]).read_text(encoding="utf-8")
    assert all(isinstance(value, str) for value in variables.values())


def test_no_picture_is_lost_on_the_way_to_another_process(make_node):
    node = make_node("camera")
    seen = []
    node.create_subscription(String, "seen", lambda message: seen.append(message.data), 10)
    publisher = node.create_publisher(Image, "picture", qos.IMAGE)
    picture = array.array("B", bytes(HEIGHT * WIDTH * 3))

    def send(name: str, message: Image) -> None:
        message.header.frame_id = name
        publisher.publish(message)

    def answered() -> bool:
        send("knock", Image())  # empty: many of them must not fill the memory that the pictures need
        return bool(seen)

    with running("-c", VIEWER):
        # Best effort keeps nothing for a reader that is still being found: knock until it answers.
        wait_until(answered, PATIENCE_S, node, what="a viewer")
        for number in range(COUNT):
            send(str(number), Image(height=HEIGHT, width=WIDTH, step=WIDTH * 3, encoding="bgr8", data=picture))
            wait_until(lambda: seen[-1] == f"{number} True", PATIENCE_S, node, what=f"picture {number}")  # noqa: B023
    assert [line for line in seen if not line.startswith("knock")] == [f"{number} True" for number in range(COUNT)]
