"""The whole stack, once for all tests of this folder: nothing in it is made up but the service behind the pods."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from temporalio.client import Client, WorkflowHandle

from sandbox import manifests
from sandbox.assembly import Environment
from sandbox.ports import LOOPBACK
from sandbox.probes import wait_until
from tests.crash.scenarios.p1_incident import CLOSING
from workers.clients import connect
from workers.settings import Temporal
from workflows.incident_response.p1_incident import P1Incident, P1Result
from workflows.shared.runbook import RunStatus

Handle = WorkflowHandle[P1Incident, P1Result]


async def eventually(probe: Callable[[], Awaitable[Any]], within: float = 40.0) -> Any:
    """Wait until a probe gives something, and give it."""
    deadline = time.monotonic() + within
    while True:
        if found := await probe():
            return found
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.1)


@dataclass
class Stack:
    environment: Environment
    client: Client

    @property
    def records(self) -> str:
        return self.environment.postgres.url("runbooks")

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.records) as connection:
            return connection.execute(query, values).fetchall()

    def health(self) -> dict[str, Any]:
        answer: dict[str, Any] = httpx.get(self.environment.health_url).json()
        return answer

    def heal(self) -> None:
        """Bring the service back to v1.2.3, as a person would."""
        manifests.release(self.environment.cluster.kubeconfig, "tensafe", manifests.GOOD_IMAGE)
        wait_until(lambda: self.health()["status"] == "healthy" and self.health()["version"] == "v1.2.3")

    def break_down(self) -> None:
        manifests.release(self.environment.cluster.kubeconfig, "tensafe", manifests.BAD_IMAGE)

    async def open_runs(self) -> list[str]:
        query = "WorkflowType = 'P1Incident' AND ExecutionStatus = 'Running'"
        return [run.id async for run in self.client.list_workflows(query)]

    def handle(self, workflow_id: str) -> Handle:
        return self.client.get_workflow_handle_for(P1Incident.run, workflow_id)

    async def closable(self, handle: Handle, within: float = 60.0) -> RunStatus:
        async def status() -> RunStatus | None:
            try:
                found: RunStatus = await handle.query(P1Incident.status)
            except Exception:  # noqa: BLE001  a server or a worker is being restarted
                return None
            return found if found.waiting_for == "close" else None

        found: RunStatus = await eventually(status, within)
        return found

    async def close(self, handle: Handle) -> P1Result:
        await self.closable(handle)
        await handle.execute_update(P1Incident.close, CLOSING)
        return await handle.result()


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    with Environment(tmp_path_factory.mktemp("stack"), workers=2).running() as running:
        yield running


@pytest.fixture
async def stack(environment: Environment) -> AsyncIterator[Stack]:
    """The stack, with a healthy service and no open run before and after."""
    for process in environment.restartable:
        if process.exit_code is not None:
            process.start()
    client = await connect(Temporal(address=environment.temporal.address))
    stack = Stack(environment, client)
    stack.heal()
    yield stack
    for run in await stack.open_runs():
        await client.get_workflow_handle(run).terminate("the test is over")


@pytest.fixture
def webhook(environment: Environment) -> httpx.AsyncClient:
    token = environment.configuration.bearer_token.read_text(encoding="utf-8")
    return httpx.AsyncClient(
        base_url=f"http://{LOOPBACK}:{environment.webhook_port}", headers={"Authorization": f"Bearer {token}"}
    )


def logs(environment: Environment) -> list[Path]:
    return [process.log for process in environment.restartable]
