"""`runbooks extend` and `runbooks resume` against a real run that holds the autoscaler."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from starters.__main__ import application
from tests.starters.support import settings_file, working
from tests.workflows.steering import begin, until
from tests.workflows.worlds.platform import Platform
from workflows.scaling.emergency_scale_up import EmergencyScaleUpRequest


async def runbooks(*arguments: str) -> Result:
    # Commands have an event loop of their own.
    return await asyncio.to_thread(CliRunner().invoke, application(arguments), list(arguments))


async def test_a_pause_is_extended_and_ended_from_the_command_line(
    temporal_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, world = f"q-{uuid4()}", Platform()
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(settings_file(tmp_path, temporal_address, queue, world)))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("RUNBOOKS_USER", "ada")
    async with working(temporal_address, queue, world) as client:
        handle = await begin(client, queue, EmergencyScaleUpRequest(), "emergency_scale_up")
        await until(handle, lambda status: status.phase == "Autoscaler paused")
        before = world.lease_until
        assert before is not None
        wrong = await runbooks("extend", handle.id, "--by", "soon")
        assert wrong.exit_code == 2
        assert "by:" in wrong.output
        too_long = await runbooks("extend", handle.id, "--by", "PT9H")
        assert too_long.exit_code == 1
        assert "may be extended by" in too_long.output
        extended = await runbooks("extend", handle.id, "--by", "PT15M", "--reason", "still busy", "--json")
        assert json.loads(extended.stdout)["word"] == "extend", extended.output
        assert world.lease_until == before + timedelta(minutes=15)
        resumed = await runbooks("resume", handle.id)
        assert resumed.exit_code == 0, resumed.output
        assert "active" in resumed.output
        await handle.result()
    assert not world.paused
