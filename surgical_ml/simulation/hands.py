"""Instruments of the rich look in space: which one a hand holds, how it stands at a moment, and its bodies."""

from dataclasses import dataclass, replace

import numpy as np

from surgical_ml.simulation.instruments import Instruments
from surgical_ml.simulation.meshes import MeshTool
from surgical_ml.simulation.picture import ArmPose
from surgical_ml.simulation.plan import TOOLS, CasePlan, ToolUse
from surgical_ml.simulation.rasteriser import NEAR_MM, Camera, Surface
from surgical_ml.simulation.solids import Float, Solid, joined, turn_x, turn_y, turn_z
from surgical_ml.simulation.toolbox import Instrument, jaw_turn, make_instrument, stretched

_ROBOTIC = {"operation": 0.35, "tissue": 0.7, "texture": 0.6, "images": 0.6}
"""Share of robotic instruments behind each scene: what transfer is measured on are mostly those."""


@dataclass(frozen=True, slots=True)
class Arm:
    """An instrument in one frame.

    Attributes:
        pose: of its record.
        body: all of it, in the camera's frame, mm.
        surfaces: what each material of it is.
        anchor: (x, y, cos, sin) of its tip and direction in the picture.
        tip_px: (x, y) of its tip.
    """

    pose: ArmPose
    body: Solid
    surfaces: tuple[Surface, ...]
    anchor: tuple[float, float, float, float]
    tip_px: tuple[float, float]


class Hands:
    """The instruments of one case.

    Args:
        plan: of the case.
        camera: of the case.
        depth_mm: from the camera to the field, usually.
        meshes: a user's instruments; empty for none.
    """

    def __init__(self, plan: CasePlan, camera: Camera, depth_mm: float, meshes: tuple[MeshTool, ...]) -> None:
        rng = np.random.default_rng([plan.seed, 31])
        self._plan, self._camera, self._depth, self._meshes = plan, camera, depth_mm, meshes
        self._flat = Instruments(plan.seed, camera.size, plan.split)
        self._robotic = bool(rng.random() < _ROBOTIC[plan.scene])
        self._turn = rng.uniform(-0.8, 0.8, 3)
        self._entry_depth = rng.uniform(0.35, 0.95, 3)
        self._closer = rng.uniform(0.72, 0.97, 3)
        self._rate = rng.uniform(0.05, 0.4, (3, 4))
        self._phase = rng.uniform(0, 2 * np.pi, (3, 4))
        self._roll = rng.uniform(-np.pi, np.pi, 3)
        self._made: dict[tuple[str, int], tuple[Instrument, tuple[Surface, ...]]] = {}

    def arm(self, use: ToolUse, t_s: float, target: Float, depth_mm: float) -> Arm | None:
        """An instrument at a time, or None where nothing of it reaches in front of the camera.

        Args:
            use: of the plan.
            t_s: seconds from the start of the case.
            target: (x, y) of its work in the picture, pixels.
            depth_mm: of the field now.
        """
        instrument, surfaces = self._instrument(use)
        slot, camera = use.slot, self._camera
        # The hand moves as in the plain look; its way out of the picture is another one here, towards the trocar.
        steady = replace(use, start_s=t_s - 10.0, end_s=t_s + 10.0)
        flat = self._flat.pose(steady, t_s, target.astype(np.float64))
        wave = np.sin(2 * np.pi * self._rate[slot] * t_s + self._phase[slot])
        middle = np.array(camera.centre_px)
        away = (flat.entry - middle) * 1.45
        c, s = np.cos(self._turn[slot]), np.sin(self._turn[slot])
        entry = middle + np.array([c * away[0] - s * away[1], s * away[0] + c * away[1]])
        trocar = camera.point(float(entry[0]), float(entry[1]), float(self._entry_depth[slot] * self._depth))
        out = max(0.0, 1.0 - min(t_s - use.start_s, use.end_s - t_s) / 0.6)
        near = float(self._closer[slot] + 0.05 * wave[0]) * depth_mm
        tip = camera.point(float(flat.tip[0]), float(flat.tip[1]), near)
        tip = np.asarray(tip + 1.1 * out * out * (trocar - tip), np.float32)
        pitch, yaw = float(wave[1] * instrument.bend), float(wave[2] * instrument.bend)
        opening = flat.opening * instrument.opening
        roll = float(self._roll[slot] + 0.6 * wave[3])
        # The wrist stands where its bent jaws reach the tip; its direction depends on that a little.
        wrist: Float = tip
        reach = np.array([0, 0, instrument.jaw_mm], np.float32)
        hinge_at = np.array([0, 0, instrument.wrist_mm], np.float32)
        for _ in range(3):
            frame = _looking(wrist - trocar) @ turn_z(roll)
            bent = np.asarray(frame @ turn_y(pitch), np.float32)
            wrist = np.asarray(tip - bent @ (hinge_at + turn_x(yaw) @ reach), np.float32)
        frame = _looking(wrist - trocar) @ turn_z(roll)
        bent = np.asarray(frame @ turn_y(pitch), np.float32)
        hinge = np.asarray(wrist + bent @ hinge_at, np.float32)
        # What works is the middle between the ends of the jaws, however far they are open.
        sides = [side for side, _ in instrument.jaws] or [0]
        middle_turn = jaw_turn(1, yaw, opening * sum(sides) / len(sides))
        closed = np.cos((max(sides) - min(sides)) * opening / 4)
        tip = np.asarray(hinge + bent @ turn_x(middle_turn) @ (closed * reach), np.float32)
        length = float(np.linalg.norm(wrist - trocar))
        if tip[2] < NEAR_MM + 4 or (wrist - trocar) @ frame[:, 2] <= 0:
            return None
        shaft = stretched(instrument.shaft, length) if instrument.stretched else instrument.shaft
        bodies = [shaft.moved(frame, wrist)]
        if instrument.wrist is not None:
            bodies.append(instrument.wrist.moved(bent, wrist))
        for side, jaw in instrument.jaws:
            turned = bent @ turn_x(jaw_turn(side, yaw, opening))
            bodies.append(jaw.moved(np.asarray(turned, np.float32), hinge))
        ends = camera.project(np.stack([tip, tip - 10.0 * frame[:, 2]]).astype(np.float32))
        along = ends[0] - ends[1]
        along /= np.linalg.norm(along) + 1e-6
        pose = ArmPose(
            use.tool,
            slot,
            instrument.build,
            _metres(tip),
            _metres(trocar),
            (round(length / 1000, 6), round(roll, 5), round(pitch, 5), round(yaw, 5), round(opening, 5)),
        )
        return Arm(
            pose,
            joined(bodies),
            surfaces,
            (float(ends[0][0]), float(ends[0][1]), float(along[0]), float(along[1])),
            (float(ends[0][0]), float(ends[0][1])),
        )

    def _instrument(self, use: ToolUse) -> tuple[Instrument, tuple[Surface, ...]]:
        key = (use.tool, use.slot)
        if key not in self._made:
            rng = np.random.default_rng([self._plan.seed, 32, TOOLS.index(use.tool), use.slot])
            robotic = self._robotic if rng.random() < 0.85 else not self._robotic
            made = make_instrument(use.tool, "robotic" if robotic else "laparoscopic", self._plan.split, rng)
            fitting = [one for one in self._meshes if one.tool == use.tool]
            if fitting and rng.random() < 0.7:
                made = fitting[int(rng.integers(len(fitting)))].instrument(float(rng.uniform(0.85, 1.9)))
            self._made[key] = made, _surfaces(self._plan.split, rng)
        return self._made[key]


def _metres(point: Float) -> tuple[float, float, float]:
    return round(float(point[0]) / 1000, 6), round(float(point[1]) / 1000, 6), round(float(point[2]) / 1000, 6)


def _looking(direction: Float) -> Float:
    """A rotation, (3, 3), whose z axis is a direction."""
    z = direction / np.linalg.norm(direction)
    x = np.cross(np.array([0.0, 1.0, 0.0]) if abs(z[1]) < 0.95 else np.array([1.0, 0.0, 0.0]), z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], axis=1).astype(np.float32)


def _surfaces(split: str, rng: np.random.Generator) -> tuple[Surface, ...]:
    """What steel, dark steel, insulation, ceramic, cloth and grooves are like on one instrument."""

    def level(low: float, high: float) -> float:
        # Held-out metals and plastics lie in the middle of each range, which training leaves out.
        share = (
            rng.uniform(0.4, 0.6)
            if split == "held-out"
            else float(rng.choice([rng.uniform(0, 0.4), rng.uniform(0.6, 1)]))
        )
        return float(low + (high - low) * share)

    def colour(low: tuple[float, float, float], high: tuple[float, float, float]) -> tuple[float, float, float]:
        b, g, r = (float(rng.uniform(a, z)) for a, z in zip(low, high, strict=True))
        return b, g, r

    grey, dark = level(0.5, 0.95), level(0.03, 0.32)
    warm = float(rng.uniform(-0.05, 0.06))
    hue = rng.random()
    sleeve = (
        colour((0.45, 0.2, 0.05), (0.8, 0.5, 0.2))
        if hue < 0.35
        else colour((0.1, 0.25, 0.3), (0.3, 0.6, 0.9))
        if hue < 0.6
        else colour((0.05, 0.05, 0.05), (0.9, 0.9, 0.9))
    )
    steel = (grey + warm, grey, grey - warm)
    black = (dark * 1.05, dark, dark * 0.97)
    if rng.random() < 0.1:
        steel = colour((0.2, 0.2, 0.2), (1.0, 1.0, 1.0))
        black = colour((0.0, 0.0, 0.0), (0.8, 0.8, 0.8))
    return (
        Surface(steel, level(0.12, 0.55), level(0.35, 1.1), level(0.1, 0.9), level(0.0, 0.6), level(0.1, 1.0)),
        Surface(black, level(0.6, 1.1), level(0.05, 0.45), level(0.4, 1.0), 0.1, level(0.1, 0.7)),
        Surface(sleeve, level(0.6, 1.0), level(0.03, 0.2), level(0.5, 1.0), 0.0, 0.2),
        Surface(colour((0.75, 0.78, 0.8), (0.95, 0.95, 0.98)), 0.8, 0.12, 0.6, 0.0, 0.15),
        Surface(_pale(rng), level(0.5, 0.8), level(0.05, 0.3), 0.6, 0.0, 0.4),
        Surface((0.05, 0.05, 0.06), 0.7, 0.08, 0.8, 0.0, 0.2),
    )


def _pale(rng: np.random.Generator) -> tuple[float, float, float]:
    """The colour of a bag: nearly grey, of any brightness."""
    grey = float(rng.uniform(0.3, 0.85))
    b, g, r = (grey * float(one) for one in rng.uniform(0.85, 1.1, 3))
    return b, g, r
