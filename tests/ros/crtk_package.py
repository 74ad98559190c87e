"""A stand-in for `crtk_msgs`, which no registry has: the one type we use, built the way the Makefile builds ours."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

OURS = Path(__file__).parents[2] / "surgical_ml_msgs" / "CMakeLists.txt"

OPERATING_STATE = "std_msgs/Header header\nstring state\nbool is_homed\nbool is_busy\n"

PACKAGE = """<?xml version="1.0"?>
<package format="3">
  <name>crtk_msgs</name>
  <version>1.3.0</version>
  <description>Stand-in with the fields of crtk_msgs.</description>
  <maintainer email="maintainers@surgical-ml.invalid">surgical_ml maintainers</maintainer>
  <license>Apache-2.0</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <buildtool_depend>rosidl_default_generators</buildtool_depend>
  <depend>std_msgs</depend>
  <exec_depend>rosidl_default_runtime</exec_depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export><build_type>ament_cmake</build_type></export>
</package>
"""


def build(folder: Path) -> dict[str, str]:
    """Build the package below `folder`; the environment in which a Python process finds it."""
    source, prefix = folder / "source", folder / "prefix"
    (source / "msg").mkdir(parents=True)
    (source / "msg" / "OperatingState.msg").write_text(OPERATING_STATE)
    (source / "package.xml").write_text(PACKAGE)
    listed = "  msg/OperatingState.msg"
    ours = OURS.read_text().replace("project(surgical_ml_msgs)", "project(crtk_msgs)")
    (source / "CMakeLists.txt").write_text(re.sub(r"(?:^  (?:msg|srv)/\w+\.\w+\n)+", f"{listed}\n", ours, flags=re.M))

    venv = Path(sys.prefix)
    # Where the index of installed packages lies: it is looked for in the prefix alone otherwise.
    tools = {**os.environ, "AMENT_PREFIX_PATH": str(venv), "PATH": f"{venv / 'bin'}:{os.environ['PATH']}"}
    configure = ["cmake", "-S", source, "-B", folder / "build", "-G", "Ninja", "-DBUILD_TESTING=OFF"]
    configure += [f"-DCMAKE_PREFIX_PATH={venv}", f"-DCMAKE_INSTALL_PREFIX={prefix}"]
    configure += [f"-DPython3_EXECUTABLE={sys.executable}"]
    for command in (configure, ["cmake", "--build", folder / "build"], ["cmake", "--install", folder / "build"]):
        done = subprocess.run(command, env=tools, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    modules = prefix / Path(sysconfig.get_path("purelib")).relative_to(venv)
    found = {name: os.environ.get(name, "") for name in ("PYTHONPATH", "LD_LIBRARY_PATH")}
    return {
        **os.environ,
        "PYTHONPATH": f"{modules}:{found['PYTHONPATH']}".rstrip(":"),
        "LD_LIBRARY_PATH": f"{prefix / 'lib'}:{found['LD_LIBRARY_PATH']}".rstrip(":"),
    }
