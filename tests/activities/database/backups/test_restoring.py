"""Twenty random times of one recorded series of transactions, each restored exactly (runbook 7.3).

The series inserts, changes and deletes. What must be there at a time is kept by the test itself while it writes.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

import records_schema
from activities.database.servers.hosts import DiscardServer
from records_schema.pool import connect_pool
from sandbox.ready import ready
from sandbox.service_database import NAME, PRIMARY, ServiceDatabase
from tests.activities.database.on_backups import OnBackups, an_effect
from tests.servers import CreateDatabase

TRANSACTIONS = 150
SPARE = "spare-2"


@dataclass
class Moment:
    """The rows between two transactions, and from when until when they were those."""

    rows: dict[int, int]
    since: datetime
    until: datetime


@dataclass
class Series:
    """All of them, on a service database with a backup of before."""

    world: OnBackups
    moments: list[Moment] = field(default_factory=list)


def _write(world: OnBackups) -> list[Moment]:
    """Write the series; gives every moment of it."""
    chance, rows, moments = random.Random(7), dict[int, int](), list[Moment]()
    with world.connect() as connection:
        connection.execute("CREATE TABLE accounts (id integer PRIMARY KEY, balance integer)")
        since = _clock(connection)
        for number in range(TRANSACTIONS):
            known = sorted(rows)
            moments.append(Moment(dict(rows), since, _clock(connection)))
            with connection.transaction():
                for _ in range(chance.randint(1, 3)):
                    what = chance.choice(["insert", "change", "delete"]) if known else "insert"
                    if what == "insert":
                        one = number * 10 + len(rows)
                        connection.execute("INSERT INTO accounts VALUES (%s, 0) ON CONFLICT DO NOTHING", (one,))
                        rows.setdefault(one, 0)
                    elif (one := chance.choice(known)) in rows and what == "change":
                        connection.execute("UPDATE accounts SET balance = %s WHERE id = %s", (number, one))
                        rows[one] = number
                    else:
                        connection.execute("DELETE FROM accounts WHERE id = %s", (one,))
                        rows.pop(one, None)
            since = _clock(connection)
    return moments


def _clock(connection: psycopg.Connection[Any]) -> datetime:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    now: datetime = row[0]
    return now


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory, create_database: CreateDatabase) -> Iterator[Series]:
    records = create_database()
    records_schema.migrate(records)
    with (
        ready(ServiceDatabase(tmp_path_factory.mktemp("targets"))) as server,
        connect_pool(records, max_size=4) as pool,
    ):
        world = OnBackups(server, pool, server.backup())
        series = Series(world, _write(world))
        world.seal(PRIMARY)
        yield series


@pytest.mark.timeout(1200)
@settings(
    max_examples=18,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),  # looking for a simpler failure would take minutes
)
@given(number=st.integers(0, TRANSACTIONS - 1), share=st.floats(0, 1))
@example(number=0, share=0.0)
@example(number=TRANSACTIONS - 1, share=1.0)
def test_every_time_is_restored_exactly(series: Series, number: int, share: float) -> None:
    world, moment = series.world, series.moments[number]
    span = (moment.until - moment.since) / timedelta(microseconds=1)
    target = moment.since + timedelta(microseconds=int(span * share))
    world.restore(target, SPARE)
    try:
        with world.connect(SPARE) as connection:
            found = dict(connection.execute("SELECT id, balance FROM accounts").fetchall())
    finally:
        world.do(world.hosts.discard, DiscardServer(database=NAME, server=SPARE, effect=an_effect()))
    assert found == moment.rows
