"""A user's instruments from STL files: read, told apart by the names of their files, and joined to jointed instruments.

Lengths in the files are millimetres; the hinge of the jaws is the x axis through the origin, and z points to the tip.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from surgical_ml.errors import InputError
from surgical_ml.simulation.solids import STEEL, Float, Solid, joined
from surgical_ml.simulation.toolbox import JAW, SHAFT, WRIST, Instrument

_BINARY = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_LONGEST_MM = 14.0
"""Longer triangles are cut up: bodies are drawn in the order of the depth of their faces."""

_TOOLS = (
    ("scissor", "scissors"),
    ("bipolar", "bipolar"),
    ("electrode", "hook"),
    ("hook", "hook"),
    ("clip", "clipper"),
    ("suction", "irrigator"),
    ("irrigat", "irrigator"),
    ("bag", "specimen_bag"),
    ("", "grasper"),
)
"""Which tool a word in a file's name stands for; the first that fits."""

_IGNORED = ("handle", "optics", "laparoscope_", "trocar")


@dataclass(frozen=True, slots=True)
class MeshTool:
    """An instrument from files; `jaws` as in `Instrument`."""

    tool: str
    name: str
    shaft: Solid
    jaws: tuple[tuple[int, Solid], ...]

    def instrument(self, scale: float) -> Instrument:
        """The instrument, `scale` times as thick and as long as in its files."""

        def scaled(body: Solid) -> Solid:
            return Solid(body.vertices * np.float32(scale), body.faces, body.part, body.material)

        jaws = tuple((side, scaled(body)) for side, body in self.jaws)
        bodies = [body for _, body in self.jaws] or [self.shaft]
        tip = max(float(body.vertices[:, 2].max()) for body in bodies)
        radius = float(np.abs(self.shaft.vertices[:, 0]).max())
        return Instrument(
            self.tool, self.name, scaled(self.shaft), None, jaws, 0.0, scale * tip, 0.0, 0.9, scale * radius, False
        )


def read_stl(path: Path) -> Float:
    """The triangles of an STL file, binary or text, (n, 3, 3) float32 in its unit.

    Raises:
        InputError: it cannot be read, is no STL file, is cut off, or holds numbers that are not finite.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(path, "an STL file", error.strerror or str(error)) from error
    count = int.from_bytes(data[80:84], "little") if len(data) >= 84 else -1
    if len(data) == 84 + _BINARY.itemsize * count:
        corners = np.frombuffer(data, _BINARY, count, 84)["corners"].astype(np.float32)
    elif data.lstrip()[:5].lower() == b"solid" and b"facet" in data:
        found = re.findall(rb"vertex\s+(\S+)\s+(\S+)\s+(\S+)", data)
        if not data.rstrip().split(b"\n")[-1].strip().lower().startswith(b"endsolid") or len(found) % 3:
            raise InputError(
                path, "an STL file that ends with endsolid, three corners to a facet", "one that is cut off"
            )
        try:
            corners = np.array(found, np.float64).astype(np.float32).reshape(-1, 3, 3)
        except ValueError as error:
            raise InputError(path, "numbers after each vertex", str(error)) from error
    elif count > 0 and len(data) >= 84:
        raise InputError(path, f"{84 + _BINARY.itemsize * count} bytes for {count} triangles", f"{len(data)} bytes")
    else:
        raise InputError(path, "an STL file", f"{len(data)} bytes that are none")
    if not len(corners):
        raise InputError(path, "triangles", "none")
    if not np.isfinite(corners).all():
        raise InputError(path, "finite coordinates", "others")
    return corners


def read_instruments(folder: Path) -> tuple[MeshTool, ...]:
    """The instruments that a folder of STL files holds, in the order of their names.

    `NAME_jaw_left.stl` and `NAME_jaw_right.stl` are the two jaws of one instrument, `NAME_jaw.stl` one moving jaw. Each
    takes `NAME_shaft.stl` where it is there, else any other `*shaft.stl`. Another file is an instrument in one piece. Names
    of handles, optics and trocars are passed over.

    Raises:
        InputError: there is no such folder, no instrument or no shaft in it, or a file is not an STL file.
    """
    if not folder.is_dir():
        raise InputError(folder, "a folder of STL files", "none")
    paths = sorted(one for one in folder.iterdir() if one.suffix.lower() == ".stl")
    files = {one.stem.lower(): one for one in paths if not any(word in one.stem.lower() for word in _IGNORED)}
    shafts = {name: path for name, path in files.items() if name.endswith("shaft")}
    found = []
    for name, path in files.items():
        if name in shafts or name.endswith("jaw_right"):
            continue
        if not re.search(r"jaw(_left)?$", name):
            found.append(MeshTool(_tool(name), name, _solid(read_stl(path), SHAFT, JAW), ()))
            continue
        stem = re.sub(r"_?jaw(_left)?$", "", name)
        jaws = [(1, _solid(read_stl(path), JAW, JAW))]
        if name.endswith("_left"):
            right = files.get(f"{stem}_jaw_right")
            if right is None:
                raise InputError(folder, f"{stem}_jaw_right.stl beside {path.name}", "none")
            jaws.append((-1, _solid(read_stl(right), JAW, JAW)))
        else:
            jaws[0] = (2, jaws[0][1])
        own = shafts.get(f"{stem}_shaft") or next(
            (one for key, one in shafts.items() if key == "instrument_shaft"), None
        )
        own = own or next(iter(shafts.values()), None)
        if own is None:
            raise InputError(folder, f"a shaft for {path.name}: {stem}_shaft.stl, or another *shaft.stl", "none")
        found.append(MeshTool(_tool(stem), stem, _solid(read_stl(own), SHAFT, JAW), tuple(jaws)))
    if not found:
        raise InputError(folder, "STL files of instruments", f"{len(paths)} STL files, none of them an instrument's")
    return tuple(found)


def _tool(name: str) -> str:
    return next(tool for word, tool in _TOOLS if word in name)


def _solid(corners: Float, behind: int, ahead: int) -> Solid:
    """Triangles as a body; what lies behind the hinge is part `behind`, at its clevis the wrist, and before it `ahead`."""
    corners = _cut(corners)
    vertices = corners.reshape(-1, 3)
    first = np.arange(0, len(vertices), 3, dtype=np.int32)
    faces = np.stack([first, first + 1, first + 2, first + 2], axis=1)
    middle = corners[..., 2].mean(axis=1)
    thick = float(np.abs(vertices[:, :2]).max())
    part = np.where(middle > thick, ahead, np.where(middle > -2.5 * thick, WRIST, behind)).astype(np.uint8)
    if behind == ahead:
        part[:] = ahead
    return joined([Solid(vertices, faces, part, np.full(len(faces), STEEL, np.uint8))])


def _cut(corners: Sequence[Float] | Float) -> Float:
    """Triangles cut in halves until no edge is long."""
    left, done = np.asarray(corners, np.float32), []
    while len(left):
        edges = np.linalg.norm(left - np.roll(left, -1, axis=1), axis=2)
        long = edges.max(axis=1) > _LONGEST_MM
        done.append(left[~long])
        left, edges = left[long], edges[long]
        if not len(left):
            break
        longest = edges.argmax(axis=1)
        rows = np.arange(len(left))
        a, b, c = left[rows, longest], left[rows, (longest + 1) % 3], left[rows, (longest + 2) % 3]
        middle = (a + b) / 2
        left = np.concatenate([np.stack([a, middle, c], axis=1), np.stack([middle, b, c], axis=1)])
    return np.concatenate(done)
