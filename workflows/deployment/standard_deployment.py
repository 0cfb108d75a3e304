"""Standard deployment (runbook 4.1): a new version goes to production, and comes back by itself if it is no good."""

import asyncio
from typing import Literal

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities.catalogue.service import ReleasePolicy, Service
from activities.common.errors import Misconfigured, Refused
from activities.common.text import Name, Words, fitted
from activities.kubernetes.cluster import Kubernetes, Workload
from activities.monitoring.figures import Figures
from activities.records.activities import Records
from activities.records.deployments import RecordDeployment
from activities.releases.helm import DescribeRelease, Helm, HelmRelease, ReleaseChange, UpgradeRelease
from activities.releases.smoke import RunSmokeJob, Smoke, SmokeChecks
from activities.releases.watch import BaselineRequest, ReleaseWatch, Watched, WatchRelease
from audit.text import counted, length
from workflows.deployment import predeploy
from workflows.deployment.plan import Plan
from workflows.deployment.rollback import Rollback, RollbackRequest, RollbackResult
from workflows.platform import policies
from workflows.platform.approval import Question
from workflows.platform.lease import shielded
from workflows.platform.requests import ServiceRequest
from workflows.platform.resets import Earlier, before_reset, child_before_reset
from workflows.platform.runbook import Runbook
from workflows.platform.steps import reason
from workflows.shared.desk import Desk
from workflows.shared.verification import verify

VERSION = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"
_KEEP, _ROLL_BACK = "keep", "roll-back"
Status = Literal["started", "complete", "failed"]


class StandardDeploymentRequest(ServiceRequest):
    """Deploy a version."""

    version: Name = Field(pattern=VERSION, description="Image tag, e.g. v1.2.4.")
    change_log: Words = Field(default="", max_length=10_000, description="What is new in it.")


class StandardDeploymentResult(BaseModel):
    """What became of it."""

    service: str
    version: str
    outcome: Literal["complete", "rolled back", "stopped", "planned"]
    before: str = Field(description="The version that ran before.")
    revision: int = Field(description="Helm revision of the version; 0 where none was made.")
    reason: str = Field(default="", description="Why it was stopped or rolled back.")
    watched: Watched | None = None


@workflow.defn
class StandardDeployment(Runbook):
    """Check, record, deploy with Helm, verify, smoke-test, watch; roll back what is no good."""

    SECTION = "4.1"

    def __init__(self) -> None:
        super().__init__()
        self._revision = 0
        self._watched: Watched | None = None
        self._touched = False
        self._started: asyncio.Task[None] | None = None
        self._earlier: Earlier | None = None

    @workflow.run
    async def run(self, request: StandardDeploymentRequest) -> StandardDeploymentResult:
        """Follow 4.1.

        Raises:
            InvalidInput: the service is not in the catalogue.
            Misconfigured: settings don't say how releases of the service go out.
            Refused: the version runs already, somebody else releases at the same time, or a run keeps the service
                stopped: a release would start it.

        """
        service = await self.begin(request, title=f"Deployment of {request.version}", service=request.service)
        self.title = f"Deployment of {service.name} {request.version}"
        if service.release is None:
            raise Misconfigured(
                f"{service.name} has no [services.{service.name}.release] in runbooks.toml: add its chart"
            )
        policy = service.release
        desk = Desk(self, service, "P2", self.title, "DEPLOY")

        self.phase("Pre-deployment checks")
        found, before = await asyncio.gather(
            predeploy.check(self, service, policy, request.version), self._helm_release(service, policy)
        )
        upgrading = self.effect("helm-upgrade")
        self._earlier = await before_reset(self, "4.1/1", upgrading, Helm.release)
        if self._earlier is not None:
            before = self._begun_before(before, self._earlier)
        elif before.current is not None and before.current.status == "deployed" and before.tag == request.version:
            raise Refused(f"version: {request.version} runs already (Helm revision {before.current.number})")
        if before.uninstalled:
            raise Refused(before.uninstalled)
        if before.current is not None and workflow.patched("kept-stopped"):
            await self._must_not_be_stopped(service)
        plan = Plan(service, policy, request.version, request.change_log, desk, before, upgrading)
        # Of a run that was reset nobody is asked again whether to begin: it had begun.
        if self._earlier is None and (stopped := await self._objected(plan, found)):
            await self.settle()
            self.finish("stopped")
            return self._result(plan, "stopped", stopped)
        if before.current is not None and workflow.patched("looks-before-acting"):
            # Once more, since people may have taken their time to answer; and what can't be read may be stopped.
            await self._must_not_be_stopped(service, readable=True)

        try:
            trouble = await self._deploy(plan)
        except (Exception, asyncio.CancelledError) as error:
            why = "cancelled" if is_cancelled_exception(error) else _sentence(error)
            await shielded(self._put_back(plan, why))
            self.finish("cancelled" if is_cancelled_exception(error) else "failed")
            raise
        if trouble:
            await shielded(self._put_back(plan, trouble))
        return await self._end(plan, trouble)

    # -- before ------------------------------------------------------------------------------------------

    async def _helm_release(self, service: Service, policy: ReleasePolicy) -> HelmRelease:
        asked = DescribeRelease(namespace=service.namespace, release=policy.release, tag_value=policy.tag_value)
        return await self.step("4.1/1", "Helm release", Helm.release, asked, policies.READ)

    async def _must_not_be_stopped(self, service: Service, *, readable: bool = False) -> None:
        where = Workload(namespace=service.namespace, deployment=service.deployment)
        look = self.step if readable else self.attempt
        state = await look("4.1/1", "Is it kept stopped", Kubernetes.deployment, where, policies.READ)
        if state is not None and state.stopped:
            raise Refused(
                f"{service.name} is kept without replicas by {state.stopped}: wait for that run, or cancel it"
            )

    async def _objected(self, plan: Plan, found: predeploy.Predeploy) -> str:
        """Ask where something speaks against it; gives why it is stopped, empty where it goes on."""
        if not found.objections:
            self.say("decision", "Pre-deployment checks passed", section="4.1/1")
            return ""
        asked = predeploy.question(plan.version, found, plan.policy)
        if self.dry_run:
            self.say("decision", f"would ask: {asked.title}", section="4.1/1")
            return ""
        self.background(plan.desk.ask(asked))
        answer = await self.ask(asked, escalate=plan.desk.escalate)
        return "" if answer.choice == predeploy.OVERRIDE else f"{'; '.join(found.objections)} ({answer.by})"

    def _begun_before(self, now: HelmRelease, earlier: Earlier) -> HelmRelease:
        """Go on with what was pinned before the reset, unless something else has been released since.

        Raises:
            Refused: it has, perhaps by this run itself, which took the version back; says what had become of it.

        """
        done = earlier.change(ReleaseChange)
        if done is not None and (now.current is None or now.current.number != done.revision):
            raise Refused(
                f"this run was reset, and had done it before: {done}. Now it is {now}: start a new deployment"
            )
        return earlier.answer(Helm.release) or now

    # -- deploying ---------------------------------------------------------------------------------------

    async def _deploy(self, plan: Plan) -> str:
        """Follow steps 2 to 6; gives what is wrong with the version, empty where it is good."""
        service, policy = plan.service, plan.policy
        baseline = await self.attempt(
            "4.1/6",
            "Baseline",
            ReleaseWatch.baseline,
            BaselineRequest(
                error_rate=service.metrics.error_rate,
                p95_latency=service.metrics.p95_latency,
                over=policy.baseline_over,
            ),
            policies.READ,
        )
        self.phase("Deploy")
        self._started = self.background(self._record(plan, "started"))
        self.background(plan.desk.open(f":rocket: Deploying {service.name} {plan.version} (was {plan.before.version})"))
        deployed, trouble = await self._upgrade(plan)
        if self.dry_run or not deployed:
            return trouble

        self.phase("Verify")
        verified = await verify(self, "4.1/4", service, policy.timeout, steady_for=policy.breach_for)
        if not verified.ok:
            return verified.trouble
        if trouble := await self._smoke(plan):
            return trouble
        self.phase(f"Watch for {length(policy.watch_for)}")
        return await self._watch(plan, baseline or Figures())

    async def _upgrade(self, plan: Plan) -> tuple[bool, str]:
        """Release with Helm (step 3)."""
        policy = plan.policy
        upgrade = UpgradeRelease(
            namespace=plan.service.namespace,
            release=policy.release,
            chart=policy.chart,
            tag_value=policy.tag_value,
            version=plan.version,
            values=policy.values,
            from_revision=plan.revision,
            timeout=policy.timeout,
            effect=plan.upgrading,
        )
        self._touched = not self.dry_run
        if self._earlier is not None and (done := self._earlier.change(ReleaseChange)) is not None:
            self.say("decision", f"This run was reset, and had done it before: {done}", section="4.1/3")
            self._revision = done.revision
            return done.deployed, done.reason
        try:
            change = await self.step(
                "4.1/3", "Helm upgrade", Helm.upgrade, upgrade, policies.WAIT.lasting(policy.timeout)
            )
        except ActivityError as error:
            if isinstance(error.cause, ApplicationError) and error.cause.non_retryable:
                self._touched = False  # refused: whatever is released now is not ours to take back
            raise
        self._revision = change.revision
        return change.deployed, change.reason

    async def _smoke(self, plan: Plan) -> str:
        """Run the smoke tests that settings name (step 5)."""
        self.phase("Smoke tests")
        policy = plan.policy
        if policy.smoke:
            checks = SmokeChecks(checks=list(policy.smoke))
            lasting = policies.WAIT.lasting(sum((3 * c.timeout for c in policy.smoke), start=policy.watch_every))
            result = await self.step("4.1/5", "Smoke checks", Smoke.http, checks, lasting)
            if not result.ok:
                return f"smoke checks: {result}"
        if policy.smoke_job is not None:
            job = RunSmokeJob(
                namespace=plan.service.namespace,
                service=plan.service.name,
                version=plan.version,
                job=policy.smoke_job,
                effect=self.effect("smoke-job"),
            )
            lasting = policies.WAIT.lasting(policy.smoke_job.timeout)
            ended = await self.step("4.1/5", "Smoke job", Smoke.job, job, lasting)
            if not ended.passed:
                return f"the smoke job failed: {ended}"
        return ""

    async def _watch(self, plan: Plan, baseline: Figures) -> str:
        """Watch error rate and latency against what they were (step 6)."""
        service, policy = plan.service, plan.policy
        self._watched = await self.step(
            "4.1/6",
            "Watch error rate and latency",
            ReleaseWatch.watch,
            WatchRelease(
                error_rate=service.metrics.error_rate,
                p95_latency=service.metrics.p95_latency,
                health_url=service.health_url,
                baseline=baseline,
                error_rate_rise=policy.error_rate_rise,
                latency_factor=policy.latency_factor,
                breach_for=policy.breach_for,
                lasting=policy.watch_for,
                every=policy.watch_every,
            ),
            policies.WAIT.lasting(policy.watch_for),
        )
        # What is beyond its limit when time is up is no good either, however short it has been so.
        trouble = self._watched.breach or self._watched.unsettled
        if trouble or 2 * self._watched.blind <= self._watched.samples:
            return trouble
        return await self._blind(plan, self._watched)

    async def _blind(self, plan: Plan, watched: Watched) -> str:
        """Ask a person where the figures were missing most of the time."""
        asked = Question(
            id="blind",
            title="Nobody could watch this release: keep it?",
            options={_KEEP: "keep it: it is healthy", _ROLL_BACK: "roll it back"},
            recommended=_KEEP,
            default=_KEEP,
            kind="deploy",
            evidence=[f"{watched.blind} of {counted(watched.samples, 'sample')} had no figures", str(watched)],
            timeout=plan.policy.decision_timeout,
        )
        self.background(plan.desk.ask(asked))
        answer = await self.ask(asked, escalate=plan.desk.escalate)
        return f"not watched, and not wanted ({answer.by})" if answer.choice == _ROLL_BACK else ""

    # -- after -------------------------------------------------------------------------------------------

    async def _put_back(self, plan: Plan, why: str) -> None:
        """Roll back, as a run of its own (4.2); the record says failed where there was nothing to roll back."""
        if self.dry_run:
            return
        self.phase("Roll back")
        if self._started is not None:
            await self._started  # what is moved on must be there
        self.say("decision", f"{plan.version} is no good: {why}")
        release = await self._helm_release(plan.service, plan.policy) if self._touched else plan.before
        ours = release.current is not None and release.current.number > plan.revision and release.tag == plan.version
        if not ours or not plan.revision:
            await self._record(plan, "failed", why)
            await plan.desk.escalate(f"{plan.version} failed: {why}. There is no release of it to roll back")
            return
        name = f"{workflow.info().workflow_id}/rollback"
        try:
            result = await self._rolled_back_to(plan, name, why)
        except Exception as error:
            await self._record(plan, "failed", why)
            await plan.desk.escalate(f"{plan.version} is no good ({why}) and could not be rolled back: {error}")
            raise
        self.say("effect", f"Rolled back to {result.to_version}, healthy: {result.healthy}", section="4.2")

    async def _rolled_back_to(self, plan: Plan, name: str, why: str) -> RollbackResult:
        """Run 4.2 as a run of its own; one that this run had started before it was reset is not begun again.

        Raises:
            Refused: that one had failed, and says why.
            ChildWorkflowError: this one has.

        """
        before = await child_before_reset(self, "4.2", name)
        if before is not None and before.failure:
            raise Refused(before.failure)
        if before is not None:
            return RollbackResult.model_validate(before.result)
        result: RollbackResult = await workflow.execute_child_workflow(
            Rollback.run,
            RollbackRequest(
                service=plan.service.name,
                helm_revision=plan.revision,
                reason=fitted(why, 2000, lines=True),
                requested_by=self.actor,
            ),
            id=name,
            # Begun, it ends, whatever becomes of this run.
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            memo=self.began,
            static_summary=f"Rollback of {plan.service.name} {plan.version}",
        )
        return result

    async def _record(self, plan: Plan, status: Status, why: str = "") -> None:
        """Keep the deployment record (steps 2 and 7)."""
        step = {"started": "4.1/2", "complete": "4.1/7", "failed": "4.1"}[status]
        await self.keep(
            step,
            f"Deployment record: {status}",
            Records.record_deployment,
            RecordDeployment(
                service=plan.service.name,
                version=plan.version,
                status=status,
                at=workflow.now(),
                deployer=self.actor,
                change_log=plan.change_log,
                reason=why[:2000],
                effect=self.effect(f"record-{status}"),
            ),
        )

    async def _end(self, plan: Plan, trouble: str) -> StandardDeploymentResult:
        outcome: Literal["complete", "rolled back", "planned"]
        outcome = "planned" if self.dry_run else "rolled back" if trouble else "complete"
        told = f"{plan.service.name} {plan.version}"
        if outcome == "complete":
            self.phase("Complete")
            await self._record(plan, "complete")
            await plan.desk.tell("complete", f":white_check_mark: {told} is out: {self._watched}")
        elif outcome == "rolled back":
            await plan.desk.tell("rolled-back", f":rewind: {told} was rolled back: {trouble}")
        await self.settle()
        self.finish(outcome)
        return self._result(plan, outcome, trouble)

    def _result(
        self, plan: Plan, outcome: Literal["complete", "rolled back", "stopped", "planned"], why: str
    ) -> StandardDeploymentResult:
        return StandardDeploymentResult(
            service=plan.service.name,
            version=plan.version,
            outcome=outcome,
            before=plan.before.version,
            revision=self._revision,
            reason=why,
            watched=self._watched,
        )


def _sentence(error: BaseException) -> str:
    return reason(error) if isinstance(error, ActivityError) else str(error)
