import json
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_ml.audit import canonical
from surgical_ml.audit.errors import AuditError

KEYS = st.text(st.characters(max_codepoint=127), max_size=8)
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)


@given(VALUES)
def test_what_is_encoded_is_decoded_and_has_one_form(value):
    data = canonical.encode(value)
    assert canonical.decode(data) == value
    assert json.loads(data) == value


@given(st.dictionaries(KEYS, LEAVES, min_size=2))
def test_the_order_of_keys_does_not_matter(members):
    turned = dict(reversed(members.items()))
    assert canonical.encode(turned) == canonical.encode(members)


def test_the_escapes_are_those_of_rfc_8785():
    # the string of the RFC's section 3.2.2
    text = '€$\u000f\nA\'B"\\\\"/'
    assert canonical.encode(text) == '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'.encode()


@given(st.floats())
def test_a_float_is_refused_and_its_place_is_named(number):
    with pytest.raises(AuditError, match=r"body\.a\[1\]\.b: expected .* found the float"):
        canonical.encode({"a": [0, {"b": number}]}, "body")


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({1: 2}, "the key 1"),
        ({"é": 2}, "the key 'é'"),
        (2**63, "a larger one"),
        (-(2**63) - 1, "a larger one"),
        ("\ud800", "the lone surrogate U\\+D800"),
        ({1, 2}, "a builtins.set"),
        (b"bytes", "a builtins.bytes"),
        (Colour.RED, "Colour"),
    ],
)
def test_what_has_no_canonical_form_is_refused(value, found):
    with pytest.raises(AuditError, match=found):
        canonical.encode(value)


def test_a_value_that_holds_itself_is_refused():
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(AuditError, match="at most 32 levels"):
        canonical.encode(endless)


@pytest.mark.parametrize(
    "data",
    [
        *(
            b"",
            b"{",
            b"1.0",
            b"1e3",
            b"NaN",
            b'{"b":1,"a":2}',
            b'{"a":1,"a":1}',
            b"[1, 2]",
            b'"\\u0041"',
            b"\xff",
            b"-0",
        ),
        *(b"[" * 100_000, b"1" * 5_000, b'"\\ud800"'),
    ],
)
def test_bytes_in_another_form_are_refused(data):
    with pytest.raises(AuditError, match="thing"):
        canonical.decode(data, "thing")


@given(st.binary(max_size=64))
def test_any_bytes_are_refused_or_are_the_form_of_what_they_say(data):
    try:
        value = canonical.decode(data)
    except AuditError:
        return
    assert canonical.encode(value) == data
