"""The precision of a network is read from its file, whatever else stands in it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_ml.engine import load_model
from surgical_ml.engine.onnx_file import precision_of
from surgical_ml.errors import InputError

PHASE = load_model("cholecystectomy").file("phase").read_bytes()


def network(operator: str, dtype: type[np.floating] = np.float32) -> bytes:
    onnx = pytest.importorskip("onnx", reason="needs the package onnx: pip install 'surgical_ml[train]'")
    weights = onnx.numpy_helper.from_array(np.ones((2, 2), dtype), "weights")
    node = onnx.helper.make_node(operator, ["x", "weights"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [], [], [weights])
    content: bytes = onnx.helper.make_model(graph).SerializeToString()
    return content


@pytest.mark.parametrize("name", ["frame", "phase"])
def test_the_shipped_networks_are_fp32(name: str) -> None:
    assert precision_of(Path(load_model("cholecystectomy").folder / f"{name}.onnx").read_bytes()) == "fp32"


def test_half_weights_make_it_fp16_and_quantising_makes_it_int8() -> None:
    assert precision_of(network("MatMul")) == "fp32"
    assert precision_of(network("MatMul", np.float16)) == "fp16"
    assert precision_of(network("QuantizeLinear")) == "int8"
    assert precision_of(network("QuantizeLinear", np.float16)) == "int8"


@pytest.mark.parametrize("content", [b"", b"not a network", b"\x07", b"\xff" * 20, b"\x3a\x7f"])
def test_what_is_no_network_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(InputError, match=r"frame\.onnx: expected an ONNX file"):
        precision_of(content, "frame.onnx")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_network_or_refused(content: bytes) -> None:
    try:
        assert precision_of(content) in ("fp32", "fp16", "int8")
    except InputError as error:
        assert error.expected == "an ONNX file"


@given(st.integers(1, len(PHASE) // 2))
def test_a_network_that_is_cut_off_is_refused(size: int) -> None:
    with pytest.raises(InputError, match="an ONNX file"):
        precision_of(PHASE[:size])
