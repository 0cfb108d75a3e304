"""A database's maintenance from the command line, and from an alert's rule."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from activities.records.alerts import Alert
from starters.__main__ import application
from starters.steering import routes
from tests.starters.support import settings_file, working
from tests.workflows.steering import begin, waiting_for
from tests.workflows.worlds.busy_database import NOON, BusyDatabase, session, table
from workflows.maintenance.database_maintenance import DatabaseMaintenanceRequest

Runbooks = Callable[..., Awaitable[Result]]
RULE = """
[[route]]
match = { alertname = "TensafeDatabaseBloated" }
procedure = "database-maintenance"
input = { min_duration = "PT5M" }
"""


@pytest.fixture
def queue() -> str:
    return f"q-{uuid4()}"


@pytest.fixture
def world() -> BusyDatabase:
    world = BusyDatabase()
    world.tables = [table(dead=50_000)]
    world.sessions = [session(11), session(13)]
    return world


@pytest.fixture
def runbooks(
    temporal_address: str, tmp_path: Path, queue: str, world: BusyDatabase, monkeypatch: pytest.MonkeyPatch
) -> Runbooks:
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(settings_file(tmp_path, temporal_address, queue, world)))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("RUNBOOKS_USER", "dana")
    monkeypatch.setenv("RUNBOOKS_ROLE", "dba")

    async def call(*arguments: str) -> Result:
        # Commands have an event loop of their own.
        return await asyncio.to_thread(CliRunner().invoke, application(arguments), list(arguments))

    return call


async def test_a_plan_says_what_it_would_do(
    temporal_address: str, queue: str, world: BusyDatabase, runbooks: Runbooks
) -> None:
    service = "service=tensafe-server"
    async with working(temporal_address, queue, world):
        planned = await runbooks("start", "database-maintenance", "--set", service, "--dry-run", "--wait")
        assert planned.exit_code == 0, planned.output
        assert "vacuum public.jobs: 50,000 dead rows (33%)" in planned.output
    assert world.effects == []
    wrong = await runbooks("start", "database-maintenance", "--set", service, "--set", "min_duration=PT0S")
    assert wrong.exit_code == 2
    assert "min_duration" in wrong.output


async def test_queries_are_ended_from_the_command_line(
    temporal_address: str, queue: str, world: BusyDatabase, runbooks: Runbooks
) -> None:
    async with working(temporal_address, queue, world) as client:
        handle = await begin(client, queue, DatabaseMaintenanceRequest(end=[11]), "database_maintenance")
        await waiting_for(handle, "decide end-1")
        shown = await runbooks("status", handle.id)
        assert "end those that the request names: 11" in shown.output
        approved = await runbooks("approve", handle.id, "--choice", "named")
        assert approved.exit_code == 0, approved.output
        await waiting_for(handle, "decide end-2")
        await runbooks("approve", handle.id, "--choice", "leave")
        result = await handle.result()
    assert result["ended"] == ["11: cancelled"]


def test_an_alert_may_start_it(tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"
    file.write_text(RULE, encoding="utf-8")
    route = routes.load(file, ["tensafe-server"]).find({"alertname": "TensafeDatabaseBloated"})
    assert route is not None
    alert = Alert(source="alertmanager", fingerprint="f00", name="TensafeDatabaseBloated", starts_at=NOON)
    request = route.request(alert, "tensafe-server")
    assert isinstance(request, DatabaseMaintenanceRequest)
    assert request.alert == alert
    assert request.min_duration.total_seconds() == 300
