"""The same network in another precision: what is narrower is what may be, and what it answers stays near."""

import re
from pathlib import Path

import numpy as np
import pytest

from surgical_ml.engine import Engine, load_model, open_engine, precision
from surgical_ml.engine.onnx_file import precision_of
from surgical_ml.engine.precision import ALWAYS_HALF, to_half, to_int8
from surgical_ml.errors import InputError
from surgical_ml.evaluation.agreement import rendered
from surgical_ml.evaluation.variants import calibration_pictures
from surgical_ml.perception.preprocess import Preprocessor
from surgical_ml.video import ContentTracker

onnx = pytest.importorskip("onnx", reason="needs the extra train")
MODEL = load_model("cholecystectomy")
FLOAT, FLOAT16 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16


FRESH = range(5400, 5403)
"""Operations that no range, and no choice of what is narrow, was taken from; `model check` looks at others, too."""


@pytest.fixture(scope="module")
def operations() -> list[list[np.ndarray]]:
    """What the frame network is given of 20 frames of each fresh operation."""
    preprocess = Preprocessor(MODEL.manifest.input)
    found = []
    for seed in FRESH:
        content = ContentTracker()
        found.append([np.array(preprocess(one.image, content.update(one))[0]) for one in rendered(seed, 20)])
    return found


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both networks in half precision."""
    folder = tmp_path_factory.mktemp("half")
    for network in ("frame", "phase"):
        to_half(MODEL.file(network), folder / f"{network}.onnx")
    return folder


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frame network in int8, its ranges taken from what the command takes them from."""
    path = tmp_path_factory.mktemp("int8") / "frame.onnx"
    to_int8(MODEL.file("frame"), path, calibration_pictures(MODEL.manifest))
    return path


def labels(engine: Engine, pictures: list[np.ndarray]) -> np.ndarray:
    return np.stack([engine.run({"image": one})["segmentation"][0].argmax(0) for one in pictures])


def mean_iou(left: np.ndarray, right: np.ndarray) -> float:
    shown = np.union1d(left, right)
    return float(np.mean([((left == c) & (right == c)).sum() / ((left == c) | (right == c)).sum() for c in shown]))


@pytest.mark.parametrize("network", ["frame", "phase"])
def test_in_half_precision_products_are_half_and_inputs_and_outputs_stay_float32(half: Path, network: str) -> None:
    graph = onnx.shape_inference.infer_shapes(onnx.load(half / f"{network}.onnx")).graph
    kinds = {one.name: one.type.tensor_type.elem_type for one in (*graph.value_info, *graph.input, *graph.output)}
    kinds |= {one.name: one.data_type for one in graph.initializer}
    products = [node for node in graph.node if node.op_type in ALWAYS_HALF]
    assert products
    assert {kinds[name] for node in products for name in (*node.input, *node.output)} == {FLOAT16}
    assert {kinds[one.name] for one in (*graph.input, *graph.output)} == {FLOAT}
    assert precision_of((half / f"{network}.onnx").read_bytes()) == "fp16"


def test_in_half_precision_novelty_soft_maxima_and_the_state_are_computed_in_float32(half: Path) -> None:
    wide = {"Div", "Exp", "Log", "MatMul", "Pow", "ReduceLogSumExp", "ReduceMean", "Softmax", "Sqrt", "Tanh"}
    for network in ("frame", "phase"):
        graph = onnx.shape_inference.infer_shapes(onnx.load(half / f"{network}.onnx")).graph
        kinds = {one.name: one.type.tensor_type.elem_type for one in (*graph.value_info, *graph.output)}
        found = {node.op_type: kinds[node.output[0]] for node in graph.node if node.op_type in wide}
        assert found
        assert set(found.values()) == {FLOAT}
        if network == "phase":
            (adds,) = [node for node in graph.node if "new_state" in node.output]
            assert not {kinds.get(name, FLOAT) for name in adds.input} - {FLOAT}


def lowest_iou(engine: Engine, operations: list[list[np.ndarray]]) -> float:
    """Of the operation whose masks are the farthest from those of the network in float32."""
    exact = open_engine("onnxruntime", MODEL.file("frame"))
    return min(mean_iou(labels(engine, one), labels(exact, one)) for one in operations)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_half_precision_gives_the_masks_of_single(half: Path, operations: list[list[np.ndarray]], engine: str) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino", reason="needs the extra openvino")
    assert lowest_iou(open_engine(engine, half / "frame.onnx"), operations) >= 0.995


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_int8_gives_nearly_the_masks_of_single_in_every_operation_that_it_never_saw(
    int8: Path, operations: list[list[np.ndarray]], engine: str
) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino", reason="needs the extra openvino")
    assert lowest_iou(open_engine(engine, int8), operations) >= 0.97


def test_int8_is_symmetric_by_channel_and_keeps_biases_as_tensorrt_wants_it(int8: Path) -> None:
    graph = onnx.load(int8).graph
    values = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    pairs = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert all(values[node.input[2]].dtype == np.int8 and not values[node.input[2]].any() for node in pairs)
    by_channel = [node for node in pairs if values[node.input[1]].ndim == 1 and values[node.input[1]].size > 1]
    assert by_channel
    assert not any(value.dtype == np.int32 for value in values.values())
    assert precision_of(int8.read_bytes()) == "int8"


def test_in_int8_the_first_and_the_last_convolutions_stay_exact_and_most_of_the_work_does_not(int8: Path) -> None:
    graph = onnx.shape_inference.infer_shapes(onnx.load(int8)).graph
    made = {name: node for node in graph.node for name in node.output}
    sizes = {one.name: [side.dim_value for side in one.type.tensor_type.shape.dim] for one in graph.value_info}
    sizes |= {one.name: [side.dim_value for side in one.type.tensor_type.shape.dim] for one in graph.output}
    sizes |= {one.name: list(one.dims) for one in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    quantised = [node.input[1] in made for node in convolutions]
    assert not any(quantised[:3])
    assert not any(quantised[-2:])
    work = [np.prod(sizes[node.input[1]]) * np.prod(sizes[node.output[0]][2:]) for node in convolutions]
    assert np.dot(work, quantised) > 0.5 * sum(work)


def test_in_int8_only_products_read_what_was_rounded(int8: Path) -> None:
    """A shortcut adds what was computed; else the roundings of all blocks would add up."""
    graph = onnx.load(int8).graph
    rounded = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    readers = [node.op_type for node in graph.node if not rounded.isdisjoint(node.input)]
    assert readers
    assert set(readers) == {"Conv"}


def test_a_network_of_which_int8_costs_too_much_everywhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operations: list[list[np.ndarray]]
) -> None:
    monkeypatch.setattr(precision, "ERROR_LEFT", 0.0)
    with pytest.raises(InputError, match=r"in int8, found none"):
        to_int8(MODEL.file("frame"), tmp_path / "int8.onnx", operations[0][:1])
    assert not list(tmp_path.iterdir())


def test_a_weight_beyond_half_precision_is_refused_by_name(tmp_path: Path) -> None:
    model = onnx.load(MODEL.file("phase"))
    weight = next(one for one in model.graph.initializer if len(one.dims) == 2)
    weight.CopyFrom(onnx.numpy_helper.from_array(1e5 * np.ones(tuple(weight.dims), np.float32), weight.name))
    onnx.save(model, tmp_path / "large.onnx")
    with pytest.raises(
        InputError, match=r"weights that half precision holds, up to 65504, found " + re.escape(weight.name)
    ):
        to_half(tmp_path / "large.onnx", tmp_path / "half.onnx")


def test_what_is_no_network_and_a_calibration_on_nothing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "none.onnx").write_text("not a network")
    with pytest.raises(InputError, match=r"none\.onnx: expected a network"):
        to_half(tmp_path / "none.onnx", tmp_path / "half.onnx")
    with pytest.raises(InputError, match=r"calibration pictures: expected at least one, found none"):
        to_int8(MODEL.file("frame"), tmp_path / "int8.onnx", [])
