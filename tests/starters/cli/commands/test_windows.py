"""`runbooks windows` against real runs, on real records and a real mail server."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg_pool import ConnectionPool
from typer.testing import CliRunner, Result

from activities.catalogue.service import CustomerPolicy
from sandbox.mail_server import MailServer
from starters.__main__ import application
from tests.starters.support import settings_file, working
from tests.workflows.steering import waiting_for
from tests.workflows.worlds.company import Company
from tests.workflows.worlds.maintained import Maintained


@pytest.fixture
def world(
    records_pool: ConnectionPool[Any], records_sql: psycopg.Connection[Any], mail_server: MailServer
) -> Maintained:
    return Maintained(Company(records_pool, records_sql, mail_server, CustomerPolicy()))


@pytest.fixture
def queue(temporal_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: Maintained) -> str:
    queue = f"q-{uuid4()}"
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(settings_file(tmp_path, temporal_address, queue, world)))
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setenv("RUNBOOKS_USER", "ada")
    monkeypatch.setenv("RUNBOOKS_ROLE", "on-call")
    return queue


async def runbooks(*arguments: str, fails: str = "") -> Result:
    # Commands have an event loop of their own.
    result = await asyncio.to_thread(CliRunner().invoke, application(arguments), list(arguments))
    assert (fails in result.output) if fails else (result.exit_code == 0), result.output
    assert bool(result.exit_code) == bool(fails)
    return result


async def test_a_window_is_made_and_steered_from_the_command_line(
    temporal_address: str, queue: str, world: Maintained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # no ID is broken
    run, starts_at = f"window-{uuid4()}", datetime.now(UTC) + timedelta(hours=2)
    tasks = [{"id": "swap", "check": "Swap the cable"}, {"id": "look", "check": "Look at the lamp"}]

    def asked(ends_at: datetime) -> list[str]:
        times = {"starts_at": f"{starts_at:%Y-%m-%d %H:%M} UTC", "ends_at": f"{ends_at:%Y-%m-%d %H:%M} UTC"}
        fields = {"service": "tensafe-server", "title": "Cables", **times, "tasks": json.dumps(tasks)}
        sets = [word for name, value in fields.items() for word in ("--set", f"{name}={value}")]
        return ["start", "maintenance-window", "--yes", "--id", run, *sets]

    async with working(temporal_address, queue, world) as client:
        await runbooks(*asked(starts_at - timedelta(hours=1)), fails="ends_at: is not after starts_at")
        await runbooks(*asked(starts_at + timedelta(hours=1)))
        listed = await runbooks("windows", "list")
        assert run in listed.output
        await runbooks("windows", "end", run, "--reason", "enough", fails="has not begun")
        await runbooks("windows", "begin", run, "--reason", "quiet")
        handle = client.get_workflow_handle(run)
        await waiting_for(handle, "tick swap")
        shown = await runbooks("status", run)
        assert "swap: Swap the cable – open" in shown.output
        await runbooks("windows", "tick", run, "lamp", fails="there is no 'lamp'")
        await runbooks("windows", "tick", run, "swap", "--note", "blue one")
        await runbooks("extend", run, "--by", "PT15M")
        await runbooks("windows", "end", run, "--reason", "enough")
        result = await handle.result()
    assert (result["outcome"], result["why"]) == ("ended early", "enough")
    assert [each["status"] for each in result["tasks"]] == ["done", "stopped"]
    assert world.closed()
