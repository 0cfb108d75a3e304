"""Onboarding, issue escalation and churn prevention, with people who bring each to its end."""

from typing import Any, ClassVar

from temporalio.client import WorkflowHandle

from tests.crash.customers import CustomerScenario, address, tenant_id
from tests.crash.people import tell, when
from tests.crash.scenario import Case
from workflows.customer_operations.churn_prevention import ChurnPrevention, ChurnPreventionRequest
from workflows.customer_operations.customer_words import Outreach, Resolve, UpdateCustomer
from workflows.customer_operations.enterprise_onboarding import EnterpriseOnboarding, EnterpriseOnboardingRequest
from workflows.customer_operations.issue_escalation import IssueEscalation, IssueEscalationRequest
from workflows.customer_operations.onboarding_words import Assign, StopOnboarding

_LEA = {"who": "lea", "role": "engineering-lead"}


class OnboardingScenario(CustomerScenario):
    """Day 0, an assignment, and the tenant's suspension."""

    name = "enterprise-onboarding"
    procedure = "enterprise_onboarding"
    has_a_tenant = False
    leaves: ClassVar = {
        "tenants tenant": 1,
        "api_keys issue": 1,
        "handovers issue": 1,
        "tenant_users admin": 1,
        "handovers admin": 1,
        "mails mail-welcome": 1,
        "mails mail-api_key_issued": 1,
        "audit_log assign": 1,
        "audit_log tenant-suspend": 1,
    }

    def request(self, case: Case) -> EnterpriseOnboardingRequest:
        return EnterpriseOnboardingRequest(name=tenant_id(case), contact_name="Grace", email=address(case))

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await when(handle, lambda status: status.phase.startswith("Day 1"))
        await tell(handle, EnterpriseOnboarding.assign, Assign(**_LEA, csm="carl", se="sue"))
        await tell(handle, EnterpriseOnboarding.stop, StopOnboarding(**_LEA, tenant="suspend", reason="withdrawn"))


class IssueScenario(CustomerScenario):
    """A ticket, an update, and its end."""

    name = "issue-escalation"
    procedure = "issue_escalation"
    leaves: ClassVar = {
        "support_tickets ticket": 1,
        "audit_log assign": 1,
        "audit_log close": 1,
        "ticket_comments comment": 1,
        "ticket_comments comment-2": 1,
        "mails mail-issue_received": 1,
        "mails mail-issue_update": 1,
        "mails mail-issue_update-2": 1,
    }

    def request(self, case: Case) -> IssueEscalationRequest:
        return IssueEscalationRequest(tenant_id=tenant_id(case), summary="slow")

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await when(handle, lambda status: bool(status.waiting_for))
        await tell(handle, IssueEscalation.update_customer, UpdateCustomer(**_LEA, text="found"))
        await tell(handle, IssueEscalation.resolve, Resolve(**_LEA, resolution="done"))


class ChurnScenario(CustomerScenario):
    """An intervention with an outcome."""

    name = "churn-prevention"
    procedure = "churn_prevention"
    leaves: ClassVar = {"interventions intervention": 1, "audit_log close": 1, "messages post-outcome": 1}

    def request(self, case: Case) -> ChurnPreventionRequest:
        return ChurnPreventionRequest(tenant_id=tenant_id(case))

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await when(handle, lambda status: status.waiting_for == "outreach")
        await tell(handle, ChurnPrevention.outreach, Outreach(**_LEA, outcome="retained"))
