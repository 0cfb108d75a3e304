"""Poolers are paused and sent to another server, on a real PgBouncer; its clients wait, and go on."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr
from temporalio.testing import ActivityEnvironment

from activities.common.effects import Change, Effect
from activities.common.errors import Misconfigured, Unavailable
from activities.database.servers.poolers import PausePooler, PoolerCommands, Poolers, ReconnectPooler
from activities.database.servers.servers import Database, Databases, Server
from sandbox.postgres import Postgres
from sandbox.toolchain.errors import NotPublished
from tests.activities.database.pgbouncer import CLIENT, PASSWORD, PgBouncer

LONG = timedelta(minutes=2)


class Pooled:
    """Two servers, `primary` and `spare`, and a PgBouncer that leads to the first."""

    def __init__(self, bouncer: PgBouncer) -> None:
        self.bouncer = bouncer
        known = {name: Server(name, SecretStr("postgresql://u:p@127.0.0.1:1/d")) for name in ("primary", "spare")}
        databases = Databases({"tensafe": Database("tensafe", known)})
        named = {"front": bouncer.commands, "other": PoolerCommands(reconnect=["true"])}
        self.poolers = Poolers(databases, {"tensafe": named})

    def pause(self, within: timedelta = LONG, pooler: str = "front", **effect: Any) -> Change:
        request = PausePooler(database="tensafe", pooler=pooler, within=within, effect=_effect("pause", **effect))
        return ActivityEnvironment().run(self.poolers.pause, request)

    def reconnect(self, server: str, pooler: str = "front", **effect: Any) -> Change:
        request = ReconnectPooler(
            database="tensafe", pooler=pooler, server=server, effect=_effect("reconnect", **effect)
        )
        return ActivityEnvironment().run(self.poolers.reconnect, request)

    def where(self) -> str:
        """Ask as a client does which server it is on."""
        with psycopg.connect(self.bouncer.url, connect_timeout=60) as connection:
            row = connection.execute("SELECT name FROM here").fetchone()
        assert row is not None
        return str(row[0])


def _effect(step: str, **more: Any) -> Effect:
    return Effect(key=f"run/1/{step}", workflow_id="run", run_id="1", actor="ada", **more)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    with ExitStack() as stack:
        ports = {}
        for name in ("primary", "spare"):
            server = Postgres(tmp_path_factory.mktemp(name))
            stack.callback(server.remove)
            server.start()
            server.wait_ready()
            ports[name] = server.port
            with psycopg.connect(server.url(), autocommit=True) as connection:
                connection.execute(f"CREATE ROLE {CLIENT} LOGIN PASSWORD '{PASSWORD}'".encode())
            with psycopg.connect(server.create_database("service"), autocommit=True) as connection:
                connection.execute(f"CREATE TABLE here AS SELECT '{name}' AS name".encode())
                connection.execute(f"GRANT SELECT ON here TO {CLIENT}".encode())
        yield ports


@pytest.fixture
def pooled(servers: dict[str, int], tmp_path: Path) -> Iterator[Pooled]:
    try:
        bouncer = PgBouncer(tmp_path, servers)
    except NotPublished as error:
        pytest.skip(f"there is no pgbouncer on PATH, and no Debian package of it: {error}")
    try:
        bouncer.start()
        yield Pooled(bouncer)
    finally:
        bouncer.stop()


@pytest.mark.servers
def test_clients_wait_while_it_is_paused_and_go_on_at_the_other_server(pooled: Pooled) -> None:
    assert pooled.where() == "primary"
    for _ in range(2):  # a killed attempt's is done again
        assert str(pooled.pause()) == "pooler/front: paused"
    seen = SimpleNamespace(where="")
    waiting = threading.Thread(target=lambda: setattr(seen, "where", pooled.where()))
    waiting.start()
    time.sleep(0.5)
    assert waiting.is_alive()
    for _ in range(2):
        assert str(pooled.reconnect("spare")) == "pooler/front: connected to spare"
    waiting.join(240)
    assert (seen.where, pooled.where()) == ("spare", "spare")
    assert pooled.reconnect("primary").applied
    assert pooled.where() == "primary"


@pytest.mark.servers
def test_a_transaction_in_flight_is_not_waited_for_longer_than_allowed(pooled: Pooled) -> None:
    with psycopg.connect(pooled.bouncer.url) as connection:
        connection.execute("SELECT 1")  # the transaction stays open
        with pytest.raises(Unavailable):
            pooled.pause(timedelta(seconds=2))
        connection.rollback()
    assert pooled.reconnect("primary").applied
    assert pooled.where() == "primary"


def _alone(**named: PoolerCommands) -> Poolers:
    known = {"primary": Server("primary", SecretStr("postgresql://u:p@127.0.0.1:1/d"), host="db-1")}
    return Poolers(Databases({"tensafe": Database("tensafe", known)}), {"tensafe": named})


def _pausing(poolers: Poolers, pooler: str, **effect: Any) -> Change:
    request = PausePooler(database="tensafe", pooler=pooler, within=LONG, effect=_effect("pause", **effect))
    return ActivityEnvironment().run(poolers.pause, request)


def _going(poolers: Poolers, server: str, **effect: Any) -> Change:
    request = ReconnectPooler(database="tensafe", pooler="p", server=server, effect=_effect("go", **effect))
    return ActivityEnvironment().run(poolers.reconnect, request)


def test_without_a_command_it_is_not_paused(tmp_path: Path) -> None:
    change = _pausing(_alone(p=PoolerCommands(reconnect=["true"])), "p")
    assert (change.applied, change.after) == (False, "not paused: settings name no `pause`")


def test_its_words_name_the_server_and_both_machines(tmp_path: Path) -> None:
    words = ["touch", str(tmp_path / "{pooler}-{host}-{server}-{server_host}")]
    poolers = _alone(p=PoolerCommands(reconnect=words, host="front-1"))
    assert not _going(poolers, "primary", dry_run=True).applied
    assert list(tmp_path.iterdir()) == []
    assert _going(poolers, "primary").applied
    assert [file.name for file in tmp_path.iterdir()] == ["p-front-1-primary-db-1"]


def test_what_there_is_not_is_named() -> None:
    poolers = _alone(p=PoolerCommands(reconnect=["false"], pause=["no-such-program-here"]))
    with pytest.raises(Misconfigured, match="no pooler 'q'; it has: p"):
        _pausing(poolers, "q")
    with pytest.raises(Misconfigured, match="no server 'nowhere'"):
        _going(poolers, "nowhere")
    with pytest.raises(Misconfigured, match="cannot run no-such-program-here"):
        _pausing(poolers, "p")
    with pytest.raises(Unavailable, match="reconnect of p to primary failed with exit code 1"):
        _going(poolers, "primary")
