"""FullServiceRecovery with the time-skipping server: everything back in order, and what keeps traffic away."""

from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError

from activities.catalogue.recovery import Component
from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.recovery.recoveries import ADA, NAME, decide, ended, policy
from tests.workflows.steering import begin, cause, quiet, told, waiting_for
from tests.workflows.worlds.outage import DATABASE, Outage
from workflows.disaster_recovery.recovery.full_service_recovery import FullServiceRecoveryRequest
from workflows.platform.approval import Decision

# -- the way through -----------------------------------------------------------------------------------------


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


async def test_stages_follow_the_settings_and_each_is_complete_before_the_next(
    working: Working, client: Client
) -> None:
    world = Outage(recovery=policy(order=[["worker"], ["gateway", "tensafe-server"]]))
    world.stuck["worker"] = 1
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        await waiting_for(handle, "decide stage-1")
        await quiet(handle)
        assert world.restarts == ["worker"]
        assert len(world.done("paging.page")) == 2
        await decide(handle, "stage-1", "retry")
        result = await ended(handle)
    assert world.restarts[:2] == ["worker", "worker"]
    assert sorted(world.restarts[2:]) == ["gateway", "tensafe-server"]
    assert result["outcome"] == "recovered"


# -- bad input and settings ----------------------------------------------------------------------------------


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


async def test_a_paused_deployment_is_left_out_and_refused_where_it_is_named(working: Working, client: Client) -> None:
    world = Outage()
    world.paused_deployments = {"worker"}
    named = Outage(recovery=policy(order=[["worker"]]))
    named.paused_deployments = {"worker"}
    async with working(world.activities()) as queue:
        result = await ended(await begin(client, queue, FullServiceRecoveryRequest(), NAME))
    assert result["restarted"] == ["gateway", "tensafe-server"]
    assert any("Not: worker" in message.text for message in world.done("slack.post"))
    async with working(named.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert "Resume it first" in cause(failed.value).message
    assert named.effects == []


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


# -- what stops it before traffic comes back ----------------------------------------------------------------


async def test_failing_tests_keep_traffic_away_until_a_person_decides(working: Working, client: Client) -> None:
    world = Outage().broken()
    world.tests_fail = 2
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        await decide(handle, "tests", "retry")
        assert (await waiting_for(handle, "decide tests-2")).questions[0].recommended is None
        assert world.shares == [0]
        await decide(handle, "tests-2", "retry")
        result = await ended(handle)
    assert result["outcome"] == "recovered"
    assert world.shares == [0, 10, 25, 50, 100]


async def test_stopped_by_failing_tests_traffic_stays_away_and_people_are_told_how_to_bring_it_back(
    working: Working, client: Client
) -> None:
    world = Outage().broken()
    world.tests_fail = 9
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        await decide(handle, "tests", "stop")
        result = await ended(handle)
    assert (result["outcome"], result["traffic"], world.percent) == ("stopped", 0, 0)
    assert "login: expected HTTP 200" in str(result["reason"])
    assert "traffic is left at 0 %, where it was 100 % before" in world.pages
    assert not world.done("records.close_incident")


async def test_nobody_answers_and_the_recovery_stops(working: Working, client: Client) -> None:
    world = Outage().broken()
    world.tests_fail = 9
    async with working(world.activities()) as queue:
        result = await ended(await begin(client, queue, FullServiceRecoveryRequest(), NAME))
    assert (result["outcome"], world.percent) == ("stopped", 0)
    assert len(world.done("paging.page")) == 3  # begun, tests, nobody answers: that is the highest level


async def test_a_component_that_is_not_well_can_be_passed_by_with_a_reason(working: Working, client: Client) -> None:
    parts = {
        "cache": Component(health_url="http://127.0.0.1:1/cache"),
        "queue": Component(condition="queue_length < 10"),
    }
    world = Outage(recovery=policy(components=parts)).broken()
    world.unhealthy_urls = {"http://127.0.0.1:1/cache"}
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        status = await waiting_for(handle, "decide component")
        (asked,) = status.questions
        assert "cache: not steady" in asked.title
        assert "queue: its condition does not hold" in asked.title
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("decide", Decision(**ADA, question="component", choice="go-on"))
        await decide(handle, "component", "go-on", "only the old clients use it")
        result = await ended(handle)
    assert result["outcome"] == "recovered"
    assert world.percent == 100


# -- plan mode -----------------------------------------------------------------------------------------------


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
