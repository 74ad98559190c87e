"""The frame network: an encoder, a light feature pyramid and its heads, from plain convolutions."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from surgical_ml.learning.classes import SIMULATED, Classes
from surgical_ml.learning.encoders import DEFAULT_ENCODER, Encoder, check_encoder, conv, make_encoder

EMBEDDING = 112
STATE = 5
FRAME_HEADS = ("segmentation", "presence", "quality", "in_body")
"""Heads that state probabilities; each has a temperature of its own."""


def features_of(classes: Classes) -> int:
    """Length of the features that the phase network takes."""
    return EMBEDDING + len(classes.tools) + len(classes.segmentation)


FEATURES = features_of(SIMULATED)


def statistics_of(channels: tuple[int, int, int, int]) -> int:
    """Length of the statistics that novelty is told by: of the three finer maps, colours, and doubt."""
    return 2 * sum(channels[:3]) + 12 + 2


STATISTICS = statistics_of((32, 64, 96, 128))


class FrameNet(nn.Module):
    """An image in, everything that one frame shows out; `forward` gives logits, `Deployed` what is exported.

    Args:
        classes: what the heads tell apart.
        encoder: one of `encoders.ENCODERS`, or a module that fits the adapter.

    Raises:
        InputError: there is no such encoder, or it does not fit.
    """

    def __init__(self, classes: Classes = SIMULATED, encoder: str | Encoder = DEFAULT_ENCODER) -> None:
        super().__init__()
        self.classes = classes
        self.encoder = make_encoder(encoder) if isinstance(encoder, str) else encoder
        check_encoder(self.encoder)
        channels = self.encoder.channels
        self.lateral = nn.ModuleList([nn.Conv2d(inside, 48, 1) for inside in channels])
        self.smooth = nn.ModuleList([conv(48, 48, 3, groups=48) for _ in range(3)])
        self.head = nn.Sequential(conv(48, 64, 3), conv(64, 64, 3, groups=64), conv(64, 64, 1))
        self.segmentation = nn.Conv2d(64, len(classes.segmentation), 1)
        self.tips = nn.Conv2d(64, len(classes.tools), 1)
        self.pool = conv(channels[3], 320, 1)
        self.embed = nn.Sequential(nn.Linear(320 + 64, 256), nn.ReLU(inplace=True), nn.Linear(256, EMBEDDING))
        self.presence = nn.Linear(EMBEDDING, len(classes.tools))
        self.quality = nn.Linear(EMBEDDING, len(classes.qualities))
        self.in_body = nn.Linear(EMBEDDING, 1)
        # Teach the embedding what the phase network must know; neither head is exported.
        self.phase = nn.Linear(EMBEDDING, len(classes.phases))
        self.state = nn.Linear(EMBEDDING, STATE)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """(n, 3, H, W) normalised RGB to logits; `statistics` (n, `statistics_of`) describes the picture for novelty."""
        c2, c3, c4, c5 = self.encoder(image)
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
    """What `frame.onnx` holds: calibrated probabilities, features, and the novelty distance in units of its limit.

    Args:
        net: trained.
        mean: (k, `statistics_of`) of each kind of training picture (clean, disturbed).
        whiten: (k, `statistics_of`, `statistics_of`) to uncorrelated unit directions of that kind.
        limit: (k,) the squared distance that counts as 1; novelty is the distance to the nearest kind.
        temperatures: head -> what its logits are divided by; 1 where none is given. Features are as they were trained.
    """

    def __init__(
        self,
        net: FrameNet,
        mean: Tensor,
        whiten: Tensor,
        limit: Tensor,
        temperatures: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        for head in FRAME_HEADS:
            value = 1.0 if temperatures is None else temperatures.get(head, 1.0)
            self.register_buffer(f"temperature_{head}", torch.tensor(float(value)))
        self.net = net
        self.register_buffer("mean", mean)
        self.register_buffer("whiten", whiten)
        self.register_buffer("limit", limit)

    def novelty(self, statistics: Tensor) -> Tensor:
        """(n, `statistics_of`) to (n, 1)."""
        kinds = [
            ((statistics - self.mean[k]) @ self.whiten[k]).square().mean(1, keepdim=True) / self.limit[k]
            for k in range(self.mean.shape[0])
        ]
        return torch.sqrt(torch.amin(torch.cat(kinds, 1), 1, keepdim=True))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Segmentation logits, presence, tips, quality, in_body, features, novelty; in this order."""
        out = self.net(image)
        return (
            out["segmentation"] / self.temperature_segmentation,
            torch.sigmoid(out["presence"] / self.temperature_presence),
            torch.sigmoid(out["tips"]),
            torch.sigmoid(out["quality"] / self.temperature_quality),
            torch.sigmoid(out["in_body"] / self.temperature_in_body),
            out["features"],
            self.novelty(out["statistics"]),
        )
