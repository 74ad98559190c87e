"""The phase network: one gated recurrent step that knows how much time has passed.

A unit forgets by exp(-dt / tau) besides its gate, with time constants from 0.3 s to 5 min, so that frames that were dropped
or withheld change nothing but how old the memory is. Written out as plain products: an exported graph holds no GRU, no loop.
"""

import torch
from torch import Tensor, nn

from surgical_ml.simulation import PHASES

HIDDEN = 128


class PhaseNet(nn.Module):
    """features (n, f), dt (n, 1) seconds, reset (n, 1), state (n, `HIDDEN`) to phase scores and the new state."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.inward = nn.Sequential(nn.Linear(features, 128), nn.ReLU(), nn.Linear(128, 96), nn.ReLU())
        self.gate = nn.Linear(96 + HIDDEN, HIDDEN)
        self.forget = nn.Linear(96 + HIDDEN, HIDDEN)
        self.candidate = nn.Linear(96 + HIDDEN, HIDDEN)
        self.register_buffer("rate", 1.0 / torch.logspace(-0.5, 2.5, HIDDEN))
        self.out = nn.Sequential(nn.Linear(96 + HIDDEN, 96), nn.ReLU())
        self.phase = nn.Linear(96, len(PHASES))
        self.next_phase = nn.Linear(96, len(PHASES))
        self.progress = nn.Linear(96, 1)
        self.boundary = nn.Linear(96, 1)

    def forward(self, features: Tensor, dt: Tensor, reset: Tensor, state: Tensor) -> tuple[Tensor, ...]:
        """Logits of phase, next phase, progress and boundary, and the new state, which stays within -1..1."""
        state = state.clamp(-1.0, 1.0) * (1.0 - reset.clamp(0.0, 1.0))
        x = self.inward(features.clamp(-20.0, 20.0))
        both = torch.cat([x, state], 1)
        # How much of a unit is renewed in dt; at least a little, so that a first frame already counts.
        renewed = 1.0 - torch.exp(-(dt.clamp(0.0, 60.0) + 0.02) * self.rate)
        candidate = torch.tanh(self.candidate(torch.cat([x, torch.sigmoid(self.forget(both)) * state], 1)))
        share = torch.sigmoid(self.gate(both)) * renewed
        new_state = state + share * (candidate - state)
        seen = self.out(torch.cat([x, new_state], 1))
        return self.phase(seen), self.next_phase(seen), self.progress(seen), self.boundary(seen), new_state


class DeployedPhase(nn.Module):
    """What `phase.onnx` holds: probabilities."""

    def __init__(self, net: PhaseNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, features: Tensor, dt: Tensor, reset: Tensor, state: Tensor) -> tuple[Tensor, ...]:
        """phase, next_phase, progress, boundary, new_state."""
        phase, next_phase, progress, boundary, new_state = self.net(features, dt, reset, state)
        return (
            torch.softmax(phase, 1),
            torch.softmax(next_phase, 1),
            torch.sigmoid(progress),
            torch.sigmoid(boundary),
            new_state,
        )
