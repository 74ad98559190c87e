"""What is true where `crtk_msgs` is installed; run by test_crtk.py in a process that has it."""

import pytest
from crtk_msgs.msg import OperatingState
from lifecycle_msgs.msg import State
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from std_msgs.msg import String
from waiting import PATIENCE_S, wait_until

from surgical_ml.ros import qos
from surgical_ml.ros.crtk import CrtkStatus
from surgical_ml.ros.robot_inputs import RobotInputs
from surgical_ml.ros.standin.robot import RobotStub

AS_CRTK_CLIENT = 10
"""The depth at which CRTK's Python client subscribes, without the latch."""


class Assistant(LifecycleNode):
    """Fails in `activate` where it is told to."""

    def __init__(self, **keywords):
        super().__init__("assistant", namespace="/surgical_ml", **keywords)
        self.fails = False
        self.recovers = True
        self.crtk = CrtkStatus(self)

    def on_activate(self, state):
        return TransitionCallbackReturn.ERROR if self.fails else super().on_activate(state)

    def on_error(self, state):
        self.crtk.publish()
        return TransitionCallbackReturn.SUCCESS if self.recovers else TransitionCallbackReturn.FAILURE


class Client:
    """A CRTK client on the same graph."""

    def __init__(self, make_node) -> None:
        self.assistant = make_node(Assistant)
        self.node = make_node("client")
        self.states: list[OperatingState] = []
        self.node.create_subscription(
            OperatingState, "/surgical_ml/crtk/operating_state", self.states.append, AS_CRTK_CLIENT
        )

    def hears(self, state: str) -> OperatingState:
        """Wait until the state was heard in a message that was not there before."""
        before = len(self.states)
        wait_until(
            lambda: state in [each.state for each in self.states[before:]],
            PATIENCE_S,
            self.node,
            self.assistant,
            what=state,
        )
        return self.states[-1]

    def latched(self, topic: str) -> list[str]:
        """What somebody hears first who comes only now."""
        heard: list[str] = []
        late = self.node.create_subscription(
            String, f"/surgical_ml/crtk/{topic}", lambda message: heard.append(message.data), qos.CRTK
        )
        wait_until(lambda: heard, PATIENCE_S, self.node, self.assistant, what=topic)
        self.node.destroy_subscription(late)
        return heard


@pytest.fixture
def client(make_node) -> Client:
    return Client(make_node)


def test_every_state_of_the_lifecycle_has_its_word(client):
    client.hears("DISABLED")
    client.assistant.trigger_configure()
    client.hears("PAUSED")
    client.assistant.trigger_activate()
    enabled = client.hears("ENABLED")
    assert (enabled.is_homed, enabled.is_busy) == (True, False)
    client.assistant.trigger_deactivate()
    client.hears("PAUSED")
    client.assistant.trigger_cleanup()
    client.hears("DISABLED")


def test_an_error_is_a_fault_while_it_lasts(client):
    client.assistant.fails = True
    client.assistant.trigger_configure()
    client.hears("PAUSED")
    client.assistant.trigger_activate()
    client.hears("FAULT")
    client.hears("DISABLED")


def test_an_error_without_recovery_stays_a_fault(client):
    client.assistant.fails, client.assistant.recovers = True, False
    client.assistant.trigger_configure()
    client.assistant.trigger_activate()
    assert client.assistant._state_machine.current_state[0] == State.PRIMARY_STATE_FINALIZED
    client.hears("FAULT")
    client.hears("FAULT")


def test_each_state_is_newer_than_the_last(client):
    wait_until(lambda: len(client.states) >= 4, PATIENCE_S, client.node, client.assistant)
    stamps = [(each.header.stamp.sec, each.header.stamp.nanosec) for each in client.states]
    assert stamps == sorted(set(stamps))
    assert stamps[0] > (0, 0)


def test_status_and_warning_carry_the_name_of_the_module(client):
    client.assistant.crtk.status("withheld: no-case")
    client.assistant.crtk.warning("Unexpected instrument: scissors")
    assert set(client.latched("status")) == {"surgical_ml: withheld: no-case"}
    assert set(client.latched("warning")) == {"surgical_ml: Unexpected instrument: scissors"}


def test_a_warning_is_repeated_while_it_holds_and_is_not_left_behind(client):
    client.assistant.crtk.warning("")
    client.assistant.crtk.warning("Unexpected instrument: scissors")
    heard: list[String] = []
    client.node.create_subscription(String, "/surgical_ml/crtk/warning", heard.append, AS_CRTK_CLIENT)
    wait_until(lambda: len(heard) >= 3, PATIENCE_S, client.node, client.assistant)
    client.assistant.crtk.warning("")
    wait_until(lambda: heard[-1].data == "surgical_ml: no warning", PATIENCE_S, client.node, client.assistant)
    count = len(heard)
    client.hears("DISABLED")
    client.hears("DISABLED")
    assert len(heard) == count
    assert client.latched("warning") == ["surgical_ml: no warning"]


def test_it_never_publishes_an_error(client):
    names = {each.topic_name for each in client.assistant.publishers}
    assert {name for name in names if "/crtk/" in name} == {
        "/surgical_ml/crtk/operating_state",
        "/surgical_ml/crtk/status",
        "/surgical_ml/crtk/warning",
    }


def test_it_can_be_closed(client):
    client.assistant.crtk.close()
    assert not [each for each in client.assistant.publishers if "/crtk/" in each.topic_name]


def test_the_operating_state_of_a_robot_is_taken(make_node):
    node, robot = make_node("assistant"), make_node("robot")
    events = []
    inputs = RobotInputs(node, ["/PSM1/operating_state"], events.append, lambda: 9)
    inputs.start()
    publisher = robot.create_publisher(OperatingState, "/PSM1/operating_state", qos.ROBOT_EVENT)
    message = OperatingState(state="ENABLED", is_homed=True)
    message.header.stamp.sec = 4
    publisher.publish(message)
    wait_until(lambda: events, PATIENCE_S, node, robot)
    assert events[0].valid
    assert dict(events[0].values) == {
        "header.stamp.sec": "4",
        "header.stamp.nanosec": "0",
        "header.frame_id": "",
        "state": "ENABLED",
        "is_homed": "true",
        "is_busy": "false",
    }
    publisher.publish(OperatingState(state="ENABLED"))
    wait_until(lambda: len(events) == 2, PATIENCE_S, node, robot)
    assert not events[1].valid


def test_the_robot_stand_in_tells_its_state_and_hears_the_assistants(make_node, client):
    said = []
    stub = make_node(RobotStub, said.append, lambda: None)
    events = []
    inputs = RobotInputs(client.node, ["/PSM1/operating_state"], events.append, lambda: 9)
    inputs.start()
    wait_until(
        lambda: len(events) >= 2 and stub.listener.counts["crtk/operating_state"],
        PATIENCE_S,
        stub,
        client.node,
        client.assistant,
    )
    assert all(event.valid and dict(event.values)["state"] == "ENABLED" for event in events)
