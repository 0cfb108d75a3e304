"""Kubernetes: reads and effects on one cluster, through the official client (runbook 2.2, 3, 4, 7).

Effects apply absolute values that the workflow has pinned, guarded by resourceVersion, and leave the effect's
key in an annotation, so that a second attempt sees what the first one did.
"""

import heapq
import re
from collections import Counter
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import RateLimited, Refused, Unavailable
from activities.common.heartbeat import Progress, resume, turns
from activities.kubernetes import effect_notes, rollouts, states
from activities.kubernetes.api import Object, ask, moment, pages
from activities.kubernetes.deployments import Deployments
from activities.kubernetes.effect_notes import Done
from activities.kubernetes.states import DeploymentState, Event, Events, Pod, Pods, Revision, Rollout
from libraries import kubernetes

_POLL = timedelta(milliseconds=500)


class Workload(BaseModel):
    """One Deployment."""

    namespace: str
    deployment: str


class DeploymentRequest(Workload):
    """A Deployment as a run finds it that is going to change it."""

    effect_key: str = Field(default="", description="Of the effect that is to come; a reset run may have done it.")


class PodsRequest(BaseModel):
    """Which pods."""

    namespace: str
    selector: str


class EventsRequest(BaseModel):
    """Recent events of a namespace."""

    namespace: str
    limit: int = Field(default=20, ge=1, le=200)


class UndoRollout(Workload):
    """`kubectl rollout undo --to-revision`, to a pinned revision."""

    to_revision: int = Field(ge=1)
    from_revision: int | None = Field(
        default=None, ge=1, description="The revision that was diagnosed; refused when it is no longer the current one."
    )
    effect: Effect


class RestartRollout(Workload):
    """`kubectl rollout restart`."""

    restarted_at: datetime = Field(description="Pinned by the workflow; the annotation's value.")
    effect: Effect


class ScaleDeployment(Workload):
    """`kubectl scale`, to a pinned absolute number."""

    replicas: int = Field(ge=0, le=1000)
    at_least: bool = Field(default=False, description="Leave it alone where it has that many or more already.")
    stopped_until: datetime | None = Field(
        default=None, description="With 0 replicas: no other run changes it until then, or until this one scales it up."
    )
    replaced_at: datetime | None = Field(
        default=None, description="Where it has pods already, they are replaced; pinned by the workflow."
    )
    effect: Effect


class AwaitRollout(Workload):
    """`kubectl rollout status`."""

    timeout: timedelta


class Kubernetes:
    """Activities on one cluster; all are blocking and run on the worker's thread pool.

    Raises from every method: `Unavailable` (API server unreachable, 5xx), `RateLimited` (429), `NotFound` (404),
    `Refused` (401, 403, 422 and other 4xx), `Conflict` (409).
    """

    def __init__(self, api: "kubernetes.ApiClient") -> None:
        self._apps = kubernetes.AppsV1Api(api)
        self._deployments = Deployments(self._apps)
        self._core = kubernetes.CoreV1Api(api)

    @activity.defn(name="kubernetes.pods")
    def pods(self, request: PodsRequest) -> Pods:
        """Read the pods of a selector (2.2 step 3): `kubectl get pods`."""
        found = ask(self._core.list_namespaced_pod, request.namespace, label_selector=request.selector)
        return Pods(items=[_pod(item) for item in found["items"]])

    @activity.defn(name="kubernetes.events")
    def events(self, request: EventsRequest) -> Events:
        """Read a namespace's latest events (2.2 step 3).

        The API cannot sort, so all are read, page by page; only the latest are kept.
        """
        everything = (_event(item) for item in pages(self._core.list_namespaced_event, request.namespace))
        begin = datetime.min.replace(tzinfo=UTC)
        return Events(items=heapq.nlargest(request.limit, everything, key=lambda e: e.at or begin)[::-1])

    @activity.defn(name="kubernetes.deployment")
    def deployment(self, request: DeploymentRequest | Workload) -> DeploymentState:
        """`kubectl get deployment`, `kubectl rollout history`: a Deployment and its rollout history (2.2 step 4)."""
        found = self._deployments.read(request.namespace, request.deployment)
        key = request.effect_key if isinstance(request, DeploymentRequest) else ""
        status = found.raw.get("status", {})
        return DeploymentState(
            name=request.deployment,
            namespace=request.namespace,
            replicas=found.replicas,
            updated=status.get("updatedReplicas", 0),
            ready=status.get("readyReplicas", 0),
            available=status.get("availableReplicas", 0),
            paused=found.paused,
            current_revision=found.revision,
            revisions=[
                Revision(
                    number=rs.revision,
                    images=rs.images,
                    change_cause=rs.annotations.get(rollouts.CHANGE_CAUSE, ""),
                    created_at=rs.created_at,
                    pod_template_hash=rs.template_hash,
                    ready_replicas=rs.raw.get("status", {}).get("readyReplicas", 0),
                    containers=rs.containers,
                    template=rs.release,
                    earlier=rs.earlier,
                )
                for rs in found.replica_sets
                if rs.revision
            ],
            rolled_out_at=found.rolled_out_at(),
            stopped_by=found.stopped.run if found.stopped else None,
            stopped_until=found.stopped.until if found.stopped else None,
            brought_back_by=found.brought_back.run if found.brought_back else None,
            brought_back_at=found.brought_back.at if found.brought_back else None,
            scaled_to_none=found.replicas == 0 and not found.stopped,
            scaled_before=_scaled(effect_notes.find(key, *found.everywhere)) if key else None,
        )

    @activity.defn(name="kubernetes.undo_rollout")
    @effect
    def undo_rollout(self, request: UndoRollout) -> Change:
        """Roll back to a revision as `kubectl rollout undo` does (2.2 option A, 4.2 step 2).

        Raises:
            NotFound: the deployment has no such revision; lists those it has.
            Refused: the deployment is paused.

        """
        return self._deployments.undo(
            request.namespace,
            request.deployment,
            request.to_revision,
            request.effect,
            from_revision=request.from_revision,
        )

    @activity.defn(name="kubernetes.restart_rollout")
    @effect
    def restart_rollout(self, request: RestartRollout) -> Change:
        """Restart all pods as `kubectl rollout restart` does (2.2 option B).

        Raises:
            Refused: the deployment is paused.

        """
        return self._deployments.restart(request.namespace, request.deployment, request.restarted_at, request.effect)

    @activity.defn(name="kubernetes.scale")
    @effect
    def scale(self, request: ScaleDeployment) -> Change:
        """Set the replicas (2.2 option C)."""
        return self._deployments.scale(
            request.namespace,
            request.deployment,
            request.replicas,
            request.effect,
            at_least=request.at_least,
            stopped_until=request.stopped_until,
            replaced_at=request.replaced_at,
        )

    @activity.defn(name="kubernetes.await_rollout")
    def await_rollout(self, request: AwaitRollout) -> Rollout:
        """Wait until a rollout is complete, heartbeating; running out of time is a result, not an error.

        Ends early where `kubectl rollout status` does: when the progress deadline is exceeded. An API server that
        doesn't answer is waited for as well.

        Raises:
            Unavailable: the API server did not answer in all the time.

        """
        found: Object | None = None
        missing: Unavailable | RateLimited | None = None
        waiting_for, seconds = "", 0.0
        for elapsed in turns(resume(Progress), within=request.timeout, every=_POLL):
            try:
                found = ask(self._apps.read_namespaced_deployment, request.deployment, request.namespace)
            except (Unavailable, RateLimited) as error:
                missing = error
                continue
            missing, seconds = None, elapsed
            waiting_for, given_up = rollouts.unfinished(found)
            if not waiting_for or given_up:
                break
        if found is None:
            raise missing or Unavailable("no time to ask the Kubernetes API")
        why = [waiting_for, str(missing) if missing else self._trouble(found)] if waiting_for else []
        return Rollout(
            complete=not waiting_for,
            ready=found.get("status", {}).get("readyReplicas", 0),
            replicas=found["spec"].get("replicas", 1),
            revision=rollouts.revision(found),
            seconds=seconds,
            reason="; ".join(filter(None, why)),
        )

    def _trouble(self, deployment: Object) -> str:
        """Tell what is wrong with the pods, as far as they say."""
        try:
            where = PodsRequest(namespace=deployment["metadata"]["namespace"], selector=rollouts.selector(deployment))
            pods = self.pods(where).items
        except (Unavailable, RateLimited, Refused):
            return ""  # an explanation is welcome, not needed
        reasons = Counter(pod.reason for pod in pods if pod.reason and not pod.ready and not pod.terminating)
        return ", ".join(f"{count} × {reason}" for reason, count in reasons.most_common())


def _scaled(did: Done | None) -> tuple[int, int] | None:
    """Give the numbers of a note that `scale` has left."""
    numbers = [re.match(r"\d+", text) for text in (did.before, did.after)] if did else []
    found = [int(number[0]) for number in numbers if number]
    return (found[0], found[1]) if len(found) == len(("before", "after")) else None


def _pod(raw: Object) -> Pod:
    metadata, status = raw["metadata"], raw.get("status", {})
    reason = states.reason_of(raw, datetime.now(UTC))
    return Pod(
        name=metadata["name"],
        phase=status.get("phase", "Unknown"),
        ready=any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ())),
        restarts=sum(container.get("restartCount", 0) for container in states.containers(raw)),
        reason=reason,
        image=raw["spec"]["containers"][0]["image"],
        revision_hash=metadata.get("labels", {}).get("pod-template-hash", ""),
        node=raw["spec"].get("nodeName", ""),
        created_at=moment(metadata["creationTimestamp"]),
        terminating="deletionTimestamp" in metadata or status.get("phase") in states.OVER,
        hopeless=reason in states.HOPELESS,
        starting=reason in states.ITS_TURN and bool(raw["spec"].get("nodeName")),
    )


def _event(raw: Object) -> Event:
    series = raw.get("series") or {}
    times = (series.get("lastObservedTime"), *map(raw.get, ("lastTimestamp", "eventTime", "firstTimestamp")))
    seen = next(filter(None, times), raw["metadata"].get("creationTimestamp"))
    about = raw["involvedObject"]
    return Event(
        at=moment(seen) if seen else None,
        type=raw.get("type", ""),
        reason=raw.get("reason", ""),
        object=f"{about.get('kind', '').lower()}/{about.get('name', '')}",
        message=raw.get("message", ""),
        count=series.get("count") or raw.get("count") or 1,
    )
