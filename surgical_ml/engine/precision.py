"""The same network in another precision, as another ONNX file: typed fp16, or int8 by QDQ pairs.

No runtime is told how exactly to compute: what stands in the file is what runs, and what the manifest names by digest.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

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


def to_int8(source: Path, target: Path, pictures: Sequence[Tensor], *, input_name: str = "image") -> None:
    """Write the frame network with its pyramid in int8: symmetric, weights by channel, as TensorRT wants it too.

    Args:
        source: the network in float32.
        target: file to write.
        pictures: float32 tensors of the input's shape that the ranges of all values are taken from.
        input_name: of the network's input.

    Raises:
        InputError: onnx is not installed, the file is no network, or the pictures are none, or show no range of values.
    """
    if not pictures:
        raise InputError("calibration pictures", "at least one", "none")
    onnx = _onnx()
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """One picture after the other."""

        def __init__(self) -> None:
            self._left: Iterator[Tensor] = iter(pictures)

        def get_next(self) -> dict[str, Tensor] | None:
            """The next one, None after the last."""
            picture = next(self._left, None)
            return None if picture is None else {input_name: picture}

    graph = onnx.shape_inference.infer_shapes(_loaded(source)).graph
    chosen = _half_nodes(graph)
    rows = {
        one.name: one.type.tensor_type.shape.dim[2].dim_value
        for one in (*graph.input, *graph.value_info, *graph.output)
        if len(one.type.tensor_type.shape.dim) == 4
    }
    first = [node.name for node in graph.node if node.op_type == "Conv"][:FIRST_EXACT]
    # A score or logit is what a decision is made from: its own product is exact, too.
    last = {node.name for node in graph.node if _feeds_output(graph, node)}
    names = [
        node.name
        for k, node in enumerate(graph.node)
        if k in chosen
        and node.op_type in QUANTISED
        and node.name not in (*first, *last)
        and COARSEST * rows.get(node.output[0], 0) >= rows[input_name]
    ]
    with tempfile.TemporaryDirectory(prefix="surgical-ml-") as folder:
        prepared = Path(folder) / "prepared.onnx"
        # It tells its progress on the output that belongs to whoever reads what a command answers.
        with redirect_stdout(StringIO()):
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True, skip_optimization=True)
            try:
                quantize_static(
                    str(prepared),
                    str(target),
                    Reader(),
                    quant_format=QuantFormat.QDQ,
                    per_channel=True,
                    activation_type=QuantType.QInt8,
                    weight_type=QuantType.QInt8,
                    op_types_to_quantize=list(QUANTISED),
                    nodes_to_quantize=names,
                    # The few largest of all values would make every step coarser.
                    calibrate_method=CalibrationMethod.Percentile,
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
    onnx.checker.check_model(onnx.load(target), full_check=True)


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
