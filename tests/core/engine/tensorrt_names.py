"""Which names and signatures TensorRT's bindings have, and which of them a source uses as they have them not.

The bindings say what they have without a GPU: over a library of nine symbols that do nothing, made here with gcc, they import.
"""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SYMBOLS = (
    *("createInferBuilder_INTERNAL", "createInferRuntime_INTERNAL", "createInferRefitter_INTERNAL"),
    *("createNvOnnxParser_INTERNAL", "createNvOnnxParserRefitter_INTERNAL", "getNvOnnxParserVersion"),
    *("getPluginRegistry", "getBuilderPluginRegistry", "initLibNvInferPlugins"),
)
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")

_DUMP = """
import json
import tensorrt_bindings as trt

def member(value):
    if isinstance(value, type):
        return {"kind": "class"}
    if isinstance(value, property):
        doc = (value.fget.__doc__ or "").strip()
        return {"kind": "property", "settable": value.fset is not None, "doc": doc}
    if callable(value):
        return {"kind": "method", "doc": (value.__doc__ or "").strip()}
    return {"kind": "value"}

def described(kind):
    names = {name for base in kind.__mro__[:-1] for name in vars(base) if not name.startswith("_")} | {"__init__"}
    bases = [base.__name__ for base in kind.__mro__]
    return {"bases": bases, "members": {name: member(getattr(kind, name)) for name in sorted(names)}}

found = {}
for name, value in vars(trt).items():
    if isinstance(value, type):
        found[name] = described(value)
        for inner, nested in vars(value).items():
            if isinstance(nested, type) and not inner.startswith("_"):
                found[f"{name}.{inner}"] = described(nested)
print(json.dumps({"version": trt.__version__, "names": sorted(vars(trt)), "classes": found}))
"""

_SAME = {"nvonnxparser::IParserError": "ParserError"}
"""What a docstring calls by its C++ name, because it was not bound yet."""


@dataclass(frozen=True)
class Signature:
    """Names of the parameters after self, with their types and whether they may be left out; and what comes back."""

    parameters: tuple[tuple[str, str, bool], ...]
    returns: str


@dataclass(frozen=True)
class Bindings:
    """What one version of the bindings has."""

    version: str
    names: frozenset[str]
    classes: dict[str, Any]
    stubs: Path

    def member(self, owner: str, name: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.classes[owner]["members"].get(name)
        return found

    def signatures(self, owner: str, name: str) -> list[Signature]:
        member = self.member(owner, name)
        assert member is not None
        return list(_signatures(name, member["doc"]))

    def is_a(self, kind: str, wanted: str) -> bool:
        return kind == wanted or wanted in self.classes[kind]["bases"]


def load(folder: Path, stubs: Path) -> Bindings:
    """Import the bindings of a folder in a process of their own, and ask them."""
    found = json.loads(run(_DUMP, folder, stubs))
    return Bindings(found["version"], frozenset(found["names"]), found["classes"], stubs)


def run(code: str, folder: Path, stubs: Path) -> str:
    """What Python says that finds the bindings of a folder, over the libraries with nothing in them."""
    path = os.pathsep.join([str(folder), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=dict(os.environ, PYTHONPATH=path, LD_LIBRARY_PATH=str(stubs)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_stubs(folder: Path, major: int) -> Path:
    """The libraries that the bindings of a version ask for, with nothing in them."""
    source = folder / "nothing.c"
    source.write_text("".join(f"void *{symbol}(void) {{ return 0; }}\n" for symbol in SYMBOLS))
    for name in LIBRARIES:
        file = f"lib{name}.so.{major}"
        subprocess.run(["gcc", "-shared", "-fPIC", f"-Wl,-soname,{file}", "-o", folder / file, source], check=True)
    return folder


def _signatures(name: str, doc: str) -> Iterator[Signature]:
    for line in doc.splitlines():
        text = line.strip()
        _, dot, numbered = text.partition(". ")
        text = numbered if dot and text[0].isdigit() else text
        if text.startswith(f"{name}(self") and " -> " in text:
            inside, _, returns = text.removeprefix(f"{name}(").rpartition(") -> ")
            parameters = []
            for parameter in _split(inside)[1:]:
                what, _, default = parameter.partition(" = ")
                called, _, kind = what.partition(": ")
                parameters.append((called, _plain(kind), bool(default)))
            yield Signature(tuple(parameters), _plain(returns))


def _split(text: str) -> list[str]:
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([<") - (character in ")]>")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _plain(kind: str) -> str:
    kind = _SAME.get(kind, kind).removeprefix("tensorrt_bindings.tensorrt.").removeprefix("nvinfer1::")
    return kind.removesuffix(" | None")


Kind = Any
"""What is known of a value: None, "trt", ("class", name), ("object", name), ("method", owner, name), ("list", kind),
("tuple", kinds)."""


@dataclass
class Check:
    """Follows TensorRT's objects through sources, from `Annotated[Any, "..."]` and from what its calls return."""

    bindings: Bindings
    complaints: list[str] = field(default_factory=list)
    followed: set[tuple[str, int, str]] = field(default_factory=set)
    aliases: dict[str, Kind] = field(default_factory=dict)
    functions: dict[str, Kind] = field(default_factory=dict)
    attributes: dict[str, Kind] = field(default_factory=dict)
    where: str = ""

    def run(self, sources: dict[str, str]) -> "Check":
        trees = {name: ast.parse(source) for name, source in sources.items()}
        for tree in trees.values():
            for node in tree.body:
                match node:
                    case ast.Assign(
                        targets=[ast.Name(id=name)],
                        value=ast.Subscript(
                            value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[_, ast.Constant(value=kind)])
                        ),
                    ):
                        self.aliases[name] = "trt" if kind == "tensorrt" else self._of(str(kind))
        for tree in trees.values():
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef):
                    self.functions[node.name] = self._annotated(node.returns)
        # Twice, so that a method may use what one below it puts into an attribute.
        for _ in range(2):
            self.complaints.clear()
            for self.where, tree in trees.items():
                self._body(tree.body, {})
        return self

    def lost(self, sources: dict[str, str], common: set[str]) -> set[str]:
        """Attributes that TensorRT's objects have by name, and that were not followed to one."""
        known = {member for kind in self.bindings.classes.values() for member in kind["members"]} - common
        return {
            f"{where}:{node.lineno}: {node.attr}"
            for where, source in sources.items()
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Attribute)
            and node.attr in known
            and (where, node.lineno, node.attr) not in self.followed
        }

    def _say(self, node: ast.AST, what: str) -> None:
        self.complaints.append(f"{self.where}:{getattr(node, 'lineno', 0)}: {what} (TensorRT {self.bindings.version})")

    def _of(self, kind: str) -> Kind:
        return ("object", kind) if kind in self.bindings.classes else None

    def _annotated(self, node: ast.expr | None) -> Kind:
        match node:
            case ast.Name(id=name):
                return self.aliases.get(name)
            case ast.Subscript(value=ast.Name(id="list"), slice=inner):
                return ("list", self._annotated(inner))
        return None

    def _body(self, body: list[ast.stmt], names: dict[str, Kind]) -> None:
        for statement in body:
            self._statement(statement, names)

    def _statement(self, node: ast.stmt, names: dict[str, Kind]) -> None:
        match node:
            case ast.FunctionDef():
                inner = dict(names)
                for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                    inner[argument.arg] = self._annotated(argument.annotation)
                self._body(node.body, inner)
            case ast.ClassDef():
                for base in node.bases:
                    kind = self._value(base, names)
                    if kind is not None and kind[0] == "class":
                        self._overrides(node, kind[1])
                        names[node.name] = kind
                self._body(node.body, dict(names))
            case ast.Assign():
                kind = self._value(node.value, names)
                for target in node.targets:
                    self._bind(target, kind, names)
            case ast.For():
                kind = self._value(node.iter, names)
                self._bind(node.target, kind[1] if kind and kind[0] == "list" else None, names)
                self._body([*node.body, *node.orelse], names)
            case _:
                for child in ast.iter_child_nodes(node):
                    if isinstance(child, ast.stmt):
                        self._statement(child, names)
                    elif isinstance(child, ast.expr):
                        self._value(child, names)
                    else:
                        inside = [inner for inner in ast.walk(child) if isinstance(inner, ast.expr)]
                        if isinstance(child, ast.ExceptHandler):
                            self._body(child.body, names)
                        elif inside:
                            self._value(inside[0], names)

    def _bind(self, target: ast.expr, kind: Kind, names: dict[str, Kind]) -> None:
        match target:
            case ast.Name(id=name):
                names[name] = kind
            case ast.Tuple(elts=parts):
                kinds = kind[1] if kind and kind[0] == "tuple" else [None] * len(parts)
                for part, one in zip(parts, kinds, strict=True):
                    self._bind(part, one, names)
            case ast.Attribute(value=ast.Name(id="self"), attr=name):
                if kind is not None:
                    self.attributes[name] = kind
            case ast.Attribute(value=owner, attr=name):
                known = self._value(owner, names)
                if known is not None and known[0] == "object":
                    self.followed.add((self.where, target.lineno, name))
                    member = self.bindings.member(known[1], name)
                    if member is None or not member.get("settable"):
                        self._say(target, f"{known[1]}.{name} cannot be set")
            case ast.Subscript():
                self._value(target, names)

    def _value(self, node: ast.expr | None, names: dict[str, Kind]) -> Kind:
        match node:
            case ast.Name(id=name):
                return names.get(name)
            case ast.Attribute(value=ast.Name(id="self"), attr=name) if name in self.attributes:
                return self.attributes[name]
            case ast.Attribute():
                return self._member(node, names)
            case ast.Call():
                return self._call(node, names)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
                inner = dict(names)
                for part in node.generators:
                    kind = self._value(part.iter, inner)
                    self._bind(part.target, kind[1] if kind and kind[0] == "list" else None, inner)
                    for condition in part.ifs:
                        self._value(condition, inner)
                return ("list", self._value(node.elt, inner))
            case ast.Tuple(elts=parts):
                return ("tuple", [self._value(part, names) for part in parts])
            case ast.NamedExpr(target=ast.Name(id=name), value=value):
                names[name] = self._value(value, names)
                return names[name]
            case None:
                return None
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._value(child, names)
        return None

    def _member(self, node: ast.Attribute, names: dict[str, Kind]) -> Kind:
        owner = self._value(node.value, names)
        if owner is None or owner[0] in ("list", "tuple", "method"):
            return None
        self.followed.add((self.where, node.lineno, node.attr))
        if owner == "trt":
            if node.attr not in self.bindings.names:
                self._say(node, f"tensorrt.{node.attr} is not there")
                return None
            return ("class", node.attr) if node.attr in self.bindings.classes else None
        kind = owner[1]
        member = self.bindings.member(kind, node.attr)
        if member is None:
            self._say(node, f"{kind}.{node.attr} is not there")
            return None
        match member["kind"]:
            case "class":
                return ("class", f"{kind}.{node.attr}")
            case "method":
                return ("method", kind, node.attr)
            case "property":
                return self._of(_plain(member["doc"].rpartition(" -> ")[2]))
        return ("object", kind)

    def _call(self, node: ast.Call, names: dict[str, Kind]) -> Kind:
        called = self._value(node.func, names)
        given = [self._value(argument, names) for argument in node.args]
        named = {keyword.arg or "**": self._value(keyword.value, names) for keyword in node.keywords}
        match called:
            case ("class", kind) if isinstance(node.func, ast.Name):
                return ("object", kind)  # a subclass of our own
            case ("class", kind):
                self._fits(node, kind, "__init__", given, named)
                return ("object", kind)
            case ("method", kind, name):
                if isinstance(node.func, ast.Attribute) and name == "__init__":
                    return None
                return self._fits(node, kind, name, given, named)
        if isinstance(node.func, ast.Name):
            return self.functions.get(node.func.id)
        return None

    def _fits(self, node: ast.Call, kind: str, name: str, given: list[Kind], named: dict[str, Kind]) -> Kind:
        """What the first overload returns that takes these arguments."""
        for signature in self.bindings.signatures(kind, name):
            if self._takes(signature, given, named):
                return self._of(signature.returns)
        self._say(node, f"{kind}.{name} takes no {len(given)} arguments and {sorted(named)} like these")
        return None

    def _takes(self, signature: Signature, given: list[Kind], named: dict[str, Kind]) -> bool:
        parameters = signature.parameters
        if len(given) > len(parameters):
            return False
        pairs = list(zip(given, parameters, strict=False))
        by_name = {parameter[0]: parameter for parameter in parameters[len(given) :]}
        if not set(named) <= set(by_name):
            return False
        if any(not optional for name, (_, _, optional) in by_name.items() if name not in named):
            return False
        pairs += [(kind, by_name[name]) for name, kind in named.items()]
        return all(
            self.bindings.is_a(kind[1], wanted)
            for kind, (_, wanted, _) in pairs
            if kind is not None and kind[0] == "object" and wanted in self.bindings.classes
        )

    def _overrides(self, node: ast.ClassDef, base: str) -> None:
        for method in node.body:
            if not isinstance(method, ast.FunctionDef) or method.name == "__init__":
                continue
            self.followed.add((self.where, method.lineno, method.name))
            if self.bindings.member(base, method.name) is None:
                self._say(method, f"{base}.{method.name} is not there")
                continue
            wanted = [name for name, _, _ in self.bindings.signatures(base, method.name)[0].parameters]
            if [argument.arg for argument in method.args.args[1:]] != wanted:
                self._say(method, f"{base}.{method.name} is called with {wanted}")
