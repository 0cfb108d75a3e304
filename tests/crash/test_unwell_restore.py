"""A restore waits for a service that is unwell on the restored data: its worker is killed, and all is told once."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest
from temporalio.client import WorkflowHandle

from sandbox.ports import LOOPBACK
from tests.crash import harness, worker
from tests.crash.forks import Fork
from tests.crash.people import when
from tests.crash.proof import ProofScenario
from tests.crash.scenario import Case, Servers
from workers.clients import connect
from workers.settings import TemporalSettings
from workflows.platform.run_status import RunStatus

Handle = WorkflowHandle[Any, Any]


class Health:
    """What the service says of itself, as this test wants it."""

    def __init__(self) -> None:
        self.well = False
        self.url = ""

    @contextmanager
    def answering(self) -> Iterator[None]:
        health = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(HTTPStatus.OK if health.well else HTTPStatus.SERVICE_UNAVAILABLE)
                self.end_headers()
                self.wfile.write(b'{"status": "healthy"}' if health.well else b'{"status": "unhealthy"}')

            def log_message(self, format: str, *args: object) -> None:
                del format, args

        server = ThreadingHTTPServer((LOOPBACK, 0), Answer)
        self.url = f"http://{LOOPBACK}:{server.server_address[1]}/health"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class UnwellScenario(ProofScenario):
    """The service does not come back well."""

    name = "restore-unwell"

    def __init__(self, health: Health) -> None:
        super().__init__()
        self._health = health

    def policy(self, case: Case) -> dict[str, Any]:
        return {**super().policy(case), "health_url": self._health.url}


async def waits(handle: Handle) -> None:
    """Wait until the public has been told that it is looked at, and an attempt to see it well is under way."""
    await when(handle, lambda status: "status page/api: Monitoring" in words(status) or "→ Monitoring" in words(status))
    while not await _looking(handle):
        await asyncio.sleep(0.1)


async def _looking(handle: Handle) -> bool:
    pending = (await handle.describe()).raw_description.pending_activities
    return any(one.activity_type.name == "health.steady" and one.HasField("last_started_time") for one in pending)


def words(status: RunStatus) -> str:
    return "\n".join(entry.text for entry in status.entries)


def published(case: Case) -> list[str]:
    with psycopg.connect(case.servers.records) as records:
        query = "SELECT status FROM runbooks.status_updates WHERE workflow_id = %s ORDER BY id"
        return [str(status) for (status,) in records.execute(query, (case.workflow_id,)).fetchall()]


def mails(case: Case) -> list[str]:
    with psycopg.connect(case.servers.records) as records:
        query = "SELECT subject FROM runbooks.mails WHERE recipient = %s AND workflow_id = %s"
        return [
            str(subject)
            for (subject,) in records.execute(query, (f"it@{UnwellScenario.name}.example", case.workflow_id))
        ]


@pytest.mark.timeout(600)
def test_a_worker_that_is_killed_while_the_service_is_unwell_tells_customers_once_it_is_well(
    crash_servers: Servers,
) -> None:
    case = Case("restore-unwell", crash_servers, crash_servers.directory / "restore-unwell")
    health = Health()
    with health.answering():
        asyncio.run(_unwell(UnwellScenario(health), case, health))


async def _unwell(scenario: UnwellScenario, case: Case, health: Health) -> None:
    client = await connect(TemporalSettings(address=case.servers.temporal))
    async with harness.prepared(scenario, client, case) as start:
        process = worker.start(case)
        try:
            async with harness.in_time(client, case):
                handle = await start()
                await scenario.steer(handle)
                await waits(handle)
                process.kill()
                assert published(case)[-1] == "Monitoring"
                assert mails(case) == []

                process = worker.start(case)
                await _looked_again(handle, process)
                assert published(case).count("Monitoring") == 1
                assert mails(case) == [], "nobody is told that their data is back while the service is unwell"
                # Killed once more when it is well, and nobody has seen that yet.
                process.kill()
                health.well = True
                process = worker.start(case)
                result = await handle.result()
        finally:
            process.kill()
        assert (result["outcome"], result["healthy"]) == ("restored", True)
        assert published(case) == ["Investigating", "Monitoring", "Resolved"]
        assert mails(case) == [f"{case.namespace}: your data was restored"]
        state = await scenario.end_state(case)
        assert {name: state.counts[name] for name in scenario.leaves} == dict(scenario.leaves)
        assert state.paused == []


async def _looked_again(handle: Handle, by: Fork) -> None:
    """Wait until another worker has taken the look up."""
    while True:
        pending = (await handle.describe()).raw_description.pending_activities
        looks = [one for one in pending if one.activity_type.name == "health.steady"]
        if any(one.last_worker_identity.startswith(f"{by.pid}@") for one in looks):
            return
        await asyncio.sleep(0.05)
