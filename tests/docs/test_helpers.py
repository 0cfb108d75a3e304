"""What two test modules need stands in a module of its own."""

import ast
from pathlib import Path

_TESTS = Path(__file__).parents[1]


def test_no_test_module_is_imported_by_another() -> None:
    found = [
        f"{file.relative_to(_TESTS)}: {node.module}"
        for file in _TESTS.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.rpartition(".")[2].startswith("test_")
    ]
    assert found == []
