"""Bodies are closed and look outwards, near ones hide far ones, and STL files are read or refused in one line."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.errors import InputError
from surgical_ml.simulation import TOOLS, read_instruments
from surgical_ml.simulation.meshes import read_stl
from surgical_ml.simulation.picture import PARTS
from surgical_ml.simulation.rasteriser import Camera, rasterise
from surgical_ml.simulation.solids import Solid, loft, section, tube
from surgical_ml.simulation.toolbox import SHAPES, make_instrument

MESHES = Path(__file__).resolve().parents[4] / "shared" / "data" / "instrument-meshes"


def volume(body: Solid) -> float:
    """The signed volume of a closed body, mm^3: positive where its faces look outwards."""
    a, b, c, d = (body.vertices[body.faces[:, k]].astype(np.float64) for k in range(4))
    return float((np.einsum("ij,ij->i", a, np.cross(b, c)) + np.einsum("ij,ij->i", a, np.cross(c, d))).sum() / 6)


def block(z: float, half: float) -> Solid:
    return loft([section(z, half, half), section(z + 5, half, half)], 1, 0)


def test_the_volume_of_a_rod_is_that_of_a_cylinder() -> None:
    rod = loft([section(0, 2, 2, corners=64), section(10, 2, 2, corners=64)], 1, 0)
    bent = tube(np.array([[0, 0, 0], [0, 0, 5], [0, 0, 10]], np.float32), 2.0, 1, 0, 64)
    assert volume(rod) == pytest.approx(np.pi * 40, rel=0.01)
    assert volume(bent) == pytest.approx(np.pi * 40, rel=0.01)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(TOOLS),
    st.sampled_from(["laparoscopic", "robotic"]),
    st.sampled_from(["train", "held-out"]),
    st.integers(0, 10_000),
)
def test_every_body_of_every_instrument_looks_outwards(tool: str, build: str, split: str, seed: int) -> None:
    made = make_instrument(tool, build, split, np.random.default_rng(seed))
    bodies = [made.shaft, *([made.wrist] if made.wrist else []), *(body for _, body in made.jaws)]
    for body in bodies:
        assert volume(body) > 0
        assert np.isfinite(body.vertices).all()
        assert body.part.max() < len(PARTS) and body.faces.max() < len(body.vertices)
    assert made.build == build and (made.bend > 0) == (build == "robotic" and tool != "specimen_bag")


def test_held_out_cases_have_families_of_jaws_that_training_never_sees() -> None:
    assert not set(SHAPES["train"]) & set(SHAPES["held-out"])


def test_what_is_nearer_hides_what_is_farther_in_whatever_order_it_is_drawn() -> None:
    camera = Camera((64, 48), 60.0)
    near, far = block(40.0, 4.0), block(80.0, 30.0)
    for bodies, number in (([near, far], 1), ([far, near], 2)):
        faces = rasterise(bodies, camera)
        owner = faces.body[faces.index]
        assert owner[24, 32] == number
        assert owner[24, 16] == 3 - number
        assert (faces.normal[faces.index[24, 32]] @ [0, 0, 1]) == pytest.approx(-1.0)


def test_a_body_behind_the_camera_is_not_drawn() -> None:
    assert not rasterise([block(-20.0, 5.0)], Camera((64, 48), 60.0)).index.any()


TRIANGLES = np.array([[[0, 0, 0], [0, 1, 0], [1, 0, 0.5]], [[0, 0, 0], [2, 0, 0], [0, 0, 3]]], np.float32)


def binary(triangles: np.ndarray) -> bytes:
    record = np.zeros(len(triangles), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    record["corners"] = triangles
    return b"solid in name only".ljust(80) + len(triangles).to_bytes(4, "little") + record.tobytes()


def text(triangles: np.ndarray) -> bytes:
    lines = ["solid one"]
    for corners in triangles:
        lines += ["facet normal 0 0 1", "outer loop"]
        lines += [f"vertex {x!r} {y!r} {z!r}" for x, y, z in corners.astype(float).tolist()]
        lines += ["endloop", "endfacet"]
    return "\n".join([*lines, "endsolid one", ""]).encode()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(0, 1000))
def test_both_kinds_of_stl_give_the_same_triangles(tmp_path_factory: pytest.TempPathFactory, n: int, seed: int) -> None:
    triangles = np.random.default_rng(seed).normal(0, 30, (n, 3, 3)).astype(np.float32)
    path = tmp_path_factory.mktemp("stl") / "one.stl"
    for data in (binary(triangles), text(triangles)):
        path.write_bytes(data)
        np.testing.assert_array_equal(read_stl(path), triangles)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "an STL file, found 0 bytes that are none"),
        (b"no such thing at all", "an STL file, found 20 bytes that are none"),
        (binary(TRIANGLES)[:-7], "184 bytes for 2 triangles, found 177 bytes"),
        (text(TRIANGLES)[:-20], "ends with endsolid"),
        (binary(TRIANGLES[:0]), "triangles, found none"),
        (binary(TRIANGLES * np.float32(np.nan)), "finite coordinates"),
        (text(TRIANGLES).replace(b"vertex 0.0", b"vertex zero", 1), "numbers after each vertex"),
    ],
)
def test_what_is_no_stl_file_is_refused(tmp_path: Path, data: bytes, complaint: str) -> None:
    path = tmp_path / "one.stl"
    path.write_bytes(data)
    with pytest.raises(InputError, match=complaint):
        read_stl(path)


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_triangles_or_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "one.stl"
    path.write_bytes(data)
    try:
        assert read_stl(path).shape[1:] == (3, 3)
    except InputError as error:
        assert "\n" not in str(error)


def test_jaws_and_shafts_are_joined_by_the_names_of_their_files(tmp_path: Path) -> None:
    for name in ("fine_jaw_left", "fine_jaw_right", "scissors_jaw", "scissors_shaft", "instrument_shaft", "big_handle"):
        (tmp_path / f"{name}.stl").write_bytes(binary(TRIANGLES))
    (tmp_path / "cautery_hook.stl").write_bytes(text(TRIANGLES))
    found = {one.name: one for one in read_instruments(tmp_path)}
    assert {name: (one.tool, [side for side, _ in one.jaws]) for name, one in found.items()} == {
        "fine": ("grasper", [1, -1]),
        "scissors": ("scissors", [2]),
        "cautery_hook": ("hook", []),
    }


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ((), "STL files of instruments, found 0 STL files"),
        (("fine_jaw_left", "a_shaft"), "fine_jaw_right.stl beside fine_jaw_left.stl, found none"),
        (("fine_jaw",), "a shaft for fine_jaw.stl"),
    ],
)
def test_a_folder_that_makes_no_instrument_is_refused(tmp_path: Path, names: tuple[str, ...], complaint: str) -> None:
    for name in names:
        (tmp_path / f"{name}.stl").write_bytes(binary(TRIANGLES))
    with pytest.raises(InputError, match=complaint):
        read_instruments(tmp_path)


@pytest.mark.shared_data
def test_real_meshes_become_instruments_that_can_be_drawn() -> None:
    if not MESHES.is_dir():
        pytest.skip("needs ../shared/data/instrument-meshes beside the project")
    found = read_instruments(MESHES)
    assert {one.name: one.tool for one in found} == {
        "atraumatic_forceps": "grasper",
        "dissection_electrode": "hook",
        "forceps": "grasper",
        "maryland_dissector": "grasper",
        "scissors": "scissors",
        "single_action_forceps": "grasper",
    }
    camera = Camera((160, 96), 130.0)
    for one in found:
        made = one.instrument(1.0)
        offset = np.array([0, 0, 60], np.float32)
        side = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], np.float32)
        faces = rasterise([body.moved(side, offset) for body in (made.shaft, *(jaw for _, jaw in made.jaws))], camera)
        drawn = faces.part[faces.index]
        assert 0.02 < (drawn > 0).mean() < 0.4
        assert {PARTS.index("shaft"), PARTS.index("jaw")} <= set(np.unique(drawn))
