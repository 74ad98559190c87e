"""Instruments as jointed bodies: the seven Cholec80 tools, each as a laparoscopic instrument and as a wristed robotic one.

The shapes are drawn by chance from families; held-out cases have families that training never sees.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from surgical_ml.simulation.plan import Split
from surgical_ml.simulation.solids import (
    CERAMIC,
    CLOTH,
    DARK,
    GROOVE,
    INSULATION,
    STEEL,
    Float,
    Solid,
    joined,
    loft,
    pin,
    section,
    tube,
    turn_y,
)

SHAFT, WRIST, JAW, OTHER = 1, 2, 3, 4
"""Ids of `PARTS`."""

SHAPES = {
    "train": ("straight", "curved", "fenestrated", "maryland"),
    "held-out": ("spoon", "beak", "ringed"),
}
"""Families of jaws."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument; the origin of each body is the hinge about which it turns, its z axis the direction of the tip.

    Attributes:
        tool: one of `TOOLS`.
        build: `laparoscopic`, `robotic`, or the name of a user's mesh.
        shaft: of length 1 behind the wrist, to be stretched; or as long as it is where `stretched` is false.
        wrist: what turns with the first hinge; None where there is none.
        jaws: (side, body) of each jaw: -1 and 1 open against each other, 0 stays.
        wrist_mm, jaw_mm: from hinge to hinge, and from there to the tip.
        bend: greatest angles of wrist and jaws, radians; 0 without a wrist.
        opening: greatest angle between the jaws, radians.
        radius_mm: of the shaft.
    """

    tool: str
    build: str
    shaft: Solid
    wrist: Solid | None
    jaws: tuple[tuple[int, Solid], ...]
    wrist_mm: float
    jaw_mm: float
    bend: float
    opening: float
    radius_mm: float
    stretched: bool = True


def make_instrument(tool: str, build: str, split: Split, rng: np.random.Generator) -> Instrument:
    """A random instrument of a kind; the seed of `rng` decides on every measure of it.

    Args:
        tool: one of `TOOLS`.
        build: `laparoscopic` or `robotic`.
        split: whose families of shapes.
    """
    robotic = build == "robotic"
    wide = tool in ("clipper", "specimen_bag") and not robotic
    radius = float(rng.uniform(3.6, 4.4) if robotic else rng.uniform(4.2, 5.3) if wide else rng.uniform(2.2, 3.0))
    if rng.random() < 0.12:
        radius *= float(rng.uniform(0.7, 1.3))
    shaft = _shaft(radius, tool, robotic, rng)
    ends: dict[str, Callable[..., tuple[tuple[tuple[int, Solid], ...], float, float]]] = {
        "grasper": _grasper,
        "bipolar": _bipolar,
        "hook": _hook,
        "scissors": _scissors,
        "clipper": _clipper,
        "irrigator": _irrigator,
        "specimen_bag": _bag,
    }
    jaws, jaw_mm, opening = ends[tool](radius, robotic, split, rng)
    if robotic and tool != "specimen_bag":
        wrist_mm = float(rng.uniform(1.9, 2.7)) * radius
        wrist = _wrist(radius, wrist_mm, tool, rng)
        bend = float(rng.uniform(0.5, 1.2))
    else:
        wrist_mm = float(rng.uniform(0.6, 1.8)) * radius
        wrist = _neck(radius, wrist_mm, tool, rng)
        bend = 0.0
    return Instrument(tool, build, shaft, wrist, jaws, wrist_mm, jaw_mm, bend, opening, radius)


def _shaft(radius: float, tool: str, robotic: bool, rng: np.random.Generator) -> Solid:
    """A round rod from z = -1 to 0, its last millimetres of other materials."""
    body = int(rng.choice([STEEL, DARK, INSULATION, CERAMIC], p=[0.35, 0.5, 0.12, 0.03]))
    if not robotic and tool in ("irrigator", "clipper"):
        body = int(rng.choice([STEEL, DARK], p=[0.75, 0.25]))
    places, materials = [-1.0], []
    # Short pieces, so that bodies that cross are drawn in their order of depth.
    for z in np.linspace(-0.93, -0.06, 13):
        places.append(float(z))
        materials.append(body)
    rings = int(rng.integers(0, 4))
    for z in np.sort(rng.uniform(-0.055, -0.008, rings)):
        places.append(float(z))
        materials.append(int(rng.choice([body, STEEL, DARK, GROOVE])))
    places.append(0.0)
    materials.append(int(rng.choice([body, STEEL])))
    corners = 40
    sections = [section(z, radius, radius, corners=corners) for z in places]
    return loft(sections, SHAFT, materials)


def _neck(radius: float, length: float, tool: str, rng: np.random.Generator) -> Solid:
    """The narrowing end of a shaft without a wrist, up to the hinge of the jaws."""
    material = int(rng.choice([STEEL, DARK])) if tool != "bipolar" else int(rng.choice([INSULATION, CERAMIC, DARK]))
    narrow = float(rng.uniform(0.6, 0.9))
    thin = float(rng.uniform(0.45, 0.8))
    round_part = loft(
        [
            section(-0.1, radius * 0.98, radius * 0.98),
            section(0.3 * length, radius * 0.96, radius * 0.94),
            section(0.6 * length, radius * narrow, radius * 0.85),
        ],
        WRIST,
        [material, material],
    )
    ears = [
        loft(
            [
                section(0.5 * length, 0.22 * radius, 0.8 * radius, side * thin * radius, corners=8, square=0.5),
                section(length, 0.22 * radius, 0.7 * radius, side * thin * radius, corners=8, square=0.5),
                section(length + 0.5 * radius, 0.2 * radius, 0.4 * radius, side * thin * radius, corners=8, square=0.6),
            ],
            WRIST,
            STEEL if material == DARK else material,
        )
        for side in (-1, 1)
    ]
    if tool in ("hook", "irrigator"):
        return round_part
    return joined([round_part, *ears, pin(0.3 * radius, 2.4 * thin * radius, WRIST, STEEL, length)])


def _wrist(radius: float, length: float, tool: str, rng: np.random.Generator) -> Solid:
    """Two forks at right angles, with the pulleys of the cables between them."""
    material = int(rng.choice([STEEL, DARK], p=[0.85, 0.15]))
    ear, gap = float(rng.uniform(0.16, 0.28)) * radius, float(rng.uniform(0.55, 0.8)) * radius
    pieces = []
    # The fork of the shaft reaches over the first hinge, which lies along y.
    for side in (-1, 1):
        pieces.append(
            loft(
                [
                    section(-0.9 * radius, 0.85 * radius, ear, 0.0, side * gap, corners=8, square=0.5),
                    section(0.1 * radius, 0.7 * radius, ear, 0.0, side * gap, corners=8, square=0.5),
                    section(0.6 * radius, 0.4 * radius, ear, 0.0, side * gap, corners=8, square=0.6),
                ],
                WRIST,
                material,
            )
        )
    pulley = float(rng.uniform(0.5, 0.75)) * radius
    quarter = turn_y(0.0)
    quarter = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]], np.float32) @ quarter
    pieces.append(pin(pulley, 1.7 * gap, WRIST, STEEL).moved(quarter, np.zeros(3, np.float32)))
    pieces.append(pin(0.28 * radius, 2.0 * gap + 3 * ear, WRIST, GROOVE).moved(quarter, np.zeros(3, np.float32)))
    middle = float(rng.uniform(0.6, 0.9)) * radius
    pieces.append(
        loft(
            [
                section(0.35 * radius, 0.6 * radius, middle * 0.8, corners=12, square=0.6),
                section(0.55 * length, middle, middle, corners=12, square=0.7),
                section(0.75 * length, middle, middle * 0.9, corners=12, square=0.7),
            ],
            WRIST,
            [material, material],
        )
    )
    for side in (-1, 1):
        pieces.append(
            loft(
                [
                    section(0.6 * length, ear, 0.8 * radius, side * gap, corners=8, square=0.5),
                    section(length, ear, 0.7 * radius, side * gap, corners=8, square=0.5),
                    section(length + 0.55 * radius, ear, 0.4 * radius, side * gap, corners=8, square=0.6),
                ],
                WRIST,
                material,
            )
        )
    pieces.append(pin(pulley, 1.5 * gap, WRIST, STEEL, length))
    pieces.append(pin(0.25 * radius, 2.0 * gap + 3 * ear, WRIST, GROOVE, length))
    if tool == "scissors" and rng.random() < 0.7:
        # The cover of monopolar scissors hides most of the wrist.
        sleeve = int(rng.choice([INSULATION, DARK, CERAMIC]))
        pieces.append(
            loft(
                [
                    section(-1.2 * radius, 1.06 * radius, 1.06 * radius),
                    section(0.5 * length, 1.02 * radius, 1.0 * radius),
                    section(length + 0.3 * radius, 0.75 * radius, 0.8 * radius),
                ],
                WRIST,
                [sleeve, sleeve],
            )
        )
    return joined(pieces)


def _jaw(
    length: float,
    width: float,
    height: float,
    shape: str,
    teeth: float,
    material: int,
    rng: np.random.Generator,
    holes: bool = False,
) -> Solid:
    """The jaw on the side of positive y; the other one is its mirror image. It closes on the plane y = 0."""
    count = 16
    s = np.linspace(0.0, 1.0, count)
    taper = {
        "straight": 0.35,
        "curved": 0.5,
        "fenestrated": 0.15,
        "maryland": 0.75,
        "spoon": 0.1,
        "beak": 0.85,
        "ringed": 0.0,
    }
    half = width / 2 * (1 - taper[shape] * s)
    if shape == "spoon":
        half = half * (0.75 + 0.5 * np.exp(-(((s - 0.75) / 0.25) ** 2)))
    thick = height * (1 - 0.55 * s)
    bow = {"curved": 0.22, "maryland": 0.30, "beak": 0.18}.get(shape, 0.0) * length
    sideways = bow * s**2
    down = (0.22 * height * np.clip(s - 0.8, 0, 1) * 5) if shape == "beak" else np.zeros(count)
    # Rounded at the tip.
    end = np.sqrt(np.clip(1 - np.clip((s - 0.85) / 0.16, 0, 1) ** 2, 0.02, 1))
    half, thick = half * end, thick * (0.4 + 0.6 * end)
    tooth = teeth * height * (np.arange(count) % 2) * (s > 0.3)
    back = 0.75 * height * np.exp(-((s / 0.12) ** 2))

    def bar(x_share: float, width_share: float, start: int = 0, stop: int = count) -> Solid:
        sections = [
            section(
                float(length * s[k]) - (0.55 * height if k == 0 else 0.0),
                float(max(0.08, half[k] * width_share)),
                float(max(0.08, (thick[k] - tooth[k] + back[k]) / 2)),
                float(sideways[k] + x_share * half[k]),
                float((thick[k] + tooth[k] - back[k]) / 2 - down[k]),
                corners=8,
                square=0.55,
            )
            for k in range(start, stop)
        ]
        return loft(sections, JAW, material)

    if holes or shape in ("fenestrated", "ringed"):
        first, last = (4, 14) if shape != "ringed" else (8, 14)
        return joined(
            [
                bar(0, 1.0, 0, first + 1),
                bar(-0.68, 0.32, first, last),
                bar(0.68, 0.32, first, last),
                bar(0, 1.0, last - 1),
            ]
        )
    return bar(0.0, 1.0)


def _mirrored(body: Solid) -> Solid:
    """The same body on the other side of y = 0, its faces still looking outwards."""
    return Solid(body.vertices * np.array([1, -1, 1], np.float32), body.faces[:, ::-1].copy(), body.part, body.material)


def _pair(jaw: Solid) -> tuple[tuple[int, Solid], ...]:
    return ((1, jaw), (-1, _mirrored(jaw)))


_End = tuple[tuple[tuple[int, Solid], ...], float, float]


def _grasper(radius: float, robotic: bool, split: Split, rng: np.random.Generator) -> _End:
    shape = str(rng.choice(SHAPES[split]))
    length = float(rng.uniform(2.2, 5.5) if robotic else rng.uniform(5.0, 10.0)) * radius
    width = float(rng.uniform(0.9, 1.7)) * radius
    height = float(rng.uniform(0.45, 0.85)) * radius
    jaw = _jaw(length, width, height, shape, float(rng.choice([0.0, 0.25, 0.45])), STEEL, rng, rng.random() < 0.25)
    jaws = _pair(jaw)
    if not robotic and rng.random() < 0.25:
        jaws = ((2, jaw), (0, _mirrored(jaw)))  # single action: one jaw moves, by the whole angle
    return jaws, length, float(rng.uniform(0.5, 1.2))


def _bipolar(radius: float, robotic: bool, split: Split, rng: np.random.Generator) -> _End:
    shape = str(rng.choice({"train": ("maryland", "fenestrated", "straight"), "held-out": ("beak", "ringed")}[split]))
    length = float(rng.uniform(3.5, 6.0)) * radius
    jaw = _jaw(
        length, float(rng.uniform(0.7, 1.2)) * radius, float(rng.uniform(0.4, 0.7)) * radius, shape, 0.15, STEEL, rng
    )
    base = loft(
        [
            section(0.3 * radius, 0.55 * radius, 0.45 * radius, 0.0, 0.4 * radius, corners=8, square=0.6),
            section(0.3 * length, 0.5 * radius, 0.35 * radius, 0.0, 0.35 * radius, corners=8, square=0.6),
        ],
        JAW,
        int(rng.choice([INSULATION, CERAMIC, DARK])),
    )
    return _pair(joined([jaw, base])), length, float(rng.uniform(0.5, 0.9))


def _hook(radius: float, robotic: bool, split: Split, rng: np.random.Generator) -> _End:
    reach, drop = float(rng.uniform(2.2, 4.2)) * radius, float(rng.uniform(1.0, 1.9)) * radius
    thick = float(rng.uniform(0.16, 0.32)) * radius
    if split == "train":
        # An L: straight, then down with a tight bend.
        path = [[0, 0, -radius], [0, 0, 0.5 * reach], [0, 0, 0.85 * reach], [0, 0.12 * drop, 0.97 * reach]]
        path += [[0, 0.5 * drop, reach], [0, drop, reach * 0.99]]
    else:
        # A J: one wide bow.
        angle = np.linspace(0, 2.4, 7)
        path = [[0, 0, -radius], [0, 0, 0.5 * reach]]
        path += [[0, drop * (1 - np.cos(a)) / 1.8, 0.5 * reach + 0.5 * reach * np.sin(a)] for a in angle[1:]]
    wire = tube(np.array(path, np.float32), [*([thick] * (len(path) - 1)), 0.7 * thick], JAW, STEEL, 8)
    sleeve = loft(
        [
            section(-0.4 * radius, 0.75 * radius, 0.75 * radius),
            section(0.3 * reach, 0.55 * radius, 0.55 * radius),
            section(0.55 * reach, 1.6 * thick, 1.6 * thick),
        ],
        JAW,
        int(rng.choice([CERAMIC, INSULATION, DARK, STEEL])),
    )
    return ((0, joined([wire, sleeve])),), reach, 0.0


def _scissors(radius: float, robotic: bool, split: Split, rng: np.random.Generator) -> _End:
    length = float(rng.uniform(3.0, 6.5)) * radius
    bow = float(rng.uniform(0.1, 0.28)) * length if split == "train" else 0.0
    deep = float(rng.uniform(0.4, 0.65)) * radius
    s = np.linspace(0, 1, 10)
    blade = loft(
        [
            section(
                float(length * at) - (0.4 * radius if at == 0 else 0.0),
                0.14 * radius,
                float(deep * (1.05 - 0.95 * at**1.5)),
                float(0.16 * radius + bow * at**2),
                float(0.35 * deep * (1 - at)),
                corners=8,
                square=0.5,
            )
            for at in s
        ],
        JAW,
        STEEL,
    )
    other = _mirrored(blade).moved(np.eye(3, dtype=np.float32), np.array([-0.32 * radius, 0, 0], np.float32))
    return ((1, blade), (-1, other)), length, float(rng.uniform(0.6, 1.1))


def _clipper(radius: float, robotic: bool, split: Split, rng: np.random.Generator) -> _End:
    length = float(rng.uniform(2.2, 4.0)) * radius
    wide, high = float(rng.uniform(0.35, 0.6)) * radius, float(rng.uniform(0.22, 0.4)) * radius
    apart = float(rng.uniform(0.35, 0.6)) * radius
    bent = 0.0 if split == "train" else 0.5 * radius
    jaw = loft(
        [
            section(-0.5 * radius, 0.4 * radius, 0.3 * radius, 0.0, 0.2 * radius, corners=8, square=0.4),
            section(0.35 * length, wide, high, 0.0, apart, corners=8, square=0.4),
            section(0.6 * length, wide, high, 0.0, apart, corners=8, square=0.4),
            section(0.95 * length, wide * 0.9, high, bent, apart * 0.8, corners=8, square=0.4),
            section(length, wide * 0.6, high * 0.6, bent, apart * 0.8, corners=8, square=0.4),
        ],
        JAW,
        [STEEL, STEEL, STEEL, GROOVE],
    )
    return _pair(jaw), length, float(rng.uniform(0.15, 0.4))


def _irrigator(radius: float, robotic: bool, split: Split, rng: np.random.Generator) -> _End:
    length = float(rng.uniform(2.5, 5.0)) * radius
    thin = float(rng.uniform(0.6, 0.98)) * radius
    material = int(rng.choice([STEEL, DARK, CERAMIC], p=[0.75, 0.15, 0.1]))
    pipe = loft(
        [
            section(-0.5 * radius, 0.98 * radius, 0.98 * radius),
            section(0.1 * length, thin, thin),
            section(0.97 * length, thin, thin),
            section(length, 0.75 * thin, 0.75 * thin),
            section(length + 0.01, 0.6 * thin, 0.6 * thin),
        ],
        JAW,
        [material, material, material, GROOVE],
    )
    holes = []
    spread = (0.0, np.pi / 2, np.pi, -np.pi / 2) if split == "train" else (0.4, 2.5, -1.8)
    for z in np.linspace(0.4, 0.85, int(rng.integers(2, 5))) * length:
        for angle in spread:
            out = np.array([np.cos(angle), np.sin(angle), 0.0])
            path = np.stack([0.9 * thin * out, 1.02 * thin * out]) + np.array([0, 0, z])
            holes.append(tube(path.astype(np.float32), 0.2 * thin, JAW, GROOVE, 6))
    return ((0, joined([pipe, *holes])),), length, 0.0


def _bag(radius: float, robotic: bool, split: Split, rng: np.random.Generator) -> _End:
    length, wide = float(rng.uniform(5.0, 8.0)) * radius, float(rng.uniform(2.2, 3.6)) * radius
    corners, count = 36, 16
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    shift, folds = rng.uniform(0, 2 * np.pi, 3), int(rng.integers(3, 6) if split == "train" else rng.integers(6, 8))
    sections = []
    for k, s in enumerate(np.linspace(0, 1, count)):
        belly = np.sin(np.pi * (0.12 + 0.86 * s)) ** 0.7
        wave = 1 + 0.10 * np.sin(folds * angle + shift[0] + 2 * s) + 0.06 * np.sin((folds + 2) * angle + shift[1])
        r = wide * belly * wave
        flat = 0.65
        z = s * length + 0.12 * radius * np.sin(2 * angle + shift[2]) * (0 < k < count - 1)
        sections.append(np.stack([r * np.cos(angle), flat * r * np.sin(angle), z], axis=1).astype(np.float32))
    return ((0, loft(sections, OTHER, CLOTH)),), 0.55 * length, 0.0


def jaw_turn(side: int, yaw: float, opening: float) -> float:
    """The angle of a jaw about its hinge: positive sides turn towards positive y."""
    return yaw - side * opening / 2


def stretched(shaft: Solid, length_mm: float) -> Solid:
    """The unit shaft at its length."""
    vertices: Float = shaft.vertices * np.array([1, 1, length_mm], np.float32)
    return Solid(vertices, shaft.faces, shaft.part, shaft.material)
