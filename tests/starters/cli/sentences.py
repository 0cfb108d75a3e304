"""Every sentence that the command line can say, read from its source.

`python -m tests.starters.cli.sentences` writes them. What is in braces is filled in. The list is for a person to read,
whenever it changes: is it short, does it say what to do?
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from docs.steps import ROOT

ROOMS = ("starters/cli", "starters/steering")
FILE = Path(__file__).with_name("sentences.txt")
_SAYING = {"print", "Stop", "echo", "hint", "end", "write", "Finding", "result"}
"""What says something, beside every `raise`."""


def sentences() -> str:
    """Give them all, by module."""
    parts = []
    for file in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        found = sorted(set(_said(ast.parse(file.read_text(encoding="utf-8")))))
        if found:
            parts.append("\n".join([f"# {file.relative_to(ROOT)}", *found]))
    return "\n\n".join(parts) + "\n"


def _said(tree: ast.AST) -> Iterator[str]:
    named = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in {"message", "sentence"}
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            yield from _texts(node.exc.args)
        elif isinstance(node, ast.Call) and _name(node.func) in _SAYING:
            yield from _texts([*node.args, *(word.value for word in node.keywords)])
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            yield from _texts(node.value.elts)
        elif isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id in named for t in node.targets):
            yield from _texts([node.value])


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _texts(arguments: list[ast.expr]) -> Iterator[str]:
    for argument in arguments:
        text = _text(argument).strip()
        # A sentence has a space or ends one; single words are styles, names and formats.
        if re.search(r"[A-Za-z]{2,} \S|\S [A-Za-z]{2,}", re.sub(r"\{[^}]*\}", "x", text)):
            yield " ".join(text.split())


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


if __name__ == "__main__":
    FILE.write_text(sentences(), encoding="utf-8")
