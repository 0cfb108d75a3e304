"""Says at the end of a run where its time went: wall clock and CPU by kind of test, and the slowest files.

CPU is that of the whole tree of processes: a server, a worker or a program that a test starts counts for it. It is
read when a file's tests of one kind have ended, so what those cost is told, and what a single test costs is not.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.plugins.marks import KINDS, kind

_FILES_SHOWN = 12
_KEY = "runbooks_costs"

Cost = list[float]
"""Tests, seconds of wall clock in one process, seconds of CPU."""


def cpu_seconds() -> float:
    """Give the CPU that this process, its descendants and those that have ended have used."""
    own = psutil.Process()
    total = sum(own.cpu_times()[:4])
    for child in own.children(recursive=True):
        try:
            total += sum(child.cpu_times()[:4])
        except psutil.Error:  # it has ended since it was listed
            continue
    return total


class Costs:
    """Counts in the process that runs tests; with several processes, each sends its count to the one that shows it."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.by_kind: dict[str, Cost] = defaultdict(lambda: [0, 0.0, 0.0])
        self.by_file: dict[str, Cost] = defaultdict(lambda: [0, 0.0, 0.0])
        self.began = time.monotonic()
        self.cpu = cpu_seconds()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[Any]:
        began = time.monotonic()
        result = yield
        spent = [1.0, time.monotonic() - began, 0.0]
        if nextitem is None or (nextitem.path, kind(nextitem)) != (item.path, kind(item)):
            now = cpu_seconds()
            spent[2], self.cpu = max(now - self.cpu, 0.0), now
        self._add(kind(item), item.nodeid.partition("::")[0], spent)
        return result

    def _add(self, kind: str, file: str, spent: Cost) -> None:
        for total in (self.by_kind[kind], self.by_file[file]):
            total[:] = [a + b for a, b in zip(total, spent, strict=True)]

    def pytest_sessionfinish(self) -> None:
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput[_KEY] = [dict(self.by_kind), dict(self.by_file)]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        for mine, theirs in zip(
            (self.by_kind, self.by_file), getattr(node, "workeroutput", {}).get(_KEY, ()), strict=False
        ):
            for name, spent in theirs.items():
                mine[name] = [a + b for a, b in zip(mine[name], spent, strict=True)]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self.by_kind:
            return
        terminalreporter.section("where the time went")
        row = "{:<12} {:>6} {:>10} {:>10}".format
        terminalreporter.write_line(row("kind", "tests", "wall", "CPU"))
        for name in (*KINDS, "together"):
            tests, wall, cpu = (
                map(sum, zip(*self.by_kind.values(), strict=True)) if name == "together" else self.by_kind[name]
            )
            terminalreporter.write_line(row(name, f"{tests:.0f}", f"{wall:.0f} s", f"{cpu:.0f} s"))
        terminalreporter.write_line(
            f"This took {time.monotonic() - self.began:.0f} s. Wall adds up all processes; CPU has the servers in it."
        )
        for file, (tests, wall, cpu) in sorted(self.by_file.items(), key=lambda found: -found[1][1])[:_FILES_SHOWN]:
            terminalreporter.write_line(f"{row('', f'{tests:.0f}', f'{wall:.0f} s', f'{cpu:.0f} s')}  {file}")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Costs(config), "runbooks-costs")
