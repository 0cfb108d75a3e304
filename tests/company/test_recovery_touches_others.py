"""A full recovery restarts a namespace: it names the other services there, and asks before it touches them."""

from datetime import timedelta

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from activities.catalogue.service import Service
from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.recovery.recoveries import NAME, decide, ended
from tests.workflows.steering import Handle, begin, told, waiting_for
from tests.workflows.worlds.outage import Outage
from workflows.disaster_recovery.recovery.full_service_recovery import FullServiceRecoveryRequest
from workflows.platform.run_status import RunStatus

REQUEST = FullServiceRecoveryRequest(service="tensafe-server")


def with_the_gateway_of_another(**fields: str) -> Outage:
    world = Outage().broken()
    where = {"namespace": "tensafe", "deployment": "gateway", **fields}
    world.others["gateway"] = Service(selector="app=gateway", health_url="http://127.0.0.1:1/gateway", **where)
    return world


async def asked(handle: Handle) -> str:
    status: RunStatus = await waiting_for(handle, "decide others")
    (question,) = status.questions
    assert (question.recommended, question.default) == ("own", "own")
    return question.title


@pytest.mark.parametrize(
    ("choice", "restarted"),
    [("own", ["worker", "tensafe-server"]), ("all", ["gateway", "worker", "tensafe-server"]), ("stop", [])],
)
async def test_people_say_whether_others_are_restarted(
    working: Working, client: Client, choice: str, restarted: list[str]
) -> None:
    world = with_the_gateway_of_another()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        assert "restarts other services too: gateway (service gateway)" in await asked(handle)
        assert world.restarts == []
        await decide(handle, "others", choice, reason="agreed with its team")
        result = await ended(handle)
    assert result["restarted"] == restarted
    assert sorted(world.restarts) == sorted(restarted)
    assert result["outcome"] == ("stopped" if choice == "stop" else "recovered")


async def test_a_service_that_falls_ill_while_people_are_asked_gets_no_traffic(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = with_the_gateway_of_another()
    world.healthy = True
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await asked(handle)
        world.healthy = False
        await time_skipping.sleep(timedelta(minutes=5))
        await decide(handle, "others", "own")
        await ended(handle)
    assert world.shares[0] == 0


async def test_nobody_who_answers_means_that_others_are_let_alone(working: Working, client: Client) -> None:
    world = with_the_gateway_of_another()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        result = await ended(handle)
        assert "Not restarted: gateway (service gateway)" in await told(handle)
    assert (result["outcome"], sorted(world.restarts)) == ("recovered", ["tensafe-server", "worker"])


@pytest.mark.parametrize("other", [{"namespace": "elsewhere"}, {"deployment": "billing"}])
async def test_who_is_not_touched_is_not_asked_about(working: Working, client: Client, other: dict[str, str]) -> None:
    world = with_the_gateway_of_another(**other)
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        result = await ended(handle)
        assert "other services" not in await told(handle)
    assert sorted(world.restarts) == ["gateway", "tensafe-server", "worker"]
    assert result["outcome"] == "recovered"


async def test_a_plan_says_whom_it_would_touch(working: Working, client: Client) -> None:
    world = with_the_gateway_of_another()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST.model_copy(update={"dry_run": True}), NAME)
        assert (await ended(handle))["outcome"] == "planned"
        assert "would ask: A restart of all of namespace tensafe" in await told(handle)
    assert world.restarts == []
