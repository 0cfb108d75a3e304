"""`python -m tests.crash PROCEDURE`: kill at every effect, and say what that did."""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from tests.crash.harness import Verdict, crash
from tests.crash.scenarios import SCENARIOS
from tests.crash.servers import servers


def summary(verdicts: list[Verdict]) -> str:
    return (
        f"{sum(v.killed for v in verdicts)} kills, {sum(len(v.duplicates) for v in verdicts)} duplicates, "
        f"{sum(len(v.lost) + bool(v.error) + (not v.killed) for v in verdicts)} lost, "
        f"{sum(len(v.paused) for v in verdicts)} left paused"
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("procedure", type=lambda name: name.replace("-", "_"), choices=list(SCENARIOS))
    parser.add_argument("--only", default="", help="only effects with this in their name")
    parser.add_argument("--keep", type=Path, help="an empty folder for the servers' and workers' logs, kept afterwards")
    parser.add_argument("--parallel", type=int, default=3)
    options = parser.parse_args(arguments)
    console = Console(width=200, highlight=False)
    began = time.monotonic()

    def told(verdict: Verdict) -> None:
        mark = "[green]ok[/]   " if verdict.clean else "[red]WRONG[/]"
        console.print(f"{mark} {time.monotonic() - began:5.0f} s  {verdict}")

    with tempfile.TemporaryDirectory(prefix="runbooks-crash-") as temporary:
        directory = options.keep or Path(temporary)
        with servers(directory) as shared:
            verdicts = asyncio.run(
                crash(SCENARIOS[options.procedure], shared, parallel=options.parallel, only=options.only, told=told)
            )
    console.print(summary(verdicts))
    return 0 if verdicts and all(verdict.clean for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
