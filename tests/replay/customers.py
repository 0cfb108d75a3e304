"""The runs about customers whose histories are kept (runbook 5.1, 5.2, 5.3, 8.2)."""

from datetime import timedelta
from typing import Any

from tests.replay.cases import Case, Handle, waiting
from tests.replay.company import company
from tests.workflows.steering import until
from tests.workflows.worlds.company import Company
from workflows.customer_operations.churn_prevention import ChurnPreventionRequest
from workflows.customer_operations.customer_words import Outreach, Reassign, Resolve, UpdateCustomer
from workflows.customer_operations.enterprise_onboarding import EnterpriseOnboardingRequest
from workflows.customer_operations.issue_escalation import IssueEscalationRequest
from workflows.customer_operations.onboarding_words import Assign, Pause, Resend, StopOnboarding, Tick
from workflows.platform.approval import Decision
from workflows.platform.lease import Extend, Resume
from workflows.security.api_key_rotation import ApiKeyRotation, ApiKeyRotationRequest
from workflows.security.words import RevokeNow

STILL_USED = "UPDATE runbooks.api_keys SET last_used_at = now() + interval '19 hours'"
USED_LESS = (
    "INSERT INTO runbooks.tenant_usage (tenant_id, hour, kind, count) "
    "SELECT 'acme', date_trunc('hour', now() - ago * interval '1 day', 'UTC'), 'api_call', "
    "CASE WHEN ago > 30 THEN 100 ELSE 10 END FROM generate_series(1, 89) ago"
)
FALLING = ("UPDATE runbooks.tenants SET created_at = now() - interval '1 year'", USED_LESS)
LEA = {"who": "lea", "role": "engineering-lead"}


async def in_grace(handle: Handle) -> None:
    await until(handle, lambda status: "Deprecate the old key" in str(status.entries))


async def extends_and_revokes(handle: Handle, world: Company) -> None:
    await in_grace(handle)
    await handle.execute_update(ApiKeyRotation.extend, Extend(**LEA, by=timedelta(hours=2)))
    await handle.execute_update(ApiKeyRotation.revoke, RevokeNow(**LEA))


async def cancels_in_grace(handle: Handle, world: Company) -> None:
    await in_grace(handle)
    await handle.cancel()


async def revokes(handle: Handle, world: Company) -> None:
    await waiting(handle, "decide revoke")
    await handle.execute_update("decide", Decision(**LEA, question="revoke", choice="revoke"))


async def works_on_the_checklist(handle: Handle, world: Company) -> None:
    await until(handle, lambda status: status.phase.startswith("Day 1"))
    await handle.execute_update("tick", Tick(**LEA, item="kickoff-call", note="went well"))
    await handle.execute_update("assign", Assign(**LEA, csm="carl", se="sue"))
    await handle.execute_update("pause", Pause(**LEA, reason="holidays"))
    await handle.execute_update("resume", Resume(**LEA))
    await handle.execute_update("resend", Resend(**LEA))
    await handle.execute_update("stop", StopOnboarding(**LEA, tenant="suspend", reason="withdrawn"))


async def updates_and_resolves(handle: Handle, world: Company) -> None:
    await until(handle, lambda status: bool(status.waiting_for))
    await handle.execute_update("update_customer", UpdateCustomer(**LEA, text="We see it."))
    await handle.execute_update("reassign", Reassign(**LEA, to="bob"))
    await handle.execute_update("resolve", Resolve(**LEA, resolution="Restarted."))


async def speaks_with_them(handle: Handle, world: Company) -> None:
    await waiting(handle, "outreach")
    await handle.execute_update("outreach", Outreach(**LEA, outcome="retained"))


def rotation(**fields: Any) -> ApiKeyRotationRequest:
    return ApiKeyRotationRequest(tenant_id="acme", **fields)


ONBOARDING = EnterpriseOnboardingRequest(name="Initech", contact_name="Grace", email="it@initech.example")
ISSUE = IssueEscalationRequest(tenant_id="acme", summary="Jobs are slow")
ACME = ChurnPreventionRequest(tenant_id="acme")

CASES: dict[str, Case] = {
    "api_key_rotation-rotated": Case(rotation(), world=company()),
    "api_key_rotation-still-used": Case(rotation(), world=company(STILL_USED)),
    "api_key_rotation-ended-early": Case(rotation(), extends_and_revokes, world=company()),
    "api_key_rotation-compromised": Case(rotation(compromised=True), revokes, world=company()),
    "api_key_rotation-cancelled": Case(rotation(), cancels_in_grace, world=company(), cancelled=True),
    "api_key_rotation-planned": Case(rotation(dry_run=True), world=company()),
    "enterprise_onboarding-stopped": Case(ONBOARDING, works_on_the_checklist, world=company()),
    "issue_escalation-resolved": Case(ISSUE, updates_and_resolves, world=company()),
    "churn_prevention-scanned": Case(ChurnPreventionRequest(), world=company(*FALLING)),
    "churn_prevention-retained": Case(ACME, speaks_with_them, world=company(*FALLING)),
    "churn_prevention-no-outcome": Case(ACME, world=company()),
}
