"""The phase network: one step that takes what a frame showed and how much time has passed, and keeps a state of fixed size.

What remembers is its core, and there are three of them, to be compared on equal terms:

    gated    a recurrence whose units forget by exp(-dt / tau) besides their gate, with time constants from 0.3 s to 5 min,
             so that frames that were dropped or withheld change nothing but how old the memory is
    dilated  causal dilated convolutions over the last 127 steps, each layer with a ring of its own past
    both     the convolutions, and the recurrence over what they see

Each is written out as plain products, cuts and joins: an exported graph holds no GRU, no loop, no scatter.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from surgical_ml.errors import InputError
from surgical_ml.learning.classes import SIMULATED, Classes

HIDDEN = 128
INWARD = 96
_DILATIONS = (1, 2, 4, 8, 16, 32)
_LARGEST = 20.0
"""Where anything that is remembered ends, so that no garbage can grow in it."""


class Core(nn.Module):
    """Remembers. `width` is the length of its state, `seen` of what it gives; all state is zero at the start of a case."""

    width: int
    seen: int

    def forward(self, x: Tensor, dt: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """From x (n, inside), dt (n, 1) seconds, state (n, width) to what it sees (n, seen) and the new state."""
        raise NotImplementedError

    def whole(self, x: Tensor, dt: Tensor) -> Tensor:
        """What it sees of whole cases at once: x (n, t, inside), dt (n, t, 1) to (n, t, seen), as step by step."""
        state, seen = x.new_zeros(len(x), self.width), []
        for k in range(x.shape[1]):
            y, state = self(x[:, k], dt[:, k], state)
            seen.append(y)
        return torch.stack(seen, 1)


class GatedCore(Core):
    """The recurrence that knows how much time has passed; its state stays within -1..1."""

    def __init__(self, inside: int, width: int = HIDDEN) -> None:
        super().__init__()
        self.width, self.seen = width, inside + width
        self.gate = nn.Linear(inside + width, width)
        self.forget = nn.Linear(inside + width, width)
        self.candidate = nn.Linear(inside + width, width)
        self.register_buffer("rate", 1.0 / torch.logspace(-0.5, 2.5, width))

    def forward(self, x: Tensor, dt: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """As `Core`."""
        state = state.clamp(-1.0, 1.0)
        both = torch.cat([x, state], 1)
        # How much of a unit is renewed in dt; at least a little, so that a first frame already counts.
        renewed = 1.0 - torch.exp(-(dt + 0.02) * self.rate)
        candidate = torch.tanh(self.candidate(torch.cat([x, torch.sigmoid(self.forget(both)) * state], 1)))
        share = torch.sigmoid(self.gate(both)) * renewed
        new_state = state + share * (candidate - state)
        return torch.cat([x, new_state], 1), new_state


class DilatedCore(Core):
    """Causal convolutions of kernel 3; layer k looks back 1, 2, ... 32 and twice as many steps into its ring."""

    def __init__(self, inside: int, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.width, self.seen = 2 * sum(_DILATIONS) * channels, inside + channels
        self.enter = nn.Linear(inside, channels)
        self.taps = nn.ModuleList([nn.Linear(3 * channels, channels) for _ in _DILATIONS])
        self.leave = nn.ModuleList([nn.Linear(channels, channels) for _ in _DILATIONS])

    def forward(self, x: Tensor, dt: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """As `Core`; each ring is moved on by one step, its oldest entry falling out."""
        y, rings, at = self.enter(x), [], 0
        for dilation, taps, leave in zip(_DILATIONS, self.taps, self.leave, strict=True):
            long = 2 * dilation * self.channels
            ring = state[:, at : at + long]
            at += long
            middle = dilation * self.channels
            now = y.clamp(-_LARGEST, _LARGEST)
            looked = torch.cat([ring[:, : self.channels], ring[:, middle : middle + self.channels], now], 1)
            rings += [ring[:, self.channels :], now]
            y = y + leave(torch.relu(taps(looked)))
        return torch.cat([x, y.clamp(-_LARGEST, _LARGEST)], 1), torch.cat(rings, 1)

    def whole(self, x: Tensor, dt: Tensor) -> Tensor:
        """As `Core`, all steps side by side: training takes a tenth of the time that moving the rings would."""
        y, t = self.enter(x), x.shape[1]
        for dilation, taps, leave in zip(_DILATIONS, self.taps, self.leave, strict=True):
            past = F.pad(y.clamp(-_LARGEST, _LARGEST), (0, 0, 2 * dilation, 0))
            looked = torch.cat([past[:, :t], past[:, dilation : dilation + t], past[:, 2 * dilation :]], 2)
            y = y + leave(torch.relu(taps(looked)))
        return torch.cat([x, y.clamp(-_LARGEST, _LARGEST)], 2)


class BothCores(Core):
    """The convolutions, and the recurrence over the input and what they see of it."""

    def __init__(self, inside: int, channels: int, width: int) -> None:
        super().__init__()
        self.dilated = DilatedCore(inside, channels)
        self.gated = GatedCore(self.dilated.seen, width)
        self.width, self.seen = self.dilated.width + width, self.gated.seen

    def forward(self, x: Tensor, dt: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """As `Core`."""
        rings, memory = state[:, : self.dilated.width], state[:, self.dilated.width :]
        y, rings = self.dilated(x, dt, rings)
        y, memory = self.gated(y, dt, memory)
        return y, torch.cat([rings, memory], 1)

    def whole(self, x: Tensor, dt: Tensor) -> Tensor:
        """As `Core`."""
        return self.gated.whole(self.dilated.whole(x, dt), dt)


CORES: dict[str, Callable[[int], Core]] = {
    # widths that give each network the same number of weights, within 1 %
    "gated": GatedCore,
    "dilated": lambda inside: DilatedCore(inside, 60),
    "both": lambda inside: BothCores(inside, 40, 72),
}
DEFAULT_CORE = "gated"


class PhaseNet(nn.Module):
    """features (n, f), dt (n, 1) seconds, reset (n, 1), state (n, `width`) to phase scores and the new state.

    Args:
        features: f.
        classes: whose phases it tells apart.
        core: one of `CORES`.

    Raises:
        InputError: there is no such core.
    """

    def __init__(self, features: int, classes: Classes = SIMULATED, core: str = DEFAULT_CORE) -> None:
        super().__init__()
        if core not in CORES:
            raise InputError("core", f"one of {', '.join(CORES)}", core)
        self.features = features
        self.inward = nn.Sequential(nn.Linear(features, 128), nn.ReLU(), nn.Linear(128, INWARD), nn.ReLU())
        self.core = CORES[core](INWARD + 1)
        self.width = self.core.width
        self.out = nn.Sequential(nn.Linear(self.core.seen, 96), nn.ReLU())
        self.phase = nn.Linear(96, len(classes.phases))
        self.next_phase = nn.Linear(96, len(classes.phases))
        self.progress = nn.Linear(96, 1)
        self.boundary = nn.Linear(96, 1)

    def forward(self, features: Tensor, dt: Tensor, reset: Tensor, state: Tensor) -> tuple[Tensor, ...]:
        """Logits of phase, next phase, progress and boundary, and the new state; finite whatever comes in."""
        state = _tamed(state) * (1.0 - _tamed(reset).clamp(0.0, 1.0))
        seen, new_state = self.core(*self._enter(features, dt), state)
        return *self._heads(seen), new_state

    def whole(self, features: Tensor, dt: Tensor) -> tuple[Tensor, ...]:
        """The logits of whole cases, from their beginning: features (n, t, f), dt (n, t) to (n, t, values) each."""
        return self._heads(self.core.whole(*self._enter(features, dt[..., None])))

    def _enter(self, features: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
        """Every core is told the time that has passed; the recurrence also lives by it."""
        dt = _tamed(dt, 60.0).clamp_min(0.0)
        return torch.cat([self.inward(_tamed(features)), torch.log1p(dt)], -1), dt

    def _heads(self, seen: Tensor) -> tuple[Tensor, ...]:
        seen = self.out(seen)
        return self.phase(seen), self.next_phase(seen), self.progress(seen), self.boundary(seen)


def _tamed(x: Tensor, largest: float = _LARGEST) -> Tensor:
    """Within bounds, and 0 in the place of what is no number."""
    return torch.where(torch.isnan(x), torch.zeros_like(x), x).clamp(-largest, largest)


PHASE_HEADS = ("phase", "next_phase", "boundary")
"""Heads that state probabilities; each has a temperature of its own."""


class DeployedPhase(nn.Module):
    """What `phase.onnx` holds: probabilities.

    Args:
        net: trained.
        temperatures: head -> what its logits are divided by; 1 where none is given.
    """

    def __init__(self, net: PhaseNet, temperatures: dict[str, float] | None = None) -> None:
        super().__init__()
        self.net = net
        for head in PHASE_HEADS:
            self.register_buffer(f"temperature_{head}", torch.tensor(float((temperatures or {}).get(head, 1.0))))

    def forward(self, features: Tensor, dt: Tensor, reset: Tensor, state: Tensor) -> tuple[Tensor, ...]:
        """phase, next_phase, progress, boundary, new_state."""
        phase, next_phase, progress, boundary, new_state = self.net(features, dt, reset, state)
        return (
            torch.softmax(phase / self.temperature_phase, 1),
            torch.softmax(next_phase / self.temperature_next_phase, 1),
            torch.sigmoid(progress),
            torch.sigmoid(boundary / self.temperature_boundary),
            new_state,
        )
