"""Rollback (runbook 4.2): a deployment caused issues."""

import asyncio
from datetime import timedelta

from pydantic import BaseModel, Field
from temporalio import workflow

from activities.catalogue.service import Service
from activities.common.errors import Refused
from activities.evidence.evidence import CollectLogs, Evidence
from activities.kubernetes.cluster import Kubernetes, PodsRequest, UndoRollout, Workload
from activities.kubernetes.states import DeploymentState
from activities.monitoring.health import HealthChecks, HealthRequest
from activities.records.activities import Records
from activities.records.deployments import RecentDeploymentsRequest, RecordDeployment
from activities.releases.helm import DescribeRelease, Helm, HelmRelease, RollbackRelease
from workflows.deployment.way_back import Target, pin
from workflows.platform import policies
from workflows.platform.requests import ServiceRequest
from workflows.platform.runbook import Runbook
from workflows.shared.desk import Desk
from workflows.shared.releases import image_tag
from workflows.shared.verification import Verification, verify

_LOGS_SINCE = timedelta(hours=1)
_RECORDS_SINCE = timedelta(days=90)


class RollbackRequest(ServiceRequest):
    """Take a service back to an earlier release; to its last good one where none is named."""

    to_revision: int | None = Field(default=None, ge=1, description="Revision of the Deployment to go back to.")
    helm_revision: int | None = Field(default=None, ge=1, description="Revision of the Helm release to go back to.")
    reason: str = Field(default="", max_length=2000, description="What is wrong, e.g. Error rate spiked to 5%.")


class RollbackResult(BaseModel):
    """What became of it."""

    service: str
    from_version: str
    to_version: str
    from_revision: int
    to_revision: int = Field(description="The revision that was gone back to; it has a new number since.")
    by: str = Field(description="`helm` or `rollout undo`.")
    healthy: bool
    reason: str


@workflow.defn
class Rollback(Runbook):
    """Find the problem, undo to a pinned revision, verify, record."""

    SECTION = "4.2"

    def __init__(self) -> None:
        super().__init__()
        self.desk: Desk

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
        self.desk = Desk(self, service, "P2", self.title, "ROLLBACK")
        self.phase("Identify the problem")
        reason = request.reason or (request.alert.summary if request.alert else "not told")
        state, target, problem = await self._identify(service, request)
        # Read now: going back takes the failing pods, and their logs, away.
        logs = self.background(self._logs(service))

        self.phase("Roll back")
        await self._undo(service, target)
        if self.dry_run:
            await self.settle()
            self.finish("planned")
            return self._result(service, state, target, healthy=False, reason=reason)

        self.phase("Verify")
        within = service.release.timeout if service.release else service.scaling.ready_within
        verified = await verify(self, "4.2/3", service, within)
        after = await self.step("4.2/3", "Current revision", Kubernetes.deployment, _workload(service), policies.READ)

        self.phase("Document")
        await self._document(service, target, after, reason if request.reason else f"{reason}; {problem}", verified)
        await logs
        await self.settle()
        self.finish("rolled back" if verified.ok else "rolled back, not healthy")
        return self._result(service, after, target, healthy=verified.ok, reason=reason)

    async def _identify(self, service: Service, request: RollbackRequest) -> tuple[DeploymentState, Target, str]:
        """Read what is wrong and what there is to go back to (step 1), and pin it."""
        pods = PodsRequest(namespace=service.namespace, selector=service.selector)
        recent = RecentDeploymentsRequest(service=service.name, since=_RECORDS_SINCE, limit=50)
        state, release, deployments, health, found = await asyncio.gather(
            self.step("4.2/1", "Rollout history", Kubernetes.deployment, _workload(service), policies.READ),
            self._release(service, required=request.helm_revision is not None),
            self.attempt("4.2/1", "Recorded deployments", Records.recent_deployments, recent, policies.READ),
            self.attempt(
                "4.2/1", "Health", HealthChecks.check, HealthRequest(url=service.health_url), policies.READ
            ),
            self.attempt("4.2/1", "Pods", Kubernetes.pods, pods, policies.READ),
        )  # fmt: skip
        if state.stopped:
            message = f"{service.name} is kept without replicas by {state.stopped}: wait for that run, or cancel it"
            raise Refused(message)
        target = pin(
            state, release, deployments, revision=request.to_revision, helm_revision=request.helm_revision
        )  # fmt: skip
        how = "Helm revision" if target.by_helm else "revision"
        self.say("decision", f"Back from {how} {target.from_revision} to {how} {target.to_revision}", section="4.2/2")
        return state, target, f"health: {health}; pods: {found}"

    async def _release(self, service: Service, *, required: bool) -> HelmRelease | None:
        policy = service.release
        if policy is None:
            return None
        asked = DescribeRelease(namespace=service.namespace, release=policy.release, tag_value=policy.tag_value)
        if required:
            return await self.step("4.2/1", "Helm release", Helm.release, asked, policies.READ)
        return await self.attempt("4.2/1", "Helm release", Helm.release, asked, policies.READ)

    async def _logs(self, service: Service) -> None:
        await self.attempt(
            "4.2/1", "Keep the logs", Evidence.collect_logs,
            CollectLogs(
                incident_id=self.desk.id, name="logs-before-rollback.txt", namespace=service.namespace,
                selector=service.selector, since=_LOGS_SINCE, failing_only=False, effect=self.effect("keep-logs"),
            ),
            policies.COLLECT,
        )  # fmt: skip

    async def _undo(self, service: Service, target: Target) -> None:
        pinned = {"from_revision": target.from_revision, "to_revision": target.to_revision}
        effect = self.effect("rollback")
        if target.by_helm and service.release is not None:
            policy = service.release
            await self.step(
                "4.2/2", "Helm rollback", Helm.rollback,
                RollbackRelease(
                    namespace=service.namespace, release=policy.release, timeout=policy.timeout, effect=effect,
                    **pinned,
                ),
                policies.WAIT.lasting(policy.timeout),
            )  # fmt: skip
        else:
            undo = UndoRollout(namespace=service.namespace, deployment=service.deployment, effect=effect, **pinned)
            await self.step("4.2/2", "Rollout undo", Kubernetes.undo_rollout, undo, policies.EFFECT)

    async def _document(
        self, service: Service, target: Target, after: DeploymentState, reason: str, verified: Verification
    ) -> None:
        """Record from, to and reason (step 4), and tell."""
        left, now_on = target.from_version, image_tag(after.current)
        record = RecordDeployment(
            service=service.name, version=left, status="rolled_back", at=workflow.now(),
            deployer=self.actor, revision=after.current_revision,
            reason=f"{left} → {now_on}: {reason}"[:2000],
            effect=self.effect("record-rollback"),
        )  # fmt: skip
        await self.keep("4.2/4", "Record the rollback", Records.record_deployment, record)
        done = f"{service.name} was rolled back from {left} to {now_on}"
        if verified.ok:
            await self.desk.tell("rolled-back", f":rewind: {done} and is healthy. {reason}")
        else:
            self.say("problem", verified.trouble, section="4.2/3")
            await self.desk.escalate(f"{done}, but {verified.trouble}")

    def _result(
        self, service: Service, after: DeploymentState, target: Target, *, healthy: bool, reason: str
    ) -> RollbackResult:
        return RollbackResult(
            service=service.name,
            from_version=target.from_version,
            to_version=image_tag(after.current),
            from_revision=target.from_revision,
            to_revision=target.to_revision,
            by="helm" if target.by_helm else "rollout undo",
            healthy=healthy,
            reason=reason,
        )


def _workload(service: Service) -> Workload:
    return Workload(namespace=service.namespace, deployment=service.deployment)
