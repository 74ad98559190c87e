"""Reads from source code what it publishes, and what of that an advisor must not."""

import ast
import re
from dataclasses import dataclass

CREATE = {"create_publisher", "create_lifecycle_publisher"}
CLASSES = {"Publisher", "LifecyclePublisher"}
UNREADABLE = "a name that cannot be read from the source"
FORBIDDEN = {
    re.compile(r"^/(?!diagnostics$)"): "an absolute name",
    re.compile(r"(^|/)(servo|move|interpolate)_\w+"): "motion",
    re.compile(r"(^|/)(hold|free|state_command)$"): "a command",
    re.compile(r"(^|/)error$"): "what stops teleoperation",
    re.compile(r"(^|/)(console|system|footpedals)/"): "the robot's console",
}


@dataclass(frozen=True, slots=True)
class Publishing:
    """A place in the source where something is published; the name is None where it cannot be read."""

    line: int
    name: str | None

    @property
    def objection(self) -> str:
        """Why an advisor must not; empty if it may."""
        if self.name is None:
            return UNREADABLE
        return next((why for pattern, why in FORBIDDEN.items() if pattern.search(self.name)), "")


def publishings(source: str) -> list[Publishing]:
    """Every place that makes a publisher, in its order; one that hides how it does so has no name."""
    tree = ast.parse(source)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    called = {id(call.func) for call in calls}
    found = [Publishing(call.lineno, _name(call)) for call in calls if _last(call.func) in CREATE | CLASSES]
    for node in ast.walk(tree):
        aliased = isinstance(node, (ast.Attribute, ast.Name)) and _last(node) in CREATE and id(node) not in called
        if aliased or (isinstance(node, ast.Constant) and node.value in CREATE):
            found.append(Publishing(node.lineno, None))
    return sorted(found, key=lambda one: one.line)


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _name(call: ast.Call) -> str | None:
    if _last(call.func) in CLASSES:
        return None
    given = call.args[1] if len(call.args) > 1 else next((k.value for k in call.keywords if k.arg == "topic"), None)
    return given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else None
