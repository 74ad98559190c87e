"""The contract with the robot controller: explained, safe when empty, and the same on both sides of the wire."""

import re
from pathlib import Path

import pytest
from processes import running
from rclpy.serialization import deserialize_message, serialize_message
from surgical_ml_msgs import msg, srv
from waiting import PATIENCE_S, wait_until

from surgical_ml.guidance.advisory import GateState, Kind, Presence, Priority, Validity
from surgical_ml.ros import qos
from surgical_ml.workflow.estimate import Certainty

PACKAGE = Path(__file__).parents[2] / "surgical_ml_msgs"
DEFINITIONS = sorted([*PACKAGE.glob("msg/*.msg"), *PACKAGE.glob("srv/*.srv")])
FIELD = re.compile(r"^[\w/]+(?:\[(?:<=)?\d*\])?\s+\w+\s*(?:#\s*(?P<comment>.*))?$")
CONSTANT = re.compile(r"^\w+\s+[A-Z][A-Z0-9_]*=")

MESSAGES = [getattr(msg, path.stem) for path in sorted(PACKAGE.glob("msg/*.msg"))]
REQUESTS_AND_ANSWERS = [
    side
    for path in sorted(PACKAGE.glob("srv/*.srv"))
    for side in (getattr(srv, path.stem).Request, getattr(srv, path.stem).Response)
]
PUBLISHED = [msg.Phase, msg.InstrumentArray, msg.Guidance, msg.AdvisoryArray, msg.Status]


def name_of(kind: type) -> str:
    return kind.__name__


def constants(kind: type, prefix: str) -> dict[str, int]:
    names = (name for name in dir(type(kind)) if name.startswith(prefix))
    return {name.removeprefix(prefix): getattr(kind, name) for name in names}


def filled(kind: type, start: int = 1) -> object:
    """A message whose every field differs from its default."""
    message = kind()
    for number, (name, declared) in enumerate(kind.get_fields_and_field_types().items(), start):
        setattr(message, name, value_of(message, name, declared, number))
    return message


def value_of(message: object, name: str, declared: str, number: int) -> object:
    if declared.startswith("sequence<"):
        element = declared.removeprefix("sequence<").removesuffix(">").split(",")[0]
        return [value_of(message, name, element, number + i) for i in range(3)]
    if declared == "boolean":
        return True
    if declared == "string":
        return f"{name} {number} é"
    if declared in {"float", "double"}:
        return number + 0.5
    if re.fullmatch(r"u?int\d+", declared):
        return number
    package, kind = declared.split("/")
    return filled(getattr(__import__(f"{package}.msg", fromlist=[kind]), kind), number)


@pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.name)
def test_every_field_says_what_it_means(path):
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    assert lines[0].startswith("# "), "the file begins by saying what it is for"
    for line in lines:
        if not line or line.startswith("#") or line == "---" or CONSTANT.match(line):
            continue
        field = FIELD.match(line)
        assert field, f"not understood: {line}"
        assert len(field["comment"] or "") >= 10, f"not explained: {line}"


@pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.name)
def test_every_quantity_names_its_unit(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        quantity = re.match(r"^\w+ \w+_(ppm|px|px_s|ms)(?:\s|$)", line)
        if quantity:
            unit = {"ppm": "parts per million", "px_s": "pixels a second", "px": "pixels", "ms": "ms"}[quantity[1]]
            assert f"{unit}" in line, line


def test_every_definition_is_built():
    listed = re.findall(r"^\s*((?:msg|srv)/\w+\.\w+)$", (PACKAGE / "CMakeLists.txt").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(path.relative_to(PACKAGE).as_posix() for path in DEFINITIONS)


@pytest.mark.parametrize("kind", PUBLISHED, ids=name_of)
def test_every_published_message_says_what_was_judged_and_how_far_it_holds(kind):
    fields = list(kind.get_fields_and_field_types().items())
    assert fields[:4] == [
        ("header", "std_msgs/Header"),
        ("seq", "uint64"),
        ("validity", "uint8"),
        ("withheld_reason", "string"),
    ]


@pytest.mark.parametrize("kind", PUBLISHED, ids=name_of)
def test_a_message_that_nobody_filled_in_reads_as_withheld(kind):
    assert kind().validity == kind.VALIDITY_WITHHELD
    assert kind().validity != kind.VALIDITY_OK


@pytest.mark.parametrize(
    ("kind", "prefix", "words"),
    [
        *((kind, "VALIDITY_", Validity) for kind in PUBLISHED),
        (msg.Advisory, "PRIORITY_", Priority),
        (msg.Advisory, "PRESENCE_", Presence),
        (msg.Advisory, "KIND_", Kind),
        (msg.Status, "STATE_", GateState),
        (msg.Phase, "CERTAINTY_", Certainty),
        (msg.Reason, "CERTAINTY_", Certainty),
    ],
)
def test_the_core_and_the_messages_have_the_same_words(kind, prefix, words):
    numbers = constants(kind, prefix)
    assert set(numbers) == {word.name for word in words}
    assert len(set(numbers.values())) == len(numbers)


def test_one_word_has_one_number_in_every_message():
    assert len({tuple(sorted(constants(kind, "VALIDITY_").items())) for kind in PUBLISHED}) == 1
    assert constants(msg.Phase, "CERTAINTY_") == constants(msg.Reason, "CERTAINTY_")


def test_a_more_urgent_advisory_has_a_greater_priority():
    numbers = constants(msg.Advisory, "PRIORITY_")
    assert numbers["NONE"] < numbers["LOW"] < numbers["MEDIUM"] < numbers["HIGH"]


@pytest.mark.parametrize("kind", MESSAGES + REQUESTS_AND_ANSWERS, ids=name_of)
def test_every_message_survives_the_wire(kind):
    message = filled(kind)
    assert message != kind()
    assert deserialize_message(serialize_message(message), kind) == message


def test_an_advisory_carries_at_most_eight_frames_of_evidence():
    msg.Reason(evidence_frames=list(range(8)))
    with pytest.raises(AssertionError):
        msg.Reason(evidence_frames=list(range(9)))


TALKER = """
import contextlib
import itertools

import rclpy
from rclpy.executors import ExternalShutdownException

from surgical_ml.ros import qos
from surgical_ml_msgs.msg import Advisory, AdvisoryArray

rclpy.init()
node = rclpy.create_node("talker")
publisher = node.create_publisher(AdvisoryArray, "advisories", qos.ADVISORIES)
numbers = itertools.count()


def talk():
    advisories = [Advisory(code="tool-mismatch")]
    publisher.publish(AdvisoryArray(seq=next(numbers), sender="assistant", advisories=advisories))


node.create_timer(0.02, talk)
with contextlib.suppress(ExternalShutdownException):
    rclpy.spin(node)
"""


def test_advisories_reach_another_process(make_node):
    node = make_node("listener")
    heard = []
    node.create_subscription(msg.AdvisoryArray, "advisories", heard.append, qos.ADVISORIES)
    with running("-c", TALKER):
        wait_until(lambda: len(heard) >= 3, PATIENCE_S, node, what="three messages from another process")
    assert heard[0].advisories[0].code == "tool-mismatch"
    assert [message.seq for message in heard] == sorted({message.seq for message in heard})
