"""Emergency scale-up (runbook 3.2): pause the autoscaler, double the capacity, resume it after half an hour."""

import asyncio
import math
from datetime import timedelta

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

from activities.autoscaling.autoscalers import Autoscalers
from activities.autoscaling.states import AutoscalingRequest
from activities.common.errors import InvalidInput, Refused
from activities.kubernetes.cluster import DeploymentRequest, Kubernetes, PodsRequest, ScaleDeployment
from audit.text import counted, length
from workflows.platform import policies
from workflows.platform.described import described
from workflows.platform.lease import Extend, Lease, Resume, finally_do
from workflows.platform.requests import ServiceRequest
from workflows.platform.runbook import Runbook
from workflows.scaling.scale_plan import ScalePlan
from workflows.shared.autoscaler_pause import AutoscalerPause
from workflows.shared.desk import Desk
from workflows.shared.verification import Verification, verify


class EmergencyScaleUpRequest(ServiceRequest):
    """Double a service's capacity, with the autoscaler paused."""

    factor: float = Field(default=2, gt=1, le=10, description="Times the current replicas.")
    lease: timedelta | None = Field(
        default=None,
        gt=timedelta(0),
        le=timedelta(days=1),
        description="How long the autoscaler stays paused, e.g. PT30M; as settings say where nothing is given.",
    )


class EmergencyScaleUpResult(BaseModel):
    """What became of it."""

    service: str
    before: int
    target: int
    ready: int = 0
    complete: bool = Field(description="All of them ready, and the service healthy.")
    paused: str = Field(description="What was done to the autoscaler.")
    resumed: str = Field(default="", description="How it was left; empty where it was never this run's to resume.")
    ended_by: str = Field(default="", description="What ended the pause: `expiry`, or a person.")


@workflow.defn
class EmergencyScaleUp(Runbook):
    """Pause, double, verify; hold the lease; resume on every way out."""

    SECTION = "3.2"

    def __init__(self) -> None:
        super().__init__()
        self.pause: AutoscalerPause | None = None
        self._verified: asyncio.Task[Verification] | None = None

    @workflow.run
    async def run(self, request: EmergencyScaleUpRequest) -> EmergencyScaleUpResult:
        """Follow 3.2.

        Raises:
            InvalidInput: the service is not in the catalogue; the lease is longer than settings allow.
            Refused: there is no room to scale, or another run holds the autoscaler.
            NotFound: there is no autoscaler to pause; nothing has been scaled.

        """
        service = await self.begin(request, title="Emergency scale-up", service=request.service, severity="P2")
        self.title = f"Emergency scale-up of {service.name}"
        desk = Desk(self, service, "P2", self.title, "SCALE")
        policy = service.scaling
        lasting = request.lease or policy.lease
        if lasting > policy.longest_lease:
            raise InvalidInput(
                f"lease: longer than settings allow ({length(policy.longest_lease)}, scaling.longest_lease)"
            )
        self.phase("Current state")
        plan = await self._pin(desk, request.factor)
        self.pause = AutoscalerPause(self, desk, service, lasting)
        try:
            await finally_do(self._scale_up(plan, self.pause), self.pause.release)
        except BaseException as error:
            if is_cancelled_exception(error):
                self.finish("cancelled")
            raise
        return await self._result(plan, self.pause)

    async def _pin(self, desk: Desk, factor: float) -> ScalePlan:
        """Read the replicas and pin the target: a retry, or a second run, can't double twice.

        Nor can a run that somebody has reset: what it had done before is read from the Deployment, and stays pinned.
        """
        service, scaling = desk.service, self.effect("scale")
        where = DeploymentRequest(namespace=service.namespace, deployment=service.deployment, effect_key=scaling.key)
        scalers = AutoscalingRequest(namespace=service.namespace, hpa=service.hpa, scaled_object=service.scaled_object)
        state, found = await asyncio.gather(
            self.step("3.2/2", "Replicas", Kubernetes.deployment, where, policies.READ),
            self.step("3.2/2", "Autoscalers", Autoscalers.read, scalers, policies.READ),
        )
        if state.scaled_before is not None:
            before, target = state.scaled_before
            text = f"This run was reset: it had scaled from {before} to {counted(target, 'replica')} before"
            self.say("decision", text, section="3.2/2")
            return ScalePlan(service, desk, before, target, scaling)
        room = service.scaling.max_replicas
        if found.keeps_at_most is not None:
            room = min(room, found.keeps_at_most)  # held by the HPA's minimum, which can't be above its maximum
        target = min(math.ceil(state.replicas * factor), room)
        if target <= state.replicas:
            raise Refused(
                f"{service.name} has {counted(state.replicas, 'replica')}, and {room} is the most that settings and "
                "its autoscaler allow: raise scaling.max_replicas (or the HPA's maxReplicas) first"
            )
        self.say("decision", f"{state.replicas} × {factor:g} is {counted(target, 'replica')}", section="3.2/2")
        return ScalePlan(service, desk, state.replicas, target, scaling)

    async def _scale_up(self, plan: ScalePlan, pause: AutoscalerPause) -> None:
        """Pause, scale, and hold the lease; verification goes on beside it."""
        self.phase("Scale up")
        hold = await pause.acquire(plan.target)
        if not hold.ours:
            self.say("problem", f"{hold.target} had been paused by somebody else: it stays as they want it")
        if hold.over:
            self.say("decision", f"{hold.target} is let go already, from before the reset: it is not paused again")
        scale = ScaleDeployment(
            namespace=plan.service.namespace,
            deployment=plan.service.deployment,
            replicas=plan.target,
            at_least=True,
            effect=plan.scaling,
        )
        await self.step("3.2/3", "Double the replicas", Kubernetes.scale, scale, policies.EFFECT)
        if self.dry_run:
            self.say("decision", f"would resume the autoscaler at {pause.lease.until:%H:%M:%S %Z}")
            return
        self._verified = asyncio.create_task(self._verify(plan, pause))
        if pause.held:
            self.phase("Autoscaler paused")
            await pause.lease.hold()
            self.phase("Resume the autoscaler")

    async def _verify(self, plan: ScalePlan, pause: AutoscalerPause) -> Verification:
        service, desk = plan.service, plan.desk
        verified = await verify(self, "3.2/4", service, service.scaling.ready_within)
        pods = PodsRequest(namespace=service.namespace, selector=service.selector)
        await self.attempt("3.2/5", "Pods", Kubernetes.pods, pods, policies.READ)
        done = f"{service.name}: {plan.before} → {counted(plan.target, 'replica')}"
        if verified.ok:
            until = f"{pause.lease.until:%H:%M:%S %Z}"
            over = pause.hold is not None and pause.hold.over
            now = "The autoscaler is not paused any more" if over else f"The autoscaler is paused until {until}"
            await desk.tell("scaled", f":fast_forward: {done}. {now}.")
        else:
            self.say("problem", verified.trouble, section="3.2/4")
            await desk.escalate(f"{done}, but {verified.trouble}")
        return verified

    def leases(self) -> list[Lease]:
        """Give the pause, while there is one."""
        return self.pause.leases if self.pause else []

    async def _result(self, plan: ScalePlan, pause: AutoscalerPause) -> EmergencyScaleUpResult:
        verified = await self._verified if self._verified is not None else None
        await self.settle()
        ok = verified is not None and verified.ok
        self.finish("planned" if self.dry_run else "scaled" if ok else "scaled, not healthy")
        hold = pause.hold
        ours = pause.held and not self.dry_run
        return EmergencyScaleUpResult(
            service=plan.service.name,
            before=plan.before,
            target=plan.target,
            ready=verified.rollout.ready if verified and verified.rollout else 0,
            complete=ok,
            paused=str(hold),
            resumed=str(pause.released) if pause.released else "",
            ended_by=pause.lease.ended_by if ours else "",
        )

    # -- what people send --------------------------------------------------------------------------------

    @workflow.update(
        name="extend",
        description=described(
            "Keep the autoscaler paused for longer.", Extend, "on-call", by="PT15M", reason="still busy"
        ),
    )
    async def extend(self, word: Extend) -> str:
        """Move the end of the pause."""
        pause = self._paused()
        pause.lease.extend(word.by)
        until = f"{pause.lease.until:%Y-%m-%d %H:%M:%S %Z}"
        self.say("decision", f"Pause extended until {until} {word.reason}".rstrip(), who=f"{word.who} ({word.role})")
        await pause.renew()
        return f"paused until {until}"

    @extend.validator
    def _check_extend(self, word: Extend) -> None:
        self.approvals.authorise(word, "scale")
        self._paused().lease.check(word.by)

    @workflow.update(
        name="resume", description=described("Resume the autoscaler now.", Resume, "on-call", reason="the rush is over")
    )
    async def resume(self, word: Resume) -> str:
        """End the pause early."""
        pause = self._paused()
        who = f"{word.who} ({word.role})"
        self.say("decision", f"Resume the autoscaler now {word.reason}".rstrip(), who=who)
        pause.lease.end(who)
        await workflow.wait_condition(lambda: pause.released is not None)
        return str(pause.released)

    @resume.validator
    def _check_resume(self, word: Resume) -> None:
        self.approvals.authorise(word, "scale")
        if self._paused().lease.ended_by:
            raise InvalidInput(f"the pause has ended already ({self._paused().lease.ended_by})")

    def _paused(self) -> AutoscalerPause:
        """Give the pause.

        Raises:
            Refused: the autoscaler isn't paused by this run.

        """
        if self.pause is None or not self.pause.held or self.dry_run:
            raise Refused("the autoscaler is not paused by this run")
        return self.pause
