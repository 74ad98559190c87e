"""The frame network: MobileNetV4-conv-small and a light feature pyramid, from plain convolutions.

Source of the encoder: Qin et al., MobileNetV4, 2024, table "MNv4-Conv-S"; one universal inverted bottleneck a row.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from surgical_ml.simulation import CLASSES, PHASES, QUALITIES, TOOLS

EMBEDDING = 112
FEATURES = EMBEDDING + len(TOOLS) + len(CLASSES)
STATE = 5
STATISTICS = 2 * (32 + 64 + 96) + 12 + 2

_UIB = {
    # stage: (out, start kernel or 0, middle kernel or 0, stride, expansion)
    "third": [(96, 5, 5, 2, 3.0), (96, 0, 3, 1, 2.0), (96, 0, 3, 1, 2.0), (96, 0, 3, 1, 2.0), (96, 3, 0, 1, 4.0)],
    "fourth": [(128, 3, 3, 2, 6.0), (128, 5, 5, 1, 4.0), (128, 0, 5, 1, 4.0), (128, 0, 5, 1, 3.0), (128, 0, 3, 1, 4.0)],
}


def _conv(inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True) -> nn.Sequential:
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
            layers.append(_conv(inside, inside, start, 1 if middle else stride, inside, act=False))
        layers.append(_conv(inside, wide, 1))
        if middle:
            layers.append(_conv(wide, wide, middle, stride, wide))
        layers.append(_conv(wide, outside, 1, act=False))
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


class FrameNet(nn.Module):
    """An image in, everything that one frame shows out; `forward` gives logits, `Deployed` what is exported."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, 32, 3, 2)
        self.first = nn.Sequential(_conv(32, 32, 3, 2), _conv(32, 32, 1))
        self.second = nn.Sequential(_conv(32, 96, 3, 2), _conv(96, 64, 1))
        self.third = _stage(64, _UIB["third"])
        self.fourth = _stage(96, _UIB["fourth"])
        self.lateral = nn.ModuleList([nn.Conv2d(channels, 48, 1) for channels in (32, 64, 96, 128)])
        self.smooth = nn.ModuleList([_conv(48, 48, 3, groups=48) for _ in range(3)])
        self.head = nn.Sequential(_conv(48, 64, 3), _conv(64, 64, 3, groups=64), _conv(64, 64, 1))
        self.segmentation = nn.Conv2d(64, len(CLASSES), 1)
        self.tips = nn.Conv2d(64, len(TOOLS), 1)
        self.pool = _conv(128, 320, 1)
        self.embed = nn.Sequential(nn.Linear(320 + 64, 256), nn.ReLU(inplace=True), nn.Linear(256, EMBEDDING))
        self.presence = nn.Linear(EMBEDDING, len(TOOLS))
        self.quality = nn.Linear(EMBEDDING, len(QUALITIES))
        self.in_body = nn.Linear(EMBEDDING, 1)
        # Teach the embedding what the phase network must know; neither head is exported.
        self.phase = nn.Linear(EMBEDDING, len(PHASES))
        self.state = nn.Linear(EMBEDDING, STATE)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """(n, 3, 192, 320) normalised RGB to logits; `statistics` (n, `STATISTICS`) describes the picture for novelty."""
        stem = self.stem(image)
        c2 = self.first(stem)
        c3 = self.second(c2)
        c4 = self.third(c3)
        c5 = self.fourth(c4)
        x = self.lateral[3](c5)
        for k, skip in ((2, c4), (1, c3), (0, c2)):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest") + self.lateral[k](skip)
            x = self.smooth[k](x)
        grid = self.head(x)
        embedding = self.embed(torch.cat([self.pool(c5).mean((2, 3)), grid.mean((2, 3))], 1))
        segmentation = self.segmentation(grid)
        presence = self.presence(embedding)
        area = torch.softmax(segmentation, 1).mean((2, 3))
        return {
            "segmentation": segmentation,
            "tips": self.tips(grid),
            "presence": presence,
            "quality": self.quality(embedding),
            "in_body": self.in_body(embedding),
            "phase": self.phase(embedding),
            "state": self.state(embedding),
            "features": torch.cat([embedding, torch.sigmoid(presence) * 4 - 2, torch.sqrt(area + 1e-6) * 4], 1),
            "statistics": torch.cat([*(_moments(c) for c in (c2, c3, c4)), _colour(image), _doubt(segmentation)], 1),
        }


def _moments(x: Tensor) -> Tensor:
    """Mean and deviation over the picture of each channel: (n, 2 c)."""
    mean = x.mean((2, 3))
    return torch.cat([mean, torch.sqrt(((x - mean[:, :, None, None]) ** 2).mean((2, 3)) + 1e-6)], 1)


def _colour(image: Tensor) -> Tensor:
    """Mean and deviation of RGB, and the strength of fine and of coarse detail in each: (n, 12)."""
    fine = (image - F.avg_pool2d(image, 3, 1, 1)).abs().mean((2, 3))
    small = F.avg_pool2d(image, 4)
    coarse = (small - F.avg_pool2d(small, 3, 1, 1)).abs().mean((2, 3))
    return torch.cat([_moments(image), torch.log(fine + 1e-3), torch.log(coarse + 1e-3)], 1)


def _doubt(segmentation: Tensor) -> Tensor:
    """How unsure the segmentation is: entropy and energy, each the mean over the picture: (n, 2)."""
    p = torch.softmax(segmentation, 1)
    entropy = -(p * torch.log(p + 1e-6)).sum(1).mean((1, 2))
    return torch.stack([entropy, torch.logsumexp(segmentation, 1).mean((1, 2))], 1)


class Deployed(nn.Module):
    """What `frame.onnx` holds: probabilities, features, and the novelty distance in units of its calibrated limit.

    Args:
        net: trained.
        mean: (k, `STATISTICS`) of each kind of training picture (clean, disturbed).
        whiten: (k, `STATISTICS`, `STATISTICS`) to uncorrelated unit directions of that kind.
        limit: (k,) the squared distance that counts as 1; novelty is the distance to the nearest kind.
    """

    def __init__(self, net: FrameNet, mean: Tensor, whiten: Tensor, limit: Tensor) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", mean)
        self.register_buffer("whiten", whiten)
        self.register_buffer("limit", limit)

    def novelty(self, statistics: Tensor) -> Tensor:
        """(n, `STATISTICS`) to (n, 1)."""
        kinds = [
            ((statistics - self.mean[k]) @ self.whiten[k]).square().mean(1, keepdim=True) / self.limit[k]
            for k in range(self.mean.shape[0])
        ]
        return torch.sqrt(torch.amin(torch.cat(kinds, 1), 1, keepdim=True))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Segmentation logits, presence, tips, quality, in_body, features, novelty; in this order."""
        out = self.net(image)
        return (
            out["segmentation"],
            torch.sigmoid(out["presence"]),
            torch.sigmoid(out["tips"]),
            torch.sigmoid(out["quality"]),
            torch.sigmoid(out["in_body"]),
            out["features"],
            self.novelty(out["statistics"]),
        )
