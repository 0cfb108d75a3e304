"""The check that ends every change: rollout complete, pods ready, service healthy (3.1/5, 4.1/4, 4.2/3)."""

from datetime import timedelta

from pydantic import BaseModel

from activities.catalogue.service import Service
from activities.kubernetes.cluster import AwaitRollout, Kubernetes
from activities.kubernetes.states import Rollout
from activities.monitoring.health import HealthChecks, Steadiness, SteadyRequest
from workflows.platform import policies
from workflows.platform.runbook import Runbook

_HEALTH_WITHIN = timedelta(seconds=30)


class Verification(BaseModel):
    """What the cluster and the service say; None is what could not be read."""

    rollout: Rollout | None
    health: Steadiness | None

    @property
    def complete(self) -> bool:
        """The rollout is complete."""
        return self.rollout is not None and self.rollout.complete

    @property
    def ok(self) -> bool:
        """Complete and healthy."""
        return self.complete and self.health is not None and self.health.steady

    @property
    def trouble(self) -> str:
        """What is wrong, in a sentence; empty where nothing is."""
        if self.rollout is None:
            return "the rollout could not be watched"
        if not self.rollout.complete:
            return f"the rollout is {self.rollout}"
        if self.health is None:
            return "the health could not be asked"
        return "" if self.health.steady else f"the service is {self.health.last}"


async def verify(
    run: Runbook, section: str, service: Service, within: timedelta, *, steady_for: timedelta = timedelta(0)
) -> Verification:
    """Wait for the rollout, then for health; running out of time is a result."""
    rollout = await run.attempt(
        section,
        "Rollout",
        Kubernetes.await_rollout,
        AwaitRollout(namespace=service.namespace, deployment=service.deployment, timeout=within),
        policies.WAIT.lasting(within),
    )
    limit = steady_for + _HEALTH_WITHIN
    health = await run.attempt(
        section,
        "Health",
        HealthChecks.steady,
        SteadyRequest(url=service.health_url, steady_for=steady_for, give_up_after=limit),
        policies.WAIT.lasting(limit),
    )
    return Verification(rollout=rollout, health=health)
