"""A day of the service on the whole stack: morning, pulse and evening by their schedules, as Prometheus saw it."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from sandbox.configuration import SERVICE
from starters.schedules import EVENING, MORNING, PULSE
from tests.end_to_end.conftest import Stack, eventually
from tests.workflows.daily_operations.clocks import fired

pytestmark = pytest.mark.timeout(600)

PICTURES = os.environ.get("RUNBOOKS_TEST_PICTURES")
"""A folder for the charts, for whoever wants to look at them."""


async def runs(stack: Stack, kind: str) -> dict[str, Any]:
    return await fired(stack.client, stack.client.get_schedule_handle(f"{kind}/{SERVICE}"))


def said(stack: Stack, channel: str) -> list[tuple[str, bytes | None]]:
    query = "SELECT text, picture FROM runbooks.messages WHERE channel = %s ORDER BY id"
    return [(text, picture and bytes(picture)) for text, picture in stack.rows(query, channel)]


def keep(name: str, text: str, picture: bytes | None) -> None:
    assert picture is not None
    assert picture.startswith(b"\x89PNG")
    if PICTURES:
        Path(PICTURES, f"{name}.png").write_bytes(picture)
        Path(PICTURES, f"{name}.txt").write_text(text, encoding="utf-8")


async def test_a_day(stack: Stack) -> None:
    before = len(said(stack, "#ops"))
    morning = await runs(stack, MORNING)
    text, picture = said(stack, "#ops")[before]
    keep("morning", text, picture)
    assert morning["seconds"] < 600
    assert morning["posted"]
    assert "uptime" in text
    assert morning["figures"]["uptime"] is not None
    assert not [part for part in morning["reasons"] if part.startswith(SERVICE)]
    assert (await runs(stack, MORNING))["posted"]
    assert len(said(stack, "#ops")) == before + 1
    assert (await runs(stack, PULSE))["healthy"]
    incident = await stack.alerted()
    await eventually(lambda: asyncio.to_thread(lambda: stack.health()["status"] == "healthy"))
    found = await stack.closable(incident)
    evening = await runs(stack, EVENING)
    text, picture = said(stack, "#oncall")[-1]
    keep("evening", text, picture)
    assert evening["report"] == "kept"
    assert evening["figures"]["errors"] > 0
    assert evening["figures"]["uptime"] < 1
    assert f"*P1 {found.incident_id}*" in text
    assert "*Tomorrow, " in text
    assert (await runs(stack, EVENING))["report"] == "known"
    assert len(stack.rows("SELECT FROM runbooks.daily_reports WHERE service = %s", SERVICE)) == 1
    assert (await stack.close(incident)).outcome == "closed"
