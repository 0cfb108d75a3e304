"""IssueEscalation on real records and a real mail server: all that is known in one ticket, and the promise kept."""

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.testing import WorkflowEnvironment

from activities.common.effects import Change
from activities.common.errors import JustStarting
from activities.customers.tickets import CreateTicket, Support
from tests.plugins.patience import HANGS
from tests.workflows.conftest import Working
from tests.workflows.steering import Handle, begin, cancel, cause, told, waiting_for
from tests.workflows.worlds.company import Company
from tests.workflows.worlds.world import instead
from workflows.customer_operations.customer_words import Reassign, Resolve, UpdateCustomer
from workflows.customer_operations.issue_escalation import IssueEscalation, IssueEscalationRequest

ADA = {"who": "ada", "role": "support"}
NAME = "issue_escalation"
WAITING = "update_customer or resolve"


def request(**fields: Any) -> IssueEscalationRequest:
    return IssueEscalationRequest(tenant_id="acme", summary="Training jobs fail", **fields)


async def resolve(handle: Handle) -> Any:
    await handle.execute_update(IssueEscalation.resolve, Resolve(**ADA, resolution="The queue was full."))
    return await handle.result()


def pages(company: Company) -> list[tuple[int, bool]]:
    rows = company.rows("SELECT level, resolved_at IS NOT NULL FROM runbooks.pages ORDER BY paged_at, level")
    return [(row[0], row[1]) for row in rows]


async def test_a_ticket_has_all_that_is_known_and_the_customer_is_told(
    working: Working, client: Client, company: Company
) -> None:
    email = company.tenant("acme", csm="grace")
    company.sql.execute("SELECT runbooks.record_usage('acme', 'training_job')")
    company.sql.execute("INSERT INTO runbooks.tenant_errors (tenant_id, message) VALUES ('acme', 'queue is full')")
    company.sql.execute(
        "INSERT INTO runbooks.tenant_errors (tenant_id, at, message) VALUES ('acme', now() - interval '25 h', 'old')"
    )
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(details="Since 08:00."), NAME)
        await waiting_for(handle, WAITING)
        ticket = company.rows(
            "SELECT ticket_id, priority, assignee, description, update_due_at - opened_at FROM runbooks.support_tickets"
        )[0]
        result = await resolve(handle)
    assert ticket[1:3] == ("P2", "primary")
    for known in ("Since 08:00.", "1 × training_job", "queue is full", "CSM grace"):
        assert known in ticket[3]
    assert "old" not in ticket[3].replace("told", "")
    assert timedelta(hours=1) <= ticket[4] < timedelta(hours=1, minutes=1)
    assert sorted(company.subjects(email), reverse=True) == [
        f"TenSafe {ticket[0]}: we have received your report",
        f"TenSafe {ticket[0]}: solved",
    ]
    assert any("ETA for update: 1 hour" in str(mail.get_body(("plain",))) for mail in company.mails(email))
    assert result["ticket_id"] == ticket[0]
    assert result["promises_broken"] == 0
    assert company.rows("SELECT status, resolution FROM runbooks.support_tickets") == [
        ("closed", "The queue was full.")
    ]
    assert pages(company) == []


async def test_a_broken_promise_pages_the_engineer_and_then_the_lead(
    working: Working, client: Client, company: Company, time_skipping: WorkflowEnvironment
) -> None:
    company.tenant("acme")
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await waiting_for(handle, WAITING)
        await time_skipping.sleep(timedelta(minutes=59))
        assert pages(company) == []
        assert "promised an update" in str(company.rows("SELECT text FROM runbooks.messages"))
        await time_skipping.sleep(timedelta(minutes=2))
        assert pages(company) == [(1, False)]
        await time_skipping.sleep(timedelta(minutes=15))
        assert pages(company) == [(1, False), (2, False)]
        await time_skipping.sleep(timedelta(hours=5))
        assert len(pages(company)) == 2
        result = await resolve(handle)
    assert result["promises_broken"] == 1
    assert pages(company) == [(1, True), (2, True)]


async def test_an_update_keeps_the_promise_and_begins_the_next(
    working: Working, client: Client, company: Company, time_skipping: WorkflowEnvironment
) -> None:
    email = company.tenant("acme")
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await waiting_for(handle, WAITING)
        await time_skipping.sleep(timedelta(minutes=50))
        word = UpdateCustomer(**ADA, text="We see the queue growing.", next_within=timedelta(hours=4))
        answer = await handle.execute_update(IssueEscalation.update_customer, word)
        assert "promised until" in str(answer)
        await time_skipping.sleep(timedelta(hours=3, minutes=55))
        assert pages(company) == []
        await time_skipping.sleep(timedelta(minutes=10))
        assert pages(company) == [(1, False)]
        await handle.execute_update(IssueEscalation.update_customer, UpdateCustomer(**ADA, text="Found it."))
        await time_skipping.sleep(timedelta(minutes=30))
        assert pages(company) == [(1, True)]
        result = await resolve(handle)
    assert result["updates"] == 3
    assert len(company.subjects(email)) == 4
    assert [row[0] for row in company.rows("SELECT author FROM runbooks.ticket_comments ORDER BY id")] == [
        "the run",
        "ada (support)",
        "ada (support)",
    ]


async def test_it_is_assigned_as_told_and_reassigned(working: Working, client: Client, company: Company) -> None:
    company.tenant("acme")
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(assignee="bob"), NAME)
        await waiting_for(handle, WAITING)
        await handle.execute_update(IssueEscalation.reassign, Reassign(**ADA, to="cara"))
        result = await resolve(handle)
    assert result["assignee"] == "cara"
    assert company.rows("SELECT assignee FROM runbooks.support_tickets") == [("cara",)]


async def test_whoever_may_not_and_whatever_comes_too_late_is_refused(
    working: Working, client: Client, company: Company
) -> None:
    company.tenant("acme")
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await waiting_for(handle, WAITING)
        guest = Resolve(who="eve", role="guest", resolution="mine")
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update(IssueEscalation.resolve, guest)
        assert "may not customer" in str(refused.value.cause)
        await resolve(handle)


async def test_what_comes_before_the_ticket_is_asked_to_come_again(
    working: Working, client: Client, company: Company
) -> None:
    company.tenant("acme")
    asked, goes_on = threading.Event(), threading.Event()

    @activity.defn(name="support.create")
    def held(create: CreateTicket) -> Change:
        asked.set()
        assert goes_on.wait(HANGS)
        return Support(company.pool).create(create)

    async with working(instead(company.activities(), held)) as queue:
        handle = await begin(client, queue, request(), NAME)
        assert await asyncio.to_thread(asked.wait, HANGS)
        try:
            with pytest.raises(WorkflowUpdateFailedError) as early:
                await handle.execute_update(IssueEscalation.reassign, Reassign(**ADA, to="cara"))
        finally:
            goes_on.set()
        await waiting_for(handle, WAITING)
        await handle.execute_update(IssueEscalation.reassign, Reassign(**ADA, to="cara"))
        result = await resolve(handle)
    assert isinstance(early.value.cause, ApplicationError)
    assert early.value.cause.type == JustStarting.__name__, "whoever sends it says it again"
    assert result["assignee"] == "cara"


async def test_cancelled_the_ticket_stays_open_and_people_know(
    working: Working, client: Client, company: Company, time_skipping: WorkflowEnvironment
) -> None:
    company.tenant("acme")
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await waiting_for(handle, WAITING)
        await cancel(handle)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        assert "stays open" in await told(handle)
    assert isinstance(failed.value.cause, CancelledError)
    assert company.rows("SELECT status FROM runbooks.support_tickets") == [("open",)]


async def test_plan_mode_opens_no_ticket(working: Working, client: Client, company: Company) -> None:
    email = company.tenant("acme")
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(dry_run=True), NAME)
        await handle.result()
        assert "would keep the customer told" in await told(handle)
    assert company.rows("SELECT FROM runbooks.support_tickets") == []
    assert company.mails(email) == []


async def test_an_unknown_tenant_is_refused_at_once(working: Working, client: Client, company: Company) -> None:
    company.tenant("acme")
    async with working(company.activities()) as queue:
        asked = IssueEscalationRequest(tenant_id="acne", summary="x")
        handle = await begin(client, queue, asked, NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert "no such tenant" in cause(failed.value).message
    assert company.rows("SELECT FROM runbooks.support_tickets") == []
