"""What a cluster says of a service: its pods, events, revisions, autoscaling and rollouts (runbook 2.2, 3, 4)."""

from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from activities.kubernetes.api import Object, moment
from audit.text import counted

FAILING = frozenset(
    {
        "CrashLoopBackOff",
        "Error",
        "OOMKilled",
        "ContainerCannotRun",
        "StartError",
        "RunContainerError",
        "ImagePullBackOff",
        "ErrImagePull",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
    }
)
"""Reasons that waiting does not cure, as runs have known them from the beginning: open ones decide by them again."""

HOPELESS = FAILING | {
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
    "ImageVolumeMountFailed",
    "RunInitContainerError",
    "PreCreateHookError",
    "PreStartHookError",
    "PostStartHookError",
}
"""All of them, by the names that the kubelet has (kubernetes/pkg/kubelet/container/sync_result.go, images/types.go)."""

OVER = frozenset({"Succeeded", "Failed"})
"""Phases of pods that run no more, and never again: evicted, or ended with their node. A Deployment has made others in
their place, and they stay in the list until somebody clears them away (github.com/kubernetes/kubernetes/issues/104531).
"""

_JUST_BACK = timedelta(minutes=5)
"""So long after its start, a container that isn't ready is still judged by how its last run ended."""

ITS_TURN = frozenset({"ContainerCreating", "PodInitializing"})
"""Reasons of containers that are still to come."""


class Pod(BaseModel):
    """One pod, as far as a diagnosis needs it."""

    name: str
    phase: str
    ready: bool
    restarts: int
    reason: str = Field(default="", description="Waiting or terminated reason of its worst container.")
    image: str
    revision_hash: str = Field(default="", description="Label pod-template-hash.")
    node: str = ""
    created_at: datetime
    terminating: bool = Field(default=False, description="Going, or over: nobody waits for it.")
    hopeless: bool = Field(
        default=False, description="Whether its reason was none that waiting cures, when it was read."
    )

    starting: bool = Field(default=False, description="It had a node, and its containers were being made.")

    @property
    def failing(self) -> bool:
        """Crash-looping, erroring, or unable to pull its image or to start."""
        return self.hopeless or self.reason in FAILING


class Pods(BaseModel):
    """The pods of a selector."""

    items: list[Pod]

    def __str__(self) -> str:
        live = [pod for pod in self.items if not pod.terminating]
        failing = sum(pod.failing for pod in live)
        pending = sum(pod.phase == "Pending" and not pod.failing for pod in live)
        return f"{sum(pod.ready for pod in live)} of {len(live)} ready, {failing} failing, {pending} pending"


class Event(BaseModel):
    """One event, newest last."""

    at: datetime | None
    type: str
    reason: str
    object: str
    message: str
    count: int


class Events(BaseModel):
    """`kubectl get events --sort-by=.lastTimestamp | tail`."""

    items: list[Event]

    def __str__(self) -> str:
        warnings = [e for e in self.items if e.type == "Warning"]
        if not warnings:
            return f"{counted(len(self.items), 'event')}, no warnings"
        last = f"{warnings[-1].reason} {warnings[-1].object}"
        return f"{counted(len(warnings), 'warning')} of {len(self.items)}, last: {last}"


class Revision(BaseModel):
    """One revision of a Deployment (its ReplicaSet)."""

    number: int
    images: list[str]
    change_cause: str = ""
    created_at: datetime
    pod_template_hash: str
    ready_replicas: int = 0
    containers: dict[str, str] = Field(default_factory=dict, description="Each container's image, by its name.")
    template: str = Field(
        default="", description="Digest of the pod template without the mark of a restart: the release's identity."
    )
    earlier: list[int] = Field(default_factory=list, description="Numbers it had before it was gone back to.")


class DeploymentState(BaseModel):
    """A Deployment and its rollout history, newest revision last (`kubectl rollout history`)."""

    name: str
    namespace: str
    replicas: int = Field(description="Desired, of the spec.")
    updated: int
    ready: int
    available: int
    paused: bool
    current_revision: int
    revisions: list[Revision]
    rolled_out_at: datetime = Field(
        description="When the current revision became current. Exact for a release; for a revision that was rolled "
        "back to, the earlier of its rollout's last progress and the last change by whoever changed the template."
    )
    stopped_by: str | None = Field(default=None, description="Workflow ID of the run that keeps it without replicas.")
    stopped_until: datetime | None = None
    brought_back_by: str | None = Field(
        default=None, description="Workflow ID of the run that has ended the last stop."
    )
    brought_back_at: datetime | None = None
    scaled_to_none: bool = Field(default=False, description="It asks for no pods, and no run keeps it so.")
    scaled_before: tuple[int, int] | None = Field(
        default=None, description="Replicas before and after the effect that was asked for, where it was done already."
    )

    @property
    def stopped(self) -> str:
        """Who keeps it without replicas, in words; empty where nobody does."""
        return f"{self.stopped_by} until {self.stopped_until:%Y-%m-%d %H:%M:%S %Z}" if self.stopped_by else ""

    def brought_back(self, now: datetime, lately: timedelta) -> str:
        """Say which run has ended a stop, and when, where that was lately; empty where it wasn't."""
        if self.brought_back_at is None or now - self.brought_back_at > lately:
            return ""
        return f"{self.brought_back_by}, which has brought it back at {self.brought_back_at:%H:%M:%S %Z}"

    @property
    def current(self) -> Revision | None:
        """The revision that the spec asks for."""
        return next((r for r in self.revisions if r.number == self.current_revision), None)

    def __str__(self) -> str:
        image = self.current.images[0] if self.current and self.current.images else "?"
        since = f"since {self.rolled_out_at:%F %T %Z}"
        kept = f", kept without replicas by {self.stopped}" if self.stopped else ""
        return f"revision {self.current_revision} ({image}) {since}, {self.ready}/{self.replicas} ready{kept}"


class Rollout(BaseModel):
    """How a rollout ended."""

    complete: bool
    ready: int
    replicas: int
    revision: int
    seconds: float
    reason: str = Field(default="", description="Why it is not complete.")

    def __str__(self) -> str:
        state = "complete" if self.complete else f"not complete: {self.reason}"
        return f"{state}, {self.ready}/{self.replicas} ready on revision {self.revision} after {self.seconds:.1f} s"


def containers(pod: Object) -> list[Object]:
    """Give the states of all its containers, init containers first."""
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]


def reason_of(pod: Object, now: datetime) -> str:
    """Name what is wrong: its worst container's reason, else the pod's own, else why it isn't scheduled.

    Between two crashes a container runs for a while. It is then named by how its last run ended, unless it is
    ready or has been running for some minutes. "" where nothing is wrong.
    """
    ended, waiting, crashed = [], [], []
    for container in containers(pod):
        state = container.get("state", {})
        if "waiting" in state:
            waiting.append(state["waiting"].get("reason", ""))
        elif state.get("terminated", {}).get("exitCode"):
            ended.append(state["terminated"].get("reason", "Error"))
        elif "running" in state and not container.get("ready"):
            last = container.get("lastState", {}).get("terminated", {})
            if last.get("exitCode") and now - moment(state["running"]["startedAt"]) < _JUST_BACK:
                crashed.append(last.get("reason", "Error"))
    status = pod.get("status", {})
    unscheduled = [
        condition.get("reason", "")
        for condition in status.get("conditions", ())
        if condition["type"] == "PodScheduled" and condition["status"] == "False"
    ]
    # A container that only waits for its turn is not what holds the pod up.
    candidates = [*ended, *(w for w in waiting if w not in ITS_TURN), *crashed, *waiting]
    return next(filter(None, [*candidates, status.get("reason", ""), *unscheduled]), "")
