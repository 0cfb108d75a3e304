"""One form of everything: what no linter holds for us is held here."""

import ast
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from docs.steps import ROOT

ROOMS = (
    "workflows",
    "activities",
    "workers",
    "starters",
    "audit",
    "records_schema",
    "libraries",
    "sandbox",
    "docs",
    "bench",
    "tests",
)


def modules() -> Iterator[tuple[Path, str]]:
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            yield file.relative_to(ROOT), file.read_text(encoding="utf-8")


def bodies(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            if isinstance(body := getattr(node, name, None), list):
                yield body


def names_its_message_first(first: ast.stmt, then: ast.stmt) -> bool:
    """Whether `first` gives a name to a message that only `then` raises."""
    match first, then:
        case ast.Assign(targets=[ast.Name(id=name)]), ast.Raise(exc=ast.Call(args=[ast.Name(id=raised), *_])):
            return name == raised
    return False


def test_the_formatter_decides() -> None:
    mark = re.compile(r"# fmt: *(skip|off)")
    assert [str(file) for file, text in modules() if mark.search(text) and file.name != Path(__file__).name] == []


def test_a_message_stands_in_its_raise() -> None:
    found = [
        f"{file}:{first.lineno}"
        for file, text in modules()
        for body in bodies(ast.parse(text))
        for first, then in itertools.pairwise(body)
        if names_its_message_first(first, then)
    ]
    assert found == []


def test_the_other_form_would_be_found() -> None:
    (first, then) = ast.parse("message = 'no'\nraise ValueError(message)").body
    assert names_its_message_first(first, then)


def set_late(tree: ast.AST, classes: Mapping[str, ast.ClassDef]) -> Iterator[str]:
    """What a workflow's class, or a base of one, declares without a value, or sets first after `__init__`."""
    for of in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        line = [of, *bases(of, classes)]
        if not any("workflow.defn" in ast.unparse(one) for one in of.decorator_list) and line[-1].name != "Reporting":
            continue
        begun = [method for one in line for method in one.body if getattr(method, "name", "") == "__init__"]
        ours = {name for name, _ in stored(begun)}
        yield from (f"{of.name}.{name}" for name, value in stored(of.body) if not value)
        yield from (f"{of.name}.{name}" for name, _ in stored(of.body) if name not in ours)


def bases(of: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> Iterator[ast.ClassDef]:
    """Give what a class derives from, the last one last: every procedure's is `Reporting`."""
    for base in of.bases:
        if isinstance(base, ast.Name) and base.id in classes:
            yield classes[base.id]
            yield from bases(classes[base.id], classes)


def stored(body: Iterable[ast.stmt]) -> Iterator[tuple[str, bool]]:
    """Give each attribute of `self` that is set, and whether it gets a value."""
    for node in itertools.chain.from_iterable(ast.walk(one) for one in body):
        match node:
            case ast.AnnAssign(target=ast.Attribute(value=ast.Name(id="self"), attr=name), value=value):
                yield name, value is not None
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield name, True


def test_a_workflow_is_whole_before_its_first_handler() -> None:
    """CONTRIBUTING, "A new procedure"."""
    trees = {file: ast.parse(text) for file, text in modules()}
    ours = [node for file, tree in trees.items() if file.parts[0] == "workflows" for node in ast.walk(tree)]
    classes = {node.name: node for node in ours if isinstance(node, ast.ClassDef)}
    assert [(str(file), name) for file, tree in trees.items() for name in set_late(tree, classes)] == []


def test_what_is_set_late_would_be_found() -> None:
    lines = ("@workflow.defn", "class A:", " def __init__(self):", "  self.a: int", " def run(self):", "  self.b = 1")
    late = "\n".join(lines)
    assert list(set_late(ast.parse(late), {})) == ["A.a", "A.b"]


def test_what_is_set_late_would_be_found_where_a_procedure_derives_from_it() -> None:
    lines = ("class Reporting:", " pass", "class A(Reporting):", " def run(self):", "  self.b = 1")
    tree = ast.parse("\n".join(lines))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    assert list(set_late(tree, classes)) == ["A.b"]
