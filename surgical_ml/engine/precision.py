"""The same network in another precision, as another ONNX file: typed fp16, or int8 by QDQ pairs.

No runtime is told how exactly to compute: what stands in the file is what runs, and what the manifest names by digest.
"""

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from surgical_ml.engine.onnxruntime import OnnxRuntimeEngine
from surgical_ml.engine.protocol import Tensor
from surgical_ml.errors import InputError

ALWAYS_HALF = ("Conv", "Gemm")
"""Products with weights: their sums fit half precision, and their time is most of a network's."""

HALF_AFTER_HALF = ("Add", "Concat", "MaxPool", "Relu", "Resize")
"""Computed in half precision where everything that goes in, but for constants, already is.

All the rest stays in float32: means over a picture, squares, logarithms and the whitening of the novelty score, whose range
half precision does not hold; soft-maxima; and the state of the phase network, which adds small steps to itself.
"""

QUANTISED = ("Conv",)
"""Computed in int8: where the time goes. Sums between them keep what is left of both sides."""

COARSEST = 16
"""Grids with cells larger than so many pixels keep float32: hardly any time goes there, and the features come from them."""

FIRST_EXACT = 3
"""So many convolutions, the first of all, keep float32: they see the picture itself, and what they lose is lost for all."""

WEIGHED_ON = 12
"""So many of the calibration pictures, evenly chosen, show what each convolution costs when it alone is in int8."""

ERROR_LEFT = 3e-4
"""Of the variance of what a network answers: so large may the squared errors be, together, of all that stays in int8."""


def to_half(source: Path, target: Path) -> None:
    """Write the network with its products in half precision; inputs and outputs stay float32.

    Raises:
        InputError: onnx is not installed, the file is no network, or a weight in it is beyond half precision.
    """
    onnx = _onnx()
    model = _loaded(source)
    graph = model.graph
    chosen = _half_nodes(graph)
    constants = {one.name: one for one in graph.initializer}
    halves: set[str] = set()
    casts: dict[tuple[str, str], str] = {}
    nodes: list[Any] = []

    def as_half(name: str) -> str:
        if not name or name in halves:
            return name
        if name in constants:
            value = onnx.numpy_helper.to_array(constants[name])
            if np.abs(value).max(initial=0.0) > np.finfo(np.float16).max:
                raise InputError(source, f"weights that half precision holds, up to {np.finfo(np.float16).max:g}", name)
            key = (name, "half")
            if key not in casts:
                casts[key] = f"{name}_half"
                graph.initializer.append(onnx.numpy_helper.from_array(value.astype(np.float16), casts[key]))
            return casts[key]
        return cast(name, onnx.TensorProto.FLOAT16, "half")

    def cast(name: str, kind: int, suffix: str) -> str:
        key = (name, suffix)
        if key not in casts:
            casts[key] = f"{name}_{suffix}"
            nodes.append(onnx.helper.make_node("Cast", [name], [casts[key]], name=casts[key], to=kind))
        return casts[key]

    outputs = {one.name for one in graph.output}
    renamed: dict[str, str] = {}
    for k, node in enumerate(graph.node):
        names = [renamed.get(name, name) for name in node.input]
        if k in chosen:
            # Of a Resize only the picture is of its precision; the rest says how large it becomes.
            count = 1 if node.op_type == "Resize" else len(names)
            names = [as_half(name) for name in names[:count]] + names[count:]
        else:
            names = [cast(name, onnx.TensorProto.FLOAT, "single") if name in halves else name for name in names]
        del node.input[:]
        node.input.extend(names)
        nodes.append(node)
        if k in chosen:
            (target_name,) = node.output
            if target_name in outputs:
                renamed[target_name] = node.output[0] = f"{target_name}_in_half"
                nodes.append(
                    onnx.helper.make_node("Cast", [node.output[0]], [target_name], name=f"{target_name}_out", to=1)
                )
                casts[node.output[0], "single"] = target_name
            halves.add(node.output[0])
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    _drop_unused(graph)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, target)


def to_int8(
    source: Path,
    target: Path,
    pictures: Sequence[Tensor],
    *,
    input_name: str = "image",
    output_name: str = "segmentation",
) -> None:
    """Write the frame network with its pyramid in int8: symmetric, weights by channel, as TensorRT wants it too.

    What costs most accuracy for the multiplications that it saves stays in float32, until what is left costs no more than
    `ERROR_LEFT`. That is measured for each convolution, on the calibration pictures.

    Args:
        source: the network in float32.
        target: file to write.
        pictures: float32 tensors of the input's shape that the ranges of all values are taken from.
        input_name: of the network's input.
        output_name: of the output whose error is measured.

    Raises:
        InputError: onnx is not installed, the file is no network or none that int8 can take a part of, or the pictures are
            none, or show no range of values.
    """
    if not pictures:
        raise InputError("calibration pictures", "at least one", "none")
    onnx = _onnx()
    from onnxruntime.quantization.shape_inference import quant_pre_process

    network = onnx.shape_inference.infer_shapes(_loaded(source))
    names = _in_reach_of_int8(network.graph, input_name)
    with tempfile.TemporaryDirectory(prefix="surgical-ml-") as folder:
        prepared, paired = Path(folder) / "prepared.onnx", Path(folder) / "paired.onnx"
        # It tells its progress on the output that belongs to whoever reads what a command answers.
        with redirect_stdout(StringIO()):
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True, skip_optimization=True)
            _pair(prepared, paired, names, pictures, input_name)
        exact, model = onnx.load(prepared), onnx.load(paired)

        def answers(kept: set[str]) -> npt.NDArray[np.float32]:
            path = Path(folder) / "weighed.onnx"
            onnx.save(_only(model, exact, kept), path)
            engine = OnnxRuntimeEngine(path)
            chosen = pictures[:: -(-len(pictures) // WEIGHED_ON)]
            out = np.stack([engine.run({input_name: one})[output_name] for one in chosen])
            engine.close()
            return out

        right = answers(set())
        # Where the answer is the same for every picture, no error is small.
        scale = max(float(right.var()), float(np.finfo(np.float32).tiny))
        error = {name: float(np.square(answers({name}) - right).mean()) / scale for name in names}
        work = _multiplications(network.graph)
        kept = sorted(names, key=lambda name: (error[name] / work[name], name))
        while kept and sum(error[name] for name in kept) > ERROR_LEFT:
            kept.pop()
        if not kept:
            raise InputError(source, f"a convolution that costs at most {ERROR_LEFT:g} of the variance in int8", "none")
        made = _only(model, exact, set(kept))
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, target)


def _in_reach_of_int8(graph: Any, input_name: str) -> list[str]:
    """Names of the convolutions that int8 may reach at all, in their order."""
    chosen = _half_nodes(graph)
    rows = {
        one.name: one.type.tensor_type.shape.dim[2].dim_value
        for one in (*graph.input, *graph.value_info, *graph.output)
        if len(one.type.tensor_type.shape.dim) == 4
    }
    first = [node.name for node in graph.node if node.op_type == "Conv"][:FIRST_EXACT]
    # A score or logit is what a decision is made from: its own product is exact, too.
    last = {node.name for node in graph.node if _feeds_output(graph, node)}
    return [
        node.name
        for k, node in enumerate(graph.node)
        if k in chosen
        and node.op_type in QUANTISED
        and node.name not in (*first, *last)
        and COARSEST * rows.get(node.output[0], 0) >= rows[input_name]
    ]


def _pair(source: Path, target: Path, names: Sequence[str], pictures: Sequence[Tensor], input_name: str) -> None:
    """Write the network with a pair of rounding and its undoing before all that goes into the named convolutions."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """One picture after the other."""

        def __init__(self) -> None:
            self._left: Iterator[Tensor] = iter(pictures)

        def get_next(self) -> dict[str, Tensor] | None:
            """The next one, None after the last."""
            picture = next(self._left, None)
            return None if picture is None else {input_name: picture}

    try:
        quantize_static(
            str(source),
            str(target),
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(QUANTISED),
            nodes_to_quantize=list(names),
            # Cutting off the largest values makes finer steps, and costs most in the operations that are least like these.
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "QuantizeBias": False,
                # A value is rounded where it goes into a product, after its activation, and only there.
                "OpTypesToExcludeOutputQuantization": list(QUANTISED),
            },
        )
    except ValueError as error:
        found = str(error).splitlines()[0]
        raise InputError("calibration pictures", "pictures that show a range of values", found) from error


def _only(paired: Any, exact: Any, kept: set[str]) -> Any:
    """The network with its pairs before the named convolutions only; all else, shortcuts included, reads what was computed."""
    model = type(paired)()
    model.CopyFrom(paired)
    graph = model.graph
    before = {node.output[0]: node.input for node in exact.graph.node}
    for node in graph.node:
        if node.output[0] in before and node.name not in kept:
            del node.input[:]
            node.input.extend(before[node.output[0]])
    there = {one.name for one in graph.initializer}
    graph.initializer.extend(one for one in exact.graph.initializer if one.name not in there)
    used = {one.name for one in graph.output}
    nodes: list[Any] = []
    for node in reversed(graph.node):
        if not used.isdisjoint(node.output):
            nodes.insert(0, type(node).FromString(node.SerializeToString()))
            used.update(node.input)
    del graph.node[:]
    graph.node.extend(nodes)
    _drop_unused(graph)
    return model


def _multiplications(graph: Any) -> dict[str, int]:
    """How many each convolution with constant weights takes for one picture."""
    area = {
        one.name: one.type.tensor_type.shape.dim[2].dim_value * one.type.tensor_type.shape.dim[3].dim_value
        for one in (*graph.value_info, *graph.output)
        if len(one.type.tensor_type.shape.dim) == 4
    }
    weights = {one.name: math.prod(one.dims) for one in graph.initializer}
    return {
        node.name: weights[node.input[1]] * area[node.output[0]]
        for node in graph.node
        if node.op_type == "Conv" and node.input[1] in weights and node.output[0] in area
    }


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise InputError("other precisions", "onnx: pip install 'surgical_ml[train]'", str(error)) from error
    return onnx


def _loaded(path: Path) -> Any:
    try:
        return _onnx().load(path)
    except InputError:
        raise
    except Exception as error:
        lines = str(error).splitlines()
        raise InputError(path, "a network", lines[0] if lines else type(error).__name__) from error


def _half_nodes(graph: Any) -> set[int]:
    """Positions of the nodes that compute in half precision."""
    constants = {one.name for one in graph.initializer}
    halves: set[str] = set()
    chosen: set[int] = set()
    for k, node in enumerate(graph.node):
        values = [name for name in node.input if name and name not in constants]
        after = node.op_type in HALF_AFTER_HALF and values and all(name in halves for name in values)
        if node.op_type in ALWAYS_HALF or after:
            chosen.add(k)
            halves.update(node.output)
    return chosen


def _feeds_output(graph: Any, node: Any) -> bool:
    """Whether a node computes an output, or what is an output but for a sigmoid."""
    outputs = {one.name for one in graph.output}
    squashed = {one.input[0] for one in graph.node if one.op_type == "Sigmoid" and one.output[0] in outputs}
    return not outputs.isdisjoint(node.output) or not squashed.isdisjoint(node.output)


def _drop_unused(graph: Any) -> None:
    """Remove the constants that nothing reads any more."""
    used = {name for node in graph.node for name in node.input}
    kept = [one for one in graph.initializer if one.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
