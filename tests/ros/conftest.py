"""What every test on a live graph stands on: a domain of its own, on this machine only, and a clean end."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Read when the first message class is imported: every field that a test assigns is then checked.
os.environ.setdefault("ROS_PYTHON_CHECK_FIELDS", "1")

DOMAINS = range(1, 102)  # the ids whose ports lie below those that Linux hands out


def _missing() -> str:
    for module in ("rclpy", "surgical_ml_msgs"):
        try:
            __import__(module)
        except ImportError as error:
            return f"{module} cannot be imported ({error}); `make test` installs and builds it"
    return ""


MISSING = _missing()


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Without ROS, each module here is one skip with its reason; the tests cannot even be imported."""
    if not MISSING:
        return None
    return _WithoutRos.from_parent(parent, path=module_path)


class _WithoutRos(pytest.Module):
    def collect(self) -> list[pytest.Item]:
        pytest.skip(MISSING, allow_module_level=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test in this folder needs ROS."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.ros)


@pytest.fixture(scope="session", autouse=True)
def graph_environment() -> Iterator[None]:
    """The variables that the launch files set, and nothing beyond this machine."""
    from surgical_ml.ros.profile import environment

    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment().items():
            patch.setenv(name, value)
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        yield


@pytest.fixture
def domain(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A ROS_DOMAIN_ID that no other test on this machine has while this one runs; child processes inherit it."""
    first = int.from_bytes(hashlib.sha256(f"{request.node.nodeid} {os.getpid()}".encode()).digest()[:4], "big")
    for step in range(len(DOMAINS)):
        number = DOMAINS[(first + step) % len(DOMAINS)]
        handle = os.open(
            Path(tempfile.gettempdir()) / f"surgical_ml-domain-{number}.lock", os.O_RDWR | os.O_CREAT, 0o666
        )
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        try:
            monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
            yield number
        finally:
            os.close(handle)
        return
    pytest.fail(f"every ROS domain from {DOMAINS[0]} to {DOMAINS[-1]} is taken")


@pytest.fixture
def make_node(domain: int) -> Iterator[Callable]:
    """Make nodes on a graph of their own, by name or by class: `make_node("talker")`, `make_node(Watchdog)`."""
    import rclpy
    from rclpy.context import Context
    from rclpy.node import Node

    context = Context()
    rclpy.init(context=context, domain_id=domain)
    nodes: list[Node] = []

    def make(what: str | Callable[..., Node], *arguments: object, **keywords: object) -> Node:
        if isinstance(what, str):
            node = Node(what, *arguments, context=context, **keywords)
        else:
            node = what(*arguments, context=context, **keywords)
        nodes.append(node)
        return node

    try:
        yield make
    finally:
        for node in reversed(nodes):
            node.destroy_node()
        context.try_shutdown()
