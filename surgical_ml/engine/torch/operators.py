"""The operators of exported networks in torch, each as the ONNX specification (opset 17 to 20) defines it.

Each takes the node's attributes and its inputs in order, None for one that is left out. Integers that say a shape or an
axis are constants of the file and stay on the host, so that nothing here waits for a device.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Attributes = dict[str, Any]


def _torch() -> Any:
    import torch

    return torch


def _numbers(value: Any) -> list[int]:
    return [int(one) for one in value.reshape(-1).tolist()]


def _plain(name: str) -> Callable[..., Any]:
    """What torch has under that name, without attributes."""
    return lambda _, *inputs: getattr(_torch(), name)(*inputs)


def _pads(given: Attributes, x: Any, fill: float) -> tuple[Any, list[int]]:
    """Padding as torch takes it, after what is not the same on both sides was added by hand."""
    if given.get("auto_pad", b"NOTSET") not in (b"NOTSET", b""):
        raise ValueError(f"auto_pad {given['auto_pad'].decode()}: expected NOTSET")
    sizes = len(x.shape) - 2
    pads = list(given.get("pads", [0] * 2 * sizes))
    begin, end = pads[:sizes], pads[sizes:]
    if begin == end:
        return x, begin
    sides = [side for k in reversed(range(sizes)) for side in (begin[k], end[k])]
    return _torch().nn.functional.pad(x, sides, value=fill), [0] * sizes


def _conv(given: Attributes, x: Any, weight: Any, bias: Any = None) -> Any:
    sizes = weight.ndim - 2
    x, pads = _pads(given, x, 0.0)
    run = getattr(_torch().nn.functional, f"conv{sizes}d")
    strides, dilations = given.get("strides", [1] * sizes), given.get("dilations", [1] * sizes)
    return run(x, weight, bias, strides, pads, dilations, given.get("group", 1))


def _average_pool(given: Attributes, x: Any) -> Any:
    kernel = given["kernel_shape"]
    counted = bool(given.get("count_include_pad", 0))
    if given.get("ceil_mode", 0):
        raise ValueError("AveragePool with ceil_mode 1: expected 0")
    pads = list(given.get("pads", [0] * 2 * len(kernel)))
    if pads[: len(kernel)] != pads[len(kernel) :] and not counted:
        raise ValueError("AveragePool that leaves out uneven padding: expected even padding")
    x, sides = _pads(given, x, 0.0)
    run = getattr(_torch().nn.functional, f"avg_pool{len(kernel)}d")
    return run(x, kernel, given.get("strides", [1] * len(kernel)), sides, False, counted)


def _max_pool(given: Attributes, x: Any) -> Any:
    kernel = given["kernel_shape"]
    x, sides = _pads(given, x, -float("inf"))
    run = getattr(_torch().nn.functional, f"max_pool{len(kernel)}d")
    strides, dilations = given.get("strides", [1] * len(kernel)), given.get("dilations", [1] * len(kernel))
    return run(x, kernel, strides, sides, dilations, bool(given.get("ceil_mode", 0)))


def _gemm(given: Attributes, a: Any, b: Any, c: Any = None) -> Any:
    a = a.T if given.get("transA", 0) else a
    b = b.T if given.get("transB", 0) else b
    alpha, beta = given.get("alpha", 1.0), given.get("beta", 1.0)
    product = a @ b if alpha == 1.0 else alpha * (a @ b)
    return product if c is None else product + (c if beta == 1.0 else beta * c)


def _reduce(name: str) -> Callable[..., Any]:
    """A reduction over the axes of the second input, or of the attribute that stood for it before opset 18."""

    def reduce(given: Attributes, x: Any, axes: Any = None) -> Any:
        over = _numbers(axes) if axes is not None else list(given.get("axes", []))
        if not over:
            if given.get("noop_with_empty_axes", 0):
                return x
            over = list(range(x.ndim))
        return getattr(_torch(), name)(x, dim=tuple(over), keepdim=bool(given.get("keepdims", 1)))

    return reduce


def _unsqueeze(_: Attributes, x: Any, axes: Any) -> Any:
    final = x.ndim + axes.numel()
    for axis in sorted(one % final for one in _numbers(axes)):
        x = x.unsqueeze(axis)
    return x


def _squeeze(_: Attributes, x: Any, axes: Any = None) -> Any:
    return x.squeeze() if axes is None else x.squeeze(tuple(_numbers(axes)))


def _gather(given: Attributes, x: Any, index: Any) -> Any:
    axis = given.get("axis", 0)
    if index.ndim == 0:
        return x.select(axis, int(index))
    if index.ndim != 1:
        raise ValueError(f"Gather with an index of {index.ndim} dimensions: expected none or one")
    picked = [one % x.shape[axis] for one in _numbers(index)]
    return _torch().cat([x.narrow(axis, one, 1) for one in picked], axis)


def _slice(_: Attributes, x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    over = range(starts.numel()) if axes is None else _numbers(axes)
    strides = [1] * starts.numel() if steps is None else _numbers(steps)
    for axis, start, end, step in zip(over, _numbers(starts), _numbers(ends), strides, strict=True):
        if step < 1:
            raise ValueError(f"Slice with a step of {step}: expected 1 or more")
        chosen = [slice(None)] * x.ndim
        chosen[axis] = slice(start, end, step)
        x = x[tuple(chosen)]
    return x


def _reshape(given: Attributes, x: Any, shape: Any) -> Any:
    sizes = _numbers(shape)
    if not given.get("allowzero", 0):
        sizes = [x.shape[k] if size == 0 else size for k, size in enumerate(sizes)]
    return x.reshape(sizes)


def _split(given: Attributes, x: Any, sizes: Any = None) -> Any:
    axis = given.get("axis", 0)
    if sizes is None:
        return tuple(_torch().chunk(x, given["num_outputs"], axis))
    return tuple(_torch().split(x, _numbers(sizes), axis))


def _resize(given: Attributes, x: Any, roi: Any = None, scales: Any = None, sizes: Any = None) -> Any:
    """Nearest by whole factors, or bilinear between pixels' centres: what exported networks use."""
    way = (given.get("mode", b"nearest"), given.get("coordinate_transformation_mode", b"half_pixel"))
    wanted = (
        _numbers(sizes)[2:]
        if sizes is not None
        else [
            int(size * float(scale)) for size, scale in zip(x.shape[2:], scales.reshape(-1).tolist()[2:], strict=True)
        ]
    )
    interpolate = _torch().nn.functional.interpolate
    if way == (b"nearest", b"asymmetric") and given.get("nearest_mode") == b"floor":
        return interpolate(x, size=wanted, mode="nearest")
    if way in ((b"linear", b"half_pixel"), (b"linear", b"pytorch_half_pixel")) and min(wanted) > 1:
        return interpolate(x, size=wanted, mode="bilinear", align_corners=False)
    raise ValueError(f"Resize {way[0].decode()}, {way[1].decode()}: expected nearest and asymmetric, or linear")


def _cast(given: Attributes, x: Any) -> Any:
    import onnx

    return x.to(getattr(_torch(), np.dtype(onnx.helper.tensor_dtype_to_np_dtype(given["to"])).name))


def _constant(given: Attributes) -> Any:
    import onnx

    return _torch().from_numpy(onnx.numpy_helper.to_array(given["value"]).copy())


def _along(given: Attributes, one: Any, x: Any) -> Any:
    """A scale or zero point of one value, or of one a channel, in a shape that goes with `x`."""
    if one is None or one.ndim == 0 or one.numel() == 1:
        return 0 if one is None else one.reshape(())
    shape = [1] * x.ndim
    shape[given.get("axis", 1)] = one.numel()
    return one.reshape(shape)


def _quantise(given: Attributes, x: Any, scale: Any, zero: Any = None) -> Any:
    torch = _torch()
    kind = torch.uint8 if zero is None else zero.dtype
    limits = torch.iinfo(kind)
    steps = torch.round(x / _along(given, scale, x)) + _along(given, zero, x)
    return steps.clamp(limits.min, limits.max).to(kind)


def _dequantise(given: Attributes, x: Any, scale: Any, zero: Any = None) -> Any:
    return (x.to(scale.dtype) - _along(given, zero, x)) * _along(given, scale, x)


OPERATORS: dict[str, Callable[..., Any]] = {
    "Abs": _plain("abs"),
    "Add": _plain("add"),
    "AveragePool": _average_pool,
    "Cast": _cast,
    "Clip": lambda _, x, low=None, high=None: _torch().clamp(x, low, high),
    "Concat": lambda given, *parts: _torch().cat(parts, given["axis"]),
    "Constant": _constant,
    "Conv": _conv,
    "DequantizeLinear": _dequantise,
    "Div": _plain("div"),
    "Exp": _plain("exp"),
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda _, x: x.mean(tuple(range(2, x.ndim)), keepdim=True),
    "Identity": lambda _, x: x,
    "IsNaN": _plain("isnan"),
    "Log": _plain("log"),
    "MatMul": _plain("matmul"),
    "Max": lambda _, x, *others: _fold("maximum", x, others),
    "MaxPool": _max_pool,
    "Min": lambda _, x, *others: _fold("minimum", x, others),
    "Mul": _plain("mul"),
    "Neg": _plain("neg"),
    "Pow": _plain("pow"),
    "QuantizeLinear": _quantise,
    "ReduceLogSumExp": _reduce("logsumexp"),
    "ReduceMax": _reduce("amax"),
    "ReduceMean": _reduce("mean"),
    "ReduceMin": _reduce("amin"),
    "ReduceSum": _reduce("sum"),
    "Relu": _plain("relu"),
    "Reshape": _reshape,
    "Resize": _resize,
    "Sigmoid": _plain("sigmoid"),
    "Slice": _slice,
    "Softmax": lambda given, x: _torch().softmax(x, given.get("axis", -1)),
    "Softplus": lambda _, x: _torch().nn.functional.softplus(x, threshold=80.0),
    "Split": _split,
    "Sqrt": _plain("sqrt"),
    "Squeeze": _squeeze,
    "Sub": _plain("sub"),
    "Tanh": _plain("tanh"),
    "Transpose": lambda given, x: x.permute(given.get("perm", list(reversed(range(x.ndim))))),
    "Unsqueeze": _unsqueeze,
    "Where": lambda _, choice, x, y: _torch().where(choice, x, y),
}
"""By ONNX name; a file with any other is refused when it is opened."""


def _fold(name: str, x: Any, others: tuple[Any, ...]) -> Any:
    for other in others:
        x = getattr(_torch(), name)(x, other)
    return x
