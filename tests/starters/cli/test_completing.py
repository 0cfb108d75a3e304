"""What a shell offers at Tab, asked as bash asks it."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
import typer
from temporalio.client import Client
from typer._completion_classes import BashComplete

from activities.catalogue.service import ApprovalPolicy, IncidentPolicy
from starters.__main__ import application
from starters.cli import completing
from tests.starters.support import RUN, no_incident, settings_file, waiting_for, working
from tests.workflows.worlds.world import World
from workflows.incident_response.p1_incident import P1Request


def offered(*words: str) -> list[str]:
    command = typer.main.get_command(application([]))
    complete = BashComplete(command, {}, "runbooks", "_RUNBOOKS_COMPLETE")
    return [one.value for one in complete.get_completions(list(words[:-1]), words[-1])]


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(settings_file(tmp_path, "127.0.0.1:1", "runbooks", World())))
    monkeypatch.setenv("RUNBOOKS_QUIET", "")


def test_commands_procedures_services_and_fields(alone: None) -> None:
    assert "take-over" in offered("ta")
    procedures = offered("start", "")
    assert "p1-incident" in procedures
    assert "add-gpu-node" not in procedures  # these settings have no GPU nodes
    assert offered("services", "ten") == ["tensafe-server"]
    assert "title=" in offered("start", "p1-incident", "--set", "t")
    assert offered("start", "no-such", "--set", "t") == []


def test_where_nothing_answers_nothing_is_offered_and_nothing_is_said(
    alone: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert offered("status", "INC") == []
    assert offered("approve", "x", "--choice", "") == []
    assert capsys.readouterr() == ("", "")


async def test_live_runs_and_their_choices(
    temporal_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(IncidentPolicy(mitigation="approve"), ApprovalPolicy(allow_unsigned=True))
    world.bad_release()
    queue = f"q-{tmp_path.name}"
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(settings_file(tmp_path, temporal_address, queue, world)))
    monkeypatch.setenv("RUNBOOKS_QUIET", "")
    monkeypatch.setattr(completing, "_WITHIN", timedelta(seconds=20))
    async with working(temporal_address, queue, world) as client:
        await _begun(client, queue, P1Request())
        assert any(one.startswith("INC-") for one in await asyncio.to_thread(offered, "status", ""))
        assert "rollback" in await asyncio.to_thread(offered, "approve", RUN, "--choice", "r")
        await client.get_workflow_handle(RUN).terminate("over")


async def _begun(client: Client, queue: str, request: object) -> None:
    await no_incident(client.service_client.config.target_host)
    await client.start_workflow("P1Incident", request, id=RUN, task_queue=queue)
    await waiting_for(client, RUN, "decide mitigation-1")
