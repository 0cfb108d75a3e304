"""From a bad release to a closed incident, over real servers, with some of them killed on the way."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx
import icalendar
import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.common import WorkflowIDConflictPolicy

from activities.catalogue.run_ids import run_id
from sandbox import kubernetes_api, manifests, probes
from sandbox.ports import LOOPBACK, free_port
from sandbox.processes import ServerProcess
from tests.crash.scenarios.p1_incident import CLOSING
from tests.end_to_end.alerts import PATH, alert, outcome
from tests.end_to_end.conftest import Handle, Stack, authorised, eventually, payloads
from tests.workflows.steering import result_of
from workflows.incident_response.p1_incident import P1Incident, P1Request
from workflows.platform import search_attributes

pytestmark = pytest.mark.timeout(600)

BERLIN = ZoneInfo("Europe/Berlin")


async def by_hand(stack: Stack) -> Handle:
    return await stack.client.start_workflow(
        P1Incident.run,
        P1Request(title="by hand"),
        id=run_id("p1-incident", "tensafe-server"),
        task_queue="runbooks",
        id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,  # that of a test before
    )


async def says(handle: Handle, *words: str) -> bool:
    """Whether an entry of the timeline has all of the words."""
    entries = (await handle.query(P1Incident.status)).entries
    return any(all(word in f"{entry.kind} {entry.text}" for word in words) for entry in entries)


async def healthy_again(stack: Stack) -> bool:
    status = await asyncio.to_thread(stack.health)
    return (status["status"], status["version"]) == ("healthy", "v1.2.3")


def revision(stack: Stack) -> int:
    """Count the changes of the Deployment's pods; undoing a release is one too."""
    with kubernetes_api.connect(stack.environment.cluster.kubeconfig) as api:
        deployment = api.get(f"/apis/apps/v1/namespaces/tensafe/deployments/{manifests.SERVICE}").json()
    return int(deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"])


def local(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))


async def hashes(handle: Handle) -> dict[str, str]:
    """Give the SHA-256 of everything that went into the evidence store, as the history keeps it."""
    found = {}
    for text in payloads((await handle.fetch_history()).to_json()).splitlines():
        stored = json.loads(text) if text.startswith('{"uri":') else {}
        if "sha256" in stored:
            found[stored["uri"]] = stored["sha256"]
    return found


async def test_a_bad_release_is_repaired_and_closed(stack: Stack) -> None:
    before = revision(stack)
    handle = await stack.alerted()
    status = await stack.closable(handle)
    assert await healthy_again(stack)
    assert revision(stack) == before + 2, "the release, and one rollback"
    await eventually(lambda: says(handle, "signal", "has resolved by itself, says alertmanager"))
    shown = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    assert "**Waiting for: close**" in shown.current_details
    assert "roll tensafe-server back from v1.2.4 to v1.2.3" in shown.current_details

    result = await stack.close(handle)
    assert result.mitigations == ["rollback"]
    assert {clock.name for clock in status.clocks if clock.met_at and not clock.missed} == {
        "Acknowledged",
        "Assessed",
        "Mitigated",
        "Stable",
    }
    assert await says(handle, "CrashLoop")
    assert await says(handle, "decision", "Closed: Rolled back to v1.2.3")
    attributes = (await handle.describe()).typed_search_attributes
    found = {key: attributes.get(key) for key in search_attributes.SEARCH_ATTRIBUTES}
    assert {key: value for key, value in found.items() if value is not None} == {
        search_attributes.PROCEDURE: "P1Incident",
        search_attributes.SERVICE: "tensafe-server",
        search_attributes.SEVERITY: "P1",
        search_attributes.INCIDENT: result.incident_id,
        search_attributes.OUTCOME: "closed",
    }
    assert_recorded(stack, result.incident_id)
    await assert_evidence(handle, result.evidence)


def assert_recorded(stack: Stack, incident: str) -> None:
    stack.once(incident)
    ((resolution, root_cause, closed_by, *reached),) = stack.rows(
        "SELECT resolution, root_cause, closed_by, opened_at, acknowledged_at, mitigated_at, stable_at, closed_at"
        " FROM runbooks.incidents WHERE incident_id = %s",
        incident,
    )
    assert (resolution, root_cause, closed_by) == (CLOSING.resolution, CLOSING.root_cause, CLOSING.who)
    assert reached == sorted(reached)
    ((name, status, acknowledged_at, resolved_at),) = stack.rows(
        "SELECT name, status, acknowledged_at, resolved_at FROM runbooks.alerts WHERE incident_id = %s", incident
    )
    assert (name, status) == ("TensafeServerDown", "resolved")
    assert acknowledged_at < resolved_at
    assert stack.rows("SELECT status FROM runbooks.status_updates WHERE incident_id = %s ORDER BY id", incident) == [
        ("Identified",),
        ("Resolved",),
    ]
    ((when, level, paged_is_over),) = stack.rows(
        "SELECT scheduled_for, level, resolved_at IS NOT NULL"
        " FROM runbooks.post_mortems JOIN runbooks.pages USING (incident_id) WHERE incident_id = %s",
        incident,
    )
    assert (level, paged_is_over) == (1, True)
    assert when.astimezone(BERLIN) == ten_o_clock_after(reached[-1])


def ten_o_clock_after(closed_at: datetime) -> datetime:
    day = closed_at.astimezone(BERLIN).date() + timedelta(days=1)
    return datetime.combine(day, time(10), BERLIN)


async def assert_evidence(handle: Handle, uris: list[str]) -> None:
    kept = {local(uri).name: local(uri) for uri in uris}
    assert set(kept) == {"logs-before-rollback.txt", "logs.txt", "metrics.json", "post-mortem.md", "post-mortem.ics"}
    stored = await hashes(handle)
    assert set(stored) == set(uris)
    for uri, digest in stored.items():
        assert hashlib.sha256(local(uri).read_bytes()).hexdigest() == digest, uri
    draft = kept["post-mortem.md"].read_text(encoding="utf-8")
    for name in ("logs-before-rollback.txt", "logs.txt", "metrics.json"):
        assert hashlib.sha256(kept[name].read_bytes()).hexdigest() in draft, name
    assert CLOSING.resolution in draft
    assert CLOSING.root_cause in draft
    assert kept["logs-before-rollback.txt"].stat().st_size > 0
    assert "error_rate" in kept["metrics.json"].read_text(encoding="utf-8")
    (event,) = icalendar.Calendar.from_ical(kept["post-mortem.ics"].read_bytes()).walk("VEVENT")
    assert event.decoded("dtstart").astimezone(BERLIN).time() == time(10)


async def test_twenty_posts_are_one_run_one_incident_one_page(stack: Stack, webhook: httpx.AsyncClient) -> None:
    body, known = alert(uuid4().hex[:16]), {run.run_id for run in await stack.runs()}
    answers = await asyncio.gather(*(webhook.post(PATH, json=body) for _ in range(20)))
    assert sorted(outcome(answer) for answer in answers) == ["joined"] * 19 + ["started"]
    ((workflow_id, run_id),) = {
        (taken["workflow_id"], taken["run_id"]) for answer in answers for taken in answer.json()["alerts"]
    }
    result = await stack.close(stack.handle(workflow_id, run_id))
    assert outcome(await webhook.post(PATH, json=body)) == "already_handled"
    assert [run.run_id for run in await stack.runs() if run.run_id not in known] == [run_id]
    stack.once(result.incident_id, false_alarm=True)
    for table in ("incidents", "pages", "alerts"):
        assert len(stack.rows(f"SELECT 1 FROM runbooks.{table} WHERE run_id = %s", run_id)) == 1, table


async def test_a_new_firing_joins_the_incident_and_after_its_close_opens_another(
    stack: Stack, webhook: httpx.AsyncClient
) -> None:
    fingerprint, began = uuid4().hex[:16], datetime.now(UTC)
    first = await webhook.post(PATH, json=alert(fingerprint, began))
    assert outcome(first) == "started"
    taken = first.json()["alerts"][0]
    handle = stack.handle(taken["workflow_id"], taken["run_id"])
    await stack.closable(handle)
    second = alert(fingerprint, began + timedelta(seconds=1))
    assert outcome(await webhook.post(PATH, json=second)) == "joined"
    await eventually(lambda: says(handle, "signal", "ByHand fires: joins this incident"))
    assert outcome(await webhook.post(PATH, json=second)) == "joined"
    result = await stack.close(handle)
    stack.once(result.incident_id, false_alarm=True)  # each firing is assessed
    assert len(stack.rows("SELECT 1 FROM runbooks.alerts WHERE incident_id = %s", result.incident_id)) == 2

    assert outcome(await webhook.post(PATH, json=second)) == "already_handled"
    third = await webhook.post(PATH, json=alert(fingerprint, began + timedelta(seconds=2)))
    assert outcome(third) == "started"
    taken = third.json()["alerts"][0]
    assert (taken["workflow_id"], taken["run_id"] != handle.run_id) == (handle.id, True)
    another = await stack.close(stack.handle(taken["workflow_id"], taken["run_id"]))
    assert another.incident_id != result.incident_id
    stack.once(another.incident_id, false_alarm=True)


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_the_run_goes_on_when_temporal_is_restarted_from_its_file(
    stack: Stack, webhook: httpx.AsyncClient, end: str
) -> None:
    handle = await by_hand(stack)
    if end == "stop":
        await stack.closable(handle)
    else:  # in the middle of its steps
        await eventually(lambda: says(handle, "step", "Health"))
    before = (await handle.fetch_history()).events
    (temporal,) = stack.environment.temporal.processes
    await asyncio.to_thread(getattr(temporal, end))
    await asyncio.to_thread(stack.environment.temporal.restart)
    result = await stack.close(handle)
    after = (await handle.fetch_history()).events
    assert [event.event_type for event in after[: len(before)]] == [event.event_type for event in before]
    assert result.outcome == "closed"
    stack.once(result.incident_id, false_alarm=True)

    async def takes_alerts() -> bool:
        return (await webhook.post(PATH, json=alert(uuid4().hex[:16]))).status_code == 202

    await eventually(takes_alerts)


async def test_another_worker_takes_over(stack: Stack) -> None:
    before = revision(stack)
    handle = await stack.alerted()
    pid = await eventually(lambda: holder(handle))
    (victim,) = [worker for worker in stack.environment.workers if worker.pid == pid]
    victim.kill()
    result = await stack.close(handle)
    assert await holder(handle) in {worker.pid for worker in stack.environment.workers} - {pid}
    assert result.mitigations == ["rollback"]
    assert revision(stack) == before + 2
    assert await healthy_again(stack)
    stack.once(result.incident_id)


async def holder(handle: Handle) -> int | None:
    """Give the process ID of the worker that last took a step of the run's workflow."""
    identities = [
        event.workflow_task_started_event_attributes.identity
        for event in (await handle.fetch_history()).events
        if event.HasField("workflow_task_started_event_attributes")
    ]
    return int(identities[-1].partition("@")[0]) if identities else None


async def test_a_webhook_killed_before_it_answered_makes_no_second_run(
    stack: Stack, webhook: httpx.AsyncClient, tmp_path: Path
) -> None:
    environment, port = stack.environment, free_port()
    dying = ServerProcess(
        name="dying-webhook",
        directory=tmp_path,
        argv=[sys.executable, "-m", "tests.starters.webhook.dying_webhook"],
        env={"RUNBOOKS_CONFIG": str(environment.configuration.file), "RUNBOOKS_WEBHOOK__PORT": str(port)},
    )
    body, known = alert(uuid4().hex[:16]), {run.run_id for run in await stack.runs()}
    dying.start()
    try:
        await asyncio.to_thread(dying.wait_ready, probes.http(f"http://{LOOPBACK}:{port}/readyz"))
        async with httpx.AsyncClient(headers=authorised(environment), timeout=20) as client:
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                await client.post(f"http://{LOOPBACK}:{port}{PATH}", json=body)
        probes.wait_until(lambda: dying.exit_code == -signal.SIGKILL)
    finally:
        dying.stop()
    retried = await webhook.post(PATH, json=body)
    assert outcome(retried) == "joined"
    taken = retried.json()["alerts"][0]
    result = await stack.close(stack.handle(taken["workflow_id"], taken["run_id"]))
    assert [run.run_id for run in await stack.runs() if run.run_id not in known] == [taken["run_id"]]
    stack.once(result.incident_id, false_alarm=True)
    assert len(stack.rows("SELECT 1 FROM runbooks.alerts WHERE incident_id = %s", result.incident_id)) == 1


async def test_without_the_records_the_service_is_repaired_and_the_incident_recorded_later(stack: Stack) -> None:
    (postgres,) = stack.environment.postgres.processes
    postgres.kill()
    try:
        handle = await stack.alerted()
        await eventually(lambda: healthy_again(stack))
        await eventually(lambda: says(handle, "problem", "Create P1 incident", "Unavailable"))
        await eventually(lambda: says(handle, "signal", "has resolved by itself"))
    finally:
        await asyncio.to_thread(stack.environment.postgres.restart)
    result = await stack.close(handle)
    assert result.mitigations == ["rollback"]
    stack.once(result.incident_id)
    assert stack.rows("SELECT status FROM runbooks.alerts WHERE incident_id = %s", result.incident_id) == [
        ("resolved",)
    ]


async def test_no_secret_and_no_crash_is_in_histories_logs_or_evidence(stack: Stack) -> None:
    """Last in this file, so that it reads what all the other tests have left."""
    environment = stack.environment
    configuration = environment.configuration
    handle = await by_hand(stack)
    await stack.closable(handle)
    await asyncio.to_thread(close_signed, stack, handle.id)
    result = await result_of(handle)
    texts = {
        str(file): file.read_text(encoding="utf-8", errors="replace")
        for file in (*(process.log for process in environment.processes), *environment.directory.glob("evidence/**/*"))
        if file.is_file()
    }
    for process in environment.restartable:
        assert "Exception in thread" not in texts[str(process.log)], process.log
    for run in await stack.runs():
        exported = (await stack.handle(run.id, run.run_id).fetch_history()).to_json()
        texts[f"{run.id} {run.run_id}"] = exported + payloads(exported)
    assert result.incident_id in texts[f"{handle.id} {handle.result_run_id}"], "payloads are read"
    pem = configuration.gateway_key.read_text(encoding="utf-8")
    secrets = {
        "bearer token": configuration.bearer_token.read_text(encoding="utf-8"),
        "database password": urlsplit(stack.records).password or "",
        "gateway key": pem.splitlines()[1],
    }
    for what, secret in secrets.items():
        assert len(secret) > 20, what
        assert [name for name, text in texts.items() if secret in text] == [], what


def close_signed(stack: Stack, run: str) -> None:
    """Close as a commander does, through the gateway that signs."""
    configuration = stack.environment.configuration
    subprocess.run(
        [
            sys.executable,
            "-m",
            "starters",
            "close",
            run,
            "--resolution",
            CLOSING.resolution,
            "--root-cause",
            CLOSING.root_cause,
        ],
        env={
            **os.environ,
            "RUNBOOKS_CONFIG": str(configuration.file),
            "RUNBOOKS_GATEWAY__PRIVATE_KEY": f"file:{configuration.gateway_key}",
            "RUNBOOKS_USER": "ada@tensafe.io",
            "RUNBOOKS_ROLE": "commander",
        },
        check=True,
        capture_output=True,
        timeout=240,
    )
