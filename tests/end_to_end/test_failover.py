"""A primary that is killed on the whole stack: its alert starts the failover, two words of a person end it."""

import asyncio
from typing import Any

import psycopg
import pytest
from temporalio.client import WorkflowHandle

from sandbox.service_database import PRIMARY, REPLICA
from tests.end_to_end.conftest import Stack, eventually
from tests.end_to_end.scaled import runbooks
from tests.workflows.steering import result_of, told
from workflows.platform.run_status import RunStatus

pytestmark = pytest.mark.timeout(600)

_RUNNING = "WorkflowType = 'DatabaseFailover' AND ExecutionStatus = 'Running'"


async def test_the_service_gets_its_database_back_and_the_old_primary_follows(stack: Stack) -> None:
    database = stack.environment.service_database
    await eventually(stack.backed_up)
    with psycopg.connect(database.url(PRIMARY), autocommit=True) as connection:
        connection.execute("CREATE TABLE failover_test AS SELECT generate_series(1, 100) AS id")
    await asyncio.to_thread(database.kill, PRIMARY)

    async def started() -> WorkflowHandle[Any, Any] | None:
        async for run in stack.client.list_workflows(_RUNNING):
            return stack.client.get_workflow_handle(run.id, run_id=run.run_id)
        return None

    handle: WorkflowHandle[Any, Any] = await eventually(started)

    async def decide(question: str, choice: str) -> None:
        async def asked() -> bool:
            status: RunStatus = await handle.query("status", result_type=RunStatus)
            return status.waiting_for == f"decide {question}"

        await eventually(asked)
        answer = await asyncio.to_thread(runbooks, stack, "approve", handle.id, "--role", "dba", "--choice", choice)
        assert answer.returncode == 0, answer.stdout + answer.stderr

    await decide("failover-1", "promote")
    await decide("return-1", "rejoin")
    result = await result_of(handle)
    assert (result["primary"], result["old_primary_is"]) == (REPLICA, "a replica"), await told(handle)
    with psycopg.connect(database.url(REPLICA)) as connection:
        assert connection.execute("SELECT count(*) FROM failover_test").fetchone() == (100,)
    assert stack.health()["status"] == "healthy"
    # The service's pods never stopped answering, so no P1 has restarted, scaled or rolled back anything.
    for run in await stack.runs("Running"):
        assert (await stack.close(run)).mitigations == []
    (incident,) = stack.rows(
        "SELECT status, resolution FROM runbooks.incidents WHERE incident_id = %s", result["incident_id"]
    )
    assert incident[0] == "closed"
    assert REPLICA in incident[1]
