"""From a bad release to a closed incident, over real servers, with some of them killed on the way."""

import asyncio
import hashlib
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from tests.end_to_end.conftest import Handle, Stack, eventually, logs
from workflows.incident_response.p1_incident import P1Incident, P1Request

pytestmark = pytest.mark.timeout(180)


def alert(fingerprint: str, starts_at: str = "") -> dict[str, object]:
    return {
        "version": "4", "groupKey": "{}", "alerts": [{
            "status": "firing", "fingerprint": fingerprint, "startsAt": starts_at or datetime.now(UTC).isoformat(),
            "labels": {"alertname": "ByHand", "severity": "P1", "service": "tensafe-server"},
            "annotations": {"summary": "posted by a test"},
        }],
    }  # fmt: skip


async def alerted(stack: Stack) -> Handle:
    """Release v1.2.4, and wait for the run that nobody here starts."""
    stack.break_down()
    return stack.handle((await eventually(stack.open_runs))[0])


async def by_hand(stack: Stack) -> Handle:
    return await stack.client.start_workflow(
        P1Incident.run, P1Request(title="by hand"), id=f"by-hand/{uuid4().hex}", task_queue="runbooks"
    )


async def test_a_bad_release_is_repaired_and_closed(stack: Stack) -> None:
    handle = await alerted(stack)
    status = await stack.closable(handle)
    assert stack.health()["version"] == "v1.2.3"
    await eventually(lambda: alert_resolved(stack, handle))
    result = await stack.close(handle)
    assert result.mitigations == ["rollback"]
    assert [clock.missed for clock in status.clocks] == [False] * 4
    assert all(clock.met_at for clock in status.clocks)
    incident = result.incident_id
    for table, count in (("incidents", 1), ("pages", 1), ("post_mortems", 1), ("alerts", 1)):
        assert len(stack.rows(f"SELECT 1 FROM runbooks.{table} WHERE incident_id = %s", incident)) == count, table
    (row,) = stack.rows("SELECT status, resolution FROM runbooks.incidents WHERE incident_id = %s", incident)
    assert row == ("closed", "Rolled back to v1.2.3")
    updates = stack.rows("SELECT status FROM runbooks.status_updates WHERE incident_id = %s ORDER BY id", incident)
    assert updates == [("Identified",), ("Resolved",)]
    files = {Path(urlsplit(uri).path) for uri in result.evidence}
    assert {file.name for file in files} == {
        "logs-before-rollback.txt", "logs.txt", "metrics.json", "post-mortem.md", "post-mortem.ics",
    }  # fmt: skip
    assert "CrashLoop" in (await handle.query(P1Incident.status)).model_dump_json()
    draft = next(file for file in files if file.suffix == ".md").read_text(encoding="utf-8")
    for file in files - {f for f in files if f.name.startswith("post-mortem")}:
        assert hashlib.sha256(file.read_bytes()).hexdigest() in draft, file.name
    attributes = (await handle.describe()).typed_search_attributes
    found = {pair.value for pair in attributes if isinstance(pair.value, str)}
    assert {"P1Incident", "P1", "tensafe-server", incident, "closed"} <= found


async def alert_resolved(stack: Stack, handle: Handle) -> bool:
    status = await handle.query(P1Incident.status)
    return any("has resolved by itself" in entry.text for entry in status.entries)


async def test_twenty_posts_are_one_run_one_incident_one_page(stack: Stack, webhook: httpx.AsyncClient) -> None:
    fingerprint, starts_at = uuid4().hex[:16], datetime.now(UTC).isoformat()
    body = alert(fingerprint, starts_at)
    async with webhook:
        answers = await asyncio.gather(*(webhook.post("/webhooks/alertmanager", json=body) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {202}
        taken = [answer.json()["alerts"][0] for answer in answers]
        assert sorted(one["outcome"] for one in taken) == ["joined"] * 19 + ["started"]
        (workflow_id,) = {one["workflow_id"] for one in taken}
        handle = stack.handle(workflow_id)
        await stack.close(handle)
        again = await webhook.post("/webhooks/alertmanager", json=body)
        assert again.json()["alerts"][0]["outcome"] == "already_handled"
    for table in ("incidents", "pages", "alerts"):
        assert len(stack.rows(f"SELECT 1 FROM runbooks.{table} WHERE workflow_id = %s", workflow_id)) == 1, table


async def test_the_run_goes_on_when_temporal_is_killed_and_restarted(stack: Stack) -> None:
    handle = await by_hand(stack)
    await stack.closable(handle)
    (temporal,) = stack.environment.temporal.processes
    temporal.kill()
    stack.environment.temporal.restart()
    result = await stack.close(handle)
    assert result.outcome == "closed"
    assert len(stack.rows("SELECT 1 FROM runbooks.incidents WHERE workflow_id = %s", handle.id)) == 1


async def test_another_worker_takes_over(stack: Stack) -> None:
    stack.break_down()
    handle = stack.handle((await eventually(stack.open_runs))[0])
    victim = stack.environment.workers[0]
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    result = await stack.close(handle)
    assert result.mitigations == ["rollback"]
    assert len(stack.rows("SELECT 1 FROM runbooks.pages WHERE workflow_id = %s AND run_id = %s", handle.id,
                          handle.result_run_id or (await handle.describe()).run_id)) == 1  # fmt: skip
    assert stack.health()["status"] == "healthy"


async def test_without_the_records_the_service_is_repaired_and_the_incident_recorded_later(stack: Stack) -> None:
    (postgres,) = stack.environment.postgres.processes
    postgres.kill()
    try:
        handle = await alerted(stack)
        await eventually(lambda: healthy_again(stack))
        assert stack.health()["version"] == "v1.2.3"
        await eventually(lambda: says_so(handle))
    finally:
        stack.environment.postgres.restart()
    result = await stack.close(handle)
    assert result.mitigations == ["rollback"]
    (row,) = stack.rows("SELECT status FROM runbooks.incidents WHERE incident_id = %s", result.incident_id)
    assert row == ("closed",)


async def says_so(handle: Handle) -> bool:
    status = await handle.query(P1Incident.status)
    return any(entry.kind == "problem" and "Unavailable" in entry.text for entry in status.entries)


async def healthy_again(stack: Stack) -> bool:
    status = stack.health()
    return status["status"] == "healthy" and status["version"] == "v1.2.3"


async def test_no_secret_is_in_histories_or_logs(stack: Stack) -> None:
    configuration = stack.environment.configuration
    password = urlsplit(stack.records).password
    secrets = [configuration.bearer_token.read_text(encoding="utf-8"), password or "none",
               configuration.gateway_key.read_text(encoding="utf-8").splitlines()[1]]  # fmt: skip
    handle = await by_hand(stack)
    await stack.close(handle)
    texts = {log.parent.name: log.read_text(encoding="utf-8", errors="replace") for log in logs(stack.environment)}
    async for run in stack.client.list_workflows("WorkflowType = 'P1Incident'"):
        history = await stack.client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
        texts[run.id] = history.to_json()
    assert len(texts) > 4
    for name, text in texts.items():
        for secret in secrets:
            assert secret not in text, name
