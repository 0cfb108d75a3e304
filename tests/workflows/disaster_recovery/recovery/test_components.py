"""A component that is not well can be passed by, with a reason."""

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError

from activities.catalogue.recovery import Component
from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.recovery.recoveries import ADA, NAME, decide, ended, policy
from tests.workflows.steering import begin, waiting_for
from tests.workflows.worlds.outage import Outage
from workflows.disaster_recovery.recovery.full_service_recovery import FullServiceRecoveryRequest
from workflows.platform.approval import Decision


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
