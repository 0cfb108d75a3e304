"""A P1 incident in a maintenance window: kept and told, nobody paged, nothing mitigated; taken up when it is over."""

from datetime import UTC, datetime, timedelta

from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from activities.catalogue.service import IncidentPolicy
from activities.records.alerts import Alert
from activities.records.windows import Window
from tests.workflows.conftest import Working
from tests.workflows.steering import begin, comes, until, waiting_for
from tests.workflows.worlds.world import World
from workflows.incident_response.incident_words import Closing
from workflows.incident_response.p1_incident import P1Incident, P1Request

AT = datetime(2026, 2, 5, 2, tzinfo=UTC)
WINDOW = Window(
    window_id="MW-1",
    title="Database upgrade",
    starts_at=AT,
    ends_at=AT + timedelta(hours=2),
    held_until=AT + timedelta(hours=3),
    workflow_id="maintenance-window-1",
)
ALERT = Alert(source="alertmanager", fingerprint="f00", name="TensafeServerDown", starts_at=AT)
CLOSING = Closing(who="ada", role="commander", resolution="upgraded", root_cause="maintenance")


def broken() -> World:
    world = World(IncidentPolicy(verify_timeout=timedelta(minutes=1)))
    world.bad_release()
    world.window = WINDOW
    return world


async def test_nobody_is_paged_and_nothing_is_done_until_it_is_over(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = broken()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, P1Request(alert=ALERT), "p1_incident")
        await until(handle, lambda status: any("watching for health" in e.text for e in status.entries))
        status = await until(
            handle, lambda status: any("Tell the channel: not-paged" in e.text for e in status.entries)
        )
        told = "\n".join(entry.text for entry in status.entries)
        assert (
            "Nobody is paged (paged for a new incident): the service is in maintenance, MW-1 (Database upgrade)" in told
        )
        assert world.done("paging.page") == world.done("kubernetes.undo_rollout") == []
        # It is kept beside what the channel is told.
        await comes(lambda: world.done("records.create_incident"), "that the incident is kept")
        (kept,) = world.done("records.create_incident")
        assert kept.severity == "P1"
        assert any("nobody is paged, since a window is on" in each.text for each in world.done("slack.post"))
        world.window = None
        await time_skipping.sleep(world.service.incident.watch_every)  # it looks once in a while
        await waiting_for(handle, "close")
        await handle.execute_update(P1Incident.close, CLOSING)
        result = await handle.result()
    assert result["mitigations"] == ["rollback"]
    assert world.done("paging.page")[0].summary.endswith("the maintenance is over, and it is not well")


async def test_what_gets_well_within_it_is_never_told_to_the_public(working: Working, client: Client) -> None:
    world = broken()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, P1Request(alert=ALERT), "p1_incident")
        await until(handle, lambda status: any("watching for health" in e.text for e in status.entries))
        world.healthy, world.crashing, world.ready = True, False, 3
        await waiting_for(handle, "close")
        await handle.execute_update(P1Incident.close, CLOSING)
        result = await handle.result()
    assert result["mitigations"] == []
    assert world.done("paging.page") == world.done("statuspage.update") == []
    assert len(world.done("records.close_incident")) == 1


async def test_what_cannot_be_read_is_no_window(working: Working, client: Client) -> None:
    world = broken()
    world.down = {"windows.current"}
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, P1Request(alert=ALERT), "p1_incident")
        await waiting_for(handle, "close")
        await handle.execute_update(P1Incident.close, CLOSING)
        await handle.result()
    assert len(world.done("paging.page")) == len(world.done("kubernetes.undo_rollout")) == 1
