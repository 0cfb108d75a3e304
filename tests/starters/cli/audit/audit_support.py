"""Incidents that have been closed, some archived, some gone from Temporal, for the commands that look back."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from psycopg_pool import ConnectionPool
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from audit.live import fetch
from audit.payloads import Decoder
from audit.sealing import Archivable
from audit.store import Store
from tests.audit.stories import new_signer
from tests.plugins.patience import HANGS
from tests.starters.support import RUN, waiting_for


@dataclass
class Past:
    """A Temporal with workers, and an archive."""

    client: Client
    queue: str
    pool: ConnectionPool[Any]
    signer: Any = field(default_factory=new_signer)

    @property
    def store(self) -> Store:
        return Store(self.pool, self.signer)

    async def begin(self) -> None:
        """Delete what earlier tests have left under the ID of the service's incidents, open or closed.

        The server deletes in its own time, and each is asked for once: asking again only makes its queue longer.
        """
        asked: set[str] = set()
        async with asyncio.timeout(HANGS):
            while left := [run async for run in self.client.list_workflows(f'WorkflowId = "{RUN}"')]:
                for run in left:
                    if run.run_id not in asked:
                        with contextlib.suppress(RPCError):  # it has gone meanwhile
                            await self._delete(run.id, run.run_id)
                        asked.add(run.run_id)
                await asyncio.sleep(0.1)

    async def incident(self, **words: str) -> tuple[str, str]:
        """Run a P1 to its end; gives workflow ID and run ID."""
        workflow_id = RUN
        request = {"service": "tensafe-server", "requested_by": "grace", "mitigation": "auto", **words}
        handle = await self.client.start_workflow("P1Incident", request, id=workflow_id, task_queue=self.queue)
        await waiting_for(self.client, workflow_id, "close")
        word = {"who": "ada", "role": "commander", "resolution": "rolled <b>back</b>", "root_cause": "bad release"}
        await handle.execute_update("close", word)
        await handle.result()
        run_id = (await handle.describe()).run_id
        await self.visible(f'RunId = "{run_id}" AND ExecutionStatus = "Completed"', 1)
        return workflow_id, run_id

    async def visible(self, query: str, number: int) -> None:
        """Wait until visibility has caught up."""
        async with asyncio.timeout(HANGS):
            while (await self.client.count_workflows(query)).count != number:
                await asyncio.sleep(0.05)

    async def archive(self, workflow_id: str, run_id: str) -> None:
        fetched = await fetch(self.client, workflow_id, run_id)
        told = fetched.story(Decoder())
        assert told.ended_at is not None
        await asyncio.to_thread(self.store.append, Archivable(fetched.history, told, told.ended_at))

    async def forget(self, workflow_id: str, run_id: str) -> None:
        """As if retention had passed."""
        await self._delete(workflow_id, run_id)
        handle = self.client.get_workflow_handle(workflow_id, run_id=run_id)
        async with asyncio.timeout(HANGS):
            while await _is_there(handle):
                await asyncio.sleep(0.05)

    async def _delete(self, workflow_id: str, run_id: str) -> None:
        await self.client.workflow_service.delete_workflow_execution(
            DeleteWorkflowExecutionRequest(
                namespace=self.client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
            )
        )


async def _is_there(handle: WorkflowHandle[Any, Any]) -> bool:
    try:
        await handle.describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True


async def found(call: Callable[..., Awaitable[Any]], *arguments: str) -> list[dict[str, Any]]:
    """Search, and read what comes."""
    result = await call("search", "--format", "json", *arguments)
    assert result.exit_code == 0, result.output
    rows: list[dict[str, Any]] = json.loads(result.stdout)
    return rows
