"""What runs in a service's namespace, and how ready it is (runbook 7.2 step 1): `kubectl get all`."""

from pydantic import BaseModel, Field
from temporalio import activity

from activities.kubernetes import rollouts
from activities.kubernetes.api import Object, pages
from audit.text import counted
from libraries import kubernetes


class WorkloadsRequest(BaseModel):
    """Which namespace."""

    namespace: str


class WorkloadState(BaseModel):
    """One Deployment."""

    name: str
    replicas: int = Field(description="Desired, of the spec.")
    ready: int
    paused: bool = Field(description="A restart would be refused.")
    images: list[str]
    waiting_for: str = Field(description="What its rollout still waits for; empty where it is complete.")

    @property
    def well(self) -> bool:
        """All that is wanted of it is there."""
        return not self.waiting_for

    def __str__(self) -> str:
        return f"{self.name} {self.ready}/{self.replicas}{f' ({self.waiting_for})' if self.waiting_for else ''}"


class WorkloadStates(BaseModel):
    """All Deployments of a namespace, by name."""

    items: list[WorkloadState]

    @property
    def names(self) -> list[str]:
        """Their names."""
        return [item.name for item in self.items]

    @property
    def ailing(self) -> list[WorkloadState]:
        """Those whose rollout is not complete."""
        return [item for item in self.items if not item.well]

    def __str__(self) -> str:
        well = len(self.items) - len(self.ailing)
        told = f"{well} of {counted(len(self.items), 'deployment')} complete"
        return f"{told}; not: {', '.join(map(str, self.ailing))}" if self.ailing else told


class Workloads:
    """Reads the workloads of one cluster; raises what `Kubernetes` raises."""

    def __init__(self, api: "kubernetes.ApiClient") -> None:
        self._apps = kubernetes.AppsV1Api(api)

    @activity.defn(name="workloads.deployments")
    def deployments(self, request: WorkloadsRequest) -> WorkloadStates:
        """Read all Deployments of a namespace."""
        found = pages(self._apps.list_namespaced_deployment, request.namespace)
        return WorkloadStates(items=sorted((_state(raw) for raw in found), key=lambda state: state.name))


def _state(raw: Object) -> WorkloadState:
    spec = raw["spec"]
    return WorkloadState(
        name=raw["metadata"]["name"],
        replicas=spec.get("replicas", 1),
        ready=raw.get("status", {}).get("readyReplicas", 0),
        paused=bool(spec.get("paused")),
        images=[container["image"] for container in spec["template"]["spec"]["containers"]],
        waiting_for=rollouts.unfinished(raw)[0],
    )
