"""What Prometheus is told of the runbooks themselves, on a real Temporal and real records."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from pydantic import SecretStr
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

import records_schema
from audit.metrics import Refreshed
from sandbox.temporal import Temporal
from starters.cli.audit import own_state
from tests.workflows.conftest import company  # noqa: F401
from tests.workflows.steering import begin, waiting_for
from tests.workflows.worlds.company import Company
from tests.workflows.worlds.platform import Platform, image
from tests.workflows.worlds.world import instead
from workers.converter import DATA_CONVERTER
from workers.settings import RecordsSettings, Settings, TemporalSettings
from workers.worker import build
from workflows.deployment.rollback import RollbackRequest
from workflows.platform.search_attributes import SEARCH_ATTRIBUTES
from workflows.upkeep.sweep_holds import SweepRequest, SweepResult

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]
SAYS_AFTER = "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute"
"""After so many failed tasks of a run the server says that it is stuck; by itself after five, half a minute later."""


@workflow.defn(name="SweepHolds")
class Sweep:
    """A sweep that has found something."""

    @workflow.run
    async def run(self, request: SweepRequest) -> SweepResult:
        """Say so."""
        del request
        return SweepResult(held=3, late=1, failed=["scaledobject/x: forbidden"])


@workflow.defn(name="GiveBackHold")
class GiveBack:
    """What it gave back."""

    @workflow.run
    async def run(self) -> None:
        """Do nothing."""


@workflow.defn(name="Stuck")
class Stuck:
    """A run that can't go on."""

    @workflow.run
    async def run(self) -> None:
        """Fail the task, not the run."""
        raise RuntimeError("its code is wrong")


def exposed(settings: Settings) -> dict[str, float]:
    registry = CollectorRegistry()
    day = timedelta(days=1)
    found = Refreshed(
        "runbooks_own",
        "it",
        lambda: asyncio.run(own_state.look(settings)),
        own_state.metrics,
        lasting=day,
        patience=day,
    )
    registry.register(found)
    lines = (line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def settings_of(temporal: Temporal, records: str) -> Settings:
    return Settings(
        temporal=TemporalSettings(address=temporal.address, task_queue=f"own-{uuid4().hex[:6]}"),
        records=RecordsSettings(url=SecretStr(records)),
    )


async def test_what_is_wrong_with_the_runbooks_is_counted(
    company: Company,  # noqa: F811
    empty_database_url: str,
    tmp_path: Path,
) -> None:
    # Of its own, since it counts all that is there.
    server = Temporal(tmp_path / "temporal", SEARCH_ATTRIBUTES, {SAYS_AFTER: 3})
    await asyncio.to_thread(server.start)
    try:
        await asyncio.to_thread(server.wait_ready)
        records_schema.migrate(empty_database_url)
        settings = settings_of(server, empty_database_url)
        calm = await asyncio.to_thread(exposed, settings)
        found = await _gone_wrong(settings, company, empty_database_url)
        unanswered = await asyncio.to_thread(exposed, settings)
        await asyncio.to_thread(server.stop)
        gone = await asyncio.to_thread(exposed, settings)
    finally:
        await asyncio.to_thread(server.remove)

    assert calm["runbooks_own_up"] == 1
    assert (calm["runbooks_waiting_runs"], calm["runbooks_stuck_runs"], calm["runbooks_holds_given_back"]) == (0, 0, 0)
    assert not {"runbooks_archive_behind_seconds", "runbooks_sweep_age_seconds"} & set(calm)
    assert found["runbooks_waiting_runs"] == 1
    assert 2 < found["runbooks_waiting_oldest_seconds"] < 300
    assert found["runbooks_stuck_runs"] == 1
    assert found["runbooks_holds_given_back"] == 1
    assert found['runbooks_holds{state="held"}'] == 3
    assert found['runbooks_holds{state="failed"}'] == 1
    assert 0 <= found["runbooks_sweep_age_seconds"] < 300
    assert found["runbooks_unarchived_runs"] == 1
    assert found["runbooks_archive_behind_seconds"] == pytest.approx(4 * 3600, abs=300)
    assert unanswered["runbooks_waiting_runs"] == 1
    assert "runbooks_waiting_oldest_seconds" not in unanswered
    assert gone == {"runbooks_own_up": 0}


async def _gone_wrong(settings: Settings, company: Company, records: str) -> dict[str, float]:  # noqa: F811
    """Look while a run asks, one is stuck, a hold was given back, and the archiver is behind.

    And while its worker lives: since when a run waits, it says itself.
    """
    client = await Client.connect(settings.temporal.address, data_converter=DATA_CONVERTER)
    platform = Platform()
    platform.images, platform.revision = {1: image("v1.2.3"), 2: image("v1.2.4")}, 2
    activities = instead(company.activities(), *platform.activities())
    ours, others = settings.temporal.task_queue, f"{settings.temporal.task_queue}-others"
    with psycopg.connect(records, autocommit=True) as sql:
        sql.execute(
            "INSERT INTO runbooks.archive_cursor (namespace, until) VALUES ('default', %s)",
            (datetime.now(UTC) - timedelta(hours=4),),
        )
        sql.execute(
            "INSERT INTO runbooks.archive_failures (namespace, workflow_id, run_id, closed_at, problem, gone) "
            "VALUES ('default', 'w', 'r', now(), 'odd', false)"
        )
    odd = Worker(
        client, task_queue=others, workflows=[Sweep, GiveBack, Stuck], workflow_runner=UnsandboxedWorkflowRunner()
    )
    async with build(client, settings.temporal, activities), odd:
        run = await begin(client, ours, RollbackRequest(), "rollback")
        await waiting_for(run, "decide healthy")
        await client.start_workflow(Stuck.run, id="stuck", task_queue=others)
        await client.execute_workflow(Sweep.run, SweepRequest(), id="sweep", task_queue=others)
        await client.execute_workflow(GiveBack.run, id="give-back/x", task_queue=others)
        async with asyncio.timeout(200):
            while (await client.count_workflows("TemporalReportedProblems IS NOT NULL")).count == 0:
                await asyncio.sleep(0.1)
        return await asyncio.to_thread(exposed, settings)
