"""A duty to notify runs from when people became aware, until they have said what became of it."""

import json
from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError

from tests.workflows.conftest import Working
from tests.workflows.security.incidents import NAME, REQUEST, says
from tests.workflows.steering import begin, told, until, waiting_for
from tests.workflows.worlds.breached import Breached


async def test_legal_clocks_run_from_when_people_became_aware(working: Working, client: Client) -> None:
    world = Breached()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await waiting_for(handle, "decide drain-1")
        await says(handle, "ada", "drain-1", "leave")
        await waiting_for(handle, "decide return")
        await says(handle, "ada", "return", "leave")
        status = await waiting_for(handle, "decide legal")
        await says(handle, "ada", "legal", "both")
        status = await until(handle, lambda status: len(status.questions) == 2)
        due = {question.id: question.timeout for question in status.questions}
        assert timedelta(hours=71) < due["gdpr"] < timedelta(hours=72)
        assert timedelta(days=59) < due["hipaa"] < timedelta(days=60)
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await says(handle, "ada", "gdpr", "notified")
        assert "reason" in str(refused.value.cause)
        await says(handle, "ada", "gdpr", "notified", "by the portal, at noon")
        result = await handle.result()  # nobody answers for HIPAA
        timeline = await told(handle)
    assert result["duties"]["gdpr"] == "notified (ada (security))"
    assert result["duties"]["hipaa"] == "not-answered (no answer)"
    kept = [document.name for document in world.done("evidence.store_document")]
    assert sorted(kept) == [
        "audit-report.json",
        "audit-report.md",
        "duties.json",
        "duty-gdpr.json",
        "duty-hipaa.json",
        "reminder-hipaa-336h.json",
        "reminder-hipaa-720h.json",
        "reminder-hipaa-72h.json",
    ]
    assert "hipaa: not-answered (no answer), after it was due" in timeline


async def test_no_duty_counts_only_with_a_reason(working: Working, client: Client) -> None:
    world = Breached()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await waiting_for(handle, "decide drain-1")
        await says(handle, "ada", "drain-1", "leave")
        await waiting_for(handle, "decide return")
        await says(handle, "ada", "legal", "none", "no personal data on that node")
        await says(handle, "ada", "return", "uncordon")
        result = await handle.result()
    assert result["duties"] == {}
    report = next(d for d in world.done("evidence.store_document") if d.name == "audit-report.json")
    content = json.loads(report.content)
    assert content["answers"]["legal"]["reason"] == "no personal data on that node"
    assert content["not done"]
    assert content["nodes"] == {"node-a": "uncordon"}
