"""The walls between rooms, read from the source: who imports whom, who touches which framework, who reads a clock."""

import ast

import pytest
from package_source import MODULES, SIDE, imported, imports, own_imports, room_of, within

FOUNDATIONS = ("errors", "places", "yaml_file")
LINE = (
    *("video", "engine", "perception", "geometry", "workflow", "guidance", "session"),
    *("evaluation", "validation", "display", "ros", "cli"),
)
"""Rooms in the order of the picture: each imports from those before it only."""

BESIDE = ("simulation", "learning")

OPERATING_ROOM = (*LINE[: LINE.index("session") + 1], "display", "ros", "audit", "calibration")
ELSEWHERE = ("ros.demo", "ros.standin")
"""Parts of the operating room's folders that are no part of its launch: the demonstration, and the robot stand-in."""

FRAMEWORKS = {
    "torch": ("learning", "engine.torch"),
    "torchvision": ("learning",),
    "onnxscript": ("learning",),
    "albumentations": ("learning",),
    "tensorrt": ("engine.tensorrt",),
    "openvino": ("engine.openvino", "engine.plans"),
    "gi": ("video.gst",),
    "pydicom": ("video.dicom",),
    "mcap": ("video.mcap",),
    "mcap_ros2": ("video.mcap",),
    "sklearn": ("evaluation.benchmark_metrics",),
    "ivtmetrics": ("evaluation.benchmark_metrics",),
    "torchmetrics": (),
    "ray": ("evaluation.cluster",),
    "rclpy": ("ros",),
    "builtin_interfaces": ("ros",),
    "rcl_interfaces": ("ros",),
    "launch": ("ros",),
    "launch_ros": ("ros",),
    "ament_index_python": ("ros",),
}

CLOCK_READERS = {
    "audit.witness_server": "says when it signed a checkpoint",
    "cli.audit_keys": "says in a certificate when a key took the place of another",
    "audit.writer": "stamps entries with both clocks, and closes batches after their time",
    "evaluation": "measures how long a replay takes, outside of every decision",
    "video.pacing": "plays a recording as fast as it was taken",
    "video.camera": "stamps frames of a device that does not",
}

CLOCKS = {
    "time": {
        name + suffix
        for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime")
        for suffix in ("", "_ns")
    }
    | {"localtime", "gmtime", "ctime", "strftime"},
    "datetime.datetime": {"now", "utcnow", "today"},
    "datetime.date": {"today"},
    "cv2": {"getTickCount"},
}


def allowed(importer: str, target: str) -> bool:
    """Whether one room may import another."""
    if importer == target or target in FOUNDATIONS:
        return True
    if importer in FOUNDATIONS:
        return False
    if importer in SIDE:
        return target == "video"
    if importer in LINE:
        return target in SIDE or target in LINE[: LINE.index(importer)]
    return target != "cli"


ROOMS = sorted({module.room for module in MODULES} - {""})


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_to_its_left(room):
    beside = set(BESIDE)
    wrong = [
        f"{module.name} imports {target}"
        for module in MODULES
        if module.room == room
        for target in sorted(own_imports(module))
        if room_of(target) not in beside and not allowed(room, room_of(target))
    ]
    assert wrong == []


def test_every_room_has_its_place():
    known = {*FOUNDATIONS, *LINE, *SIDE, *BESIDE}
    assert set(ROOMS) <= known


def test_nothing_in_the_operating_room_imports_what_stands_beside():
    wrong = [
        f"{module.name} imports {target}"
        for module in MODULES
        if within(module.room, *OPERATING_ROOM) and not within(module.name, *ELSEWHERE)
        for target in sorted(own_imports(module))
        if within(target, *BESIDE, *ELSEWHERE)
    ]
    assert wrong == []


def test_simulation_knows_nothing_of_who_judges_it():
    """What the networks are tested on must not depend on how they are run."""
    wrong = [
        f"{module.name} imports {target}"
        for module in MODULES
        if module.room == "simulation"
        for target in sorted(own_imports(module))
        if room_of(target) not in ("simulation", "video", *FOUNDATIONS)
    ]
    assert wrong == []


def homes(name: str) -> tuple[str, ...] | None:
    """The modules that may import a framework; None for what is none."""
    top = name.partition(".")[0]
    if top.endswith(("_msgs", "_srvs")):
        return ("ros",)
    return FRAMEWORKS.get(top)


def test_each_framework_is_imported_in_its_own_room_only():
    wrong = [
        f"{module.name} imports {name}"
        for module in MODULES
        for name in sorted(imported(module))
        if (home := homes(name)) is not None and not within(module.name, *home)
    ]
    assert wrong == []


def clock_reads(tree: ast.Module) -> list[str]:
    """Every mention of a function that reads a clock, called or handed on, with its line."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                known |= {alias.asname or alias.name: alias.name for alias in node.names}
            case ast.ImportFrom(module=str() as base):
                known |= {alias.asname or alias.name: f"{base}.{alias.name}" for alias in node.names}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            first, _, rest = ast.unparse(node).partition(".")
            full = f"{known[first]}.{rest}".rstrip(".") if first in known else ""
            owner, _, name = full.rpartition(".")
            if name in CLOCKS.get(owner, ()):
                found.append(f"line {node.lineno}: {full}")
    return found


@pytest.mark.parametrize(
    "source",
    [
        *("import time\ntime.monotonic_ns()", "import time as t\nt.time()", "from time import perf_counter as p\np()"),
        *("import datetime\ndatetime.datetime.now()", "from datetime import datetime\ndef f(now=datetime.now): pass"),
        "def f():\n import time\n return time.time_ns",
    ],
)
def test_a_clock_is_recognised_however_it_is_named(source):
    assert clock_reads(ast.parse(source))


@pytest.mark.parametrize("source", ["import time\ntime.sleep(1)", "def f(time): return time.time", "x.time()"])
def test_what_only_looks_like_a_clock_is_none(source):
    assert clock_reads(ast.parse(source)) == []


def test_the_core_reads_no_clock():
    """Time is an argument. `ros` and `learning` are no part of the core; those listed say why."""
    wrong = [
        f"{module.name} {read}"
        for module in MODULES
        if not within(module.name, "ros", "learning", *CLOCK_READERS)
        for read in clock_reads(module.tree)
    ]
    assert wrong == []


@pytest.mark.parametrize("reader", CLOCK_READERS)
def test_whoever_may_read_a_clock_does(reader):
    assert any(clock_reads(module.tree) for module in MODULES if within(module.name, reader))


@pytest.mark.parametrize(
    ("source", "name", "is_package", "found"),
    [
        ("import surgical_ml.audit", "video.file", False, "surgical_ml.audit"),
        ("def f():\n from surgical_ml.audit import wal", "video.file", False, "surgical_ml.audit.wal"),
        ("from . import frame", "video.file", False, "surgical_ml.video.frame"),
        ("from .frame import Frame", "video", True, "surgical_ml.video.frame.Frame"),
        ("from ..audit import wal", "video.file", False, "surgical_ml.audit.wal"),
        ("import importlib\nimportlib.import_module('torch')", "video.file", False, "torch"),
    ],
)
def test_an_import_is_recognised_however_it_is_written(source, name, is_package, found):
    assert found in set(imports(ast.parse(source), name, is_package))
