"""Fixes of 2.3: more pods, and never more than settings allow."""

from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.incident_response.p2.runs import ADA, NAME, REQUEST, outcome
from tests.workflows.steering import begin, quiet, until, waiting_for
from tests.workflows.worlds.degraded import Degraded
from workflows.platform.approval import Decision
from workflows.shared.continued import (
    p1_run_id,
)


async def test_high_latency_without_other_signs_is_met_with_more_pods(working: Working, client: Client) -> None:
    world = Degraded()
    world.saturation = None
    async with working(world.activities()) as queue:
        result = await outcome(await begin(client, queue, REQUEST, NAME))
    assert (result.outcome, result.reasons, result.fixes) == ("resolved", ["latency"], ["scale"])


async def test_no_more_pods_than_settings_allow(working: Working, client: Client) -> None:
    world = Degraded()
    world.replicas = 20
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        (question,) = (await waiting_for(handle, "decide fix-1")).questions
        await handle.execute_update("decide", Decision(**ADA, question="fix-1", choice="raise", reason="no room"))
        result = await outcome(handle)
        p1 = client.get_workflow_handle(p1_run_id("tensafe-server"))
        await until(p1, lambda status: status.phase != "")
        await quiet(p1)
        await p1.terminate()
    assert "scale" not in question.options
    assert any("more than settings allow" in line for line in question.evidence)
    assert result.outcome == "raised"
    assert not world.done("kubernetes.scale")
