"""A degraded service on the whole stack: from Prometheus' own alert to pods that stay (runbook 2.3)."""

import asyncio
from uuid import uuid4

import httpx
import pytest
from temporalio.client import WorkflowHandle

from tests.crash.scenarios.p1_incident import CLOSING
from tests.end_to_end.alerts import PATH, alert, outcome
from tests.end_to_end.conftest import Stack, eventually
from tests.end_to_end.scaled import paused, read, replicas, set_load, three
from tests.workflows.steering import result_of, texts, until
from workflows.incident_response.p1_incident import P1Incident
from workflows.incident_response.p2_incident import P2Incident, P2Result
from workflows.platform.approval import Decision

__all__ = ["three"]

pytestmark = pytest.mark.timeout(600)

P2 = WorkflowHandle[P2Incident, P2Result]
WATCH = {"choice": "watch", "who": "ada", "role": "commander", "reason": "being looked into"}
HPA = "/apis/autoscaling/v2/namespaces/tensafe/horizontalpodautoscalers/tensafe-server"


async def told_again(stack: Stack, webhook: httpx.AsyncClient, handle: P2) -> str:
    """Post the firing that a run was started by once more, as Alertmanager repeats it; gives what became of it."""
    query = "SELECT fingerprint, starts_at, name FROM runbooks.alerts WHERE run_id = %s"
    ((fingerprint, starts_at, name),) = await eventually(lambda: asyncio.to_thread(stack.rows, query, handle.run_id))
    labels = {"alertname": name, "severity": "P2", "service": "tensafe-server"}
    firing = {"status": "firing", "fingerprint": fingerprint, "startsAt": starts_at.isoformat(), "labels": labels}
    answer = await webhook.post(PATH, json={"version": "4", "groupKey": "{}", "alerts": [firing]})
    return outcome(answer)


async def begun(stack: Stack, what: str, value: int) -> P2:
    """Change the traffic; gives the run that Prometheus' alert starts."""
    known = {run.run_id async for run in stack.client.list_workflows("WorkflowType = 'P2Incident'")}

    async def found() -> list[P2]:
        query = "WorkflowType = 'P2Incident' AND ExecutionStatus = 'Running'"
        runs = [run async for run in stack.client.list_workflows(query) if run.run_id not in known]
        return [stack.client.get_workflow_handle_for(P2Incident.run, run.id, run_id=run.run_id) for run in runs]

    await asyncio.to_thread(set_load, stack, what, value)
    (handle,) = await eventually(found)
    return handle


def named(stack: Stack, handle: P2) -> list[str]:
    return [name for (name,) in stack.rows("SELECT name FROM runbooks.alerts WHERE run_id = %s", handle.run_id)]


async def test_errors_start_a_p2_that_people_watch_until_they_are_gone(three: Stack) -> None:
    handle = await begun(three, "errors", 20)
    status = await until(handle, lambda status: bool(status.questions), within=240)
    assert await eventually(lambda: asyncio.to_thread(named, three, handle)) == ["HighErrorRate"]
    # The service says that it is healthy, and no fault of load or of others is to be seen: people decide.
    assert "error rate" in texts(status)
    assert "above 5" in texts(status)
    await asyncio.to_thread(set_load, three, "errors", 0)
    await handle.execute_update("decide", Decision(question=status.questions[0].id, **WATCH))
    result = await result_of(handle)
    assert (result.outcome, result.fixes) == ("resolved", [])
    assert result.before.error_rate == pytest.approx(0.2, abs=0.1)
    assert result.after.error_rate is not None
    assert result.after.error_rate < 0.05
    query = "SELECT severity, status FROM runbooks.incidents WHERE incident_id = %s"
    assert three.rows(query, result.incident_id) == [("P2", "closed")]


async def test_a_p1_alert_goes_on_with_the_incident_of_the_p2(three: Stack, webhook: httpx.AsyncClient) -> None:
    p2 = await begun(three, "errors", 20)
    status = await until(p2, lambda status: bool(status.questions), within=240)
    incident, body = status.incident_id, alert(uuid4().hex[:16])
    answers = [await webhook.post(PATH, json=body) for _ in range(3)]
    assert [outcome(answer) for answer in answers] == ["started", "joined", "joined"]
    taken = answers[0].json()["alerts"][0]
    p1 = three.handle(taken["workflow_id"], taken["run_id"])
    result = await result_of(p2)
    assert (result.outcome, result.incident_id) == ("taken in", incident)
    assert (await three.closable(p1)).incident_id == incident

    # Of what fires at P2 from now on, a run tells the P1, and ends.
    answer = await webhook.post(PATH, json=alert(uuid4().hex[:16], severity="P2", alertname="SlowByHand"))
    assert outcome(answer) == "started"
    beside = three.client.get_workflow_handle(answer.json()["alerts"][0]["workflow_id"], result_type=P2Result)
    joins = await result_of(beside)
    assert (joins.outcome, joins.incident_id) == ("taken in", incident)
    await until(p1, lambda status: "SlowByHand" in texts(status))

    await asyncio.to_thread(set_load, three, "errors", 0)
    # The joined alert makes it look again before it can be closed.
    await three.closable(p1)
    await p1.execute_update(P1Incident.close, CLOSING)
    await result_of(p1)
    opened = three.rows("SELECT opened_at FROM runbooks.incidents WHERE incident_id = %s", incident)[0][0]
    query = "SELECT incident_id, severity, status, workflow_id FROM runbooks.incidents WHERE opened_at >= %s"
    assert three.rows(query, opened) == [(incident, "P1", "closed", p1.id)]
    query = "SELECT level, severity, resolved_at IS NOT NULL FROM runbooks.pages WHERE incident_id = %s ORDER BY level"
    assert three.rows(query, incident)[:2] == [(1, "P2", True), (2, "P1", True)]
    assert three.rows("SELECT FROM runbooks.pages WHERE paged_at >= %s AND incident_id <> %s", opened, incident) == []
    said = "SELECT workflow_id FROM runbooks.messages WHERE written_at >= %s AND thread IS NULL AND post_at IS NULL"
    assert three.rows(f"{said} AND channel = '#incidents'", opened) == [(p2.id,)]
    told = "SELECT count(*) FROM runbooks.alerts WHERE incident_id = %s"
    assert three.rows(told, incident)[0][0] >= 3


async def test_slow_answers_bring_two_more_pods_once_and_are_resolved(three: Stack, webhook: httpx.AsyncClient) -> None:
    assert read(three, HPA)["spec"]["maxReplicas"] >= 5
    # Nearly as many as three pods can answer: each waits its turn.
    handle = await begun(three, "load", 59)
    for _ in range(2):
        assert await told_again(three, webhook, handle) in {"joined", "already_handled"}
    await until(handle, lambda status: status.phase == "Watch")
    assert paused(three)
    result = await result_of(handle)
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
    assert await told_again(three, webhook, handle) == "already_handled"
    assert len(three.rows("SELECT FROM runbooks.incidents WHERE run_id = %s", handle.run_id)) == 1
