"""Nobody writes: the autoscaler is held, there are no pods, sessions have left; and the way back (runbook 7.3)."""

from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.catalogue.database import RestorePolicy
from activities.catalogue.service import Service
from activities.database.upkeep.ending import EndSessions, Sessions
from activities.kubernetes.cluster import AwaitRollout, Kubernetes, ScaleDeployment, Workload
from audit.text import counted, noun
from workflows.disaster_recovery.restore.restore_plan import RestorePlan
from workflows.platform import policies
from workflows.platform.runbook import Runbook
from workflows.shared.autoscaler_pause import AutoscalerPause
from workflows.shared.desk import Desk, insist

_ENDING = timedelta(seconds=10)


class WriteStop:
    """Writes of one service, stopped by one run."""

    def __init__(self, run: Runbook, desk: Desk, service: Service, plan: RestorePlan) -> None:
        self.run = run
        self.desk = desk
        self.service = service
        self.plan = plan
        self.pause = AutoscalerPause(run, desk, service, plan.longest, pausing="7.3/1", resuming="7.3/6")
        self.stopped = False
        self.doubt = ""
        """Why somebody may still write."""

    async def stop(self) -> None:
        """Stop them.

        Raises:
            ActivityError: another run holds the autoscaler, or the service can't be scaled.

        """
        await self._hold_the_autoscaler()
        self.stopped = not self.run.dry_run
        stop = self._scaling(0, "stop-writes")
        stop.stopped_until = workflow.now() + self.plan.longest
        await self.run.step("7.3/1", "Stop writes", Kubernetes.scale, stop, policies.EFFECT)
        if self.run.dry_run:
            return
        where = {"namespace": self.service.namespace, "deployment": self.service.deployment}
        within = self.service.scaling.ready_within
        ended = await self.run.attempt(
            "7.3/1", "Pods have ended", Kubernetes.await_rollout, AwaitRollout(**where, timeout=within),
            policies.WAIT.lasting(within),
        )  # fmt: skip
        left = await self._end_sessions(self.plan.database.restore)
        if left is None or ended is None or not ended.complete:
            self.doubt = "it could not be seen that nobody writes any more"
            self.run.say("problem", self.doubt, section="7.3/1")

    async def _hold_the_autoscaler(self) -> None:
        """Hold it; a service without one needs no holding."""
        if self.service.scaled_object is None and self.service.hpa is None:
            return
        try:
            await self.pause.acquire(1)
        except ActivityError as error:
            if not (isinstance(error.cause, ApplicationError) and error.cause.type == "NotFound"):
                raise
            self.run.say("decision", "There is no autoscaler that could start pods meanwhile", section="7.3/1")

    async def _end_sessions(self, policy: RestorePolicy) -> object | None:
        request = EndSessions(
            database=self.plan.database.name, server=self.plan.primary, roles=policy.roles,
            leave_within=policy.leave_within, effect=self.run.effect("end-sessions"),
        )  # fmt: skip
        limit = policy.leave_within + _ENDING
        return await self.run.attempt(
            "7.3/1", "Sessions have left", Sessions.end, request, policies.COLLECT.lasting(limit)
        )

    async def look_again(self) -> None:
        """See that nobody has started the service meanwhile, before what was restored is compared with it."""
        where = Workload(namespace=self.service.namespace, deployment=self.service.deployment)
        state = await self.run.attempt("7.3/5", "Does still nobody write", Kubernetes.deployment, where, policies.READ)
        if state is not None and state.replicas:
            replicas = counted(state.replicas, "replica")
            lost = f"what {noun(state.replicas, 'it writes', 'they write')} is lost as well"
            self.doubt = f"somebody has scaled {state.name} to {replicas}: {lost}"
            self.run.say("problem", self.doubt, section="7.3/5")

    async def let_write(self, replicas: int) -> None:
        """Bring the service back with so many replicas, and let the autoscaler go; each though the other fails."""
        if self.stopped:
            back = self._scaling(replicas, "scale-back")
            # Pods that somebody has started meanwhile know only where the service was pointed then.
            back.replaced_at = workflow.now()
            await self._or_tell(
                insist(
                    self.desk, "7.3/6", "Restore the service", Kubernetes.scale, back,
                    undone=f"{self.service.name} still has no replicas: writes are stopped",
                ),
                f"{self.service.name} can't be scaled to {counted(replicas, 'replica')}: do it by hand, "
                "writes are stopped",
            )  # fmt: skip
            self.stopped = False
        await self._or_tell(self.pause.release(), f"the autoscaler of {self.service.name} can't be resumed: do it")

    async def _or_tell(self, work: Coroutine[Any, Any, object], trouble: str) -> None:
        try:
            await work
        except ActivityError:
            await self.desk.escalate(trouble)

    def _scaling(self, replicas: int, step: str) -> ScaleDeployment:
        return ScaleDeployment(
            namespace=self.service.namespace, deployment=self.service.deployment, replicas=replicas,
            effect=self.run.effect(step),
        )  # fmt: skip
