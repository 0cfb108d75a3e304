"""`python -m tests.crash PROCEDURE`: kill at every effect, and say what that did."""

import asyncio
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from tests.crash.scenarios import SCENARIOS
from tests.crash.servers import servers

from tests.crash.harness import Verdict, crash


def summary(verdicts: list[Verdict]) -> str:
    return (
        f"{sum(v.killed for v in verdicts)} kills, {sum(len(v.duplicates) for v in verdicts)} duplicates, "
        f"{sum(len(v.lost) + bool(v.error) + (not v.killed) for v in verdicts)} lost, "
        f"{sum(len(v.paused) for v in verdicts)} left paused"
    )


def main(arguments: list[str]) -> int:
    console = Console()
    if len(arguments) != 1 or arguments[0].replace("-", "_") not in SCENARIOS:
        console.print(f"usage: python -m tests.crash {'|'.join(SCENARIOS)}")
        return 2
    scenario = SCENARIOS[arguments[0].replace("-", "_")]

    def told(verdict: Verdict) -> None:
        mark = "[green]ok[/]" if verdict.clean else "[red]WRONG[/]"
        more = "; ".join(
            f"{name}: {', '.join(found)}"
            for name, found in (("twice", verdict.duplicates), ("lost", verdict.lost), ("paused", verdict.paused))
            if found
        )
        console.print(f"{mark} {verdict.kill} {more} {verdict.error}{'' if verdict.killed else ' (never killed)'}")

    with tempfile.TemporaryDirectory(prefix="runbooks-crash-") as directory, servers(Path(directory)) as shared:
        verdicts = asyncio.run(crash(scenario, shared, told=told))
    console.print(summary(verdicts))
    return 0 if verdicts and all(verdict.clean for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
