"""Onboarding, rotation and churn on the whole stack: real mails, real links, and no secret anywhere else."""

import asyncio
import re
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import httpx
from psycopg import sql

from sandbox.configuration import TASK_QUEUE
from tests.end_to_end.conftest import Stack, eventually, payloads
from tests.workflows.steering import result_of, until, waiting_for
from workers.registry import procedure
from workflows.platform.approval import Decision

LEAD = {"who": "lea", "role": "engineering-lead"}


async def start(stack: Stack, name: str, run: str, /, **fields: Any) -> Any:
    """Start a procedure as the UI does: by its type's name and plain JSON."""
    return await stack.client.start_workflow(procedure(name).workflow_type, fields, id=run, task_queue=TASK_QUEUE)


async def mails(stack: Stack, address: str, count: int) -> list[EmailMessage]:
    """Wait for a number of mails."""

    async def received() -> list[EmailMessage]:
        found = await asyncio.to_thread(stack.environment.mail.received, address)
        return found if len(found) >= count else []

    found: list[EmailMessage] = await eventually(received)
    return found


def link(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    found = re.search(r"http://\S+/handover/\S+", part.get_content())
    assert found is not None
    return found[0]


def show(url: str) -> str:
    """Press the page's button."""
    assert httpx.get(url).status_code == 200
    answer = httpx.post(url)
    assert answer.status_code == 200
    assert httpx.post(url).status_code == 410
    return answer.text


def accepted(stack: Stack, key: str) -> bool:
    return bool(stack.rows("SELECT accepted FROM runbooks.check_api_key(%s)", key)[0][0])


async def test_a_customer_is_welcomed_rotates_a_key_and_no_secret_is_left_anywhere(stack: Stack) -> None:
    address = "it@initech.example"
    onboarding = await start(
        stack, "enterprise_onboarding", "onboarding-initech", name="Initech", contact_name="Grace", email=address
    )
    # Killed in the middle of day 0: the other worker goes on.
    stack.environment.workers[0].kill()
    both = await mails(stack, address, 2)
    stack.environment.workers[0].start()
    links = {str(mail["Subject"]): link(mail) for mail in both}
    shown = {subject: await asyncio.to_thread(show, url) for subject, url in links.items()}
    (key,) = set(re.findall(r"tsk_[a-z0-9]+\.[\w-]{40,}", shown["TenSafe: your first API key"]))
    (password,) = set(re.findall(r">\s*([\w-]{16})\s*<", shown["Welcome to TenSafe"]))
    assert accepted(stack, key)
    # That was a first API call, and the run finds it by itself.
    await until(onboarding, lambda status: "[x] First API call made" in status.board)

    rotation = await start(
        stack,
        "api_key_rotation",
        "rotation-initech",
        tenant_id="initech",
        compromised=True,
        reason="it was mailed around",
    )
    await waiting_for(rotation, "decide revoke")
    await rotation.execute_update("decide", Decision(**LEAD, question="revoke", choice="revoke"))
    result = await result_of(rotation)
    assert result["rotated"]
    assert not accepted(stack, key)
    rotated = next(mail for mail in await mails(stack, address, 4) if "rotated" in str(mail["Subject"]))
    links["rotated"] = link(rotated)
    page = await asyncio.to_thread(show, links["rotated"])
    (successor,) = set(re.findall(r"tsk_[a-z0-9]+\.[\w-]{40,}", page))
    assert accepted(stack, successor)
    rows = stack.rows(
        "SELECT count(*), count(*) FILTER (WHERE revoked_at IS NULL) FROM runbooks.api_keys WHERE tenant_id = 'initech'"
    )
    assert rows == [(2, 1)]
    await onboarding.terminate("the test is over")

    texts = await everything(stack, (onboarding, rotation))
    received = await asyncio.to_thread(stack.environment.mail.received, address)
    texts["mails"] = "\n".join(
        part.get_content() for mail in received for part in mail.walk() if not part.is_multipart()
    )
    tokens = [url.rpartition("/")[2] for url in links.values()]
    for secret in (key.partition(".")[2], successor.partition(".")[2], password, *tokens):
        found = {name for name, text in texts.items() if secret in text}
        assert found == ({"mails"} if secret in tokens else set())


async def everything(stack: Stack, runs: tuple[Any, ...]) -> dict[str, str]:
    """Read all that is kept: histories, logs, and every column of the records."""
    environment = stack.environment
    texts = {
        str(process.log): process.log.read_text(encoding="utf-8", errors="replace")
        for process in environment.processes
        if process.log.is_file()
    }
    for run in runs:
        exported = (await run.fetch_history()).to_json()
        texts[run.id] = exported + payloads(exported)
    assert "initech" in texts[runs[0].id], "payloads are read"
    tables = stack.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'runbooks'")
    for (table,) in tables:
        query = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier("runbooks", table))
        texts[table] = "\n".join(row[0] for row in stack.rows(query))  # type: ignore[arg-type]
    assert "initech" in texts["tenants"]
    return texts


async def test_the_sandboxes_customer_that_is_about_to_leave_is_looked_after(stack: Stack) -> None:
    scan = await start(stack, "churn_prevention", "churn-scan")
    result = await result_of(scan)
    assert [tenant["tenant_id"] for tenant in result["at_risk"]] == ["globex"]
    run = stack.client.get_workflow_handle("churn-prevention/globex")
    await waiting_for(run, "outreach")
    await run.cancel()
    query = "SELECT outcome FROM runbooks.interventions WHERE tenant_id = 'globex'"

    async def closed() -> bool:
        return await asyncio.to_thread(stack.rows, query) == [("cancelled",)]

    await eventually(closed)


async def test_a_promise_to_a_customer_is_watched_by_the_clock(stack: Stack) -> None:
    run = await start(stack, "issue_escalation", "issue-acme", tenant_id="acme", summary="Jobs are slow")
    await waiting_for(run, "update_customer or resolve")
    ((description, due),) = stack.rows(
        "SELECT description, update_due_at - opened_at FROM runbooks.support_tickets WHERE tenant_id = 'acme'"
    )
    assert "training job 17: queue is full" in description
    assert timedelta(minutes=59) < due < timedelta(minutes=61)
    assert (await mails(stack, "it@acme.example", 1))[0]["Subject"].endswith("we have received your report")
    await run.execute_update("resolve", {**LEAD, "resolution": "More workers."})
    assert (await result_of(run))["promises_broken"] == 0
