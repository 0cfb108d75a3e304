"""Every sentence that the command line can say, read from its source.

Its own, and of what it asks (a run, the settings, the records, the sandbox) what they refuse with, or fail.

`python -m tests.starters.cli.sentences` writes them. What is in braces is filled in. The list is for a person to read,
whenever it changes: is it short, does it say what to do?
"""

import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from docs.steps import ROOT

ROOMS = ("starters/cli", "starters/steering")
ASKED = ("activities", "audit", "records_schema", "sandbox", "workers", "workflows")
"""Of these what is raised is said by the command line too: a word is refused, a run has failed, a file is wrong."""

FILE = Path(__file__).with_name("sentences.txt")
_UNSAID = re.compile(
    r"(not )?(bold|dim|link)\b.*"  # styles
    r"|.*\b(SELECT|NULL|TaskQueue|WorkflowType|WorkflowId|ExecutionStatus|StartTime|CloseTime)\b.*"  # queries
    r"|.*\(\?P<.*"  # patterns
    r"|\{[^}]*\}( \{[^}]*\})*"  # only what is filled in
)
"""What has a space in it, and is no sentence."""


def sentences() -> str:
    """Give them all, by module."""
    parts = [_part(file, _said) for file in _modules(ROOMS)] + [_part(file, _raised) for file in _modules(ASKED)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _modules(rooms: Iterable[str]) -> list[Path]:
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


def _part(file: Path, read: Callable[[ast.AST], Iterator[str]]) -> str:
    found = sorted(set(read(ast.parse(file.read_text(encoding="utf-8")))))
    return "\n".join([f"# {file.relative_to(ROOT)}", *found]) if found else ""


def _raised(tree: ast.AST) -> Iterator[str]:
    """Give what errors say."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            for argument in node.exc.args:
                if said := _sentence(_text(argument)):
                    yield said
                yield from _inner(argument)


def _said(tree: ast.AST) -> Iterator[str]:
    """Give every text but docstrings, and the help of options, which docs/cli.md has."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue
        if isinstance(tree, ast.arg | ast.AnnAssign) and child is tree.annotation:
            continue
        if isinstance(child, ast.Subscript) and ast.unparse(child.value) == "Annotated":
            continue
        text = _text(child) if isinstance(child, ast.expr) else ""
        if said := _sentence(text):
            yield said
        yield from _inner(child) if text else _said(child)


def _sentence(text: str) -> str:
    """Give a text, or each of its branches, on one line; empty where it is no sentence but a style or a query."""
    branches = [" ".join(one.split()) for one in text.split(" | ")]
    # A sentence has a space or ends one; single words are styles, names and formats.
    said = [
        one
        for one in branches
        if re.search(r"[A-Za-z]{2,} \S|\S [A-Za-z]{2,}", re.sub(r"\{[^}]*\}", "x", one)) and not _UNSAID.fullmatch(one)
    ]
    return " | ".join(filter(None, branches)) if said else ""


def _inner(node: ast.AST) -> Iterator[str]:
    """Give the texts that are filled into another."""
    for part in ast.walk(node):
        if isinstance(part, ast.FormattedValue):
            yield from _said(part)


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else f"{{{_filled(part)}}}" for part in node.values
        )
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    if isinstance(node, ast.IfExp):
        return f"{_text(node.body)} | {_text(node.orelse)}"
    if isinstance(node, ast.Call) and _name(node.func) in {"Text", "Panel"} and node.args:
        return _text(node.args[0])
    return ""


def _filled(part: ast.expr) -> str:
    assert isinstance(part, ast.FormattedValue)
    if any(isinstance(node, ast.JoinedStr | ast.Dict | ast.Set) for node in ast.walk(part.value)):
        return "…"
    return ast.unparse(part.value)


def main() -> None:
    """Write the list, or with `--check` say what to do where it is not that of the code."""
    said = sentences()
    if "--check" not in sys.argv[1:]:
        FILE.write_text(said, encoding="utf-8")
    elif FILE.read_text(encoding="utf-8") != said:
        sys.exit(f"{FILE.name} is not what the code says: python -m tests.starters.cli.sentences, and read the change")


if __name__ == "__main__":
    main()
