"""FullServiceRecovery with the time-skipping server: everything back in order, and what keeps traffic away."""

from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client, WorkflowFailureError

from activities.catalogue.recovery import Component
from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.recovery.recoveries import NAME, ended, policy
from tests.workflows.steering import begin, cause, told
from tests.workflows.worlds.outage import DATABASE, Outage
from workflows.disaster_recovery.recovery.full_service_recovery import FullServiceRecoveryRequest


async def test_everything_comes_back_and_is_watched_for_a_day(working: Working, client: Client) -> None:
    world = Outage().broken()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        result = await ended(handle)
        run = await handle.describe()
        history = await handle.fetch_history()
    assert result["outcome"] == "recovered"
    assert (result["restarted"], world.restarts[-1]) == (["gateway", "worker", "tensafe-server"], "tensafe-server")
    assert sorted(world.restarts) == ["gateway", "tensafe-server", "worker"]
    assert world.shares == [0, 10, 25, 50, 100]
    assert (result["traffic"], result["looks"], result["watch_ended_by"]) == (100, 24, "the clock")
    assert run.close_time is not None
    assert timedelta(hours=24) <= run.close_time - run.start_time < timedelta(hours=25)
    assert len(history.events) < 1000
    assert [update.status for update in world.done("statuspage.update")] == [
        "Investigating",
        "Identified",
        "Monitoring",
        "Resolved",
    ]
    (closing,) = world.done("records.close_incident")
    assert (closing.closed_by, closing.incident_id) == ("runbook", result["incident_id"])
    assert len(world.done("paging.page")) == 1


async def test_traffic_stays_with_a_service_that_is_well(working: Working, client: Client) -> None:
    world = Outage()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        await ended(handle)
        assert "All of the traffic reaches the service already" in await told(handle)
    assert world.shares == []
    assert len(world.restarts) == 3


@pytest.mark.parametrize(("request_", "broken"), [("always", False), ("never", True)])
async def test_whether_traffic_is_taken_away_may_be_said(
    working: Working, client: Client, request_: str, *, broken: bool
) -> None:
    world = Outage()
    world.healthy = not broken
    async with working(world.activities()) as queue:
        request = FullServiceRecoveryRequest.model_validate({"take_traffic_away": request_})
        await ended(await begin(client, queue, request, NAME))
    assert (world.shares[:1] == [0]) == (request_ == "always")


@pytest.mark.parametrize(
    ("request_", "world", "says"),
    [
        ({"service": "nobody"}, Outage(), "not in the catalogue"),
        ({}, Outage(recovery=policy(order=[["tensafe-server"], ["cache", "db"]])), "no deployment cache, db"),
        ({}, Outage(recovery=policy(components={"cache": Component(deployment="cache")})), "recovery.components"),
        ({"restore": "never", "backup_id": "b1"}, Outage(database=DATABASE), "backup_id: there is nothing to restore"),
        ({"target_time": datetime(2026, 2, 4, tzinfo=UTC)}, Outage(), "target_time: tensafe-server has no database"),
        ({"target_time": datetime(2199, 2, 4, tzinfo=UTC)}, Outage(database=DATABASE), "lies in the future"),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_changes(
    working: Working, client: Client, request_: dict[str, object], world: Outage, says: str
) -> None:
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest.model_validate(request_), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert says in cause(failed.value).message
    assert world.effects == []


async def test_an_ingress_that_is_not_there_fails_the_run_before_anything_changes(
    working: Working, client: Client
) -> None:
    world = Outage()
    world.down.add("traffic.share")
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert world.effects == []


async def test_a_plan_says_what_it_would_do_and_changes_nothing(working: Working, client: Client) -> None:
    world = Outage(database=DATABASE).broken()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(dry_run=True), NAME)
        result = await ended(handle)
        text = await told(handle)
    assert world.effects == []
    assert (result["outcome"], world.percent, world.restarts) == ("planned", 100, [])
    for would in (
        "would ask: Restore",
        "Restart worker: would",
        "would look at",
        "10 % of the traffic: would",
        "would watch for",
    ):
        assert would in text
