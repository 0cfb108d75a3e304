"""How long each case took when it last ran on this machine: the slowest begin first, and the time left is foreseen."""

import json
import os
import tempfile
from pathlib import Path
from statistics import fmean

from sandbox.toolchain.modules import cache_directory
from tests.crash.scenario import Scenario

UNDISTURBED = "undisturbed"
_UNKNOWN_SECONDS = 25.0
"""Of a case that is worth one."""


class Durations:
    """Seconds by scenario and kill, kept in a file of the cache."""

    def __init__(self, file: Path, seconds: dict[str, dict[str, float]]) -> None:
        self._file, self._seconds = file, seconds
        self._new: dict[str, dict[str, float]] = {}

    @classmethod
    def load(cls) -> "Durations":
        """Read the file; what can't be read is as good as never run."""
        file = cache_directory() / "crash-durations.json"
        return cls(file, _read(file))

    def expected(self, scenario: Scenario, kill: str) -> float:
        """Foresee how long a case takes: as the last time, else as the scenario's others do."""
        known = self._seconds.get(scenario.name, {})
        return known.get(kill) or (fmean(known.values()) if known else _UNKNOWN_SECONDS * scenario.weight)

    def kills(self, scenario: Scenario) -> list[str]:
        """Name the kills that were made so far."""
        return [kill for kill in self._seconds.get(scenario.name, {}) if kill != UNDISTURBED]

    def took(self, scenario: Scenario, kill: str, seconds: float) -> None:
        """Note a case."""
        self._new.setdefault(scenario.name, {})[kill] = round(seconds, 1)

    def save(self) -> None:
        """Write what was noted, beside what others have written meanwhile."""
        seconds = _read(self._file)
        for name, new in self._new.items():
            seconds[name] = seconds.get(name, {}) | new
        self._file.parent.mkdir(parents=True, exist_ok=True)
        handle, written = tempfile.mkstemp(dir=self._file.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(seconds, file, indent=1, sort_keys=True)
        Path(written).replace(self._file)


def _read(file: Path) -> dict[str, dict[str, float]]:
    try:
        found: dict[str, dict[str, float]] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found
