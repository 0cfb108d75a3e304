"""The scenarios that the crash harness knows, by their procedure: every class of this folder that has a name."""

import inspect
import pkgutil
from importlib import import_module
from typing import Any

from tests.crash.scenario import Scenario
from workers.registry import PROCEDURES


def _found() -> dict[str, tuple[Scenario, ...]]:
    scenarios: dict[str, list[Scenario]] = {entry.name: [] for entry in PROCEDURES}
    for file in pkgutil.iter_modules(__path__):
        module = import_module(f"{__name__}.{file.name}")
        mine: list[Any] = [
            kind for kind in vars(module).values() if inspect.isclass(kind) and kind.__module__ == module.__name__
        ]
        for kind in mine:
            if "name" in vars(kind):
                scenarios[kind.procedure].append(kind())
    return {procedure: tuple(found) for procedure, found in scenarios.items() if found}


SCENARIOS = _found()
"""By procedure, in the order of the runbook; several of one in the order in which they are written."""
