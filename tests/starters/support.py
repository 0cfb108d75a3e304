"""A webhook and a command line for tests, on a real Temporal, with the world of the workflow tests behind them."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import tomli_w
from pydantic import SecretStr
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from sandbox.ports import free_port
from sandbox.processes import ServerProcess
from starters.webhook.__main__ import build
from tests.workflows.worlds.company import Company
from tests.workflows.worlds.world import World
from workers import worker
from workers.clients import connect
from workers.settings import Settings, TemporalSettings, WebhookSettings

SERVICE = "tensafe-server"
TOKEN = "a-token-for-tests"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
RULES = '[[route]]\nmatch = { severity = "P1" }\nprocedure = "p1-incident"\nseverity = "P1"\n'
NOBODY = "127.0.0.1:1"
"""Where nothing listens."""

PATH = "/webhooks/alertmanager"
RUN = f"p1-incident/{SERVICE}"
"""The one run that takes the service's alerts."""


def settings_for(address: str, queue: str, folder: Path, world: World, **webhook: Any) -> Settings:
    (folder / "routes.toml").write_text(RULES, encoding="utf-8")
    return Settings(
        temporal=TemporalSettings(address=address, task_queue=queue),
        services={SERVICE: world.service},
        webhook=WebhookSettings(
            bearer_tokens=(SecretStr("another"), SecretStr(TOKEN)),
            basic_auth={"am": SecretStr("secret")},
            routes=folder / "routes.toml",
            **webhook,
        ),
    )


async def no_incident(address: str) -> None:
    """End what a test before this one has left open: a service has one incident at a time."""
    if address == NOBODY:
        return
    with contextlib.suppress(RuntimeError, TimeoutError, RPCError):
        async with asyncio.timeout(10):
            client = await connect(TemporalSettings(address=address))
            await client.get_workflow_handle(RUN).terminate("the next test begins")


@asynccontextmanager
async def serving(configured: Settings) -> AsyncIterator[httpx.AsyncClient]:
    await no_incident(configured.temporal.address)
    transport = httpx.ASGITransport(await build(configured))
    async with httpx.AsyncClient(transport=transport, base_url="http://webhook", headers=HEADERS) as http:
        yield http


def settings_file(folder: Path, address: str, queue: str, world: World | Company, **sections: dict[str, Any]) -> Path:
    """Write what a process of its own reads; the webhook's port is a free one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "routes.toml").write_text(RULES, encoding="utf-8")
    content: dict[str, Any] = {
        "temporal": {"address": address, "task_queue": queue},
        "services": {SERVICE: world.service.model_dump(mode="json", exclude_none=True, exclude={"name"})},
        "webhook": {"port": free_port(), "bearer_tokens": [TOKEN]},
    }
    for name, section in sections.items():
        content.setdefault(name, {}).update(section)
    file = folder / "runbooks.toml"
    file.write_text(tomli_w.dumps(content), encoding="utf-8")
    return file


def process(folder: Path, config: Path, *argv: str) -> ServerProcess:
    """A real process; its log is in the folder."""
    return ServerProcess(
        name="webhook",
        directory=folder,
        argv=[sys.executable, "-m", *argv],
        env={"RUNBOOKS_CONFIG": str(config)},
        stop_timeout=60.0,
    )


def alert(fingerprint: str, *, status: str = "firing", starts_at: str = "2026-02-04T03:00:00Z", **labels: str) -> Any:
    return {
        "status": status,
        "fingerprint": fingerprint,
        "startsAt": starts_at,
        "endsAt": "0001-01-01T00:00:00Z",
        "labels": {"alertname": "TensafeServerDown", "severity": "P1", "service": SERVICE, **labels},
        "annotations": {"summary": "API down"},
        "generatorURL": "http://prometheus/graph",
    }


def body(*alerts: Any) -> dict[str, Any]:
    return {"version": "4", "groupKey": "{}:{}", "status": "firing", "receiver": "runbooks", "alerts": list(alerts)}


def run_of(fingerprint: str) -> str:
    """Give the run that takes an alert of the service, whichever it is."""
    del fingerprint
    return RUN


def fresh() -> str:
    return uuid4().hex[:16]


async def send(http: httpx.AsyncClient, *alerts: Any) -> httpx.Response:
    return await http.post(PATH, json=body(*alerts))


async def outcomes(http: httpx.AsyncClient, *alerts: Any) -> list[str]:
    response = await send(http, *alerts)
    assert response.status_code == 202, response.text
    return [one["outcome"] for one in response.json()["alerts"]]


@asynccontextmanager
async def working(address: str, queue: str, world: World | Company) -> AsyncIterator[Client]:
    connected = await connect(TemporalSettings(address=address))
    async with worker.build(connected, TemporalSettings(task_queue=queue), world.activities()):
        yield connected


async def open_now(client: Client) -> str | None:
    """Give the run ID of the service's open incident."""
    try:
        found = await client.get_workflow_handle(RUN).describe()
    except RPCError:
        return None
    return found.run_id if found.status is WorkflowExecutionStatus.RUNNING else None


async def waiting_for(client: Client, workflow_id: str, what: str) -> None:
    """Wait until only a person can bring a run on."""
    handle = client.get_workflow_handle(workflow_id)
    seen: Any = None
    async with asyncio.timeout(240):
        while (seen := await handle.query("status"))["waiting_for"] != what:
            await asyncio.sleep(0.05)
    assert seen is not None
