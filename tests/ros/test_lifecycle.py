"""A transition that goes wrong says why, and leaves the node where its caller expects it."""

import pytest
from lifecycle_msgs.msg import State
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

from surgical_ml.errors import InputError
from surgical_ml.ros.lifecycle import logged_transition


class Log:
    """Collects what a node's logger is told."""

    def __init__(self):
        self.lines = []

    def __getattr__(self, severity):
        return lambda text, **_: self.lines.append((severity, text))


class Assistant(LifecycleNode):
    """Raises `fault` in its transitions where there is one."""

    def __init__(self, fault=None, **keywords):
        super().__init__("assistant", **keywords)
        self.fault = fault
        self.log = Log()
        self.recovered = False

    def get_logger(self):
        return self.log

    @logged_transition
    def on_configure(self, state):
        if self.fault:
            raise self.fault
        return TransitionCallbackReturn.SUCCESS

    @logged_transition
    def on_activate(self, state):
        if self.fault:
            raise self.fault
        return super().on_activate(state)

    @logged_transition
    def on_error(self, state):
        self.recovered = True
        return TransitionCallbackReturn.SUCCESS


def state_of(node):
    return node._state_machine.current_state[0]


def test_a_transition_that_succeeds_logs_nothing(make_node):
    node = make_node(Assistant)
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    assert state_of(node) == State.PRIMARY_STATE_ACTIVE
    assert node.log.lines == []


def test_bad_input_is_one_line_and_the_node_may_be_tried_again(make_node):
    node = make_node(Assistant, InputError("model.onnx", "a file", "none"))
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert state_of(node) == State.PRIMARY_STATE_UNCONFIGURED
    assert node.log.lines == [("error", "on_configure: model.onnx: expected a file, found none")]
    assert not node.recovered

    node.fault = None
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS


def test_bad_input_in_activate_leaves_the_node_inactive(make_node):
    node = make_node(Assistant)
    node.trigger_configure()
    node.fault = InputError("parameter case", "a pseudonym", "''")
    assert node.trigger_activate() == TransitionCallbackReturn.FAILURE
    assert state_of(node) == State.PRIMARY_STATE_INACTIVE


@pytest.mark.parametrize("fault", [RuntimeError("engine broke"), KeyError("phase"), AssertionError()])
def test_any_other_exception_is_logged_with_its_traceback_and_leads_to_on_error(make_node, fault):
    node = make_node(Assistant, fault)
    assert node.trigger_configure() == TransitionCallbackReturn.ERROR
    assert node.recovered
    assert state_of(node) == State.PRIMARY_STATE_UNCONFIGURED
    [(severity, text)] = node.log.lines
    assert severity == "fatal"
    assert text.startswith("on_configure:\nTraceback")
    assert type(fault).__name__ in text
    assert "raise self.fault" in text


def test_an_interrupt_is_not_held_back(make_node):
    node = make_node(Assistant, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        node.on_configure(None)


def test_the_decorated_transition_keeps_its_name():
    assert Assistant.on_configure.__name__ == "on_configure"
