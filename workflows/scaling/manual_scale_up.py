"""Manual scale-up (runbook 3.1): when automatic scaling is insufficient or disabled."""

import asyncio
from datetime import timedelta

from pydantic import BaseModel, Field
from temporalio import workflow

from activities.autoscaling.autoscalers import Autoscalers
from activities.autoscaling.states import Autoscaling, AutoscalingRequest
from activities.catalogue.service import Service
from activities.common.text import Name
from activities.kubernetes.cluster import DeploymentRequest, Kubernetes, PodsRequest, ScaleDeployment
from audit.text import counted
from workflows.platform import policies
from workflows.platform.requests import ServiceRequest
from workflows.platform.runbook import Runbook
from workflows.scaling.target import PATTERN, pinned
from workflows.shared.desk import Desk
from workflows.shared.verification import verify


class ManualScaleUpRequest(ServiceRequest):
    """Scale a service up."""

    target: Name = Field(
        default="+2", pattern=PATTERN, description="+2 adds, ×1.5 (or x1.5) multiplies, 8 is the number itself."
    )


class ManualScaleUpResult(BaseModel):
    """What became of it."""

    service: str
    before: int
    target: int
    ready: int
    complete: bool
    healthy: bool
    warning: str = ""
    took: timedelta


@workflow.defn
class ManualScaleUp(Runbook):
    """Read the state, pin the target, scale, wait, verify."""

    SECTION = "3.1"

    @workflow.run
    async def run(self, request: ManualScaleUpRequest) -> ManualScaleUpResult:
        """Follow 3.1.

        Raises:
            InvalidInput: the service is not in the catalogue.
            Refused: the target is no more than there is, or more than settings allow.

        """
        service = await self.begin(request, title="Manual scale-up", service=request.service)
        self.title = f"Manual scale-up of {service.name}"
        desk = Desk(self, service, "P3", self.title, "SCALE")
        where = {"namespace": service.namespace, "deployment": service.deployment}
        scaling = self.effect("scale")
        asked = DeploymentRequest(**where, effect_key=scaling.key)

        self.phase("Current state")
        state, scalers, _ = await asyncio.gather(
            self.step("3.1/1", "Replicas", Kubernetes.deployment, asked, policies.READ),
            self.attempt(
                "3.1/1",
                "Autoscalers",
                Autoscalers.read,
                AutoscalingRequest(namespace=service.namespace, hpa=service.hpa, scaled_object=service.scaled_object),
                policies.READ,
            ),
            self._pods(service, "3.1/1"),
        )
        if state.scaled_before is not None:
            before, target = state.scaled_before
            reset = f"This run was reset: it had scaled from {before} to {counted(target, 'replica')} before"
            self.say("decision", reset, section="3.1/2")
        else:
            before = state.replicas
            target = pinned(request.target, before, service.scaling.max_replicas)
            self.say("decision", f"{request.target} of {before} is {counted(target, 'replica')}", section="3.1/2")
        warning = _undone_by(scalers, target)
        if warning:
            self.say("problem", warning, section="3.1/1")

        self.phase("Scale up")
        await self.step(
            "3.1/3",
            "Scale up",
            Kubernetes.scale,
            ScaleDeployment(**where, replicas=target, at_least=True, effect=scaling),
            policies.EFFECT,
        )
        if self.dry_run:
            self.finish("planned")
            return self._result(service, before, target, state.ready, warning)

        self.phase("Verify")
        verified = await verify(self, "3.1/4", service, service.scaling.ready_within)
        await self._pods(service, "3.1/5")
        ready = verified.rollout.ready if verified.rollout else 0
        if verified.ok:
            await desk.tell("scaled", f":arrow_up: {service.name}: {before} → {counted(target, 'replica')}. {warning}")
        else:
            await desk.escalate(f"{service.name} was scaled to {counted(target, 'replica')}, but {verified.trouble}")
        await self.settle()
        self.finish("scaled" if verified.ok else "scaled, not healthy")
        result = self._result(service, before, target, ready, warning)
        return result.model_copy(update={"complete": verified.complete, "healthy": verified.ok})

    async def _pods(self, service: Service, section: str) -> None:
        pods = PodsRequest(namespace=service.namespace, selector=service.selector)
        await self.attempt(section, "Pods", Kubernetes.pods, pods, policies.READ)

    def _result(self, service: Service, before: int, target: int, ready: int, warning: str) -> ManualScaleUpResult:
        return ManualScaleUpResult(
            service=service.name,
            before=before,
            target=target,
            ready=ready,
            complete=False,
            healthy=False,
            warning=warning,
            took=workflow.now() - workflow.info().workflow_start_time,
        )


def _undone_by(scalers: Autoscaling | None, target: int) -> str:
    """Say which autoscaler would take the added replicas away again; empty where none would."""
    if scalers is None:
        return "the autoscalers could not be read: one may undo this"
    if scalers.hpa_max is not None and target > scalers.hpa_max:
        return f"the HPA allows {scalers.hpa_max} at most and will scale back: raise its maxReplicas"
    if scalers.scaled_object_paused is False:
        return "KEDA is active and may scale back: `runbooks start emergency-scale-up` pauses it"
    if scalers.hpa_max is not None and (scalers.hpa_desired or 0) < target and not scalers.scaled_object_paused:
        return f"the HPA wants {scalers.hpa_desired} and will scale back when its window has passed"
    return ""
