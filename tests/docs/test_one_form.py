"""One form of everything: what no linter holds for us is held here."""

import ast
import itertools
import re
from collections.abc import Iterator
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
