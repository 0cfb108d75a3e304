"""P2Incident with the time-skipping server: what it decides, whom it asks, what it hands on, what it never leaves."""

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError

from starters.steering.catalogue import service_run_id
from tests.workflows.conftest import Working
from tests.workflows.incident_response.p2.runs import NAME, REQUEST, firing, outcome, read_before_it_is_brought_back
from tests.workflows.steering import begin, cancel, told, until
from tests.workflows.worlds.degraded import Degraded
from workers.registry import procedure
from workflows.incident_response.p2_incident import P2Request
from workflows.shared.continued import (
    p1_run_id,
)


async def test_a_busy_service_gets_two_more_pods_is_watched_and_resolved(working: Working, client: Client) -> None:
    world = Degraded()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        result = await outcome(handle)
        timeline = await told(handle)
    assert (result.outcome, result.fixes, result.reasons) == ("resolved", ["scale"], ["saturated"])
    assert [request.replicas for request in world.done("kubernetes.scale")] == [5]
    assert len(world.done("autoscalers.hold")) == len(world.done("autoscalers.release")) == 1
    (resolved,) = world.done("records.resolve_alert")
    assert "Scaled up" in resolved.notes
    assert "p95 3.00 s" in resolved.notes  # what it was before
    assert not world.done("statuspage.update")
    for once in (
        "records.acknowledge_alert",
        "records.create_incident",
        "paging.page",
        "paging.resolve",
        "records.close_incident",
        "evidence.chart_figures",
    ):
        assert len(world.done(once)) == 1, once
    assert "7 × error: no worker free for <n> s" in timeline
    keys = [request.effect.key for _, request in world.effects]
    assert len(keys) == len(set(keys))


async def test_a_service_that_a_run_keeps_stopped_is_no_outage(working: Working, client: Client) -> None:
    world = Degraded()
    world.stopped_by, world.healthy, world.goes_down = "point-in-time-restore/x", False, True
    async with working(read_before_it_is_brought_back(world)) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        result = await outcome(handle)
        timeline = await told(handle)
    assert (result.outcome, result.reasons) == ("resolved", ["stopped", "stopped"])
    assert "the service is left to point-in-time-restore/x, which has brought it back at " in timeline
    assert not world.done("kubernetes.scale") + world.done("records.raise_incident")


async def test_a_plan_changes_nothing(working: Working, client: Client) -> None:
    world = Degraded()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, P2Request(dry_run=True, alert=firing()), NAME)
        result = await outcome(handle)
    assert result.outcome == "planned"
    assert world.effects == []
    assert world.watches == 0


async def test_a_cancelled_run_gives_the_autoscaler_back(working: Working, client: Client) -> None:
    world = Degraded()
    world.watching = True
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await until(handle, lambda _: world.watches == 1)
        await cancel(handle, beside=1)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        described = await handle.describe()
    assert described.status is WorkflowExecutionStatus.CANCELED
    assert len(world.done("autoscalers.release")) == 1
    assert world.done("records.mark_incident")[-1].milestone == "cancelled"


def test_a_raised_incident_has_the_id_that_the_services_alerts_have() -> None:
    assert p1_run_id("web") == service_run_id(procedure("p1_incident"), "web")
