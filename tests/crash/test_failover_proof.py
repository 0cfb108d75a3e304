"""Failover under load: the primary is killed, the service writes on, and what was lost is counted."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit

import psycopg
import pytest
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from sandbox.probes import wait_until
from sandbox.service_database import PRIMARY, REPLICA, ServiceDatabase
from tests.crash import worker
from tests.crash.harness import in_time, prepared
from tests.crash.people import decide, when
from tests.crash.scenario import Case, Servers
from tests.crash.scenarios.database_failover import FailoverScenario
from tests.crash.service_writer import Writer
from tests.end_to_end.conftest import payloads
from workers.clients import connect
from workers.settings import TemporalSettings

WARM, AFTERWARDS = 2.0, 100
"""Seconds of writing before the kill; transactions that must get through after it."""
ACTIVITIES = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
DISORDER = timedelta(seconds=0.1)
"""Commits of several connections are acknowledged in nearly the order of their times."""


class Loaded(FailoverScenario):
    """The service writes, and then its primary is killed."""

    restart_crashed = False
    databases: ClassVar = {}

    def __init__(self, *, synchronous: bool) -> None:
        super().__init__()
        self.synchronous = synchronous
        self.name = f"failover-{'synchronous' if synchronous else 'asynchronous'}"

    def begin(self, case: Case, health: str) -> None:
        """The test kills the primary itself."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("synchronous", [True, False], ids=["synchronous", "asynchronous"])
def test_the_service_writes_on(crash_servers: Servers, *, synchronous: bool) -> None:
    asyncio.run(_prove(crash_servers, Loaded(synchronous=synchronous)))


async def _prove(servers: Servers, scenario: Loaded) -> None:
    client = await connect(TemporalSettings(address=servers.temporal))
    case = Case(scenario.name, servers, servers.directory / scenario.name)
    async with prepared(scenario, client, case) as start:
        database, process = scenario.database(case), worker.start(case)
        writer = Writer(servers.kubeconfig, case.namespace)
        try:
            async with in_time(client, case):
                await _works(client, case)
                with writer.writing():
                    await asyncio.sleep(WARM)
                    while not writer.acknowledged:
                        await asyncio.sleep(0.05)
                    rate = len(writer.acknowledged) / WARM
                    database.kill(PRIMARY)
                    handle = await start()
                    await decide(handle, "failover-1", "promote")
                    await when(handle, lambda status: any(asked.id == "return-1" for asked in status.questions))
                    over_at = datetime.now(UTC)
                    while writer.since(over_at) < AFTERWARDS:
                        await asyncio.sleep(0.05)
                lost = writer.missing(database.url(REPLICA))
                takes_no_writes_when_started_by_hand(database)
                await decide(handle, "return-1", "rejoin")
                result: dict[str, Any] = await handle.result()
        finally:
            process.kill()
        passwords = {urlsplit(url).password or "" for url in (database.url(PRIMARY), database.service_url(PRIMARY))}
        history = payloads((await handle.fetch_history()).to_json())
        streams(database)
    print(
        f"{scenario.name}: {rate:.0f} tx/s, {writer.longest_gap():.2f} s without writes, {len(lost)} of "
        f"{len(writer.acknowledged)} acknowledged transactions lost. {result['possible_loss']}"
    )
    assert result["healthy"]
    assert (result["primary"], result["old_primary_is"]) == (REPLICA, "a replica")
    assert not any(secret in history for secret in passwords)
    if scenario.synchronous:
        assert lost == {}
    last = datetime.fromisoformat(result["last_commit_at"])
    assert all(at > last - DISORDER for at in lost.values()), "more is lost than the run says"


async def _works(client: Client, case: Case) -> None:
    """Wait until the worker asks for work: in production it runs already when a primary fails."""
    request = DescribeTaskQueueRequest(
        namespace=client.namespace, task_queue=TaskQueue(name=case.task_queue), task_queue_type=ACTIVITIES
    )
    while not (await client.workflow_service.describe_task_queue(request)).pollers:
        await asyncio.sleep(0.05)


def takes_no_writes_when_started_by_hand(database: ServiceDatabase) -> None:
    """Somebody starts the old primary who doesn't know."""
    database.start_again(PRIMARY)
    with (
        psycopg.connect(database.service_url(PRIMARY)) as connection,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        connection.execute("INSERT INTO events (kind) VALUES ('split')")


def streams(database: ServiceDatabase) -> None:
    """What is written on the new primary gets to the old one."""
    with psycopg.connect(database.service_url(REPLICA)) as connection:
        connection.execute("INSERT INTO events (kind) VALUES ('afterwards')")
    with psycopg.connect(database.service_url(PRIMARY), autocommit=True) as replica:
        wait_until(lambda: replica.execute("SELECT FROM events WHERE kind = 'afterwards'").fetchone() is not None)
