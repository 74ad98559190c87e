"""The package's own source, parsed: its modules, and what each of them imports."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import surgical_ml

PACKAGE = Path(surgical_ml.__file__).parent

SIDE = ("audit", "calibration", "labels", "evaluation.metrics")
"""Rooms beside the line: they import at most what video makes."""

SESSION = ("session", "config", "decision", "events", "record")
"""The files that are one room, though they have no folder."""


@dataclass(frozen=True)
class Module:
    """One file: its name below the package (`audit.writer`), and what stands in it."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def room(self) -> str:
        return room_of(self.name)


def within(name: str, *parts: str) -> bool:
    """Whether a dotted name is one of `parts`, or inside one."""
    return any(name == part or name.startswith(part + ".") for part in parts)


def room_of(name: str) -> str:
    if name in SESSION:
        return "session"
    side = [room for room in SIDE if within(name, room)]
    return side[0] if side else name.partition(".")[0]


def modules() -> list[Module]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, path, ast.parse(path.read_text("utf-8"), str(path))))
    return found


MODULES = modules()
NAMES = {module.name for module in MODULES}


def imports(tree: ast.Module, name: str, is_package: bool = False) -> Iterator[str]:
    """Everything a module imports, in functions too, as full dotted names; a name from a package may be a module."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                base = node.module or ""
                if node.level:
                    above = ["surgical_ml", *name.split(".")][: None if is_package else -1]
                    above = above[: len(above) - node.level + 1]
                    base = ".".join([*above, base] if base else above)
                yield from (f"{base}.{alias.name}" for alias in node.names)
            case ast.Call(args=[ast.Constant(value=str() as target), *_]):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if called in ("import_module", "__import__"):
                    yield target


def imported(module: Module) -> set[str]:
    return set(imports(module.tree, module.name, module.path.name == "__init__.py"))


def own_imports(module: Module) -> set[str]:
    """Modules of this package that a module imports, by their name below it."""
    found = set()
    for name in imported(module):
        if within(name, "surgical_ml"):
            below = name.removeprefix("surgical_ml").lstrip(".")
            while below not in NAMES:
                below = below.rpartition(".")[0]
            found.add(below)
    return found - {"", module.name}
