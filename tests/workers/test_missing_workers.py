"""A role loses its workers on a real Temporal: the runs that need it say so, and people are paged once."""

import asyncio
import dataclasses
import re
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
import yaml
from psycopg.rows import dict_row
from pydantic import BaseModel, SecretStr
from temporalio import activity, workflow
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client, WorkflowHandle
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

import records_schema
from activities.catalogue.service import Service
from activities.messages.paging.pagerduty import is_ours
from activities.monitoring import workers as looking
from sandbox.ports import free_port
from sandbox.prometheus import Prometheus
from workers.clients import connect, register_search_attributes
from workers.queues import Role
from workers.settings import Records, Settings, Temporal, Worker
from workers.wiring import wire
from workers.worker import working
from workflows.platform import policies
from workflows.platform.requests import ServiceRequest
from workflows.platform.run_status import RunStatus
from workflows.platform.runbook import Runbook
from workflows.upkeep.look_for_workers import LookForWorkers, LookRequest, LookResult
from workflows.upkeep.missing_worker import MissingWorker

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
SLOTS = 2
PATIENCE = timedelta(seconds=2)
SEPARATE: tuple[Role, ...] = ("kubernetes", "messages", "compliance", "security")
OTHERS: tuple[Role, ...] = ("orchestration", "messages")
SERVICE = {
    "deployment": "shop",
    "selector": "app=shop",
    "health_url": "http://127.0.0.1:1/health",
    "on_call": "shop-nights",
}
_let_go = threading.Event()


class MoveRequest(BaseModel):
    """Nothing."""


class Moves:
    """Something that needs the cluster's credential."""

    @activity.defn(name="test-move")
    def move(self, request: MoveRequest) -> str:
        """Move."""
        del request
        while not _let_go.wait(0.1):
            activity.heartbeat()
        return "moved"


@workflow.defn(name="TestMover")
class Mover(Runbook):
    """One step that needs the role."""

    SECTION = "0.0"

    @workflow.run
    async def run(self, request: ServiceRequest) -> str:
        """Do it."""
        await self.begin(request, title="Move", service=request.service, severity="P1")
        return await self.step("0.0/1", "Move", Moves.move, MoveRequest(), policies.READ)


@dataclass
class Place:
    """An installation whose cluster steps have workers of their own."""

    client: Client
    queue: str
    records: str
    metrics: str
    worker: Callable[[Role], AbstractAsyncContextManager[Sequence[str]]]

    async def start(self, name: str) -> WorkflowHandle[Any, Any]:
        return await self.client.start_workflow(
            Mover.run, ServiceRequest(service="shop"), id=f"{self.queue}/{name}", task_queue=self.queue
        )

    async def look(self) -> LookResult:
        return await self.client.execute_workflow(
            LookForWorkers.run, LookRequest(), id=f"{self.queue}/look-{uuid4()}", task_queue=self.queue
        )

    def episode(self, role: Role) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle_for(MissingWorker.run, f"missing-worker/{self.queue}-{role}")

    async def pending(self, run: WorkflowHandle[Any, Any]) -> str:
        (step,) = (await run.describe()).raw_description.pending_activities
        return PendingActivityState.Name(step.state).removeprefix("PENDING_ACTIVITY_STATE_")

    async def numbers(self) -> Counter[str]:
        """Give what Prometheus would read of ours."""
        async with httpx.AsyncClient() as http:
            text = (await http.get(f"http://{self.metrics}/metrics")).text
        sums: Counter[str] = Counter()
        for line in text.splitlines():
            if line.startswith("runbooks_"):
                role = re.search('role="([^"]*)"', line)
                sums[f"{line.partition('{')[0]} {role[1] if role else ''}".strip()] += int(line.rpartition(" ")[2])
        return sums

    def pages(self) -> list[dict[str, Any]]:
        with psycopg.connect(self.records, row_factory=dict_row) as connection:
            return connection.execute("SELECT * FROM runbooks.pages ORDER BY id").fetchall()


@pytest.fixture
async def place(temporal_address: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    # A step that anybody could take is taken at once; the times are for workers that are replaced.
    monkeypatch.setattr(looking, "_PATIENCE", PATIENCE)
    monkeypatch.setattr(looking, "_ASKED_WITHIN", PATIENCE)
    records_schema.migrate(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("TRUNCATE runbooks.pages")
    _let_go.set()
    metrics = f"127.0.0.1:{free_port()}"
    settings = Settings(
        temporal=Temporal(
            address=temporal_address,
            task_queue=f"missing-{uuid4().hex[:6]}",
            roles=SEPARATE,
            max_concurrent_activities=SLOTS,
        ),
        worker=Worker(roles=OTHERS),
        records=Records(url=SecretStr(postgres_url)),
        services={"shop": Service(**SERVICE)},
    )
    runtime = Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=metrics)))
    client = await connect(settings.temporal, runtime=runtime)
    await register_search_attributes(client)
    with wire(settings) as wired:
        queues = dataclasses.replace(wired.queues, of_activity={**wired.queues.of_activity, "test-move": "kubernetes"})
        steps = {**wired.steps, "kubernetes": [Moves().move]}

        @asynccontextmanager
        async def worker(*roles: Role) -> AsyncIterator[Sequence[str]]:
            some = {role: steps[role] for role in roles}
            async with working(
                client, settings.temporal, queues, some, workflows=[Mover, LookForWorkers, MissingWorker]
            ) as taken:
                yield taken

        yield Place(client, settings.temporal.task_queue, postgres_url, metrics, worker)


async def until(found: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not await found():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.25)


async def lacks(run: WorkflowHandle[Any, Any]) -> bool:
    return bool((await status(run)).lacks)


async def status(run: WorkflowHandle[Any, Any]) -> RunStatus:
    found: RunStatus = await run.query("status", result_type=RunStatus)
    return found


def rule() -> dict[str, Any]:
    """Give the rule that an operator has, without its patience."""
    groups = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())["groups"]
    (found,) = [rule for group in groups for rule in group["rules"] if rule["alert"] == "NoWorkerOfRole"]
    return {**found, "for": "0s"}


async def fires(prometheus: Prometheus) -> bool:
    async with httpx.AsyncClient() as http:
        alerts = (await http.get(f"{prometheus.url}/api/v1/alerts")).json()["data"]["alerts"]
    return [alert["labels"]["role"] for alert in alerts if alert["state"] == "firing"] == ["kubernetes"]


async def test_two_runs_that_wait_for_one_role_say_so_and_page_once(
    place: Place, start_prometheus: Callable[..., Prometheus]
) -> None:
    prometheus = await asyncio.to_thread(start_prometheus, targets={"worker": place.metrics}, rules=[rule()])
    async with place.worker(*OTHERS):
        async with place.worker("kubernetes"):
            assert await (await place.start("before")).result() == "moved"
        first, second = await place.start("first"), await place.start("second")
        await asyncio.sleep(PATIENCE.total_seconds() + 1)
        found = [*await asyncio.gather(place.look(), place.look())]

        async def known() -> bool:
            return len(place.pages()) == 1 and await lacks(first) and await lacks(second)

        await until(known)
        (page,) = place.pages()
        told = await status(first)
        await until(lambda: fires(prometheus))
        found += [await place.look() for _ in range(2)]
        async with place.worker("kubernetes"):
            assert [await run.result() for run in (first, second)] == ["moved", "moved"]
            ended = await place.episode("kubernetes").result()
        after, again = await place.look(), await status(first)
        numbers = await place.numbers()

    assert all(line.startswith("no worker of role kubernetes: 2 runs wait") for look in found for line in look.missing)
    assert [len(look.missing) for look in found] == [1] * 4
    assert (page["rotation"], page["severity"], page["service"]) == ("shop-nights", "P1", "shop")
    assert page["summary"].startswith("No worker of role kubernetes: 2 runs wait")
    assert is_ours(f"{page['incident_id']}/L1")
    assert told.lacks[0].startswith("kubernetes: test-move waits since")
    assert told.waiting_for == ""
    assert [page["resolved_at"] is not None for page in place.pages()] == [True]
    assert "2 runs told" in ended
    assert after.missing == []
    assert again.lacks == []
    assert [entry.text for entry in again.entries if entry.kind == "signal"][1:] == [
        "A worker of role kubernetes is there again"
    ]
    assert numbers["runbooks_worker_missing kubernetes"] >= len(found)
    assert numbers["runbooks_worker_missing messages"] == 0
    assert "runbooks_worker_missing messages" in numbers
    assert numbers["runbooks_worker_looks"] > len(found)


async def test_where_nobody_can_page_the_runs_are_told_all_the_same(place: Place) -> None:
    async with place.worker("orchestration"):
        run = await place.start("alone")
        await asyncio.sleep(PATIENCE.total_seconds() + 1)
        await place.look()
        await until(lambda: lacks(run))
        await run.cancel()
        ended = await place.episode("kubernetes").result()

    assert ended.endswith("1 run told; nobody could be paged")
    assert place.pages() == []


async def test_a_worker_whose_slots_are_all_taken_is_there(place: Place) -> None:
    _let_go.clear()
    async with place.worker(*OTHERS), place.worker("kubernetes"):
        runs = [await place.start(f"{number}") for number in range(SLOTS + 1)]
        await asyncio.sleep(PATIENCE.total_seconds() + 1)
        pending = [await place.pending(run) for run in runs]
        found = await place.look()
        _let_go.set()
        assert [await run.result() for run in runs] == ["moved"] * len(runs)

    assert sorted(pending) == ["SCHEDULED", *["STARTED"] * SLOTS]
    assert found.missing == []
