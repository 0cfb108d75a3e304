"""A degraded service on the whole stack: from Prometheus' own alert to pods that stay (runbook 2.3)."""

import asyncio

import httpx
import pytest

from tests.end_to_end.conftest import Stack, eventually
from tests.end_to_end.test_alert_to_close import PATH, outcome
from tests.end_to_end.test_scaling_and_deployment import paused, read, replicas, set_load, three
from tests.workflows.steering import until
from workflows.incident_response.p2_incident import P2Result

__all__ = ["three"]

pytestmark = pytest.mark.timeout(280)

HPA = "/apis/autoscaling/v2/namespaces/tensafe/horizontalpodautoscalers/tensafe-server"


async def told_again(stack: Stack, webhook: httpx.AsyncClient, workflow_id: str) -> str:
    """Post the firing that a run was started by once more, as Alertmanager repeats it; gives what became of it."""
    query = "SELECT fingerprint, starts_at, name FROM runbooks.alerts WHERE workflow_id = %s"
    ((fingerprint, starts_at, name),) = await eventually(lambda: asyncio.to_thread(stack.rows, query, workflow_id))
    labels = {"alertname": name, "severity": "P2", "service": "tensafe-server"}
    firing = {"status": "firing", "fingerprint": fingerprint, "startsAt": starts_at.isoformat(), "labels": labels}
    answer = await webhook.post(PATH, json={"version": "4", "groupKey": "{}", "alerts": [firing]})
    return outcome(answer)


async def test_slow_answers_bring_two_more_pods_once_and_are_resolved(three: Stack, webhook: httpx.AsyncClient) -> None:
    async def begun() -> list[str]:
        query = "WorkflowType = 'P2Incident' AND ExecutionStatus = 'Running'"
        return [run.id async for run in three.client.list_workflows(query)]

    assert read(three, HPA)["spec"]["maxReplicas"] >= 5
    # Nearly as many as three pods can answer: each waits its turn.
    await asyncio.to_thread(set_load, three, "load", 59)
    (workflow_id,) = await eventually(begun, within=120)
    handle = three.client.get_workflow_handle(workflow_id, result_type=P2Result)
    for _ in range(2):
        assert await told_again(three, webhook, workflow_id) in {"joined", "already_handled"}
    await until(handle, lambda status: status.phase == "Watch")
    assert paused(three)
    result: P2Result = await asyncio.wait_for(handle.result(), 120)
    assert (result.outcome, result.reasons, result.fixes) == ("resolved", ["saturated"], ["scale"])
    assert result.before.p95_latency is not None
    assert result.before.p95_latency > 1
    assert result.after.p95_latency is not None
    assert result.after.p95_latency < 1
    assert replicas(three) == 5
    assert not paused(three)
    incident = result.incident_id
    query = "SELECT status FROM runbooks.incidents WHERE incident_id = %s"
    assert three.rows(query, incident) == [("closed",)]
    notes = three.rows("SELECT notes FROM runbooks.alerts WHERE incident_id = %s", incident)
    assert len(notes) == 1
    assert "Scaled up" in notes[0][0]
    assert three.rows("SELECT 1 FROM runbooks.status_updates WHERE incident_id = %s", incident) == []
    assert any(uri.endswith("figures.svg") for uri in result.evidence)
    # As often as it is told, it is one firing, one run and one incident.
    assert await told_again(three, webhook, workflow_id) == "already_handled"
    assert len(three.rows("SELECT FROM runbooks.incidents WHERE workflow_id = %s", workflow_id)) == 1
