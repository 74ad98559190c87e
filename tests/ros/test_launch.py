"""The launch files. `launch` has no wheel: where it is missing, they run here against stand-ins that note what is asked."""

import ast
import importlib.util
import sys
import tomllib
import types
from pathlib import Path

import pytest
import yaml
from rclpy.parameter import Parameter

from surgical_ml.places import shared_folder
from surgical_ml.ros import parameters
from surgical_ml.ros.profile import environment

LAUNCH = shared_folder("launch")
FILES = sorted(LAUNCH.glob("*.launch.py"))
ROOT = Path(__file__).parents[2]


class Asked:
    """Any class or function of `launch`: keeps how it was called."""

    def __init__(self, name, given, named):
        self.name, self.given, self.named = name, given, named


def _stand_in(module: str, *names: str) -> types.ModuleType:
    made = types.ModuleType(module)
    for name in names:
        setattr(made, name, lambda *given, _name=name, **named: Asked(_name, given, named))
    return made


@pytest.fixture
def description(request, monkeypatch):
    """What `generate_launch_description` of a file returns, as a list of `Asked`."""
    if importlib.util.find_spec("launch_ros") is not None:
        pytest.skip("launch_ros is importable: the files are tested by running them")
    for module, names in {
        "launch": ("LaunchDescription",),
        "launch.actions": ("DeclareLaunchArgument", "SetEnvironmentVariable", "IncludeLaunchDescription"),
        "launch.conditions": ("IfCondition",),
        "launch.launch_description_sources": ("PythonLaunchDescriptionSource",),
        "launch.substitutions": ("LaunchConfiguration", "PathJoinSubstitution"),
        "launch_ros": (),
        "launch_ros.actions": ("LifecycleNode", "Node"),
        "launch_ros.parameter_descriptions": ("ParameterFile", "ParameterValue"),
        "launch_ros.substitutions": ("FindPackageShare",),
    }.items():
        monkeypatch.setitem(sys.modules, module, _stand_in(module, *names))
    spec = importlib.util.spec_from_file_location("under_test", LAUNCH / request.param)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description().given[0]


def named(description, *names):
    return [one for one in description if one.name in names]


def configurations(path: Path) -> set[str]:
    """The names that a file asks `LaunchConfiguration` for, in words; ones that are computed are not among them."""
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    asked = [c.args[0] for c in calls if isinstance(c.func, ast.Name) and c.func.id == "LaunchConfiguration"]
    return {argument.value for argument in asked if isinstance(argument, ast.Constant)}


@pytest.mark.parametrize("description", [path.name for path in FILES], indirect=True)
def test_every_argument_says_what_it_means_and_has_a_default(description):
    declared = named(description, "DeclareLaunchArgument")
    assert declared
    for one in declared:
        assert one.named["description"].endswith(".")
        assert "default_value" in one.named


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_argument_is_used_that_is_not_declared(path):
    text = path.read_text("utf-8")
    for name in configurations(path):
        assert f'DeclareLaunchArgument(\n                "{name}"' in text or f'DeclareLaunchArgument("{name}"' in text


@pytest.mark.parametrize("description", [path.name for path in FILES], indirect=True)
def test_every_executable_is_one_that_the_package_installs(description):
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    nodes = named(description, "Node", "LifecycleNode")
    assert nodes
    for node in nodes:
        assert node.named["package"] == "surgical_ml"
        assert node.named["executable"] in scripts


@pytest.mark.parametrize("description", ["assistant.launch.py"], indirect=True)
def test_the_operating_room_gets_the_assistant_and_the_watchdog_and_no_robot_stand_in(description):
    nodes = named(description, "Node", "LifecycleNode")
    assert [node.named["name"] for node in nodes] == ["assistant", "watchdog"]
    assert nodes[0].name == "LifecycleNode"
    assert all(node.named["respawn"] for node in nodes)


@pytest.mark.parametrize("description", ["assistant.launch.py"], indirect=True)
def test_the_environment_that_pictures_need_is_set_before_any_process_starts(description):
    names = [one.name for one in description]
    assert dict(one.given for one in named(description, "SetEnvironmentVariable")) == environment()
    assert max(k for k, name in enumerate(names) if name == "SetEnvironmentVariable") < names.index("LifecycleNode")


@pytest.mark.parametrize("description", ["assistant.launch.py"], indirect=True)
def test_what_the_launch_file_sets_are_parameters_of_the_assistant(description, make_node):
    [assistant] = named(description, "LifecycleNode")
    node = make_node("declares")
    parameters.declare(node)
    for name in assistant.named["parameters"][1]:
        assert node.has_parameter(name)


@pytest.mark.parametrize("path", sorted((LAUNCH / "params").glob("*.yaml")), ids=lambda path: path.name)
def test_every_parameter_of_the_files_is_known_and_of_its_type(path, make_node):
    values = yaml.safe_load(path.read_text("utf-8"))["/**"]["ros__parameters"]
    node = make_node("reads", parameter_overrides=[Parameter(name, value=value) for name, value in values.items()])
    parameters.declare(node)
    for name, value in values.items():
        assert node.get_parameter(name).value == value
