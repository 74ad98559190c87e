"""One frame in, one observation out: the two networks, and admission."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from surgical_ml.engine import Engine, EngineFault, Manifest, Tensor
from surgical_ml.errors import InputError
from surgical_ml.perception.instances import find_instruments, find_structures, label_grid
from surgical_ml.perception.observation import PPM, Grid, Observation, Refusal
from surgical_ml.perception.preprocess import STRIDE, Placement, Preprocessor
from surgical_ml.video import ContentArea, ContentTracker, Frame, QualityMonitor, QualityState

Stage = Callable[[str], None]
"""Told the name of each stage when it is over; whoever times the stages owns the clock."""

DEGRADED_AT_PPM = 500_000
LARGEST = 1000 * PPM
"""Where a distance from the training data stops being told in full."""

ROUNDING = 1e-3
"""How far half precision may take a probability out of 0..1."""

LONGEST_STEP_S = 60.0
"""The phase network was never trained on longer gaps; a longer one is told to it as this."""

_REFUSALS = {
    QualityState.NO_SIGNAL: Refusal.NO_SIGNAL,
    QualityState.BLACK: Refusal.BLACK,
    QualityState.SATURATED: Refusal.SATURATED,
    QualityState.COLOUR_BARS: Refusal.COLOUR_BARS,
    QualityState.FROZEN: Refusal.FROZEN,
    QualityState.BLURRED: Refusal.BLURRED,
    QualityState.WRONG_SIZE: Refusal.WRONG_SIZE,
}


def _silent(_: str) -> None:
    """Nobody is timing."""


class Perceiver:
    """Holds what perception remembers between frames: content area, picture quality, and the phase network's state.

    After a fault of an engine every further frame is refused, in the next case as well: only other engines, in another
    perceiver, are believed again.

    Args:
        manifest: of the model that both engines run.
        frame_engine, phase_engine: loaded networks, checked here against the manifest.

    Raises:
        InputError: a network's tensors are not those that the manifest's lists ask for.
    """

    def __init__(self, manifest: Manifest, frame_engine: Engine, phase_engine: Engine) -> None:
        self._manifest = manifest
        self._frame = frame_engine
        self._phase = phase_engine
        _check_networks(manifest, frame_engine, phase_engine)
        self._preprocess = Preprocessor(manifest.input, frame_engine.inputs[0].dtype)
        self._state_shape = next(spec.shape for spec in phase_engine.inputs if spec.name == "state")
        self._faulty = False
        self.reset()

    def reset(self) -> None:
        """Forget everything that was seen: a new case."""
        self._content = ContentTracker()
        self._quality = QualityMonitor()
        self._state: Tensor = np.zeros(self._state_shape, np.float32)
        self._last_ns: int | None = None

    def perceive(self, frame: Frame, stage: Stage = _silent) -> Observation:
        """Look at one frame.

        The frame network runs on every frame, so that masks exist whatever admission says; the phase network only
        steps on admitted ones, so that nothing it should not see enters its memory.
        """
        content = self._content.update(frame)
        quality = self._quality.update(frame, content)
        stage("quality")
        tensor, digest, placement = self._preprocess(frame.image, content)
        stage("preprocess")
        try:
            if self._faulty:
                raise EngineFault("an engine that failed before")
            seen = self._frame.run({"image": tensor})
            _check_values("frame", seen, ("presence", "tips", "quality", "in_body"))
            stage("frame_net")
            refusal = self._admit(quality.state, seen)
            phase = None if refusal is not None else self._step_phase(frame.stamp_ns, seen["features"])
            stage("phase_net")
        except EngineFault:
            self._faulty = True
            return Observation(
                frame.index,
                frame.stamp_ns,
                digest,
                (frame.width, frame.height),
                content.shape,
                content.box,
                Refusal.ENGINE_FAULT,
            )
        observation = self._observe(frame, digest, content, placement, refusal, seen, phase)
        stage("perception")
        return observation

    def _admit(self, state: QualityState, seen: dict[str, Tensor]) -> Refusal | None:
        thresholds = self._manifest.thresholds
        if state is not QualityState.OK:
            return _REFUSALS[state]
        if float(seen["in_body"][0, 0]) < thresholds.in_body:
            return Refusal.OUT_OF_BODY
        if float(seen["novelty"][0, 0]) > thresholds.novelty:
            return Refusal.UNLIKE_TRAINING
        return None

    def _step_phase(self, stamp_ns: int, features: Tensor) -> dict[str, Tensor]:
        first = self._last_ns is None
        dt_s = 0.0 if self._last_ns is None else min(LONGEST_STEP_S, (stamp_ns - self._last_ns) / 1e9)
        out = self._phase.run(
            {
                "features": features,
                "dt": np.full((1, 1), dt_s, np.float32),
                "reset": np.full((1, 1), float(first), np.float32),
                "state": self._state,
            }
        )
        _check_values("phase", out, ("phase", "next_phase", "progress", "boundary"))
        self._state = out["new_state"]
        self._last_ns = stamp_ns
        return out

    def _observe(
        self,
        frame: Frame,
        digest: str,
        content: ContentArea,
        placement: Placement,
        refusal: Refusal | None,
        seen: dict[str, Tensor],
        phase: dict[str, Tensor] | None,
    ) -> Observation:
        manifest = self._manifest
        logits = None
        if "labels" in seen:
            labels, probability = seen["labels"][0, 0].astype(np.uint8), seen["probability"][0, 0]
        else:
            logits = seen["segmentation"][0]
            labels, probability = label_grid(logits)
        cell_px = STRIDE / placement.scale
        grid = Grid(labels, cell_px, placement.to_frame(0.0, 0.0), logits)
        quality = _ppm(seen["quality"][0])
        return Observation(
            index=frame.index,
            stamp_ns=frame.stamp_ns,
            input_sha256=digest,
            size_px=(frame.width, frame.height),
            content_shape=content.shape,
            content_box_px=content.box,
            refusal=refusal,
            degraded=tuple(
                name for name, value in zip(manifest.qualities, quality, strict=True) if value >= DEGRADED_AT_PPM
            ),
            instruments=()
            if refusal is not None
            else find_instruments(labels, probability, seen["tips"][0], manifest, placement, content.box),
            structures=() if refusal is not None else find_structures(labels, manifest, placement),
            presence_ppm=_ppm(seen["presence"][0]),
            phase_ppm=() if phase is None else _ppm(phase["phase"][0]),
            next_ppm=() if phase is None else _ppm(phase["next_phase"][0]),
            progress_ppm=0 if phase is None else _ppm(phase["progress"][0])[0],
            boundary_ppm=0 if phase is None else _ppm(phase["boundary"][0])[0],
            in_body_ppm=_ppm(seen["in_body"][0])[0],
            novelty_ppm=_ppm(seen["novelty"][0])[0],
            grid=grid,
        )


def _check_values(network: str, out: dict[str, Tensor], probabilities: tuple[str, ...]) -> None:
    """Raise `EngineFault` unless every value is finite, and every probability one but for rounding."""
    for name, value in out.items():
        if not np.isfinite(value).all():
            raise EngineFault(f"{network} network: {name}: a value that is not finite")
    for name in probabilities:
        low, high = float(out[name].min()), float(out[name].max())
        if low < -ROUNDING or high > 1.0 + ROUNDING:
            raise EngineFault(f"{network} network: {name}: expected probabilities, found {low:g} to {high:g}")


def _ppm(values: npt.NDArray[np.float32]) -> tuple[int, ...]:
    return tuple(min(LARGEST, round(PPM * float(value))) for value in values)


def _check_networks(manifest: Manifest, frame: Engine, phase: Engine) -> None:
    """The channels that the manifest names must be the channels that the networks have."""
    height, width = manifest.input.height, manifest.input.width
    rows, columns = height // STRIDE, width // STRIDE
    tools, phases = len(manifest.tools), len(manifest.phases)
    features = next((spec.shape for spec in frame.outputs if spec.name == "features"), (1, 0))
    state = next((spec.shape for spec in phase.inputs if spec.name == "state"), (1, 0))
    # A folded plan takes the picture as it is, and gives labels beside their scores.
    folded = any(spec.dtype == "uint8" for spec in frame.inputs)
    grid = (1, 1, rows, columns)
    wanted = {
        "frame network inputs": (frame.inputs, {"image": (1, height, width, 3) if folded else (1, 3, height, width)}),
        "frame network outputs": (
            frame.outputs,
            {
                "segmentation": (1, len(manifest.segmentation), rows, columns),
                "presence": (1, tools),
                "tips": (1, tools, rows, columns),
                "quality": (1, len(manifest.qualities)),
                "in_body": (1, 1),
                "features": features,
                "novelty": (1, 1),
                **({"labels": grid, "probability": grid} if folded else {}),
            },
        ),
        "phase network inputs": (
            phase.inputs,
            {"features": features, "dt": (1, 1), "reset": (1, 1), "state": state},
        ),
        "phase network outputs": (
            phase.outputs,
            {
                "phase": (1, phases),
                "next_phase": (1, phases),
                "progress": (1, 1),
                "boundary": (1, 1),
                "new_state": state,
            },
        ),
    }
    for what, (specs, expected) in wanted.items():
        found = {spec.name: spec.shape for spec in specs}
        if found != expected:
            raise InputError(f"model {manifest.name}/{manifest.version}: {what}", str(expected), str(found))
