"""Least squares with parameters that all observations share and parameters of one observation each.

Every estimate of this room is one such problem: a lens and one board pose a view; a hand-eye pose and nothing else;
a scope's axis and one turn a view. Levenberg-Marquardt on normal equations from which each observation's own
parameters are eliminated (Schur complement), so that the cost grows with the number of views and not with its cube.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from surgical_ml.calibration.rigid import Floats

# Takes the shared parameters (n,) and its own (k,); gives residuals (m,) in units of their standard deviation (or
# all in one unit) and their derivatives, (m, n) and (m, k).
Observation = Callable[[Floats, Floats], tuple[Floats, Floats, Floats]]
CONVERGED = 1e-9  # relative change of the sum of squares
SINGULAR = 1e-13  # smallest over largest eigenvalue of the normal equations, scaled to unit diagonal


@dataclass(frozen=True, slots=True, eq=False)
class Adjusted:
    """A solved problem.

    Attributes:
        shared: (n,) the shared parameters.
        own: each observation's own, (k,).
        residuals: each observation's, (m,).
        cofactor: (n, n) covariance of `shared` for residuals of unit variance; zero where a parameter was held.
        variance: sum of squares over degrees of freedom: what scales `cofactor` where the noise is not known.
        converged: whether the sum of squares stopped falling before the iterations ran out.
        singular: whether some combination of shared parameters makes no difference to the residuals.
        weakest: (n,) unit direction, in scaled parameters, that makes the least difference.
    """

    shared: Floats
    own: tuple[Floats, ...]
    residuals: tuple[Floats, ...]
    cofactor: Floats
    variance: float
    converged: bool
    singular: bool
    weakest: Floats

    @property
    def covariance(self) -> Floats:
        """(n, n) covariance of the shared parameters, its scale estimated from the residuals."""
        return self.cofactor * self.variance


def adjust(
    observations: Sequence[Observation],
    shared: Floats,
    own: Sequence[Floats],
    free: Sequence[bool] | None = None,
    iterations: int = 50,
) -> Adjusted:
    """Minimise the sum of squared residuals from a start close enough.

    Args:
        observations: the problem.
        shared: (n,) where the shared parameters start.
        own: where each observation's own parameters start; arrays of length 0 where it has none.
        free: which shared parameters may change; all by default.
        iterations: at most this many accepted steps.

    Returns:
        The solution; look at `converged` and `singular` before trusting it.
    """
    moving = np.flatnonzero(np.ones(shared.size, bool) if free is None else np.asarray(free))
    at, locals_ = np.array(shared, float), [np.array(each, float) for each in own]
    equations = _Equations.of(observations, at, locals_, moving)
    damping, converged = 1e-4, False
    for _ in range(iterations):
        accepted = False
        while not accepted and damping < 1e12:
            step, local_steps = equations.step(damping)
            tried = at.copy()
            tried[moving] += step
            tried_locals = [each + change for each, change in zip(locals_, local_steps, strict=True)]
            found = _Equations.of(observations, tried, tried_locals, moving)
            if found.cost <= equations.cost:
                accepted = True
            else:
                damping *= 10
        if not accepted:
            converged = True  # no direction lowers the sum of squares: this is the bottom, to rounding
            break
        gained = equations.cost - found.cost
        at, locals_, equations = tried, tried_locals, found
        damping = max(damping / 10, 1e-12)
        if gained <= CONVERGED * (equations.cost + 1e-30):
            converged = True
            break
    return equations.solution(at, locals_, moving, converged)


@dataclass(frozen=True, slots=True, eq=False)
class _Equations:
    """Normal equations at one point: shared part, and per observation the coupling and its own part."""

    cost: float
    residuals: list[Floats]
    normal: Floats
    gradient: Floats
    couplings: list[tuple[Floats, Floats, Floats]]

    @classmethod
    def of(
        cls,
        observations: Sequence[Observation],
        shared: Floats,
        own: Sequence[Floats],
        moving: "np.typing.NDArray[np.intp]",
    ) -> "_Equations":
        n = moving.size
        normal, gradient, cost = np.zeros((n, n)), np.zeros(n), 0.0
        residuals, couplings = [], []
        with np.errstate(over="ignore", invalid="ignore"):
            for observe, local in zip(observations, own, strict=True):
                r, by_shared, by_own = observe(shared, local)
                j = by_shared[:, moving]
                residuals.append(r)
                cost += float(r @ r)
                normal += j.T @ j
                gradient += j.T @ r
                couplings.append((j.T @ by_own, by_own.T @ by_own, by_own.T @ r))
        if not np.isfinite(cost):
            cost = float("inf")
        return cls(cost, residuals, normal, gradient, couplings)

    def reduced(self, damping: float) -> tuple[Floats, Floats, list[Floats]]:
        """The shared equations with everything else eliminated, and what elimination needs to undo it."""
        s = self.normal + damping * np.diag(np.diag(self.normal))
        g = self.gradient.copy()
        inverses = []
        for coupling, block, slope in self.couplings:
            if slope.size == 0:
                inverses.append(np.zeros((0, 0)))
                continue
            damped = block + damping * np.diag(np.diag(block))
            inverse = np.asarray(np.linalg.pinv(damped, hermitian=True), np.float64)
            s -= coupling @ inverse @ coupling.T
            g -= coupling @ inverse @ slope
            inverses.append(inverse)
        return s, g, inverses

    def step(self, damping: float) -> tuple[Floats, list[Floats]]:
        """The damped step of the shared parameters and of each observation's own."""
        s, g, inverses = self.reduced(damping)
        scale = np.sqrt(np.diag(s).clip(min=1e-300))
        step = -np.linalg.lstsq(s / np.outer(scale, scale), g / scale, rcond=1e-15)[0] / scale
        own = [
            -inverse @ (slope + coupling.T @ step)
            for (coupling, _, slope), inverse in zip(self.couplings, inverses, strict=True)
        ]
        return step, own

    def solution(
        self, shared: Floats, own: list[Floats], moving: "np.typing.NDArray[np.intp]", converged: bool
    ) -> Adjusted:
        cofactor, weakest = np.zeros((shared.size, shared.size)), np.zeros(shared.size)
        singular = False
        if moving.size:
            s, _, _ = self.reduced(0.0)
            scale = np.sqrt(np.diag(s).clip(min=1e-300))
            values, vectors = np.linalg.eigh(s / np.outer(scale, scale))
            floor = max(values[-1], 1e-300) * SINGULAR
            singular = bool(values[0] <= floor)
            inverse = vectors @ np.diag(1 / values.clip(min=floor)) @ vectors.T
            cofactor[np.ix_(moving, moving)] = inverse / np.outer(scale, scale)
            weakest[moving] = vectors[:, 0]
        count = sum(r.size for r in self.residuals) - moving.size - sum(each.size for each in own)
        return Adjusted(
            shared, tuple(own), tuple(self.residuals), cofactor, self.cost / max(count, 1), converged, singular, weakest
        )


def with_numeric_derivatives(
    residual: Callable[[Floats, Floats], Floats], steps: Floats, own_steps: Floats
) -> Observation:
    """An observation whose derivatives are central differences, for small problems.

    Args:
        residual: gives (m,) for shared (n,) and own (k,) parameters.
        steps: (n,) how far to step each shared parameter; own_steps: (k,) likewise.
    """

    def observe(shared: Floats, own: Floats) -> tuple[Floats, Floats, Floats]:
        here = residual(shared, own)
        by_shared, by_own = np.empty((here.size, shared.size)), np.empty((here.size, own.size))
        for index, step in enumerate(steps):
            change = np.zeros_like(shared)
            change[index] = step
            by_shared[:, index] = (residual(shared + change, own) - residual(shared - change, own)) / (2 * step)
        for index, step in enumerate(own_steps):
            change = np.zeros_like(own)
            change[index] = step
            by_own[:, index] = (residual(shared, own + change) - residual(shared, own - change)) / (2 * step)
        return here, by_shared, by_own

    return observe
