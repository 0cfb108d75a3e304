"""Deployments are restarted in stages, each complete before the next."""

import pytest
from temporalio.client import Client, WorkflowFailureError

from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.recovery.recoveries import NAME, decide, ended, policy
from tests.workflows.steering import begin, cause, quiet, waiting_for
from tests.workflows.worlds.outage import Outage
from workflows.disaster_recovery.recovery.full_service_recovery import FullServiceRecoveryRequest


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
