"""The catalogue of entry types against what the package writes, and against its page."""

import ast
from pathlib import Path

import surgical_ml
from surgical_ml.audit.catalogue import CATALOGUE, table

PACKAGE = Path(surgical_ml.__file__).parent


def constants(tree: ast.Module) -> dict[str, str]:
    """Texts that a module gives a name."""
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                names, values = [target], [node.value]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    names, values = target.elts, node.value.elts
                for name, value in zip(names, values, strict=True):
                    if isinstance(name, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
                        found[name.id] = value.value
    return found


def written() -> dict[str, set[str]]:
    """Each type of entry that the package writes, with the modules that do."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text("utf-8")
        if "surgical_ml.audit" not in text:
            continue
        tree = ast.parse(text)
        named = constants(tree)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or len(node.args) < 2:
                continue
            # A list's `append` has one argument; the writer of a log makes entries of its own in two more ways.
            if node.func.attr != "append" and (path.stem != "writer" or node.func.attr not in ("_note", "of")):
                continue
            type_ = node.args[0]
            if isinstance(type_, ast.Constant) and isinstance(type_.value, str):
                found.setdefault(type_.value, set()).add(path.stem)
            elif isinstance(type_, ast.Name) and type_.id in named:
                found.setdefault(named[type_.id], set()).add(path.stem)
            else:
                # Only what hands on a type that it was given may name one that cannot be read here.
                assert (path.stem, node.func.attr) == ("writer", "of"), f"{path}: line {node.lineno}"
    return found


def test_every_entry_that_the_package_writes_is_in_the_catalogue_and_nothing_else_is():
    assert set(written()) == set(CATALOGUE)


def test_the_search_for_written_types_finds_those_of_all_writers():
    found = written()
    assert found["decision"] >= {"session"}
    assert found["watchdog-judgement"] == {"watchdog"}
    assert found["gap"] == {"writer"}


def test_every_type_says_what_it_is_for_and_when_it_is_signed():
    for name, one in CATALOGUE.items():
        assert one.name == name
        assert one.purpose.endswith(".")
        assert "|" not in one.purpose
        assert one.checkpoint in ("always", "sometimes", "in time")
        assert f"| `{name}` | {one.writer} | {one.purpose} |" in table()


def test_the_page_about_records_has_the_whole_catalogue():
    page = PACKAGE.parent / "docs" / "audit.md"
    assert table() in page.read_text("utf-8")
