"""A point-in-time restore of one gigabyte, from the request until the server takes writes.

The floor is Barman's own `restore` of the same backup to the same time, and the settings' command that starts the
server. Both put it on an empty spare server, and take turns. `BENCH_RESTORE_BYTES` makes it another size.
"""

import asyncio
import os
import subprocess
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from temporalio.testing import ActivityEnvironment

from activities.common.effects import Effect
from activities.database.backups.backups import Backups, SealLog
from activities.database.backups.restoring import RestoreBackup
from bench.harness import Benchmark
from bench.servers import Servers
from records_schema.pool import connect_pool
from sandbox.ready import ready
from sandbox.service_database import NAME, PRIMARY, ServiceDatabase
from workers.databases import databases
from workers.settings import Settings

_BYTES = int(os.environ.get("BENCH_RESTORE_BYTES", str(1 << 30)))
_ROW = 1000
_SPARE = "spare-1"
_RECOVERED_WITHIN = 300.0


def _effect() -> Effect:
    return Effect(key=f"bench/{uuid.uuid4()}/restore", workflow_id="bench", run_id="bench", actor="bench")


@dataclass
class _Trials:
    server: ServiceDatabase
    backups: Backups
    backup_id: str
    target: datetime
    size: int

    async def prepare(self, number: int) -> None:
        del number
        self.server.do("discard", _SPARE)

    async def ours(self, number: int) -> float:
        del number
        request = RestoreBackup(
            database=NAME, backup_id=self.backup_id, target=self.target, into=_SPARE, effect=_effect()
        )
        began = time.perf_counter()
        await asyncio.to_thread(ActivityEnvironment().run, self.backups.restore, request)
        return self._taken(began)

    async def floor(self, number: int) -> float:
        del number
        began = time.perf_counter()
        await asyncio.to_thread(self._by_hand)
        return self._taken(began)

    async def clean(self, number: int) -> None:
        del number

    def notes(self) -> list[str]:
        return [f"{self.size / (1 << 20):,.0f} MiB of tables and indexes"]

    def _by_hand(self) -> None:
        self.server.barman.run(
            "restore",
            "--target-time",
            self.target.isoformat(),
            "--target-action",
            "promote",
            NAME,
            self.backup_id,
            str(self.server.data(_SPARE)),
        )
        start = [word.format(server=_SPARE) for word in self.server.settings()["commands"]["start"]]
        subprocess.run(start, check=True, capture_output=True)
        deadline = time.monotonic() + _RECOVERED_WITHIN
        while not self._is_primary():
            if time.monotonic() > deadline:
                raise RuntimeError("Barman's own restore didn't recover")
            time.sleep(0.05)

    def _is_primary(self) -> bool:
        with psycopg.connect(self.server.url(_SPARE)) as connection:
            row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
        return row is not None and not row[0]

    def _taken(self, began: float) -> float:
        """Give the seconds, and see that the rows are the target's."""
        seconds = time.perf_counter() - began
        with psycopg.connect(self.server.url(_SPARE)) as connection:
            row = connection.execute("SELECT count(*) FROM bench_marks").fetchone()
        if row != (1,):
            raise RuntimeError(f"restored to another time: {row} rows")
        self.server.do("discard", _SPARE)
        return seconds


@asynccontextmanager
async def _open(servers: Servers, total: int) -> AsyncIterator[_Trials]:
    del total
    with ready(ServiceDatabase(servers.directory / "restore")) as server, connect_pool(servers.records) as pool:
        made = databases(Settings(databases={NAME: server.settings()}), lambda: None)
        backups = Backups(made.databases, made.hosts, made.backups, pool)
        yield await asyncio.to_thread(_prepared, server, backups)


def _prepared(server: ServiceDatabase, backups: Backups) -> _Trials:
    """Fill the database, back it up, and leave two marks of which the target lies between."""
    with psycopg.connect(server.url(PRIMARY), autocommit=True) as connection:
        connection.execute("CREATE TABLE bench_rows (id bigint, pad text)")
        connection.execute(
            "INSERT INTO bench_rows SELECT n, rpad(md5(n::text), %s, md5((n + 1)::text)) FROM generate_series(1, %s) n",
            (_ROW - 60, _BYTES // _ROW),
        )
        connection.execute("ALTER TABLE bench_rows ADD PRIMARY KEY (id)")
        connection.execute("CREATE TABLE bench_marks (id integer)")
        backup_id = server.backup()
        connection.execute("INSERT INTO bench_marks VALUES (1)")
        target = datetime.now(UTC) + timedelta(milliseconds=1)
        time.sleep(0.01)
        connection.execute("INSERT INTO bench_marks VALUES (2)")
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    ActivityEnvironment().run(backups.seal, SealLog(database=NAME, server=PRIMARY, effect=_effect()))
    return _Trials(server, backups, backup_id, target, row[0] if row else 0)


BENCHMARK = Benchmark(key="restore", name="restore of 1 GB → takes writes", rounds=5, warmup=1, open=_open)
