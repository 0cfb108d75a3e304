"""`runbooks onboarding` and `runbooks ticket` against real runs, on real records and a real mail server."""

import asyncio
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg_pool import ConnectionPool
from typer.testing import CliRunner, Result

from activities.catalogue.service import CustomerPolicy
from sandbox.mail_server import MailServer
from starters.__main__ import application
from tests.starters.support import settings_file, working
from tests.workflows.steering import begin, until, waiting_for
from tests.workflows.worlds.company import Company
from workflows.customer_operations.churn_prevention import ChurnPreventionRequest
from workflows.customer_operations.enterprise_onboarding import EnterpriseOnboardingRequest
from workflows.customer_operations.issue_escalation import IssueEscalationRequest
from workflows.security.api_key_rotation import ApiKeyRotationRequest


@pytest.fixture
def company(
    records_pool: ConnectionPool[Any], records_sql: psycopg.Connection[Any], mail_server: MailServer
) -> Company:
    return Company(records_pool, records_sql, mail_server, CustomerPolicy())


async def runbooks(*arguments: str, fails: str = "") -> Result:
    # Commands have an event loop of their own.
    result = await asyncio.to_thread(CliRunner().invoke, application(arguments), list(arguments))
    assert (fails in result.output) if fails else (result.exit_code == 0), result.output
    assert bool(result.exit_code) == bool(fails)
    return result


@pytest.fixture
def queue(temporal_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, company: Company) -> str:
    queue = f"q-{uuid4()}"
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(settings_file(tmp_path, temporal_address, queue, company)))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("RUNBOOKS_USER", "ada")
    monkeypatch.setenv("RUNBOOKS_ROLE", "csm")
    return queue


async def test_an_onboarding_is_steered_from_the_command_line(
    temporal_address: str, queue: str, company: Company
) -> None:
    request = EnterpriseOnboardingRequest(name="Acme", contact_name="Grace", email=f"it@{company.domain}")
    async with working(temporal_address, queue, company) as client:
        handle = await begin(client, queue, request, "enterprise_onboarding")
        await until(handle, lambda status: status.phase.startswith("Day 1"))
        await runbooks("onboarding", "tick", handle.id, "kickoff-call", "--note", "went well")
        await runbooks("onboarding", "tick", handle.id, "party", fails="there is no 'party'")
        await runbooks("onboarding", "assign", handle.id, "--csm", "carl", "--se", "sue")
        await runbooks("onboarding", "assign", handle.id, fails="name at least one")
        await runbooks("onboarding", "reschedule", handle.id, "kickoff", "--due", "2099-03-01T12:00:00Z")
        await runbooks("onboarding", "reschedule", handle.id, "kickoff", "--due", "soon", fails="due:")
        await runbooks("onboarding", "pause", handle.id, "--reason", "holidays")
        await runbooks("resume", handle.id)
        shown = await runbooks("status", handle.id)
        for line in ("Kickoff call completed", "went well", "due 2099-03-01", "carl, sue", "First API call made"):
            assert line in shown.output
        await runbooks("onboarding", "resend", handle.id)
        await runbooks("onboarding", "stop", handle.id, "--tenant", "sell", "--reason", "x", fails="tenant:")
        await runbooks("onboarding", "stop", handle.id, "--tenant", "keep", "--reason", "handed over")
        result = await handle.result()
    assert result["tenant"] == "active"
    assert len(company.subjects(f"it@{company.domain}")) == 4


async def test_a_ticket_is_steered_from_the_command_line(temporal_address: str, queue: str, company: Company) -> None:
    email = company.tenant("acme")
    async with working(temporal_address, queue, company) as client:
        handle = await begin(
            client, queue, IssueEscalationRequest(tenant_id="acme", summary="slow"), "issue_escalation"
        )
        await waiting_for(handle, "update_customer or resolve")
        # The ticket's number does where a run is meant.
        ticket = re.search(r"TCK-[\w-]+", str(await handle.query("status")))
        assert ticket
        await runbooks("ticket", "update", ticket[0], "--text", "We see it.", "--next-within", "2h")
        await runbooks("ticket", "update", handle.id, "--text", "x", "--next-within", "later", fails="a duration")
        await runbooks("ticket", "reassign", handle.id, "--to", "bob")
        await runbooks("ticket", "resolve", handle.id, "--resolution", "Restarted.")
        result = await handle.result()
    assert result["assignee"] == "bob"
    assert len(company.subjects(email)) == 3


async def test_a_rotation_and_an_intervention_are_steered_from_the_command_line(
    temporal_address: str, queue: str, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    company.tenant("acme")
    old = company.key("acme", "tsk_aaaaaaaa1")
    async with working(temporal_address, queue, company) as client:
        rotation = await begin(client, queue, ApiKeyRotationRequest(tenant_id="acme"), "api_key_rotation")
        await until(rotation, lambda status: "Deprecate the old key" in str(status.entries))
        await runbooks("revoke", rotation.id, fails="may not revoke")
        monkeypatch.setenv("RUNBOOKS_ROLE", "security")
        await runbooks("extend", rotation.id, "--by", "PT6H")
        revoked = await runbooks("revoke", rotation.id, "--reason", "the customer has switched")
        assert "tsk_aaaaaaaa1 is revoked" in revoked.output
        assert (await rotation.result())["rotated"]
        assert not company.accepts(old)
        churn = await begin(client, queue, ChurnPreventionRequest(tenant_id="acme"), "churn_prevention")
        await waiting_for(churn, "outreach")
        await runbooks("outreach", churn.id, "--outcome", "great", fails="outcome:")
        await runbooks("outreach", churn.id, "--outcome", "retained", "--note", "all is well")
        assert (await churn.result())["outcome"] == "retained"
