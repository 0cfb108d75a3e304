"""The whole stack, once for all tests of this folder: nothing in it is made up but the service behind the pods."""

import asyncio
import base64
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest
from playwright.async_api import Browser, Error, Page
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.service import RPCError

from sandbox import kubernetes_api, manifests
from sandbox.assembly import Environment
from sandbox.probes import wait_until
from sandbox.service_database import NAME, SECRET
from tests.browsers import new_tab
from tests.crash.scenarios.p1_incident import CLOSING
from tests.workflows.steering import result_of
from workers.clients import connect
from workers.settings import TemporalSettings
from workflows.incident_response.p1_incident import P1Incident, P1Result
from workflows.platform.approval import Decision
from workflows.platform.run_status import RunStatus

Handle = WorkflowHandle[P1Incident, P1Result]
DEPLOYMENT = "/apis/apps/v1/namespaces/tensafe/deployments/tensafe-server"
ONCE = ("incidents", "pages", "post_mortems")
"""Tables in which a closed incident has one row."""


async def eventually(probe: Callable[[], Awaitable[Any]], within: float = 240.0) -> Any:
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

    def settle(self) -> None:
        """Cancel what is still open in the records: the next test's deployment would ask about it."""
        with psycopg.connect(self.records) as connection:
            connection.execute(
                "UPDATE runbooks.incidents SET status = 'cancelled' WHERE status NOT IN ('closed', 'cancelled')"
            )

    def health(self) -> dict[str, Any]:
        answer: dict[str, Any] = httpx.get(self.environment.health_url).json()
        return answer

    def read(self, path: str) -> dict[str, Any]:
        """Ask the API server."""
        with kubernetes_api.connect(self.environment.cluster.kubeconfig) as api:
            found: dict[str, Any] = api.get(path).raise_for_status().json()
        return found

    @property
    def primary(self) -> str:
        """The server at which the service's Secret points, whatever tests before this one have done to its database."""
        secrets = {
            secret["metadata"]["name"]: secret["data"]
            for secret in self.read("/api/v1/namespaces/tensafe/secrets")["items"]
        }
        servers = self.environment.service_database.policy()["servers"]
        (name,) = (name for name, server in servers.items() if secrets[server["secret"]] == secrets[SECRET])
        return name

    async def backed_up(self) -> bool:
        """Tell whether the first backup, which the sandbox takes beside everything else, is there."""
        barman = self.environment.service_database.barman
        listed = json.loads(await asyncio.to_thread(barman.run, "-f", "json", "list-backups", NAME))
        return any(backup["status"] == "DONE" for backup in listed[NAME])

    def heal(self) -> None:
        """Bring the service back to v1.2.3, as a person would."""
        manifests.release(self.environment.cluster.kubeconfig, "tensafe", manifests.GOOD_IMAGE)
        wait_until(lambda: self.health()["status"] == "healthy" and self.health()["version"] == "v1.2.3")

    def break_down(self) -> None:
        manifests.release(self.environment.cluster.kubeconfig, "tensafe", manifests.BAD_IMAGE)

    def quiet(self) -> bool:
        """Whether neither Prometheus nor Alertmanager still knows of a firing that a test before this one caused."""
        firing = httpx.get(f"{self.environment.prometheus.url}/api/v1/alerts").json()["data"]["alerts"]
        told = httpx.get(f"{self.environment.alertmanager.url}/api/v2/alerts").json()
        return not firing and not told

    async def runs(self, status: str = "") -> list[Handle]:
        query = "WorkflowType = 'P1Incident'" + (f" AND ExecutionStatus = '{status}'" if status else "")
        return [self.handle(run.id, run.run_id) async for run in self.client.list_workflows(query)]

    async def alerted(self) -> Handle:
        """Release v1.2.4, and wait for the run that nobody here starts."""
        known = {handle.run_id for handle in await self.runs()}
        self.break_down()

        async def begun() -> list[Handle]:
            return [handle for handle in await self.runs("Running") if handle.run_id not in known]

        found: list[Handle] = await eventually(begun)
        (handle,) = found
        return handle

    def handle(self, workflow_id: str, run_id: str | None = None) -> Handle:
        return self.client.get_workflow_handle_for(P1Incident.run, workflow_id, run_id=run_id)

    def once(self, incident_id: str, *, false_alarm: bool = False) -> None:
        """Check that the records have the incident closed and all of it once; nothing public of a false alarm."""
        for table in ONCE:
            found = self.rows(f"SELECT 1 FROM runbooks.{table} WHERE incident_id = %s", incident_id)
            assert len(found) == 1, (table, len(found))
        assert self.rows("SELECT status FROM runbooks.incidents WHERE incident_id = %s", incident_id) == [("closed",)]
        updates = self.rows("SELECT status FROM runbooks.status_updates WHERE incident_id = %s", incident_id)
        assert Counter(updates) == ({} if false_alarm else {("Identified",): 1, ("Resolved",): 1})

    async def closable(self, handle: Handle, within: float = 240.0) -> RunStatus:
        """Wait until a run waits to be closed, and answer what it asks; where it doesn't, say how far it has come.

        On a busy machine the facts may be unclear when a run looks at them, and then it asks. A test that counts on a
        decision without a person has to say so itself.
        """
        last: RunStatus | None = None

        async def status() -> RunStatus | None:
            nonlocal last
            try:
                last = await handle.query(P1Incident.status, rpc_timeout=timedelta(seconds=5))
            except RPCError:  # a server or a worker is being restarted
                return None
            for question in last.questions:
                if question.kind == "mitigate" and question.recommended:
                    word = Decision(
                        question=question.id, choice=question.recommended, who="ada", role="commander", reason="test"
                    )
                    with contextlib.suppress(WorkflowUpdateFailedError):  # it has been answered meanwhile
                        await handle.execute_update("decide", word)
            return last if last.waiting_for == "close" else None

        try:
            found: RunStatus = await eventually(status, within)
        except AssertionError as late:
            for entry in last.entries if last else []:
                late.add_note(f"{entry.at:%H:%M:%S} {entry.kind}: {entry.text}")
            raise
        return found

    async def close(self, handle: Handle) -> P1Result:
        await self.closable(handle)
        await handle.execute_update("close", CLOSING)
        return await result_of(handle)


@pytest.fixture(scope="package")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    with Environment(tmp_path_factory.mktemp("stack"), workers=2).running() as running:
        yield running


@pytest.fixture
async def stack(environment: Environment) -> AsyncIterator[Stack]:
    """The stack, with a healthy service and no open run before and after."""
    for process in environment.restartable:
        if process.exit_code is not None:
            process.start()
    client = await connect(TemporalSettings(address=environment.temporal.address))
    stack = Stack(environment, client)
    await asyncio.to_thread(stack.heal)
    await eventually(lambda: asyncio.to_thread(stack.quiet))
    yield stack
    for process in environment.restartable:
        if process.exit_code is not None:
            process.start()
    try:
        for run in await stack.runs("Running"):
            # It says itself that its incident is cancelled. What is terminated may have one opened after its end.
            with contextlib.suppress(RPCError, WorkflowFailureError):  # listed a little longer than it ran
                await run.cancel()
                await result_of(run)
    finally:  # a run that does not hear its cancel fails this test, and not the next ones as well
        await asyncio.to_thread(stack.settle)


@pytest.fixture
async def webhook(environment: Environment) -> AsyncIterator[httpx.AsyncClient]:
    """Posts as Alertmanager does."""
    async with httpx.AsyncClient(
        base_url=environment.webhook_url, headers=authorised(environment), timeout=20
    ) as client:
        yield client


def authorised(environment: Environment) -> dict[str, str]:
    return {"Authorization": f"Bearer {environment.configuration.bearer_token.read_text(encoding='utf-8')}"}


def payloads(history: str) -> str:
    """Give all that the payloads of an exported history hold; in the export they are base64."""

    def texts(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            for key, value in part.items():
                if key == "data" and isinstance(value, str):
                    yield base64.b64decode(value).decode("utf-8", errors="replace")
                else:
                    yield from texts(value)
        elif isinstance(part, list):
            for value in part:
                yield from texts(value)

    return "\n".join(texts(json.loads(history)))


@pytest.fixture
async def page(browser: Browser, tmp_path: Path) -> AsyncIterator[Page]:
    """A browser's page; how it looked in the end is in the test's folder."""
    # Pictures of 1400 × 900 with the whole of a run's page on them.
    opened = await new_tab(browser, viewport={"width": 2000, "height": 1286}, device_scale_factor=0.7)
    yield opened
    await opened.screenshot(path=tmp_path / "page.png")


async def shown(
    page: Page, stack: Stack, handle: "WorkflowHandle[Any, Any]", status: str, tab: str = "timeline"
) -> None:
    """Open a run's page, and wait until it shows a status."""
    run_id = handle.run_id or (await handle.describe()).run_id
    run = f"{quote(handle.id, safe='')}/{run_id}"
    await page.goto(f"{stack.environment.temporal.ui_url}/namespaces/default/workflows/{run}/{tab}")
    await page.get_by_test_id("execution-status").filter(has_text=status).first.wait_for()


async def reads(page: Page, text: str) -> None:
    """Wait until the page shows a text; the UI puts what is Markdown into frames."""

    async def found() -> bool:
        try:
            return any([await frame.get_by_text(text).count() for frame in page.frames])
        except Error:  # a frame is being drawn anew
            return False

    await eventually(found)
