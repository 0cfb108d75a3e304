"""PostgreSQL and Temporal keep what they were given over a kill -9 and a restart."""

from pathlib import Path

import psutil
import psycopg
import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from sandbox.postgres import Postgres
from sandbox.ready import ready
from sandbox.temporal import Temporal
from workflows.platform.search_attributes import SEARCH_ATTRIBUTES

pytestmark = pytest.mark.servers


def test_postgres_survives_a_kill(tmp_path: Path) -> None:
    with ready(Postgres(tmp_path)) as server:
        url = server.create_database("kept")
        with psycopg.connect(url) as connection:
            assert connection.execute("SHOW data_checksums").fetchone() == ("on",)
            connection.execute("CREATE TABLE t AS SELECT 7 AS x")
        server.processes[0].kill()
        server.restart()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT x FROM t").fetchone() == (7,)


def test_postgres_comes_back_whatever_its_killed_server_has_left_running(tmp_path: Path) -> None:
    with ready(Postgres(tmp_path)) as server:
        postmaster = psutil.Process(server.processes[0].pid)
        for child in (left := postmaster.children()):
            child.suspend()  # on a busy machine they notice late that they are alone
        server.processes[0].kill()
        server.restart()
        psycopg.connect(server.url()).close()
        assert not any(child.is_running() for child in left)


def test_postgres_wants_its_password(postgres_url: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres_url, password="wrong")


async def test_temporal_survives_a_kill(tmp_path: Path) -> None:
    with ready(Temporal(tmp_path, SEARCH_ATTRIBUTES)) as server:
        client = await Client.connect(server.address)
        await client.start_workflow("Waiting", id="kept", task_queue="nobody")
        server.processes[0].kill()
        server.restart()
        client = await Client.connect(server.address)
        assert (await client.get_workflow_handle("kept").describe()).workflow_type == "Waiting"


async def test_search_attributes_are_there(temporal_address: str) -> None:
    client = await Client.connect(temporal_address)
    for key in SEARCH_ATTRIBUTES:
        assert [run async for run in client.list_workflows(f"{key.name} = 'x'")] == []


async def test_time_skipping_server_starts(time_skipping: WorkflowEnvironment) -> None:
    assert time_skipping.supports_time_skipping
