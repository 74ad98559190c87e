"""Waiting for what must become true, instead of sleeping and hoping."""

import time
from collections.abc import Callable

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node, NodeNameNonExistentError

PATIENCE_S = 120.0
"""How long anything may take to come up, or to end, on a busy machine; nothing waits this long where all is well."""


def wait_until(condition: Callable[[], object], timeout_s: float, *nodes: Node, what: str = "") -> None:
    """Return as soon as `condition()` is true; meanwhile spin `nodes`, which no other executor may hold.

    Raises:
        AssertionError: it was not within `timeout_s`; the message names `what`.
    """
    deadline = time.monotonic() + timeout_s
    executor = SingleThreadedExecutor(context=nodes[0].context) if nodes else None
    try:
        for node in nodes:
            executor.add_node(node)
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout_s} s: {what or condition}")
            if executor is None:
                time.sleep(0.01)
            else:
                executor.spin_once(timeout_sec=0.05)
    finally:
        if executor is not None:
            for node in nodes:
                executor.remove_node(node)
            executor.shutdown()


def published_by(seen_from: Node, name: str, namespace: str) -> set[str]:
    """The topics that a node publishes, as far as `seen_from` knows; none while it has not found that node."""
    try:
        return {topic for topic, _ in seen_from.get_publisher_names_and_types_by_node(name, namespace)}
    except NodeNameNonExistentError:
        return set()
