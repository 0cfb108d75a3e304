"""What is broken (runbook 7.2 step 1): everything is looked at at once, and summed up for people."""

import asyncio

from pydantic import BaseModel

from activities.catalogue import Service
from activities.health import Health, HealthChecks, HealthRequest
from activities.kubernetes import EventsRequest, Kubernetes, PodsRequest
from activities.kubernetes_states import Events, Pods
from activities.workloads import WorkloadStates
from workflows.disaster_recovery.database_damage import DatabaseDamage, look_at_database
from workflows.shared import policies
from workflows.shared.runbook import Runbook


class Damage(BaseModel):
    """The picture; None is what could not be read."""

    workloads: WorkloadStates
    pods: Pods | None
    events: Events | None
    health: Health | None
    database: DatabaseDamage | None = None

    @property
    def well(self) -> bool:
        """The service says that it is healthy."""
        return self.health is not None and self.health.healthy

    def version_of(self, deployment: str) -> str:
        """Name what a Deployment runs by its image's tag; empty where it is not there."""
        images = next((state.images for state in self.workloads.items if state.name == deployment), [])
        return images[0].rpartition(":")[2] if images else ""

    def __str__(self) -> str:
        """Give a line a part, for people."""
        parts = {
            "service": self.health or "could not be asked",
            "deployments": self.workloads,
            "pods": self.pods or "could not be read",
            "events": self.events or "could not be read",
            **({"database": self.database} if self.database else {}),
        }
        return "\n".join(f"• {name}: {found}" for name, found in parts.items())


async def assess(run: Runbook, service: Service, workloads: WorkloadStates) -> Damage:
    """Look at everything else; what can't be read is told, and keeps nothing from going on."""
    pods = PodsRequest(namespace=service.namespace, selector=service.selector)
    found, events, health, database = await asyncio.gather(
        run.attempt("7.2/1", "Pods", Kubernetes.pods, pods, policies.READ),
        run.attempt("7.2/1", "Events", Kubernetes.events, EventsRequest(namespace=service.namespace), policies.READ),
        run.attempt("7.2/1", "Health", HealthChecks.check, HealthRequest(url=service.health_url), policies.READ),
        look_at_database(run, service),
    )
    return Damage(workloads=workloads, pods=found, events=events, health=health, database=database)
