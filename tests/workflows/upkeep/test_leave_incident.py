"""What people hear of an incident that nobody looks after, and who is woken for it."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client

from activities.holds.left_incidents import LeftIncident
from activities.records.incidents import OpenIncident
from tests.workflows.conftest import Working
from tests.workflows.upkeep.leaving import AT, Left, an_incident
from workflows.upkeep.leave_incident import LeaveIncident, LeaveIncidentRequest


async def leave(world: Left, working: Working, client: Client, left: LeftIncident) -> None:
    async with working(world.activities()) as queue:
        request = LeaveIncidentRequest(left=left)
        await client.execute_workflow(LeaveIncident.run, request, id=f"leave-{uuid4()}", task_queue=queue)


async def test_one_page_says_that_nobody_is_at_it_and_how_to_start_anew(
    world: Left, working: Working, client: Client
) -> None:
    await leave(world, working, client, an_incident())
    ((level, summary),) = world.open_pages
    assert level == 1
    assert summary == (
        "API <down>: Nobody looks after INC-1 any more: its run p1-incident/api was terminated at "
        "2026-03-01 03:12:45 UTC by ada@ui: <!channel>. Start anew: runbooks start p1-incident --set service=api"
    )
    (text,) = world.told
    assert text == (
        ":rotating_light: grace: Nobody looks after INC-1 (P1, API &lt;down&gt;) any more: its run p1-incident/api was "
        "terminated at 2026-03-01 03:12:45 UTC by ada@ui: &lt;!channel&gt;. api may still be down: look at it. Its "
        "pages are withdrawn; primary is paged once more. What it has asked can't be answered any more. Start anew: "
        "`runbooks start p1-incident --set service=api`. What the public page says of it stays until the new one is "
        "closed, or somebody ends it there."
    )


@pytest.mark.parametrize(
    ("status", "lately", "window", "says"),
    [
        ("mitigated", True, False, "It was mitigated then."),
        ("stable", True, False, "It was stable then."),
        ("open", False, False, "It was not mitigated then."),
        ("open", True, True, "api may still be down"),
    ],
)
async def test_nobody_is_woken_for_what_was_well_is_long_ago_or_in_maintenance(
    world: Left, working: Working, client: Client, status: str, says: str, *, lately: bool, window: bool
) -> None:
    world.window = window
    await leave(world, working, client, an_incident(status, lately=lately))
    assert world.open_pages == []
    (text,) = world.told
    assert "paged" not in text
    assert says in text


@pytest.mark.parametrize(
    ("severity", "later", "goes_on"), [("P1", True, True), ("P2", True, False), ("P1", False, False)]
)
async def test_where_another_one_is_open_by_now_people_are_sent_there(
    world: Left, working: Working, client: Client, severity: Any, *, later: bool, goes_on: bool
) -> None:
    at = AT + timedelta(minutes=5 if later else -5)
    world.open = [OpenIncident(incident_id="INC-2", severity=severity, title="x", status="open", opened_at=at)]
    await leave(world, working, client, an_incident())
    assert len(world.open_pages) == (0 if goes_on else 1), "it has paged by itself"
    (text,) = world.told
    assert ("Go on with P1 INC-2, which is open" in text, "Start anew" in text) == (goes_on, not goes_on)


async def test_a_security_incident_is_paged_for_also_in_maintenance_and_says_what_stays(
    world: Left, working: Working, client: Client
) -> None:
    world.window = True
    await leave(world, working, client, an_incident(kind="security incident"))
    assert len(world.open_pages) == 1
    (text,) = world.told
    assert "What it has isolated, cordoned or blocked stays so" in text
    assert "public page" not in text


async def test_where_nobody_can_be_paged_the_channel_is_told_all_the_same(
    world: Left, working: Working, client: Client
) -> None:
    world.pages_refused = True
    await leave(world, working, client, an_incident())
    assert (world.open_pages, len(world.told)) == ([], 1)


async def test_what_is_over_by_now_is_left(world: Left, working: Working, client: Client) -> None:
    world.after = "closed"
    await leave(world, working, client, an_incident())
    assert (len(world.open_pages), world.told) == (2, [])
