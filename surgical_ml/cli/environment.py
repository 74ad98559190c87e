"""What this machine has of what the module can use: one finding each, with what needs it and how to bring it."""

import ctypes
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Any

import surgical_ml
from surgical_ml.errors import InputError


class State(StrEnum):
    """Missing: not there. Wrong: there, and not as it must be."""

    OK = "ok"
    MISSING = "missing"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        name: of the thing.
        state: of it.
        found: a version, a place, or what is wrong.
        need: what needs it.
        remedy: the command that brings it, or what to do.
        vital: without it no case can be judged at all.
    """

    name: str
    state: State
    found: str
    need: str
    remedy: str
    vital: bool = False

    def __str__(self) -> str:
        line = f"{self.state:8}{self.name}: {self.found}"
        return line if self.state is State.OK else f"{line}; for {self.need}: {self.remedy}"

    def to_json(self) -> dict[str, Any]:
        """Its values under their names."""
        return asdict(self)


def look(records: Path | None = None) -> Iterator[Finding]:
    """Everything, the vital first; takes a few seconds.

    Args:
        records: folder of the cases' records; None for the one of the assistant.
    """
    checks = (
        *(_python, _packages, _models, _protocols, _main_job, _ros, _sourced, lambda: _records(records)),
        *(_shared_memory, _tensorrt, _openvino, _torch, _gstreamer, _cameras, _clock),
    )
    for check in checks:
        try:
            yield from check()
        except ImportError as error:
            # Whatever depends on a package that is not there says so, and the rest is looked at all the same.
            yield Finding(error.name or "package", State.MISSING, str(error), "every case", "pip install .", vital=True)


def _python() -> Iterator[Finding]:
    version = sys.version_info
    state = State.OK if version >= (3, 11) else State.WRONG
    found = f"{version.major}.{version.minor}.{version.micro} in {sys.prefix}"
    yield Finding("python", state, found, "everything", "install Python 3.11 or newer", vital=True)
    header = Path(sysconfig.get_path("include")) / "Python.h"
    yield Finding(
        "python headers",
        State.OK if header.is_file() else State.MISSING,
        str(header),
        "building surgical_ml_msgs",
        "apt-get install python3-dev",
    )


_EXTRAS = {
    "ros": "the ROS 2 nodes, where no ROS is sourced",
    "ros-build": "building surgical_ml_msgs without a ROS installation",
    "train": "training the networks",
    "openvino": "the engine openvino",
    "report": "figures in evaluation reports",
    "dev": "the tests and the linters",
}
_REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)(?:\[[^\]]*\])?(?:==(?P<pin>[^\s;]+))?(?:\s*;\s*extra == \"(?P<extra>[^\"]+)\")?"
)


def _packages() -> Iterator[Finding]:
    """Each dependency of the main job, and each extra as a whole, against its pins."""
    try:
        wanted = _requirements()
    except metadata.PackageNotFoundError:
        yield Finding("surgical_ml", State.MISSING, "not installed", "the check of its pins", "pip install .")
        return
    for name, pin in wanted.pop(""):
        version = _version(name)
        state = State.MISSING if not version else State.OK if _fits(version, pin) else State.WRONG
        found = version if state is State.OK else f"{version or 'not there'}, expected {pin}"
        # Another version may do; none never does.
        vital = state is not State.WRONG
        yield Finding(name, state, found, "every case", f"pip install {name}=={pin}", vital)
    for extra, need in _EXTRAS.items():
        packages = wanted.get(extra, [])
        lacking = [name for name, _ in packages if not _version(name)]
        there = [(name, pin, version) for name, pin in packages if (version := _version(name))]
        differing = [f"{name} {version} instead of {pin}" for name, pin, version in there if not _fits(version, pin)]
        state = State.MISSING if lacking else State.WRONG if differing else State.OK
        found = ", ".join([f"{name} not there" for name in lacking] + differing) or f"all {len(packages)} packages"
        yield Finding(f"extra {extra}", state, found, need, f"pip install 'surgical_ml[{extra}]'")


def _requirements() -> dict[str, list[tuple[str, str]]]:
    """Names and pins by extra, "" for the main job's; of the checkout where this is one, for an installation ages."""
    project = Path(surgical_ml.__file__).resolve().parents[1] / "pyproject.toml"
    if project.is_file():
        listed = tomllib.loads(project.read_text("utf-8"))["project"]
        lines = [(line, "") for line in listed["dependencies"]]
        lines += [(line, extra) for extra, them in listed["optional-dependencies"].items() for line in them]
    else:
        lines = [(line, "") for line in metadata.requires("surgical_ml") or ()]
    wanted: dict[str, list[tuple[str, str]]] = {"": []}
    for line, extra in lines:
        match = _REQUIREMENT.match(line)
        if match is not None:
            wanted.setdefault(match["extra"] or extra, []).append((match["name"], match["pin"] or ""))
    return wanted


def _version(package: str) -> str:
    """The installed version, empty without one."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _fits(version: str, pin: str) -> bool:
    """Whether a version is the pinned one; what stands behind a plus only says how it was built."""
    return pin in ("", version, version.partition("+")[0])


def _models() -> Iterator[Finding]:
    from surgical_ml.engine import load_model
    from surgical_ml.places import shared_folder

    need, remedy = "every case", "restore the folder from the distribution: git checkout models"
    try:
        folders = sorted(path.parent for path in shared_folder("models").glob("*/*/manifest.json"))
    except InputError as error:
        yield Finding("models", State.MISSING, str(error), need, "set SURGICAL_ML_SHARE, or pip install .", vital=True)
        return
    for folder in folders:
        name = f"model {folder.parent.name}/{folder.name}"
        try:
            model = load_model(folder)
            yield Finding(name, State.OK, f"digests match, {model.sha256[:12]}", need, remedy, vital=True)
        except InputError as error:
            yield Finding(name, State.WRONG, str(error), need, remedy, vital=True)
        yield _signature(folder, name)


def _signature(folder: Path, model: str) -> Finding:
    """By which key a model is signed; whether that one is to be believed, the configuration of a case says."""
    from surgical_ml.engine.signature import signed_by

    name, need = f"signature of {model}", "cases whose configuration names a model_key"
    remedy = f"surgical-ml model sign {folder} --key FILE, or restore the folder: git checkout models"
    try:
        signer = signed_by(folder, (folder / "manifest.json").read_bytes())
    except InputError as error:
        return Finding(name, State.WRONG, str(error), need, remedy)
    return Finding(name, State.OK if signer else State.MISSING, f"by {signer}" if signer else "none", need, remedy)


def _protocols() -> Iterator[Finding]:
    from surgical_ml import workflow

    for path in sorted((Path(workflow.__file__).parent / "protocols").glob("*.yaml")):
        name, need, remedy = f"protocol {path.stem}", "cases of that procedure", "restore it: git checkout surgical_ml"
        try:
            protocol = workflow.load_protocol(path)
            yield Finding(name, State.OK, f"{len(protocol.phases)} phases, {protocol.digest[:12]}", need, remedy)
        except InputError as error:
            yield Finding(name, State.WRONG, str(error), need, remedy)


def _main_job() -> Iterator[Finding]:
    """Load what a case loads, and run both networks once."""
    name, need, remedy = "main job", "every case", "see the lines above"
    try:
        from surgical_ml.config import CaseConfig
        from surgical_ml.session import Assets

        config = CaseConfig.of({})
        Assets.load(config)
    except (InputError, ImportError) as error:
        yield Finding(name, State.WRONG, str(error), need, remedy, vital=True)
        return
    found = f"{config.model} on {config.engine} runs and fits the protocol {config.procedure}"
    yield Finding(name, State.OK, found, need, remedy, vital=True)


def _in_child(code: str) -> tuple[bool, str]:
    """Run Python apart, because a native library that does not fit can take its process with it; the last line it said."""
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return False, "no answer within a minute"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return done.returncode == 0, lines[-1] if lines else f"ended with {done.returncode}"


def _ros() -> Iterator[Finding]:
    for module, remedy in (
        ("rclpy", "pip install 'surgical_ml[ros]', or source a ROS 2 for this Python"),
        (
            "surgical_ml_msgs.msg",
            "make demo, or colcon build --base-paths . surgical_ml_msgs and source install/setup.bash",
        ),
    ):
        name = module.partition(".")[0]
        works, said = _in_child(f"import {module}, {name}; print({name}.__file__)")
        yield Finding(name, State.OK if works else State.MISSING, said, "the assistant on a ROS 2 graph", remedy)


_DISTRO, _MIDDLEWARE = "jazzy", "rmw_fastrtps_cpp"


def _sourced() -> Iterator[Finding]:
    """What a sourced ROS does to this Python."""
    need = "the assistant on a ROS 2 graph"
    distro = os.environ.get("ROS_DISTRO", "")
    if not distro:
        yield Finding("sourced ROS", State.OK, "none, so that the installed packages are used", need, "")
    else:
        state = State.OK if distro == _DISTRO else State.WRONG
        yield Finding("sourced ROS", state, distro, need, f"source /opt/ros/{_DISTRO}/setup.bash")
    own = f"python{sys.version_info.major}.{sys.version_info.minor}"
    others = [
        entry
        for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep)
        if re.search(r"/python3\.\d+/", f"{entry}/")
    ]
    foreign = [entry for entry in others if f"/{own}/" not in f"{entry}/"]
    if foreign:
        yield Finding(
            "PYTHONPATH", State.WRONG, f"{foreign[0]} is not for {own}", need, "open a shell that sources no ROS"
        )
    elif others and _version("ros-rclpy"):
        found = f"{others[0]} stands before the rclpy {_version('ros-rclpy')} that is installed here"
        yield Finding(
            "PYTHONPATH", State.WRONG, found, need, "open a shell that sources no ROS, or a Python without that"
        )
    middleware = os.environ.get("RMW_IMPLEMENTATION", _MIDDLEWARE)
    if middleware != _MIDDLEWARE:
        remedy = f"unset RMW_IMPLEMENTATION: only {_MIDDLEWARE} was tested"
        yield Finding("RMW_IMPLEMENTATION", State.WRONG, middleware, need, remedy)


def _records(chosen: Path | None) -> Iterator[Finding]:
    from surgical_ml.ros.records import LEAST_FREE_BYTES

    need, remedy = "the record of a live case", "set records_dir to a folder with room that can be written to"
    from surgical_ml.places import default_records

    folder = chosen or default_records()
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Finding("records", State.WRONG, f"{there} cannot be written to", need, remedy)
        return
    free = shutil.disk_usage(there).free
    found = f"{folder}, {free / 1e9:.1f} GB free"
    yield Finding("records", State.OK if free >= LEAST_FREE_BYTES else State.WRONG, found, need, remedy)


_SHM = Path("/dev/shm")
_LEAST_SHM_BYTES = 256 << 20
_SEGMENT = re.compile(r"fastrtps_[0-9a-f]{16}")


def _shared_memory() -> Iterator[Finding]:
    need = "the transport of ROS 2 pictures"
    if not _SHM.is_dir():
        yield Finding("shared memory", State.MISSING, f"no {_SHM}", need, f"mount -t tmpfs tmpfs {_SHM}")
        return
    size = shutil.disk_usage(_SHM).total
    state = State.OK if size >= _LEAST_SHM_BYTES else State.WRONG
    remedy = f"mount -o remount,size=1g {_SHM}, or docker run --shm-size=1g"
    yield Finding("shared memory", state, f"{size >> 20} MiB in {_SHM}", need, remedy)
    stale = sorted(path for path in _SHM.iterdir() if _SEGMENT.fullmatch(path.name) and _abandoned(path))
    if stale:
        taken = sum(path.stat().st_size for path in stale) >> 20
        found = f"{len(stale)} segments of processes that are gone, {taken} MiB"
        remedy = (
            "fastdds shm clean, or rm " + " ".join(f"{path}*" for path in stale[:3]) + (" ..." if stale[3:] else "")
        )
        yield Finding("fastrtps segments", State.WRONG, found, need, remedy)


def _abandoned(segment: Path) -> bool:
    """Whether nobody holds its lock any more; a name is random, so that asking disturbs nobody who makes a new one."""
    try:
        lock = os.open(segment.with_name(f"{segment.name}_el"), os.O_RDONLY)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True


_PROBE_TENSORRT = """
from surgical_ml.engine.cuda import Cuda
from surgical_ml.engine.tensorrt import load_tensorrt
device = Cuda().device
print(f"{load_tensorrt().__version__} on {device.name}, driver {device.driver}")
"""


def _tensorrt() -> Iterator[Finding]:
    need = "the engine tensorrt"
    works, said = _in_child(_PROBE_TENSORRT)
    if works:
        yield Finding("tensorrt", State.OK, said, need, "")
        return
    remedy = (
        "on a machine with an NVIDIA GPU: install its driver, and pip install tensorrt-cu13 (CUDA 12: tensorrt-cu12)"
    )
    found = said.removeprefix("surgical_ml.errors.InputError: engine tensorrt: ")
    yield Finding("tensorrt", State.MISSING, found, need, remedy)


def _openvino() -> Iterator[Finding]:
    version = _version("openvino")
    state = State.OK if version else State.MISSING
    found = version or "not there"
    if version:
        works, said = _in_child("from surgical_ml.engine.openvino import has_bf16; print(has_bf16())")
        state = State.OK if works else State.WRONG
        found = f"{version}, {'with' if said == 'True' else 'without'} bfloat16" if works else said
    yield Finding("openvino", state, found, "the engine openvino", "pip install 'surgical_ml[openvino]'")


def _torch() -> Iterator[Finding]:
    need, remedy = "the engine torch", "pip install 'surgical_ml[train]'"
    if not (_version("torch") and _version("onnx")):
        yield Finding("torch", State.MISSING, "torch or onnx is not there", need, remedy)
        return
    works, said = _in_child(
        "import torch; print(torch.__version__, 'on a GPU' if torch.cuda.is_available() else 'on the CPU')"
    )
    yield Finding("torch", State.OK if works else State.WRONG, said, need, remedy)


_ELEMENTS = ("appsink", "videoconvert", "deinterlace", "v4l2src", "unixfdsrc", "decklinkvideosrc")
_PROBE_GSTREAMER = f"""
import json
from surgical_ml.video.gst import _gstreamer
Gst = _gstreamer()[0]
print(json.dumps([Gst.version_string(), [name for name in {_ELEMENTS!r} if Gst.ElementFactory.find(name) is None]]))
"""


def _gstreamer() -> Iterator[Finding]:
    need, remedy = "video from pipelines, capture cards and dVRK", "apt-get install what apt.txt lists"
    works, said = _in_child(_PROBE_GSTREAMER)
    if not works:
        yield Finding("gstreamer", State.MISSING, said.removeprefix("surgical_ml.errors.InputError: "), need, remedy)
        return
    version, lacking = json.loads(said)
    # The last three belong to a camera, to dVRK's sockets and to capture cards: whoever has none needs none.
    state = State.WRONG if set(lacking) & set(_ELEMENTS[:3]) else State.OK
    yield Finding("gstreamer", state, version + (f" without {', '.join(lacking)}" if lacking else ""), need, remedy)


def _cameras() -> Iterator[Finding]:
    need, remedy = "video from a camera", "connect one; in a container, hand it in with --device"
    devices = sorted(Path("/dev").glob("video*"))
    if not devices:
        yield Finding("cameras", State.MISSING, "no /dev/video*", need, remedy)
        return
    closed = [path for path in devices if not os.access(path, os.R_OK | os.W_OK)]
    if closed:
        found = f"{closed[0]} cannot be opened by this user"
        yield Finding("cameras", State.WRONG, found, need, "add the user to the group video")
        return
    yield Finding("cameras", State.OK, ", ".join(map(str, devices)), need, remedy)


_UNSYNCHRONISED = 5
_MAXERROR_AT = 24


def _clock() -> Iterator[Finding]:
    """What the kernel knows of its clock, by adjtimex(2); asking changes nothing."""
    need, remedy = "the stamps of records that are compared with other machines'", "timedatectl set-ntp true"
    answer = ctypes.create_string_buffer(256)
    try:
        state = ctypes.CDLL(None).adjtimex(answer)
    except AttributeError:
        state = -1
    if state < 0:
        yield Finding("clock", State.MISSING, "the system does not say whether it is synchronised", need, remedy)
        return
    if state == _UNSYNCHRONISED:
        yield Finding("clock", State.WRONG, "not synchronised", need, remedy)
        return
    error_us = int.from_bytes(answer.raw[_MAXERROR_AT : _MAXERROR_AT + 8], sys.byteorder)
    yield Finding("clock", State.OK, f"synchronised, at most {error_us / 1000:.0f} ms off", need, remedy)
