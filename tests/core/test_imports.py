"""The core without frameworks: it imports on a machine that has none of them."""

import json
import subprocess
import sys

import pytest
from package_source import MODULES, within

PROBE = """
import importlib, json, sys, traceback

BLOCKED = {
    "rclpy", "rcl_interfaces", "builtin_interfaces", "torch", "torchvision", "tensorrt", "openvino", "gi", "mcap",
    "mcap_ros2", "albumentations", "pydicom", "onnx", "onnxscript", "scipy", "sklearn", "ivtmetrics",
    "torchmetrics", "ray", "psutil", "hypothesis", "ray",
}


class Wall:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in BLOCKED or top.endswith(("_msgs", "_srvs")):
            raise ModuleNotFoundError(f"{name} is not installed here", name=name)


sys.meta_path.insert(0, Wall())
failed = {}
for name in json.loads(sys.argv[1]):
    # Each one as the first that a program imports, so that no circle hides behind the order.
    for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] == "surgical_ml"]:
        del sys.modules[loaded]
    try:
        importlib.import_module(name)
    except Exception:
        failed[name] = traceback.format_exc(limit=-3)
print(json.dumps(failed))
"""

CORE = [
    f"surgical_ml.{module.name}".rstrip(".")
    for module in MODULES
    if not within(module.name, "ros", "learning") and not module.name.endswith("__main__")
]


def failures(names: list[str]) -> dict[str, str]:
    done = subprocess.run([sys.executable, "-c", PROBE, json.dumps(names)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_every_core_module_imports_without_ros_torch_and_every_optional_component():
    assert len(CORE) > 60
    assert failures(CORE) == {}


@pytest.mark.parametrize("name", ["surgical_ml.learning.frame_net", "surgical_ml.ros.qos"])
def test_the_wall_keeps_out_what_it_should(name):
    assert "is not installed here" in failures([name])[name]
