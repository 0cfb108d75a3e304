"""`python -m bench.scale [--write PAGE] [--rows N]`: the cost of runs, how workers add up, an archive of N rows.

Real servers and the product's own worker processes; beside them the least that Temporal and its SDK can be. What is
reckoned from that for a large company stands in the page with what it is reckoned from.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psutil
import psycopg
from rich.console import Console
from rich.progress import Progress
from temporalio.client import Client

import records_schema
from audit.store import Store
from audit.store_filter import Filter
from bench import pages
from bench.archive_rows import fill
from bench.harness import progress_bar
from bench.production import Production, Service
from bench.servers import Servers
from sandbox.postgres import Postgres
from tests.replay.cost import Cost, recorded
from workers.archive import patient_pool
from workers.converter import DATA_CONVERTER
from workers.settings import RecordsSettings
from workflows.daily_operations.hourly_health_pulse import HourlyHealthPulse, HourlyHealthPulseRequest

_EVENT_LIMIT, _BYTE_LIMIT = 51_200, 50_000_000
"""Where Temporal ends a run: https://docs.temporal.io/self-hosted-guide/defaults."""
_WORKERS = (1, 2, 4)
_RUNS = 300
_SECONDS_A_DAY = 86_400
_RETENTION_DAYS = 90
_PEAK = 4
"""How much more than on average there is in a busy hour, when all services' pulses begin at once."""
_BUSY = 0.6
"""How much of a core is planned to be used: what waits grows without bound near 1."""
_SERVICES = 10_000
_A_DAY: Mapping[str, tuple[str, int]] = {
    "health pulse, each hour": ("hourly_health_pulse", 24),
    "morning and evening": ("morning_startup", 2),
    "P2 incident": ("p2_incident", 24),
    "emergency scale-up": ("emergency_scale_up", 24),
    "deployment": ("standard_deployment", 24),
    "P1 incident": ("p1_incident", 2),
}
"""Runs of one service and day, a million in all: far more incidents than a company bears, so an upper bound."""
_OF_0016 = tuple(f"runbooks.archive_index_{name}" for name in ("of_a_service", "of_a_tenant", "by_end"))


@dataclass(frozen=True)
class _Burst:
    """What a number of runs at once took."""

    seconds: float
    worker: float
    temporal: float
    rows: int = 0
    wal: int = 0


class _Scale:
    def __init__(self, servers: Servers, progress: Progress, runs: int) -> None:
        self._servers, self._progress, self._runs = servers, progress, runs
        self._client: Client

    async def measure(self) -> tuple[str, float]:
        """Give the table of workers, and the processor seconds of a worker for each event of a run."""
        servers = self._servers
        _, health = await asyncio.to_thread(servers.service, "scale-service", "bench-scale")
        services = {f"service-{number:04}": Service("bench-scale", health) for number in range(self._runs)}
        self._client = await Client.connect(servers.temporal.address, data_converter=DATA_CONVERTER)
        bar = self._progress.add_task("bursts of runs", total=2 * len(_WORKERS))
        lines, an_event = [], 0.0
        for workers in _WORKERS:
            production = Production(servers, f"scale-{workers}", services, kubeconfig=servers.kubeconfig)
            ours = [production.start_worker(name=f"worker-{number}") for number in range(workers)]
            await self._pulses(production, list(services)[: 10 * workers], "warm")
            burst = await self._measured(
                [process.pid for process in ours], partial(self._pulses, production, list(services), "burst")
            )
            for process in ours:
                process.stop()
            self._progress.advance(bar)
            queue = f"bare-{workers}"
            plain = [
                servers.python(f"{queue}-{number}", "bench.bare_worker", servers.temporal.address, queue)
                for number in range(workers)
            ]
            await self._bare(queue, 10 * workers, "warm")
            bare = await self._measured(
                [process.pid for process in plain], partial(self._bare, queue, self._runs, "burst")
            )
            for process in plain:
                process.stop()
            self._progress.advance(bar)
            handle = self._client.get_workflow_handle(f"scale-{workers}-burst-service-0000")
            events = len((await handle.fetch_history()).events)
            an_event = an_event or burst.worker / self._runs / events
            lines.append(
                (
                    str(workers),
                    f"{self._runs / burst.seconds:.1f}",
                    f"{1000 * burst.worker / self._runs:.0f} ms",
                    f"{1000 * burst.temporal / self._runs:.0f} ms",
                    f"{burst.rows / self._runs:.1f}",
                    f"{burst.wal / self._runs / 1000:.1f} KB",
                    f"{self._runs / bare.seconds:.1f}",
                    f"{1000 * bare.worker / self._runs:.0f} ms",
                )
            )
        head = ("workers", "pulses a second", "worker's CPU a run", "Temporal's", "rows a run", "WAL a run")
        return pages.table((*head, "bare runs a second", "bare worker's CPU a run"), lines), an_event

    async def _pulses(self, production: Production, services: list[str], name: str) -> None:
        handles = await asyncio.gather(
            *(
                self._client.start_workflow(
                    HourlyHealthPulse.run,
                    HourlyHealthPulseRequest(service=service),
                    id=f"{production.task_queue.removeprefix('bench-')}-{name}-{service}",
                    task_queue=production.task_queue,
                )
                for service in services
            )
        )
        await asyncio.gather(*(handle.result() for handle in handles))

    async def _bare(self, queue: str, runs: int, name: str) -> None:
        handles = await asyncio.gather(
            *(
                self._client.start_workflow("Nothing", id=f"{queue}-{name}-{number}", task_queue=queue)
                for number in range(runs)
            )
        )
        await asyncio.gather(*(handle.result() for handle in handles))

    async def _measured(self, pids: list[int | None], work: Callable[[], Awaitable[None]]) -> _Burst:
        workers = [psutil.Process(pid) for pid in pids]
        temporal = psutil.Process(self._servers.temporal.processes[0].pid)
        with psycopg.connect(self._servers.records, autocommit=True) as sql:
            written, worker, server = _written(sql), sum(map(_spent, workers)), _spent(temporal)
            began = time.monotonic()
            await work()
            seconds = time.monotonic() - began
            rows, wal = (now - before for now, before in zip(_written(sql), written, strict=True))
            return _Burst(seconds, sum(map(_spent, workers)) - worker, _spent(temporal) - server, rows, wal)


def _written(sql: "psycopg.Connection[tuple[int, int]]") -> tuple[int, int]:
    """Give the rows that were ever written to the records, and where the write-ahead log is."""
    sql.execute("SELECT pg_stat_force_next_flush()")
    row = sql.execute(
        "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint, "
        "(pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint FROM pg_stat_user_tables"
    ).fetchone()
    assert row is not None
    return row


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


# -- from recorded runs ------------------------------------------------------------------------------------------


def _longest() -> dict[str, Cost]:
    """Give the longest recorded run of each procedure."""
    found: dict[str, Cost] = {}
    for name, cost in recorded().items():
        procedure = name.partition("-")[0].partition(".")[0]
        if procedure not in found or cost.events > found[procedure].events:
            found[procedure] = cost
    return found


def _costs(longest: Mapping[str, Cost]) -> str:
    return pages.table(
        ("longest recorded run", "events", "KB", "of the events' limit", "of the bytes' limit"),
        [
            (
                name.replace("_", "-"),
                f"{cost.events:,}",
                f"{cost.bytes / 1000:.0f}",
                f"{100 * cost.events / _EVENT_LIMIT:.1f} %",
                f"{100 * cost.bytes / _BYTE_LIMIT:.2f} %",
            )
            for name, cost in sorted(longest.items(), key=lambda item: -item[1].events)
        ],
    )


def _model(longest: Mapping[str, Cost], an_event: float) -> str:
    """Reckon what ten thousand services take."""
    lines, runs, events, stored = [], 0, 0, 0
    for what, (procedure, daily) in _A_DAY.items():
        cost, count = longest[procedure], daily * _SERVICES
        runs, events, stored = runs + count, events + count * cost.events, stored + count * cost.bytes
        lines.append((what, f"{count:,}", f"{cost.events:,}", f"{count * cost.events / 1e6:,.0f} M"))
    cores = events * an_event / _SECONDS_A_DAY
    planned = cores * _PEAK / _BUSY
    summary = [
        ("all", f"{runs:,}", "", f"{events / 1e6:,.0f} M"),
        ("events a second, mean and busy hour", f"{events / _SECONDS_A_DAY:,.0f}", f"{_PEAK} times", ""),
        ("cores of workers, mean and planned", f"{cores:.1f}", f"{planned:.0f}", f"{planned / 2:.0f} workers of 2"),
        ("histories, a day", f"{stored / 1e9:.0f} GB", "", ""),
        (f"histories, {_RETENTION_DAYS} days", f"{stored * _RETENTION_DAYS / 1e12:.1f} TB", "", ""),
        ("archive, a year", f"{runs * 365 / 1e6:.0f} M records", f"{stored * 365 / 1e12:.0f} TB", "before compression"),
    ]
    return pages.table(("", "a day", "events each", "events a day"), [*lines, *summary])


# -- the archive with many rows ----------------------------------------------------------------------------------


@contextmanager
def _timed(lines: list[tuple[str, str]], what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    lines.append((what, f"{1000 * (time.monotonic() - began):,.0f} ms"))


@contextmanager
def _without(url: str, names: Sequence[str], lines: list[tuple[str, str]]) -> Iterator[None]:
    """Take indexes away, and make them again, as their migration does on an archive that is there."""
    with psycopg.connect(url, autocommit=True) as sql:
        found = [sql.execute("SELECT pg_get_indexdef(%s::regclass)", (name,)).fetchone() for name in names]
        made = [str(one[0]) for one in found if one is not None]
        for name in names:
            sql.execute(f"DROP INDEX {name}".encode())
        yield
        with _timed(lines, "making the indexes of 0016"):
            for one in made:
                sql.execute(one.encode())
        sql.execute("ANALYZE runbooks.archive_index")


def _rows(directory: Path, count: int, progress: Progress) -> str:
    """Fill an archive, and ask it what people and the archiver ask it."""
    server = Postgres(directory / "archive-rows")
    server.start()
    lines: list[tuple[str, str]] = []
    try:
        server.wait_ready()
        url = server.create_database("rows")
        records_schema.migrate(url)
        began = time.monotonic()
        with psycopg.connect(url, autocommit=True) as sql:
            fill(sql, count, progress)
            seconds = time.monotonic() - began
            sizes = sql.execute(
                "SELECT pg_total_relation_size('runbooks.archive_records'), "
                "pg_total_relation_size('runbooks.archive_index')"
            ).fetchone() or (0, 0)
            lines.append(("rows", f"{count:,}, written in {seconds / 60:.1f} minutes"))
            lines.append(("records: table and indexes", f"{sizes[0] / 1e9:.1f} GB"))
            lines.append(("index for searches: table and indexes", f"{sizes[1] / 1e9:.1f} GB"))
        pool = patient_pool(RecordsSettings.model_validate({"url": url}).url)
        store = Store(pool)
        asked = {
            "a run by its ID": Filter(namespace="default", run_id=f"run-{count // 2}"),
            "an incident": Filter(incident=f"INC-{count // 2}"),
            "an actor's latest of a service": Filter(service="service-7", actor="person-7"),
            "a service": Filter(service="service-8"),
            "a target": Filter(target="deployment/service-7"),
        }
        store.end()
        middle = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=count // 2)
        with _without(url, _OF_0016, lines):
            for what in ("an actor's latest of a service", "a service"):
                with _timed(lines, f"without 0016: first page of {what}"):
                    next(store.stories(asked[what]), None)
            with _timed(lines, "without 0016: the part of the chain that an hour is"):
                store.part(middle, middle + timedelta(hours=1))
        for what, wanted in asked.items():
            with _timed(lines, f"first page of {what}"):
                next(store.stories(wanted), None)
        with _timed(lines, "the part of the chain that an hour is"):
            store.part(middle, middle + timedelta(hours=1))
        with _timed(lines, "the end of the chain, as each append asks"):
            store.end()
        with _timed(lines, "which of 500 runs are in it, as each pass asks"):
            store.among("default", [f"run-{number * 7}" for number in range(500)])
        with psycopg.connect(url, autocommit=True) as sql, _timed(lines, "VACUUM of both"):
            sql.execute("VACUUM runbooks.archive_records, runbooks.archive_index")
        pool.close()
    finally:
        server.stop()
    return pages.table(("the archive", ""), lines)


def main() -> int:
    """Measure, print, and write where that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--runs", type=int, default=_RUNS, help="runs at once")
    parser.add_argument("--rows", type=int, default=0, help="rows of the archive to try; 10,000,000 take 12 GB")
    parser.add_argument("--only-rows", action="store_true", help="nothing but these")
    parser.add_argument("--write", type=Path, help="a page with the marks for the tables")
    given = parser.parse_args()
    found: dict[str, str] = {}
    with (
        tempfile.TemporaryDirectory(prefix="bench-scale-") as temporary,
        progress_bar(Console(stderr=True)) as progress,
    ):
        if not given.only_rows:
            longest = _longest()
            with Servers(Path(temporary)) as servers:
                workers, an_event = asyncio.run(_Scale(servers, progress, given.runs).measure())
            load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
            note = f"{os.cpu_count()} cores, load over 1, 5, 15 minutes: {load}; {given.runs} runs at once."
            found["bench.scale cost"] = _costs(longest)
            found["bench.scale workers"] = f"{workers}\n\n{note}"
            found["bench.scale model"] = _model(longest, an_event)
        if given.rows:
            found["bench.scale rows"] = _rows(Path(temporary), given.rows, progress)
    for name, text in found.items():
        sys.stdout.write(f"{name}\n{text}\n\n")
        if given.write:
            pages.put(given.write, name, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
