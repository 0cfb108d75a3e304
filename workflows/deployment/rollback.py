"""Rollback (runbook 4.2): a deployment caused issues."""

import asyncio
from datetime import timedelta
from functools import partial

from pydantic import BaseModel, Field
from temporalio import workflow

from activities.catalogue.service import Service
from activities.common.effects import Change
from activities.common.errors import Refused
from activities.common.text import Reason
from activities.evidence.evidence import CollectLogs, Evidence
from activities.kubernetes.cluster import Kubernetes, PodsRequest, UndoRollout, Workload
from activities.monitoring.health import HealthChecks, HealthRequest
from activities.records.activities import Records
from activities.records.deployments import RecentDeploymentsRequest, RecordDeployment
from activities.releases.helm import DescribeRelease, Helm, HelmRelease, RollbackRelease
from workflows.deployment.rollback_target import Problem, Target, pin
from workflows.platform import policies
from workflows.platform.approval import Question
from workflows.platform.requests import ServiceRequest
from workflows.platform.resets import before_reset
from workflows.platform.runbook import Runbook
from workflows.shared.desk import Desk
from workflows.shared.releases import Releases
from workflows.shared.verification import Verification, verify

_LEAVE, _GO_BACK = "leave", "roll-back"
_LOGS_SINCE = timedelta(hours=1)
_RECORDS_SINCE = timedelta(days=90)


class RollbackRequest(ServiceRequest):
    """Take a service back to an earlier release; to its last good one where none is named."""

    to_revision: int | None = Field(default=None, ge=1, description="Revision of the Deployment to go back to.")
    helm_revision: int | None = Field(default=None, ge=1, description="Revision of the Helm release to go back to.")
    reason: Reason = Field(default="", description="What is wrong, e.g. Error rate spiked to 5%.")
    confirmed: bool = Field(
        default=False, description="Don't ask, though the service is healthy and no revision is named; for scripts."
    )


class RollbackResult(BaseModel):
    """What became of it."""

    service: str
    from_version: str
    to_version: str
    from_revision: int
    to_revision: int = Field(description="The revision that was gone back to; it has a new number since.")
    by: str = Field(description="`helm` or `rollout undo`; `nothing` where people left it as it is.")
    healthy: bool
    reason: str


@workflow.defn
class Rollback(Runbook):
    """Find the problem, undo to a pinned revision, verify, record."""

    SECTION = "4.2"

    @workflow.run
    async def run(self, request: RollbackRequest) -> RollbackResult:
        """Follow 4.2.

        Raises:
            InvalidInput: the service is not in the catalogue.
            NotFound: there is no such revision; nothing has been changed.
            Refused: there is nothing to go back to, or somebody has released meanwhile.

        """
        service = await self.begin(request, title="Rollback", service=request.service, severity="P2")
        self.title = f"Rollback of {service.name}"
        desk = Desk(self, service, "P2", self.title, "ROLLBACK")
        self.phase("Identify the problem")
        reason = request.reason or (request.alert.summary if request.alert else "not told")
        found = await self._identify(service, request)
        target = found.target
        asks = found.well or (target.in_doubt and found.earlier is None and not self.dry_run)
        if asks and not request.confirmed and target.chosen and not await self._wanted(desk, found):
            await self.settle()
            self.finish("left as it is")
            return self._result(service, found.releases, target, by="nothing", healthy=found.well, reason=reason)
        # Read now: going back takes the failing pods, and their logs, away.
        logs = self.background(self._logs(desk, found))

        self.phase("Roll back")
        await self._undo(service, found)
        if self.dry_run:
            await self.settle()
            self.finish("planned")
            return self._result(service, found.releases, target, healthy=False, reason=reason)

        self.phase("Verify")
        within = service.release.timeout if service.release else service.scaling.ready_within
        verified = await verify(self, "4.2/3", service, within)
        state = await self.step("4.2/3", "Current revision", Kubernetes.deployment, _workload(service), policies.READ)
        after = Releases(state, container=service.container)

        self.phase("Document")
        await self._document(desk, found, after, reason if request.reason else f"{reason}; {found.seen}", verified)
        await logs
        await self.settle()
        self.finish("rolled back" if verified.ok else "rolled back, not healthy")
        return self._result(service, after, target, healthy=verified.ok, reason=reason)

    async def _identify(self, service: Service, request: RollbackRequest) -> Problem:
        """Read what is wrong and what there is to go back to (step 1), and pin it."""
        asked = PodsRequest(namespace=service.namespace, selector=service.selector)
        recent = RecentDeploymentsRequest(service=service.name, since=_RECORDS_SINCE, limit=50)
        state, release, deployments, health, pods = await asyncio.gather(
            self.step("4.2/1", "Rollout history", Kubernetes.deployment, _workload(service), policies.READ),
            self._release(service, required=request.helm_revision is not None),
            self.attempt("4.2/1", "Recorded deployments", Records.recent_deployments, recent, policies.READ),
            self.attempt("4.2/1", "Health", HealthChecks.check, HealthRequest(url=service.health_url), policies.READ),
            self.attempt("4.2/1", "Pods", Kubernetes.pods, asked, policies.READ),
        )
        effect = self.effect("rollback")
        earlier = await before_reset(
            self, "4.2/1", effect, Kubernetes.deployment, Helm.release, Records.recent_deployments
        )
        if earlier is not None:
            state = earlier.answer(Kubernetes.deployment) or state
            release, deployments = earlier.answer(Helm.release), earlier.answer(Records.recent_deployments)
        if state.stopped and earlier is None:
            raise Refused(
                f"{service.name} is kept without replicas by {state.stopped}: wait for that run, or cancel it"
            )
        pinned = partial(pin, release=release, revision=request.to_revision, helm_revision=request.helm_revision)
        releases = Releases(
            state,
            deployments,
            container=service.container,
            proven_after=service.incident.proven_after,
            since=request.alert.starts_at if request.alert is not None else None,
            pods=pods,
        )
        chooses = release is not None and request.helm_revision is None and request.to_revision is None
        if chooses and not workflow.patched("helm-by-one-name"):
            pinned = partial(pinned, by_one_name=False)
        target = pinned(releases)
        if target.in_doubt and not workflow.patched("proven-releases"):
            releases = Releases(state, deployments, container=service.container, proven_after=timedelta(0))
            target = pinned(releases)
        how = "Helm revision" if target.by_helm else "revision"
        self.say("decision", f"Back from {how} {target.from_revision} to {how} {target.to_revision}", section="4.2/2")
        if target.in_doubt:
            self.say("decision", f"In doubt: {'; '.join(target.in_doubt)}", section="4.2/2")
        # Of a run that was reset nobody is asked again whether to begin: it had begun.
        well = earlier is None and health is not None and health.healthy and pods is not None
        well = well and not releases.failing(pods) and not self.dry_run
        return Problem(releases, target, effect, earlier, well=well, seen=f"health: {health}; pods: {pods}")

    async def _wanted(self, desk: Desk, found: Problem) -> bool:
        """Ask whether a healthy service is to be taken back, since nobody has said to which release."""
        service, target = desk.service, found.target
        to = f"{'Helm ' * target.by_helm}revision {target.to_revision}"
        title = f"{service.name} is healthy: take it back from {target.from_version} all the same?"
        if not found.well:
            title = (
                f"{service.name}: back from {target.from_version} to {to}, past releases that nobody knows to be good?"
            )
        asked = Question(
            id="healthy" if found.well else "in-doubt",
            title=title,
            options={_LEAVE: "leave it as it is", _GO_BACK: f"go back to {to}"},
            recommended=_LEAVE if found.well else _GO_BACK,
            default=_LEAVE,
            kind="mitigate",
            evidence=[found.seen, *target.in_doubt],
            timeout=(service.release or service.incident).decision_timeout,
        )
        self.background(desk.ask(asked))
        answer = await self.ask(asked, escalate=desk.escalate)
        return answer.choice == _GO_BACK

    async def _release(self, service: Service, *, required: bool) -> HelmRelease | None:
        policy = service.release
        if policy is None:
            return None
        asked = DescribeRelease(namespace=service.namespace, release=policy.release, tag_value=policy.tag_value)
        if required:
            return await self.step("4.2/1", "Helm release", Helm.release, asked, policies.READ)
        return await self.attempt("4.2/1", "Helm release", Helm.release, asked, policies.READ)

    async def _logs(self, desk: Desk, found: Problem) -> None:
        if found.earlier is not None and found.earlier.change(Change) is not None:
            return  # they were of the release that was left
        await self.attempt(
            "4.2/1",
            "Keep the logs",
            Evidence.collect_logs,
            CollectLogs(
                incident_id=desk.id,
                name="logs-before-rollback.txt",
                namespace=desk.service.namespace,
                selector=desk.service.selector,
                since=_LOGS_SINCE,
                failing_only=False,
                effect=self.effect("keep-logs"),
            ),
            policies.COLLECT,
        )

    async def _undo(self, service: Service, found: Problem) -> None:
        target, effect = found.target, found.effect
        if found.earlier is not None and (change := found.earlier.change(Change)) is not None:
            self.say("decision", f"This run was reset, and had done it before: {change}", section="4.2/2")
            return
        pinned = {"from_revision": target.from_revision, "to_revision": target.to_revision}
        if target.by_helm and service.release is not None:
            policy = service.release
            await self.step(
                "4.2/2",
                "Helm rollback",
                Helm.rollback,
                RollbackRelease(
                    namespace=service.namespace,
                    release=policy.release,
                    timeout=policy.timeout,
                    effect=effect,
                    **pinned,
                ),
                policies.WAIT.lasting(policy.timeout),
            )
        else:
            undo = UndoRollout(namespace=service.namespace, deployment=service.deployment, effect=effect, **pinned)
            await self.step("4.2/2", "Rollout undo", Kubernetes.undo_rollout, undo, policies.EFFECT)

    async def _document(self, desk: Desk, found: Problem, after: Releases, reason: str, verified: Verification) -> None:
        """Record from, to and reason (step 4), and tell."""
        service = desk.service
        left, now_on = found.target.from_version, after.current
        # Where somebody has undone the rollout beside Helm already, what runs isn't what is left.
        was = found.releases.state.current if found.releases.runs(left) else None
        record = RecordDeployment(
            service=service.name,
            version=left,
            status="rolled_back",
            at=workflow.now(),
            deployer=self.actor,
            revision=was.number if was else None,
            release=was.template if was else "",
            reason=f"{left} → {now_on}: {reason}"[:2000],
            effect=self.effect("record-rollback"),
        )
        await self.keep("4.2/4", "Record the rollback", Records.record_deployment, record)
        done = f"{service.name} was rolled back from {left} to {now_on}"
        if verified.ok:
            await desk.tell("rolled-back", f":rewind: {done} and is healthy. {reason}")
        else:
            self.say("problem", verified.trouble, section="4.2/3")
            await desk.escalate(f"{done}, but {verified.trouble}")

    def _result(
        self, service: Service, after: Releases, target: Target, *, healthy: bool, reason: str, by: str = ""
    ) -> RollbackResult:
        return RollbackResult(
            service=service.name,
            from_version=target.from_version,
            to_version=after.current,
            from_revision=target.from_revision,
            to_revision=target.to_revision,
            by=by or ("helm" if target.by_helm else "rollout undo"),
            healthy=healthy,
            reason=reason,
        )


def _workload(service: Service) -> Workload:
    return Workload(namespace=service.namespace, deployment=service.deployment)
