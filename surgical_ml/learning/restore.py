"""Back from an exported network to one that can be trained on: what a hospital continues from with its own data."""

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from surgical_ml.errors import InputError
from surgical_ml.learning.frame_net import FrameNet

_ONLY_IN_TRAINING = ("phase.", "state.")
"""Heads that teach the embedding and are not exported; they begin anew."""


@torch.no_grad()
def restore_frame_net(
    path: Path, images: Tensor, net: FrameNet | None = None, *, anew: tuple[str, ...] = ()
) -> FrameNet:
    """The trainable network of a `frame.onnx`; it computes what the file computes.

    Export folds each batch normalisation into its convolution. Here each gets back the mean and deviation that the
    convolution has over `images`, and a scale and shift that undo them: the same function, in a form that training
    can go on from.

    Args:
        path: the exported network.
        images: (n, 3, H, W) float32, normalised; some dozens of the pictures that it will be trained on.
        net: where to put the weights; None for a network of the shipped classes and encoder.
        anew: parts of `net` that keep the weights they have: heads of other classes than the file's.

    Raises:
        InputError: the file is not an export of this network.
    """
    stored = {
        one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in onnx.load(path).graph.initializer
    }
    net = (net or FrameNet()).eval()

    def of_file(name: str) -> Tensor | None:
        # Encoders had no name of their own before there were several of them.
        return stored.get(f"net.{name}", stored.get(f"net.{name.removeprefix('encoder.')}"))

    folded: dict[nn.Module, tuple[nn.Module, Tensor]] = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.Sequential) and len(module) > 1 and isinstance(module[1], nn.BatchNorm2d):
            bias = of_file(f"{name}.0.weight_bias")
            if bias is None:
                raise InputError(path, f"a folded convolution net.{name}.0", "none")
            folded[module[0]] = (module[1], bias)
    for name, parameter in net.named_parameters():
        if name.startswith((*_ONLY_IN_TRAINING, *anew)) or _of_batch_norm(net, name):
            continue
        value = of_file(name)
        if value is None or value.shape != parameter.shape:
            found = "none" if value is None else f"shape {tuple(value.shape)}"
            raise InputError(path, f"net.{name} of shape {tuple(parameter.shape)}", found)
        parameter.copy_(value)
    hooks = [conv.register_forward_hook(_undo(norm, bias)) for conv, (norm, bias) in folded.items()]
    net(images)
    for hook in hooks:
        hook.remove()
    return net


def _undo(norm: nn.BatchNorm2d, bias: Tensor):  # type: ignore[no-untyped-def]
    """A hook that sets a batch normalisation so that it adds `bias` to what its convolution gives, and nothing else."""

    def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        mean, variance = output.mean((0, 2, 3)), output.var((0, 2, 3))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(bias + mean)

    return hook


def _of_batch_norm(net: nn.Module, parameter: str) -> bool:
    return isinstance(net.get_submodule(parameter.rpartition(".")[0]), nn.BatchNorm2d)
