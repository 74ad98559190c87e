"""torch runs an exported file itself: each operator as the specification defines it, and no other."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surgical_ml.engine import EngineFault, load_model, open_engine, warm_up
from surgical_ml.engine.torch import TorchEngine
from surgical_ml.engine.torch.operators import OPERATORS
from surgical_ml.errors import InputError

torch = pytest.importorskip("torch", reason="needs the extra train")
onnx = pytest.importorskip("onnx", reason="needs the extra train")
TensorProto, helper, numpy_helper = onnx.TensorProto, onnx.helper, onnx.numpy_helper

FRAME = load_model("cholecystectomy").file("frame")
PHASE = load_model("cholecystectomy").file("phase")
SHAPE = (1, 4, 6, 8)

Case = tuple[str, dict[str, Any], list[Any]]


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).uniform(-1, 1, shape).astype(np.float32)


CASES: list[Case] = [
    # operator, attributes, inputs after the first; None is one that is left out
    *((name, {}, []) for name in ("Abs", "Exp", "GlobalAveragePool", "Identity", "Neg", "Relu", "Sigmoid", "Softplus")),
    *((name, {}, []) for name in ("Tanh", "Transpose", "Squeeze", "Log", "Sqrt")),
    *((name, {}, [floats(1, 4, 1, 1)]) for name in ("Add", "Div", "Max", "Min", "Mul", "Sub")),
    ("Max", {}, [floats(1, 4, 1, 1), floats(6, 8)]),
    ("Pow", {}, [np.array(2.0, np.float32)]),
    ("MatMul", {}, [floats(8, 3)]),
    ("Gemm", {"transB": 1}, [floats(5, 8), floats(5)]),
    ("Gemm", {"alpha": 0.5, "beta": 2.0}, [floats(8, 5), floats(5)]),
    ("Gemm", {"transA": 1}, [floats(6, 2)]),
    ("Conv", {"pads": [1, 1, 1, 1]}, [floats(5, 4, 3, 3), floats(5)]),
    ("Conv", {"pads": [0, 1, 1, 2], "strides": [2, 1], "group": 2}, [floats(4, 2, 2, 3)]),
    ("Conv", {"dilations": [2, 2], "pads": [2, 2, 2, 2]}, [floats(5, 4, 3, 3)]),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}, []),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}, []),
    ("AveragePool", {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1], "count_include_pad": 1}, []),
    ("MaxPool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}, []),
    ("MaxPool", {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]}, []),
    *((name, {"keepdims": k}, [ints(2, 3)]) for name in ("ReduceMean", "ReduceSum") for k in (0, 1)),
    *((name, {"keepdims": 0}, [ints(1)]) for name in ("ReduceMin", "ReduceMax", "ReduceLogSumExp")),
    ("ReduceMean", {}, []),
    ("ReduceMean", {"noop_with_empty_axes": 1}, []),
    ("Unsqueeze", {}, [ints(0, -1)]),
    ("Squeeze", {}, [ints(0)]),
    ("Gather", {"axis": 1}, [np.array(2, np.int64)]),
    ("Gather", {"axis": 1}, [ints(3, -4, 0)]),
    ("Slice", {}, [ints(1, 0), ints(-1, 2**62), ints(2, 1), ints(2, 1)]),
    ("Slice", {}, [ints(0), ints(1)]),
    ("Reshape", {}, [ints(0, -1, 8)]),
    ("Split", {"axis": 1}, [ints(1, 3)]),
    ("Split", {"axis": 1, "num_outputs": 2}, []),
    ("Concat", {"axis": 1}, [floats(1, 2, 6, 8)]),
    ("Softmax", {"axis": 1}, []),
    ("Softmax", {}, []),
    ("Clip", {}, [np.array(-0.5, np.float32), np.array(0.5, np.float32)]),
    ("Clip", {}, [None, np.array(0.25, np.float32)]),
    ("Cast", {"to": TensorProto.FLOAT16}, []),
    ("IsNaN", {}, []),
    (
        "Resize",
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        [None, np.array([1, 1, 2, 2], np.float32)],
    ),
    (
        "Resize",
        {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
        [None, None, ints(1, 4, 12, 20)],
    ),
    ("QuantizeLinear", {}, [np.array(0.01, np.float32), np.array(3, np.int8)]),
    ("QuantizeLinear", {"axis": 1}, [np.array([0.01, 0.02, 0.005, 0.1], np.float32), np.zeros(4, np.int8)]),
]


@pytest.fixture
def graph_of(tmp_path: Path) -> Callable[..., Path]:
    """A file with one operator between its input `x` and its outputs."""

    def write(name: str, attributes: dict[str, Any], others: list[Any], shape: tuple[int, ...]) -> Path:
        names = [f"c{k}" if other is not None else "" for k, other in enumerate(others)]
        count = 2 if name == "Split" else 1
        outputs = [f"y{k}" for k in range(count)]
        constants = [numpy_helper.from_array(other, f"c{k}") for k, other in enumerate(others) if other is not None]
        graph = helper.make_graph(
            [helper.make_node(name, ["x", *names], outputs, **attributes)],
            "one",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [onnx.ValueInfoProto(name=one) for one in outputs],
            constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        typed = onnx.shape_inference.infer_shapes(model, data_prop=True)
        path = tmp_path / "one.onnx"
        onnx.save(typed, path)
        return path

    return write


def differ(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> list[str]:
    return [
        name
        for name in left
        if left[name].dtype != right[name].dtype
        or left[name].shape != right[name].shape
        or not np.allclose(left[name].astype(float), right[name].astype(float), atol=2e-6, rtol=1e-5)
    ]


@pytest.mark.parametrize(
    ("name", "attributes", "others"), CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_an_operator_computes_what_onnx_runtime_computes(
    graph_of: Callable[..., Path], name: str, attributes: dict[str, Any], others: list[Any]
) -> None:
    shape = SHAPE[2:] if name == "Gemm" else SHAPE[1:] if name == "Reshape" else SHAPE
    path = graph_of(name, attributes, others, shape)
    value = np.random.default_rng(7).uniform(-1, 1, shape).astype(np.float32)
    value = np.abs(value) + 0.1 if name in ("Log", "Sqrt", "Pow") else value
    if name == "IsNaN":
        value.reshape(-1)[::3] = np.nan
    ours = TorchEngine(path, device="cpu")
    assert differ(open_reference(path, value), ours.run({"x": value})) == []


def open_reference(path: Path, value: np.ndarray) -> dict[str, np.ndarray]:
    """By ONNX Runtime itself, which knows more types than networks have."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, {"x": value}), strict=True))


def test_every_operator_is_compared() -> None:
    in_networks = {"Where", "Constant", "DequantizeLinear"}
    """Compared below, in graphs of more than one node."""
    assert {name for name, _, _ in CASES} | in_networks == set(OPERATORS)


def test_a_choice_a_constant_and_what_was_quantised_compute_what_onnx_runtime_computes(tmp_path: Path) -> None:
    scale = numpy_helper.from_array(np.array([0.01, 0.02, 0.005, 0.1], np.float32), "scale")
    zero = numpy_helper.from_array(np.array([0, 3, -5, 0], np.int8), "zero")
    half = helper.make_node("Constant", [], ["half"], value=numpy_helper.from_array(np.float32(0.5).reshape(()), "v"))
    graph = helper.make_graph(
        [
            half,
            helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], axis=1),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"], axis=1),
            helper.make_node("IsNaN", ["x"], ["missing"]),
            helper.make_node("Where", ["missing", "half", "d"], ["y0"]),
        ],
        "more",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y0", TensorProto.FLOAT, SHAPE)],
        [scale, zero],
    )
    path = tmp_path / "more.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    value = floats(*SHAPE)
    value[0, 0, 0, :3] = np.nan
    assert differ(open_reference(path, value), TorchEngine(path, device="cpu").run({"x": value})) == []


def test_an_operator_that_is_not_there_is_refused_when_the_file_is_opened(graph_of: Callable[..., Path]) -> None:
    path = graph_of("Erf", {}, [], SHAPE)
    with pytest.raises(InputError, match=r"one\.onnx: expected operators that the engine torch has.*found Erf"):
        TorchEngine(path)


def test_what_an_operator_cannot_do_is_a_fault_and_no_wrong_number(graph_of: Callable[..., Path]) -> None:
    path = graph_of("Slice", {}, [ints(-1), ints(0), ints(3), ints(-1)], SHAPE)
    with pytest.raises(EngineFault, match="a step of -1"):
        TorchEngine(path, device="cpu").run({"x": floats(*SHAPE)})


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_it_runs_on_the_threads_it_was_given(threads: None) -> None:
    warm_up(TorchEngine(PHASE, threads=1, device="cpu"), 1)
    assert torch.get_num_threads() == 1


def test_a_device_that_is_not_there_is_never_replaced_by_another() -> None:
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    with pytest.raises(InputError, match=r"device cuda: expected a GPU that torch can use, found none"):
        TorchEngine(PHASE, device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")
def test_a_captured_graph_answers_what_the_cpu_answers_and_answers_anew_each_time() -> None:
    gpu, cpu = TorchEngine(FRAME, device="cuda"), TorchEngine(FRAME, device="cpu")
    rng = np.random.default_rng(4)
    for _ in range(3):
        image = rng.standard_normal(cpu.inputs[0].shape).astype(np.float32)
        left, right = gpu.run({"image": image}), cpu.run({"image": image})
        assert all(np.allclose(left[name], right[name], atol=1e-2) for name in right)


def test_a_run_changes_neither_its_inputs_nor_answers_it_gave_before() -> None:
    engine = open_engine("torch", PHASE)
    rng = np.random.default_rng(2)
    inputs = {spec.name: rng.standard_normal(spec.shape).astype(spec.dtype) for spec in engine.inputs}
    before = {name: value.tobytes() for name, value in inputs.items()}
    first = engine.run(inputs)
    kept = {name: value.tobytes() for name, value in first.items()}
    engine.run({name: value * 2 for name, value in inputs.items()})
    assert {name: value.tobytes() for name, value in inputs.items()} == before
    assert {name: value.tobytes() for name, value in first.items()} == kept
    engine.close()
