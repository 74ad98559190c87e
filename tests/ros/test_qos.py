"""How each topic is delivered, as the interface promises it."""

import pytest
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, LivelinessPolicy, QoSCompatibility, qos_check_compatible
from rclpy.qos import ReliabilityPolicy as Reliability
from rclpy.qos import qos_profile_sensor_data as sensor_data
from rclpy.qos import qos_profile_system_default as system_default

from surgical_ml.ros import qos

FOREVER = None


def ms(count: int) -> Duration:
    return Duration(nanoseconds=count * 1_000_000)


# profile: reliability, transient local, depth, deadline, lifespan, lease of a manual liveliness
PROMISED = {
    "PHASE": (Reliability.RELIABLE, False, 5, ms(200), FOREVER, ms(300)),
    "INSTRUMENTS": (Reliability.RELIABLE, False, 5, FOREVER, FOREVER, FOREVER),
    "GUIDANCE": (Reliability.RELIABLE, False, 1, FOREVER, FOREVER, FOREVER),
    "ADVISORIES": (Reliability.RELIABLE, True, 1, ms(400), ms(1000), FOREVER),
    "STATUS": (Reliability.RELIABLE, False, 1, FOREVER, FOREVER, FOREVER),
    "PREVIEW": (Reliability.BEST_EFFORT, False, 1, FOREVER, FOREVER, FOREVER),
    "CAMERA_INFO": (Reliability.RELIABLE, True, 1, FOREVER, FOREVER, FOREVER),
    "DIAGNOSTICS": (Reliability.RELIABLE, False, 10, FOREVER, FOREVER, FOREVER),
    "CRTK": (Reliability.RELIABLE, True, 1, FOREVER, FOREVER, FOREVER),
}


@pytest.mark.parametrize("name", PROMISED)
def test_each_topic_is_delivered_as_promised(name):
    reliability, transient_local, depth, deadline, lifespan, lease = PROMISED[name]
    profile = getattr(qos, name)
    assert profile.reliability == reliability
    assert profile.durability == (DurabilityPolicy.TRANSIENT_LOCAL if transient_local else DurabilityPolicy.VOLATILE)
    assert profile.history == HistoryPolicy.KEEP_LAST
    assert profile.depth == depth
    assert profile.deadline == (deadline or Duration())
    assert profile.lifespan == (lifespan or Duration())
    assert profile.liveliness_lease_duration == (lease or Duration())
    assert (profile.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC) == (lease is not FOREVER)


@pytest.mark.parametrize("name", PROMISED)
def test_a_subscriber_with_the_same_profile_is_served(name):
    profile = getattr(qos, name)
    compatibility, reason = qos_check_compatible(profile, profile)
    assert compatibility == QoSCompatibility.OK, reason


@pytest.mark.parametrize("name", [name for name in PROMISED if name != "PREVIEW"])
def test_a_subscriber_with_the_defaults_of_ros_is_served(name):
    compatibility, reason = qos_check_compatible(getattr(qos, name), system_default)
    assert compatibility != QoSCompatibility.ERROR, reason


@pytest.mark.parametrize("driver", [sensor_data, system_default], ids=["best-effort", "reliable"])
def test_pictures_are_taken_from_every_kind_of_camera_driver(driver):
    compatibility, reason = qos_check_compatible(driver, qos.IMAGE)
    assert compatibility != QoSCompatibility.ERROR, reason
