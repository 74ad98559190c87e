"""Encoders of the frame network: any module that makes four feature maps, at strides 4, 8, 16 and 32, of an image.

Sources: MobileNetV4-conv-small is Qin et al. 2024, table "MNv4-Conv-S", one universal inverted bottleneck a row.
DDRNet-23-slim is Hong et al. 2021 (arXiv 2101.06085), table 1, with its pyramid pooling; its detail branch, which the paper
ends in a classifier, is the map at stride 8 here, and its context, pooled at stride 64, the one at stride 32.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from surgical_ml.errors import InputError

STRIDES = (4, 8, 16, 32)

_UIB = {
    # stage: (out, start kernel or 0, middle kernel or 0, stride, expansion)
    "third": [(96, 5, 5, 2, 3.0), (96, 0, 3, 1, 2.0), (96, 0, 3, 1, 2.0), (96, 0, 3, 1, 2.0), (96, 3, 0, 1, 4.0)],
    "fourth": [(128, 3, 3, 2, 6.0), (128, 5, 5, 1, 4.0), (128, 0, 5, 1, 4.0), (128, 0, 5, 1, 3.0), (128, 0, 3, 1, 4.0)],
}


class Encoder(nn.Module):
    """The adapter: `channels` of its four maps, and `forward` from (n, 3, h, w) to the maps (n, c, h / s, w / s)."""

    channels: tuple[int, int, int, int]

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Four maps at `STRIDES`."""
        raise NotImplementedError


def conv(inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True) -> nn.Sequential:
    """A convolution without bias, its batch normalisation, and ReLU where `act`."""
    layers: list[nn.Module] = [
        nn.Conv2d(inside, outside, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outside),
    ]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if act else []))


class InvertedBottleneck(nn.Module):
    """MobileNetV4's universal block: optional depthwise, expansion, optional depthwise, projection; residual if it fits."""

    def __init__(self, inside: int, outside: int, start: int, middle: int, stride: int, expansion: float) -> None:
        super().__init__()
        wide = round(inside * expansion)
        layers: list[nn.Module] = []
        if start:
            layers.append(conv(inside, inside, start, 1 if middle else stride, inside, act=False))
        layers.append(conv(inside, wide, 1))
        if middle:
            layers.append(conv(wide, wide, middle, stride, wide))
        layers.append(conv(wide, outside, 1, act=False))
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        """(n, inside, h, w) to (n, outside, h / stride, w / stride)."""
        return x + self.layers(x) if self.residual else self.layers(x)


def _stage(inside: int, rows: list[tuple[int, int, int, int, float]]) -> nn.Sequential:
    blocks = []
    for outside, start, middle, stride, expansion in rows:
        blocks.append(InvertedBottleneck(inside, outside, start, middle, stride, expansion))
        inside = outside
    return nn.Sequential(*blocks)


class MobileNetV4ConvSmall(Encoder):
    """Light enough for a CPU at the rate of the video."""

    channels = (32, 64, 96, 128)

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 32, 3, 2)
        self.first = nn.Sequential(conv(32, 32, 3, 2), conv(32, 32, 1))
        self.second = nn.Sequential(conv(32, 96, 3, 2), conv(96, 64, 1))
        self.third = _stage(64, _UIB["third"])
        self.fourth = _stage(96, _UIB["fourth"])

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Four maps at `STRIDES`."""
        c2 = self.first(self.stem(image))
        c3 = self.second(c2)
        c4 = self.third(c3)
        return c2, c3, c4, self.fourth(c4)


class Residual(nn.Module):
    """Two or three convolutions beside a short cut; the last has no activation of its own."""

    def __init__(self, layers: Sequence[nn.Module], inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        fits = stride == 1 and inside == outside
        self.short = nn.Identity() if fits else conv(inside, outside, 1, stride, act=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inside, h, w) to (n, outside, h / stride, w / stride), before the activation."""
        return self.layers(x) + self.short(x)


def _basic(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    """Two basic blocks; what follows activates."""
    first = Residual([conv(inside, outside, 3, stride), conv(outside, outside, 3, act=False)], inside, outside, stride)
    second = Residual([conv(outside, outside, 3), conv(outside, outside, 3, act=False)], outside, outside, 1)
    return nn.Sequential(first, nn.ReLU(inplace=False), second)


def _bottleneck(inside: int, middle: int, stride: int = 1) -> Residual:
    layers = [conv(inside, middle, 1), conv(middle, middle, 3, stride), conv(middle, 2 * middle, 1, act=False)]
    return Residual(layers, inside, 2 * middle, stride)


class PyramidPooling(nn.Module):
    """Deep aggregation pyramid pooling: context at five scales, each seeing the one below it."""

    def __init__(self, inside: int, middle: int, outside: int) -> None:
        super().__init__()
        self.pools = nn.ModuleList([nn.AvgPool2d(kernel, stride, kernel // 2) for kernel, stride in _POOLS])
        self.scales = nn.ModuleList([conv(inside, middle, 1) for _ in range(len(_POOLS) + 2)])
        self.mixes = nn.ModuleList([conv(middle, middle, 3) for _ in range(len(_POOLS) + 1)])
        self.out = conv(middle * (len(_POOLS) + 2), outside, 1)
        self.short = conv(inside, outside, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inside, h, w) to (n, outside, h, w)."""
        size = x.shape[-2:]
        seen = [self.scales[0](x)]
        pooled = [pool(x) for pool in self.pools] + [x.mean((2, 3), keepdim=True)]
        for scale, mix, part in zip(self.scales[1:], self.mixes, pooled, strict=True):
            seen.append(mix(F.interpolate(scale(part), size=size, mode="bilinear", align_corners=False) + seen[-1]))
        return self.out(torch.cat(seen, 1)) + self.short(x)


_POOLS = ((5, 2), (9, 4), (17, 8))


class DDRNet23Slim(Encoder):
    """The accuracy net: a branch that keeps detail at stride 8, beside one that gathers context, fused twice."""

    channels = (32, 128, 128, 128)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 32, 3, 2), conv(32, 32, 3, 2))
        self.quarter = _basic(32, 32)
        self.eighth = _basic(32, 64, 2)
        self.context3, self.detail3 = _basic(64, 128, 2), _basic(64, 64)
        self.up3, self.down3 = conv(128, 64, 1, act=False), conv(64, 128, 3, 2, act=False)
        self.context4, self.detail4 = _basic(128, 256, 2), _basic(64, 64)
        self.up4 = conv(256, 64, 1, act=False)
        self.down4 = nn.Sequential(conv(64, 128, 3, 2), conv(128, 256, 3, 2, act=False))
        self.context5, self.detail5 = _bottleneck(256, 256, 2), _bottleneck(64, 64)
        self.pooling = PyramidPooling(512, 128, 128)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Four maps at `STRIDES`."""
        c2 = torch.relu(self.quarter(self.stem(image)))
        shared = torch.relu(self.eighth(c2))
        context, detail = torch.relu(self.context3(shared)), self.detail3(shared)
        c4 = torch.relu(context + self.down3(torch.relu(detail)))
        detail = detail + _resized(self.up3(context), detail)
        context, detail = torch.relu(self.context4(c4)), self.detail4(torch.relu(detail))
        wide = torch.relu(context + self.down4(torch.relu(detail)))
        detail = self.detail5(torch.relu(detail + _resized(self.up4(context), detail)))
        deep = self.pooling(torch.relu(self.context5(wide)))
        return c2, torch.relu(detail), c4, torch.relu(_resized(deep, wide))


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


ENCODERS: dict[str, Callable[[], Encoder]] = {
    "mobilenetv4-conv-small": MobileNetV4ConvSmall,
    "ddrnet-23-slim": DDRNet23Slim,
}
DEFAULT_ENCODER = "mobilenetv4-conv-small"


def make_encoder(name: str) -> Encoder:
    """An encoder by its name, without weights.

    Raises:
        InputError: there is none of this name.
    """
    if name not in ENCODERS:
        raise InputError("encoder", f"one of {', '.join(ENCODERS)}", name)
    return ENCODERS[name]()


@torch.no_grad()
def check_encoder(encoder: nn.Module) -> None:
    """Whether a module can stand in as the frame network's encoder.

    Raises:
        InputError: it does not give four maps of its `channels` at `STRIDES` for an image of 64 x 128.
    """
    training = encoder.training
    maps = encoder.eval()(torch.zeros(1, 3, 64, 128))
    encoder.train(training)
    expected = [(1, c, 64 // s, 128 // s) for c, s in zip(getattr(encoder, "channels", ()), STRIDES, strict=False)]
    found = [tuple(one.shape) for one in maps]
    if len(expected) != len(STRIDES) or found != expected:
        raise InputError(type(encoder).__name__, f"maps of {expected or 'its four channels'}", f"{found}")
