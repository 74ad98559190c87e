"""The assistant as a CRTK device: where `crtk_msgs` is installed, and where it is not."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from crtk_package import build
from lifecycle_msgs.msg import State

from surgical_ml.errors import InputError
from surgical_ml.ros.crtk import BUSY, STATES, CrtkStatus

TOOLS = ("cmake", "ninja", "g++")
CASES = Path(__file__).with_name("crtk_cases.py")


@pytest.fixture
def without_crtk(monkeypatch):
    for module in ("crtk_msgs", "crtk_msgs.msg"):
        monkeypatch.setitem(sys.modules, module, None)


def test_without_crtk_msgs_it_is_not_available_and_says_what_is_missing(make_node, without_crtk):
    assert not CrtkStatus.available()
    node = make_node("assistant")
    before = {each.topic_name for each in node.publishers}
    with pytest.raises(InputError, match="crtk: expected the package crtk_msgs, found none"):
        CrtkStatus(node)
    assert {each.topic_name for each in node.publishers} == before


def test_every_state_of_the_lifecycle_is_known():
    names = [name for name in dir(type(State)) if re.match(r"(PRIMARY|TRANSITION)_STATE_(?!UNKNOWN)", name)]
    labels = {re.sub(r"\w+?_STATE_", "", name).lower() for name in names}
    assert labels == set(STATES) | set(BUSY)
    assert not set(STATES) & set(BUSY)


def test_where_crtk_msgs_is_installed_all_of_it_works(tmp_path):
    found = {tool: shutil.which(tool) or shutil.which(tool, path=str(Path(sys.prefix) / "bin")) for tool in TOOLS}
    missing = [tool for tool, path in found.items() if path is None]
    if missing:
        pytest.skip(f"building crtk_msgs needs {' and '.join(missing)}")
    variables = build(tmp_path)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", str(CASES)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = set(re.findall(r"^PASSED \S+::(\w+)", done.stdout, re.M))
    assert passed == set(re.findall(r"^def (test_\w+)", CASES.read_text(encoding="utf-8"), re.M))
