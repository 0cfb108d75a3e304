"""EnterpriseOnboarding on real records and a real mail server: thirty days, ticked by people and by the data."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import Envelope
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import CancelledError
from temporalio.testing import WorkflowEnvironment

from activities.messages.mail.servers import SmtpServer
from sandbox.ports import LOOPBACK, free_port
from tests.workflows.conftest import Working
from tests.workflows.steering import Handle, begin, cancel, cause, days_pass, told, until
from tests.workflows.worlds.company import Company
from workflows.customer_operations.enterprise_onboarding import EnterpriseOnboarding, EnterpriseOnboardingRequest
from workflows.customer_operations.onboarding_words import Assign, Pause, Reschedule, Resend, StopOnboarding, Tick
from workflows.platform.lease import Resume

ADA = {"who": "ada", "role": "csm"}
LEAD = {"who": "lea", "role": "engineering-lead"}
NAME = "enterprise_onboarding"
BY_HAND = (
    "kickoff-call",
    "architecture-review",
    "timeline-agreed",
    "success-criteria",
    "sdk-integrated",
    "test-environment",
    "security-review",
    "production",
    "load-test",
    "documentation",
    "training",
    "success-metrics",
)


def request(company: Company, **fields: Any) -> EnterpriseOnboardingRequest:
    email = f"it@{company.domain}"
    return EnterpriseOnboardingRequest.model_validate(
        {"name": "Acme Corp", "contact_name": "Grace", "email": email, **fields}
    )


async def day_0(handle: Handle) -> None:
    await until(handle, lambda status: status.phase.startswith("Day 1"))


async def tick(handle: Handle, *items: str, **fields: Any) -> None:
    for item in items:
        await handle.execute_update(EnterpriseOnboarding.tick_item, Tick(**ADA, item=item, **fields))


def used(company: Company, kind: str) -> None:
    company.sql.execute("SELECT runbooks.record_usage('acme-corp', %s)", (kind,))


def ends(path: timedelta, wanted: timedelta) -> bool:
    return wanted <= path < wanted + timedelta(hours=2)


async def test_thirty_days_from_the_contract_to_the_review(
    working: Working, client: Client, company: Company, time_skipping: WorkflowEnvironment
) -> None:
    csm, se = f"csm@{company.domain}", f"se@{company.domain}"
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(company, csm=csm), NAME)
        await day_0(handle)
        mails = company.mails(f"it@{company.domain}")
        assert sorted(str(mail["Subject"]) for mail in mails) == ["TenSafe: your first API key", "Welcome to TenSafe"]
        welcome, issued = sorted(mails, key=lambda mail: "first" in str(mail["Subject"]))
        invitation = next(welcome.iter_attachments()).get_content()
        assert "Kickoff call of Acme Corp" in invitation
        assert list(company.open_link(welcome)) == [f"First password of it@{company.domain}"]
        (key,) = company.open_link(issued).values()
        assert company.accepts(key)  # the first API call

        await days_pass(time_skipping, 2)
        await handle.execute_update(EnterpriseOnboarding.assign, Assign(**ADA, se=se))
        await tick(handle, *BY_HAND[:4])
        status = await until(handle, lambda status: "- [x] First API call made" in status.board)
        assert "the data" in status.board
        assert "people-assigned" not in status.waiting_for
        used(company, "training_job")
        await days_pass(time_skipping, 8)
        await tick(handle, *BY_HAND[4:7], evidence="https://tests.example/42")
        await days_pass(time_skipping, 15)
        used(company, "monitoring")
        await tick(handle, *BY_HAND[7:])
        result = await handle.result()
        timeline = await told(handle)
    assert result == {"tenant_id": "acme-corp", "complete": True, "open": [], "tenant": "active"}
    assert "Monitoring configured" in timeline
    assert sorted(company.subjects(f"it@{company.domain}"))[:2] == [
        "TenSafe: 30-day check-in",
        "TenSafe: Quarterly business review",
    ]
    assert len(company.subjects(csm)) == 3
    assert company.rows("SELECT csm, se, status FROM runbooks.tenants") == [(csm, se, "active")]
    assert len(company.rows("SELECT FROM runbooks.api_keys")) == 1


async def test_the_run_continues_as_new_and_loses_nothing(
    working: Working, client: Client, company: Company, time_skipping: WorkflowEnvironment
) -> None:
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(company), NAME)
        await day_0(handle)
        first = (await handle.describe()).run_id
        await tick(handle, "kickoff-call", note="went well")
        # Asked every hour what the customer has done, the history is full after some weeks.
        await days_pass(time_skipping, 28)
        run = await handle.describe()
        assert run.run_id != first
        status = await until(handle, lambda status: "[x] Kickoff call completed" in status.board)
        assert "went well" in status.board
        history = await handle.fetch_history()
        assert len(history.events) < 4000
        await handle.execute_update(EnterpriseOnboarding.stop, StopOnboarding(**ADA, tenant="keep", reason="enough"))
        result = await handle.result()
    assert not result["complete"]
    assert "kickoff-call" not in result["open"]
    rows = company.rows("SELECT text FROM runbooks.messages WHERE channel = '#stakeholders' ORDER BY 1")
    assert ["Day 1–3" in row[0] or "Day 4–14" in row[0] for row in rows] == [True, True]
    assert len(company.rows("SELECT FROM runbooks.api_keys")) == 1
    assert len(company.rows("SELECT FROM runbooks.messages WHERE thread IS NULL AND text LIKE '%has signed%'")) == 1


async def test_a_pause_moves_the_due_dates_and_nobody_is_reminded_in_it(
    working: Working, client: Client, company: Company, time_skipping: WorkflowEnvironment
) -> None:
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(company), NAME)
        await day_0(handle)
        await handle.execute_update(EnterpriseOnboarding.pause, Pause(**ADA, reason="the customer moves house"))
        await days_pass(time_skipping, 10)
        status = await until(handle, lambda status: status.waiting_for == "resume")
        assert "reminded" not in str(status.entries)
        answer = await handle.execute_update(EnterpriseOnboarding.resume, Resume(**ADA))
        assert "after 10 days" in str(answer)
        await time_skipping.sleep(timedelta(days=1, hours=1))
        status = await until(handle, lambda status: status.waiting_for.startswith("Day 1–3"))
        assert "reminded" not in str(status.entries)
        await days_pass(time_skipping, 1)
        await until(handle, lambda status: "reminded" in str(status.entries))
        await handle.terminate()


async def test_a_phase_gets_another_date(
    working: Working, client: Client, company: Company, time_skipping: WorkflowEnvironment
) -> None:
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(company), NAME)
        await day_0(handle)
        due = await time_skipping.get_current_time() + timedelta(days=20)
        await handle.execute_update(EnterpriseOnboarding.reschedule, Reschedule(**ADA, phase="kickoff", due=due))
        await days_pass(time_skipping, 10)
        status = await until(handle, lambda status: True)
        assert "Technical kickoff: 5 of 5 open, due" not in str(status.entries)
        assert f"Technical kickoff** — due {due:%Y-%m-%d}" in status.board
        past = Reschedule(**ADA, phase="kickoff", due=datetime(2020, 1, 1, tzinfo=UTC))
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update(EnterpriseOnboarding.reschedule, past)
        assert "past" in str(refused.value.cause)
        await handle.terminate()


@pytest.mark.parametrize(("word", "status"), [("keep", "active"), ("suspend", "suspended"), ("close", "closed")])
async def test_stopped_it_says_what_happens_to_the_tenant(
    working: Working, client: Client, company: Company, word: Any, status: str
) -> None:
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(company), NAME)
        await day_0(handle)
        stop = StopOnboarding(**LEAD, tenant=word, reason="contract withdrawn")
        if word != "keep":
            with pytest.raises(WorkflowUpdateFailedError) as refused:
                await handle.execute_update(EnterpriseOnboarding.stop, stop.model_copy(update=ADA))
            assert "may not revoke" in str(refused.value.cause)
        await handle.execute_update(EnterpriseOnboarding.stop, stop)
        result = await handle.result()
    assert result["tenant"] == status
    assert company.rows("SELECT status FROM runbooks.tenants") == [(status,)]


async def test_a_tenant_that_somebody_has_closed_meanwhile_is_not_told_to_be_active(
    working: Working, client: Client, company: Company
) -> None:
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(company), NAME)
        await day_0(handle)
        company.sql.execute("UPDATE runbooks.tenants SET status = 'closed'")
        stop = StopOnboarding(**LEAD, tenant="keep", reason="left to the sales team")
        await handle.execute_update(EnterpriseOnboarding.stop, stop)
        result = await handle.result()
    assert result["tenant"] == "closed"
    assert company.rows("SELECT FROM runbooks.messages WHERE text LIKE '%stopped; the tenant is closed.'")


async def test_cancelled_it_leaves_the_tenant_and_says_so(
    working: Working, client: Client, company: Company, time_skipping: WorkflowEnvironment
) -> None:
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(company), NAME)
        await day_0(handle)
        await cancel(handle)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        timeline = await told(handle)
    assert isinstance(failed.value.cause, CancelledError)
    assert "stay as they are" in timeline
    assert company.rows("SELECT status FROM runbooks.tenants") == [("active",)]


class Picky(Mailbox):
    """Takes mail for everybody but `nobody`."""

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address.startswith("nobody@"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"


@pytest.fixture
def picky(company: Company) -> Iterator[None]:
    controller = Controller(Picky(company.server.mails), hostname=LOOPBACK, port=free_port())
    controller.start()
    company.smtp = SmtpServer(LOOPBACK, controller.port, "none", None)
    yield
    controller.stop()


@pytest.mark.usefixtures("picky")
async def test_a_welcome_that_nobody_takes_is_sent_again_to_the_right_address(
    working: Working, client: Client, company: Company
) -> None:
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(company, email="nobody@acme.test"), NAME)
        status = await until(
            handle, lambda status: "was not taken" in str(company.rows("SELECT text FROM runbooks.messages"))
        )
        await until(handle, lambda status: status.waiting_for.startswith("Day 0"))
        assert "- [ ] Send welcome" in status.board
        email = f"right@{company.domain}"
        assert str(await handle.execute_update(EnterpriseOnboarding.resend, Resend(**ADA, email=email))) == "sent"
        await day_0(handle)
        await handle.terminate()
    assert len(company.subjects(email)) == 2
    # It is what later mails go to, and what the mail says that one signs in by.
    users = "SELECT t.email, u.email FROM runbooks.tenants t JOIN runbooks.tenant_users u USING (tenant_id)"
    assert company.rows(users) == [(email, email)]


async def test_a_welcome_that_is_sent_again_after_the_kickoff_invites_nobody_to_it(
    working: Working, client: Client, company: Company, time_skipping: WorkflowEnvironment
) -> None:
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(company), NAME)
        await day_0(handle)
        await days_pass(time_skipping, 12)
        email = f"new@{company.domain}"
        assert str(await handle.execute_update(EnterpriseOnboarding.resend, Resend(**ADA, email=email))) == "sent"
        await handle.terminate()
    (welcome,) = [mail for mail in company.mails(email) if "Welcome" in str(mail["Subject"])]
    assert [*welcome.iter_attachments()] == []
    assert "first meeting" not in str(welcome)


async def test_what_cannot_be_ticked_is_refused(working: Working, client: Client, company: Company) -> None:
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(company), NAME)
        await day_0(handle)
        for fields, says in (
            ({"item": "party"}, "there is no 'party'"),
            ({"item": "tenant"}, "is ticked already"),
            ({"item": "training", "undo": True}, "is not ticked already"),
            ({"item": "training", "not_needed": True}, "say why"),
            ({"item": "training", "role": "guest"}, "may not customer"),
        ):
            with pytest.raises(WorkflowUpdateFailedError) as refused:
                await handle.execute_update(EnterpriseOnboarding.tick_item, Tick.model_validate({**ADA, **fields}))
            assert says in str(refused.value.cause)
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update("assign", {**ADA, "csm": " ", "se": "\u200b"})
        assert str(refused.value.cause).count("has nothing but blanks") == 2
        await tick(handle, "training", not_needed=True, note="they know it")
        await tick(handle, "training", undo=True)
        await handle.terminate()


async def test_a_name_that_is_taken_is_refused_and_nothing_changes(
    working: Working, client: Client, company: Company
) -> None:
    company.tenant("other", name="Acme Corp")
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(company), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert "name" in cause(failed.value).message
    assert company.rows("SELECT tenant_id FROM runbooks.tenants") == [("other",)]


@pytest.mark.parametrize(
    ("fields", "tenant_id"),
    [({"name": "Müller & Søn"}, "muller-son"), ({"name": "株式会社", "tenant_id": "kaisha"}, "kaisha")],
)
async def test_a_customers_name_may_have_any_letters(
    working: Working, client: Client, company: Company, fields: dict[str, Any], tenant_id: str
) -> None:
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(company, **fields), NAME)
        await day_0(handle)
        await handle.terminate()
    assert company.rows("SELECT tenant_id, name FROM runbooks.tenants") == [(tenant_id, fields["name"])]


async def test_plan_mode_creates_nothing(working: Working, client: Client, company: Company) -> None:
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(company, dry_run=True), NAME)
        result = await handle.result()
        assert "would issue an API key" in await told(handle)
    assert result["tenant"] == "not created"
    assert company.rows("SELECT FROM runbooks.tenants") == []
    assert company.mails(f"it@{company.domain}") == []


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"email": "it at acme"}, "email"),
        ({"email": "it@acme"}, "email"),
        ({"name": "!!!"}, "tenant_id"),
        ({"tenant_id": "Acme"}, "tenant_id"),
        ({"tier": "gold"}, "tier"),
        ({"kickoff_at": "2026-03-01T10:00:00"}, "kickoff_at"),
        ({"kickoff_at": "2020-03-01T10:00:00Z"}, "kickoff_at: is past"),
        ({"renews_on": "2020-03-01"}, "renews_on: is past"),
    ],
)
async def test_bad_input_ends_the_run_at_once_and_names_the_field(
    working: Working, client: Client, company: Company, fields: dict[str, Any], names: str
) -> None:
    async with working(company.activities()) as queue:
        asked = {"name": "Acme", "contact_name": "Grace", "email": "it@acme.test", **fields}
        handle = await client.start_workflow("EnterpriseOnboarding", asked, id=f"bad-{uuid4()}", task_queue=queue)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert names in cause(failed.value).message
    assert company.rows("SELECT FROM runbooks.tenants") == []


async def test_while_the_records_are_away_the_run_goes_on_and_looks_again(
    working: Working, client: Client, company: Company, time_skipping: WorkflowEnvironment
) -> None:
    async with working(company.activities()) as queue:
        handle = await begin(client, queue, request(company), NAME)
        await day_0(handle)
        used(company, "training_job")
        company.sql.execute("ALTER TABLE runbooks.tenant_usage RENAME TO away")
        await time_skipping.sleep(timedelta(hours=3, minutes=30))
        status = await until(handle, lambda status: status.waiting_for.startswith("Day 1"))
        assert "- [ ] First training job run" in status.board
        company.sql.execute("ALTER TABLE runbooks.away RENAME TO tenant_usage")
        await time_skipping.sleep(timedelta(hours=2))
        await until(handle, lambda status: "- [x] First training job run" in status.board)
        await handle.terminate()
