"""Customer churn prevention (runbook 5.3): who is at risk, and one intervention a tenant that comes to an outcome."""

from datetime import datetime, timedelta

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import WorkflowAlreadyStartedError, is_cancelled_exception

from activities.catalogue.service import Service
from activities.common.errors import Refused
from activities.common.text import Name, fitted
from activities.customers.churn_risk import (
    AtRiskRequest,
    ChurnRisk,
    CustomerHealth,
    HealthOf,
    TenantAtRisk,
)
from activities.customers.interventions import CloseIntervention, Interventions, OpenIntervention
from activities.customers.tenant_records import TENANT_ID
from activities.customers.tenants import Tenant
from audit.text import counted
from workflows.customer_operations.customer_words import Outreach
from workflows.platform import policies
from workflows.platform.described import described
from workflows.platform.lease import finally_do
from workflows.platform.requests import ServiceRequest
from workflows.platform.resets import started_before_reset
from workflows.platform.runbook import Runbook
from workflows.shared.customers import find_tenant
from workflows.shared.desk import Desk


class ChurnPreventionRequest(ServiceRequest):
    """Look at all tenants, or look after one."""

    tenant_id: Name | None = Field(
        default=None, pattern=TENANT_ID, description="Whom to look after; all are looked at where none is named."
    )


class ChurnPreventionResult(BaseModel):
    """What was found, or what came of it."""

    at_risk: list[TenantAtRisk] = Field(default_factory=list, description="Of all tenants, where all were looked at.")
    started: list[str] = Field(default_factory=list, description="Tenants whose intervention this run has started.")
    score: int | None = None
    outcome: str = ""


@workflow.defn
class ChurnPrevention(Runbook):
    """Without a tenant: a scan that starts a run a tenant. With one: the intervention."""

    SECTION = "5.3"
    VERSIONING = VersioningBehavior.AUTO_UPGRADE

    def __init__(self) -> None:
        super().__init__()
        self.said: Outreach | None = None
        self._awaiting = False
        self._ended_as = "failed"

    @workflow.run
    async def run(self, request: ChurnPreventionRequest) -> ChurnPreventionResult:
        """Follow 5.3.

        Raises:
            InvalidInput: the service is not in the catalogue.
            NotFound: there is no such tenant, or it isn't active.
            Refused: an intervention is open for it.

        """
        whom = request.tenant_id or "all tenants"
        service = await self.begin(request, title=f"Churn prevention: {whom}", service=request.service, severity="P4")
        desk = Desk(self, service, "P4", self.title, "CHURN")
        if request.tenant_id is None:
            return await self._scan(desk)
        return await self._look_after(desk, request.tenant_id)

    # -- all tenants -------------------------------------------------------------------------------------

    async def _scan(self, desk: Desk) -> ChurnPreventionResult:
        self.phase("At-risk customers")
        policy = desk.service.customers.churn
        request = AtRiskRequest(policy=policy, as_of=workflow.now())
        found = await self.step("5.3/1", "At-risk customers", CustomerHealth.at_risk, request, policies.COLLECT)
        self.phase("Interventions")
        chosen, started = found.items[: policy.most_at_once], []
        for tenant in chosen:
            if self.dry_run:
                self.say("decision", f"would look after {tenant}")
            elif await self._start(desk.service, tenant):
                started.append(tenant.tenant_id)
        if left := len(found.items) - len(chosen):
            more = counted(left, "more is", "more are")
            self.say("problem", f"{more} at risk than are looked after at once (customers.churn.most_at_once)")
        listed = "".join(f"\n• {tenant}" for tenant in chosen)
        if not self.dry_run and chosen:
            begin = counted(len(started), "intervention begins", "interventions begin")
            await desk.open(f":chart_with_downwards_trend: {found}; {begin}.{listed}")
        await self.settle()
        self.finish("planned" if self.dry_run else "scanned")
        return ChurnPreventionResult(at_risk=found.items, started=started)

    async def _start(self, service: Service, tenant: TenantAtRisk) -> bool:
        """Start the intervention; False where the tenant has a run that goes on."""
        request = ChurnPreventionRequest(
            service=service.name,
            tenant_id=tenant.tenant_id,
            requested_by=fitted(f"the scan {workflow.info().workflow_id}", 200),
        )
        name = f"churn-prevention/{tenant.tenant_id}"
        if await started_before_reset(self, "5.3/4", name):
            return True
        try:
            await workflow.start_child_workflow(
                ChurnPrevention.run,
                request,
                id=name,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                cancellation_type=workflow.ChildWorkflowCancellationType.ABANDON,
                memo=self.began,
            )
        except WorkflowAlreadyStartedError:
            self.say("decision", f"{tenant} is being looked after already")
            return False
        self.say("decision", f"{tenant}: its intervention begins", section="5.3/4")
        return True

    # -- one tenant --------------------------------------------------------------------------------------

    async def _look_after(self, desk: Desk, tenant_id: str) -> ChurnPreventionResult:
        self.phase("Churn risk")
        tenant = await find_tenant(self, "5.3/2", tenant_id)
        policy = desk.service.customers.churn
        health = HealthOf(tenant_id=tenant_id, policy=policy, as_of=workflow.now())
        risk = await self.step("5.3/2", "Churn risk", CustomerHealth.health, health, policies.READ)
        self.say("step", f"Usage of the last 13 weeks: {', '.join(map(str, risk.weeks))}", section="5.3/3")
        if risk.score < policy.at_risk_above:
            self.say(
                "decision", f"{risk.score} is below {policy.at_risk_above}: looked after since somebody asks for it"
            )
        self.phase("Intervention")
        plan = _plan(risk)
        open_it = OpenIntervention(
            tenant_id=tenant_id,
            notes=plan,
            score=risk.score,
            csm=tenant.csm,
            opened_at=workflow.now(),
            effect=self.effect("intervention"),
        )
        if self.dry_run:
            await self.step("5.3/4", "Open the intervention", Interventions.open, open_it, policies.EFFECT)
            self.say("decision", f"would ask {tenant.csm or 'a CSM'} to speak with {tenant.name}")
            self.finish("planned")
            return ChurnPreventionResult(score=risk.score, outcome="planned")
        await finally_do(self._intervene(desk, tenant, risk, open_it), lambda: self._close(tenant_id))
        await self.settle()
        self.finish(self._ended_as)
        return ChurnPreventionResult(score=risk.score, outcome=self._ended_as)

    async def _intervene(self, desk: Desk, tenant: Tenant, risk: ChurnRisk, request: OpenIntervention) -> None:
        try:
            await self.step("5.3/4", "Open the intervention", Interventions.open, request, policies.EFFECT)
            whom, run = tenant.csm or "no CSM is assigned", workflow.info().workflow_id
            await desk.open(
                f":telephone_receiver: {whom}: please speak with {tenant.contact_name} of {tenant} ({tenant.email}). "
                f"{request.notes} ({risk.score} of 100).\nThen: `runbooks outreach {run} --outcome …`"
            )
            self._ended_as = await self._outreach(desk, tenant)
        except BaseException as error:
            if is_cancelled_exception(error):
                self._ended_as = "cancelled"
                self.finish("cancelled")
            raise

    async def _outreach(self, desk: Desk, tenant: Tenant) -> str:
        """Wait for what the CSM says: remind, escalate, and give up in the end."""
        policy, began = desk.service.customers.churn, workflow.now()
        self.phase("CSM outreach")
        self.wait_for("outreach")
        self._awaiting = True
        late = f"{tenant.name}: no outreach yet ({tenant.csm or 'nobody'})"
        if not await self._heard_before(began + policy.remind_after):
            self.say("deadline", late)
            await desk.tell("reminder", f":alarm_clock: {late}")
        if not await self._heard_before(began + policy.escalate_after):
            await self._escalate(desk, f":rotating_light: {late}")
        if not await self._heard_before(began + policy.give_up_after):
            self.say("deadline", f"No outcome after {counted(policy.give_up_after.days, 'day')}: closed without one")
        self._awaiting = False
        self.wait_for("")
        if self.said is None:
            await desk.tell("no outcome", f":warning: {tenant.name}: nobody has reported an outcome.")
            return "no outcome"
        await desk.tell("outcome", f":speech_balloon: {tenant.name}: {self.said.outcome}. {self.said.note}".rstrip())
        return self.said.outcome

    async def _heard_before(self, at: datetime) -> bool:
        try:
            await workflow.wait_condition(
                lambda: self.said is not None,
                timeout=max(at - workflow.now(), timedelta(0)),
                timeout_summary="until the CSM is reminded",
            )
        except TimeoutError:
            return False
        return True

    async def _escalate(self, desk: Desk, text: str) -> None:
        """Tell those above; no page, since nobody is to be woken for this."""
        self.say("deadline", "Still no outreach: escalated")
        for channel in desk.service.stakeholders:
            await desk.post("escalated", f"Tell {channel}", text, channel=channel)

    async def _close(self, tenant_id: str) -> None:
        close = CloseIntervention(
            tenant_id=tenant_id,
            opened_by=workflow.info().run_id,
            opening=self.first_effect("intervention").key,
            outcome=self._ended_as,
            closed_at=workflow.now(),
            effect=self.effect("close"),
        )
        await self.attempt("5.3/5", "Close the intervention", Interventions.close, close, policies.RELEASE)

    # -- what people send --------------------------------------------------------------------------------

    @workflow.update(
        name="outreach",
        description=described(
            "Say what came of speaking with the customer.",
            Outreach,
            "csm",
            outcome="retained",
            note="They were on holiday",
        ),
    )
    async def outreach(self, word: Outreach) -> str:
        """Take the outcome."""
        self.said = word
        note = f": {word.note}" if word.note else ""
        self.say("decision", f"Outreach: {word.outcome}{note}", who=f"{word.who} ({word.role})")
        return f"noted: {word.outcome}"

    @outreach.validator
    def _check_outreach(self, word: Outreach) -> None:
        self.approvals.authorise(word, "customer")
        if not self._awaiting or self.said is not None:
            raise Refused("no outreach is waited for: see `runbooks status`")


def _plan(risk: ChurnRisk) -> str:
    """Write the intervention's notes: what counts most comes first."""
    signs = sorted((part for part in risk.parts if part.points > 0), key=lambda part: -part.points)
    what = "; ".join(part.says for part in signs) or "no sign of churn"
    return f"{what[0].upper()}{what[1:]}. Schedule a check-in"
