"""`python -m bench [NAME …]`: measure, print a table, write `bench/results/latest.json`."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from bench import (
    accepted_posts,
    cost,
    emergency_scale,
    evidence,
    failover,
    leases,
    onboardings,
    operators_page,
    pulses,
    restore,
    saturation,
    start,
    webhook_rollback,
    webhook_start,
)
from bench.harness import LATEST, Outcome, Runnable, progress_bar, show, write
from bench.servers import Servers
from sandbox import binaries

ALL: tuple[Runnable, ...] = (
    start.BENCHMARK,  # the first, while nothing else runs
    cost.BENCHMARK,
    webhook_start.BENCHMARK,
    accepted_posts.BENCHMARK,
    webhook_rollback.BENCHMARK,
    emergency_scale.BENCHMARK,
    operators_page.BENCHMARK,
    evidence.BENCHMARK,
    onboardings.BENCHMARK,
    pulses.BENCHMARK,
    restore.BENCHMARK,
    failover.BENCHMARK,
    saturation.BENCHMARK,
    leases.BENCHMARK,  # the last: what it leaves open would burden the others
)
BENCHMARKS = {benchmark.key: benchmark for benchmark in ALL}


async def _measure_all(benchmarks: list[Runnable], directory: Path, rounds: int | None) -> list[Outcome]:
    with progress_bar(Console(stderr=True)) as progress, Servers(directory) as servers:
        measured = [await one.run(servers, rounds=rounds, progress=progress) for one in benchmarks]
    return [outcome for outcomes in measured for outcome in outcomes]


def main(arguments: list[str]) -> int:
    """Run the benchmarks that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--rounds", type=int, help="instead of each benchmark's own number")
    parser.add_argument("--breakdown", action="store_true", help="say where our time goes as well")
    parser.add_argument("--keep", type=Path, help="an empty folder for all logs, kept afterwards")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"no benchmark {', '.join(unknown)}. Known: {', '.join(BENCHMARKS)}")
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    chosen = [BENCHMARKS[name] for name in dict.fromkeys(options.names or BENCHMARKS)]
    if any(one is not cost.BENCHMARK for one in chosen):  # that one needs no server
        binaries.ensure(told=console.print)
    with tempfile.TemporaryDirectory(prefix="runbooks-bench-") as temporary:
        outcomes = asyncio.run(_measure_all(chosen, options.keep or Path(temporary), options.rounds))
    show(console, outcomes, breakdown=options.breakdown)
    write(outcome.result for outcome in outcomes)
    console.print(f"Written: {LATEST.relative_to(Path(__file__).parent.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
