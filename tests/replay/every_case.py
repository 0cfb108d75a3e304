"""All runs whose histories are kept: whatever a module of this folder has in its `CASES`."""

from importlib import import_module
from pathlib import Path

from tests.replay.cases import Case


def every_case() -> dict[str, Case]:
    """Give them by their names, `PROCEDURE-WHAT`, in the order of the modules.

    Raises:
        ValueError: two have the same name.

    """
    found: dict[str, Case] = {}
    for file in sorted(Path(__file__).parent.glob("*.py")):
        if file.stem.startswith(("test_", "record", "every_case")):
            continue
        cases = getattr(import_module(f"tests.replay.{file.stem}"), "CASES", {})
        if twice := found.keys() & cases.keys():
            raise ValueError(f"{file.name}: there is another {', '.join(sorted(twice))}")
        found |= cases
    return found
