"""`python -m tests.crash PROCEDURE… | all`: kill at every effect, and say what that did."""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tests.crash.case_queue import Moved, now_and_then
from tests.crash.harness import Verdict, crash_all
from tests.crash.scenario import Scenario
from tests.crash.scenarios import SCENARIOS
from tests.crash.servers import servers


def summary(verdicts: list[Verdict]) -> str:
    return (
        f"{sum(v.killed for v in verdicts)} kills, {sum(len(v.duplicates) for v in verdicts)} duplicates, "
        f"{sum(len(v.lost) + bool(v.error) + (not v.killed) for v in verdicts)} lost, "
        f"{sum(len(v.paused) for v in verdicts)} left paused"
    )


@contextlib.contextmanager
def progress(console: Console) -> Iterator[Moved]:
    """Give what shows how far the queue is: a bar below what is printed, or lines where there is no terminal."""
    if not console.is_terminal:
        yield now_and_then(console.print)
        return
    with Progress(BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("", total=None)
        yield lambda now: bar.update(task, description=str(now), completed=now.done, total=now.of)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    names: dict[str, Any] = {"type": lambda name: name.replace("-", "_"), "choices": [*SCENARIOS, "all"]}
    parser.add_argument("procedures", nargs="+", **names)
    parser.add_argument("--scenario", default="", help="only those of their scenarios with this in their name")
    parser.add_argument("--only", default="", help="only kills with this in their name")
    parser.add_argument("--keep", type=Path, help="an empty folder for the servers' and workers' logs, kept afterwards")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    began = time.monotonic()

    def told(verdict: Verdict) -> None:
        mark = "[green]ok[/]   " if verdict.clean else "[red]WRONG[/]"
        console.print(f"{mark} {time.monotonic() - began:5.0f} s  {escape(str(verdict))}")

    def chosen(_: Scenario, kill: str) -> bool:
        return options.only in kill

    procedures = list(SCENARIOS) if "all" in options.procedures else dict.fromkeys(options.procedures)
    scenarios = [found for name in procedures for found in SCENARIOS[name] if options.scenario in found.name]
    with (
        tempfile.TemporaryDirectory(prefix="runbooks-crash-") as temporary,
        servers(options.keep or Path(temporary)) as shared,
        progress(console) as moved,
    ):
        outcomes = asyncio.run(crash_all(scenarios, shared, chosen=chosen, told=told, moved=moved))
    for name, outcome in outcomes.items():
        wrong = f"[red]WRONG[/] {escape(str(outcome.error))}"
        console.print(wrong if outcome.error else f"{name}: {summary(outcome.verdicts)}")
    verdicts = [verdict for outcome in outcomes.values() for verdict in outcome.verdicts]
    console.print(f"together: {summary(verdicts)}, in {time.monotonic() - began:.0f} s")
    clean = all(verdict.clean for verdict in verdicts) and not any(outcome.error for outcome in outcomes.values())
    return 0 if verdicts and clean else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
