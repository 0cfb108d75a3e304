"""Modules by the names that they had on 2026-11-28, for cases that lie beside the checkout and were written then.

Such a case asks `activities.kubernetes_states` for a class that has another module since. Who has it now is found by
its name: of all modules of the same room that define it, the one that is called most alike. It is put in only where
pytest is given a path outside of this tree; nothing of the product and no test of ours can use an old name.
"""

import ast
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

_ROOT = Path(__file__).parents[2]
_ROOMS = {
    "activities": ["activities"],
    "database": ["records_schema"],
    "starters": ["starters"],
    "workflows": ["workflows"],
    "tests": ["tests"],
}
"""Where to look for what a room had."""

_BECAME_PACKAGES = ("catalogue", "evidence", "handovers", "holds", "kubernetes", "records", "health")

_RENAMED = {"ServerStanding": "ReplicaProgress", "Crossroads": "RetryOrStop", "Vigil": "DayOfWatching"}
"""What has another name as well."""


def install() -> None:
    """Let old names be imported."""
    sys.meta_path.append(_Finder())
    for name in _BECAME_PACKAGES:
        full = f"activities.{name}"
        if find_spec(full) is not None:
            _answering(import_module(full))
    _answering(import_module("tests.workflows.platform"))  # was a module
    releases = import_module("workflows.shared.releases")
    vars(releases)["last_good"] = lambda state, deployments: releases.Releases(state, deployments).last_good


class _Finder(MetaPathFinder, Loader):
    """Asked last, so only for what isn't there."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, is_package=True) if fullname.partition(".")[0] in _ROOMS else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Answer what is asked for by name; `import *` gets all of the module that is called like this one."""
        _answering(module)
        alike = [
            found for found in _modules(module.__name__.partition(".")[0]) if found.rpartition(".")[2] == _last(module)
        ]
        for name in alike[:1]:
            moved = import_module(name)
            vars(module).update({key: value for key, value in vars(moved).items() if not key.startswith("_")})


def _last(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def _answering(module: ModuleType) -> None:
    def get(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        name = _RENAMED.get(name, name)
        words = set(module.__name__.replace("_", ".").split("."))
        has = [
            found
            for found, names in _modules(module.__name__.partition(".")[0]).items()
            if name in names and found != module.__name__
        ]
        if not has:
            raise AttributeError(f"{module.__name__} has no {name}, and no module of its room has")
        best = max(has, key=lambda found: (len(words & set(found.replace("_", ".").split("."))), -len(found)))
        return getattr(import_module(best), name)

    module.__getattr__ = get  # type: ignore[method-assign]


@cache
def _modules(room: str) -> dict[str, frozenset[str]]:
    """Give what each module of a room defines itself."""
    files = [file for place in _ROOMS[room] for file in sorted((_ROOT / place).rglob("*.py"))]
    return {".".join(file.relative_to(_ROOT).with_suffix("").parts): _defined(file) for file in files}


def _defined(file: Path) -> frozenset[str]:
    names: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return frozenset(names)
