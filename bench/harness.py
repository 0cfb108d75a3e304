"""What all benchmarks share: rounds of ours and its floor side by side, medians, the bar, the table, the file.

A benchmark is a module of its own with one `Benchmark`; `bench/__main__.py` lists it. Ours and floor are measured in
the same rounds, and take turns at being first, so that whatever else the machine does meets both alike.
"""

import json
import os
import statistics
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, Field
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.servers import Servers

LATEST = Path(__file__).parent / "results" / "latest.json"


class Result(BaseModel):
    """Medians of one benchmark; `ratio` is ours by floor."""

    name: str
    ours: float
    floor: float
    ratio: float
    unit: Literal["ms", "MiB"] = "ms"
    ours_p95: float
    floor_p95: float
    n: int
    remarks: list[str] = Field(default=[], description="What must be known beside the figures.")


class Trials(Protocol):
    """One benchmark's world. Rounds are numbered from 0, warm-up included."""

    async def prepare(self, number: int) -> None:
        """Set one round up; not timed."""

    async def ours(self, number: int) -> float:
        """Give our seconds, and leave nothing running that would disturb what is measured next."""

    async def floor(self, number: int) -> float:
        """Give the floor's seconds, and leave nothing running either."""

    async def clean(self, number: int) -> None:
        """Remove what the round made; not timed."""

    def notes(self) -> list[str]:
        """Say where our time goes, as far as it is known."""


@dataclass(frozen=True)
class Benchmark:
    """How often, and on what; `open` is told the number of all rounds."""

    key: str
    name: str
    rounds: int
    warmup: int
    open: Callable[[Servers, int], AbstractAsyncContextManager[Trials]]

    async def run(self, servers: Servers, *, rounds: int | None, progress: Progress) -> "list[Outcome]":
        """Run all rounds."""
        counted = rounds or self.rounds
        return [await _measure(self, servers, self.warmup + counted, progress)]


@dataclass(frozen=True)
class Outcome:
    """A result, and where the time went."""

    result: Result
    notes: list[str] = field(default_factory=list)


class Runnable(Protocol):
    """What `bench/__main__.py` lists: a `Benchmark`, or one that is not made of rounds."""

    @property
    def key(self) -> str: ...

    async def run(self, servers: Servers, *, rounds: int | None, progress: Progress) -> list[Outcome]: ...


async def _measure(benchmark: Benchmark, servers: Servers, total: int, progress: Progress) -> Outcome:
    bar = progress.add_task(benchmark.name, total=total)
    ours: list[float] = []
    floor: list[float] = []
    async with benchmark.open(servers, total) as trials:
        for number in range(total):
            await trials.prepare(number)
            sides = [(trials.ours, ours), (trials.floor, floor)]
            for side, seconds in sides if number % 2 == 0 else reversed(sides):
                seconds.append(await side(number))
            await trials.clean(number)
            progress.advance(bar)
        notes = trials.notes()
    return Outcome(result(benchmark.name, ours[benchmark.warmup :], floor[benchmark.warmup :]), notes)


def result(name: str, ours: Sequence[float], floor: Sequence[float], *remarks: str) -> Result:
    """Give the medians of seconds."""
    return Result(
        name=name,
        ours=_ms(statistics.median(ours)),
        floor=_ms(statistics.median(floor)),
        ratio=round(statistics.median(ours) / statistics.median(floor), 3),
        ours_p95=_ms(p95(ours)),
        floor_p95=_ms(p95(floor)),
        n=len(ours),
        remarks=list(remarks),
    )


def p95(seconds: Sequence[float]) -> float:
    """Give the 95th percentile; the only value where there is one."""
    return statistics.quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


def progress_bar(console: Console) -> Progress:
    """Give the bar of all benchmarks."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


def show(console: Console, outcomes: Sequence[Outcome], *, breakdown: bool) -> None:
    """Print the table, and beneath it where our time goes."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    table = Table(caption=f"{os.cpu_count()} cores; load over 1, 5, 15 minutes: {load}", caption_justify="left")
    table.add_column("benchmark")
    for column in ("ours", "floor", "ours ÷ floor", "ours p95", "floor p95", "rounds"):
        table.add_column(column, justify="right")
    notes: list[str] = []
    for outcome in outcomes:
        shown = outcome.result
        times = (shown.ours, shown.floor, shown.ours_p95, shown.floor_p95)
        median, least, high, least_high = (f"{time:,.1f} {shown.unit}" for time in times)
        table.add_row(shown.name, median, least, f"{shown.ratio:.2f}", high, least_high, str(shown.n))
        notes += [f"{shown.name}: {note}" for note in outcome.notes]
    console.print(table)
    for outcome in outcomes:
        for remark in outcome.result.remarks:
            console.print(f"{outcome.result.name}: {remark}", markup=False)
    for note in notes if breakdown else ():
        console.print(note, markup=False)


def write(results: Iterable[Result], file: Path = LATEST) -> None:
    """Write the results; those of benchmarks that were not run this time stay."""
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    merged = {item["name"]: item for item in known}
    merged |= {result.name: result.model_dump(mode="json") for result in results}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(list(merged.values()), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
