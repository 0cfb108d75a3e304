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
    parser.add_argument("--scenario", default="", help="only those of its scenarios with this in their name")
    parser.add_argument("--only", default="", help="only kills with this in their name")
    parser.add_argument("--keep", type=Path, help="an empty folder for the servers' and workers' logs, kept afterwards")
    parser.add_argument("--parallel", type=int, default=4)
    options = parser.parse_args(arguments)
    console = Console(width=200, highlight=False)
    began = time.monotonic()

    def told(verdict: Verdict) -> None:
        mark = "[green]ok[/]   " if verdict.clean else "[red]WRONG[/]"
        console.print(f"{mark} {time.monotonic() - began:5.0f} s  {verdict}")

    verdicts: list[Verdict] = []
    chosen = [scenario for scenario in SCENARIOS[options.procedure] if options.scenario in scenario.name]
    with (
        tempfile.TemporaryDirectory(prefix="runbooks-crash-") as temporary,
        servers(options.keep or Path(temporary)) as shared,
    ):
        for scenario in chosen:
            kills = crash(scenario, shared, parallel=options.parallel, chosen=lambda k: options.only in k, told=told)
            verdicts += asyncio.run(kills)
    console.print(f"{options.procedure}: {summary(verdicts)}, in {time.monotonic() - began:.0f} s")
    return 0 if verdicts and all(verdict.clean for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
