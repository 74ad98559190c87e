"""Random cases through a phase network, step by step, each on the state that the network itself gave."""

from collections.abc import Iterator

import numpy as np

from surgical_ml.engine import Engine, Tensor


def shape(engine: Engine, name: str) -> tuple[int, ...]:
    return next(spec.shape for spec in engine.inputs if spec.name == name)


def stepped(engine: Engine, features: Tensor, dt_s: float, state: Tensor, *, reset: bool = False) -> dict[str, Tensor]:
    scalars = {name: np.full((1, 1), value, np.float32) for name, value in (("dt", dt_s), ("reset", float(reset)))}
    return engine.run({"features": features, "state": state, **scalars})


def walk(
    engine: Engine, seed: int, count: int, state: Tensor | None = None, start: int = 0
) -> Iterator[dict[str, Tensor]]:
    """Steps of a random case, each on the engine's own state."""
    rng = np.random.default_rng(seed)
    fresh = state is None
    held = np.zeros(shape(engine, "state"), np.float32) if state is None else state
    slow = rng.normal(0.0, 1.5, (8, *shape(engine, "features"))).astype(np.float32)
    for k in range(count):
        features = slow[(k // 97) % 8] + rng.normal(0.0, 0.5, shape(engine, "features")).astype(np.float32)
        dt_s = float(rng.choice([0.04, 0.2, 3.0]))
        if k < start:
            continue
        out = stepped(engine, features, dt_s, held, reset=fresh and k == 0)
        held = out["new_state"]
        yield out


def walk_together(left: Engine, right: Engine, count: int) -> tuple[int, float]:
    """On how many steps both give the same likeliest phase, and how far apart their states ever are."""
    same, farthest = 0, 0.0
    for one, other in zip(walk(left, 1, count), walk(right, 1, count), strict=True):
        same += int(one["phase"].argmax()) == int(other["phase"].argmax())
        farthest = max(farthest, float(np.abs(one["new_state"] - other["new_state"]).max()))
    return same, farthest
