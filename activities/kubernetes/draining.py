"""Moving pods off a node through the Eviction API, as `kubectl drain --ignore-daemonsets` does (runbook 8.1 step 1).

What it stops at is told before, by `isolation.look`. Here only those pods go that the run names, by their UIDs: their
evidence is kept. A pod that has come since is told of and left.
"""

from datetime import timedelta

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import Conflict, NotFound, RateLimited, Refused, Unavailable
from activities.common.heartbeat import Progress, resume, turns
from activities.common.text import Key, ToldLine
from activities.kubernetes.api import Object, ask, optional, pages
from activities.kubernetes.isolation import selects
from activities.kubernetes.suspects import PodRef, SeenPod, ref, seen
from audit.text import counted
from libraries import kubernetes

_POLL = timedelta(milliseconds=500)


class EvictPods(BaseModel):
    """Which pods go."""

    nodes: list[Key] = Field(description="Those that are drained; must still be cordoned.")
    pods: list[PodRef] = Field(description="Their evidence is kept: none other is touched.")
    force: bool = Field(default=False, description="Also those that nobody brings back, or whose emptyDir is lost.")
    timeout: timedelta
    effect: Effect


class Evicted(Change):
    """How far it has come."""

    gone: list[PodRef] = Field(default_factory=list)
    left: list[ToldLine] = Field(default_factory=list, description="Pods that should have gone, and what keeps them.")
    refused: list[ToldLine] = Field(default_factory=list, description="Pods that go only where it is forced.")
    new: list[PodRef] = Field(default_factory=list, description="Come since: their evidence isn't kept yet.")
    skipped: list[ToldLine] = Field(default_factory=list, description="Of DaemonSets, and static pods.")

    @property
    def complete(self) -> bool:
        """Nothing is left that should have gone."""
        return not (self.left or self.new)


class Draining:
    """Evicts pods of one cluster; raises what `Kubernetes` raises."""

    def __init__(self, api: "kubernetes.ApiClient") -> None:
        self._core = kubernetes.CoreV1Api(api)
        self._policy = kubernetes.PolicyV1Api(api)

    @activity.defn(name="draining.evict")
    @effect
    def evict(self, request: EvictPods) -> Evicted:
        """Evict pods and wait until they are gone, heartbeating; time that runs out is a result.

        A refusal for a PodDisruptionBudget is tried again until then; the answer names who blocks. An API server that
        doesn't answer is waited for as well.

        Raises:
            Refused: a node is no longer cordoned: what leaves it would come back to it.

        """
        left: dict[PodRef, str] = {}
        for _ in turns(resume(Progress), within=request.timeout, every=_POLL):
            try:
                self._check_cordoned(request)
                here = {pod: found for pod in request.pods if (found := self._still(pod)) is not None}
                left = {}
                for pod, raw in here.items():
                    what = seen(raw)
                    if what.grade == "moves" or (request.force and what.grade == "needs force"):
                        left[pod] = self._ask_to_go(pod, raw, request)
            except (Unavailable, RateLimited) as error:
                left = left or {request.pods[0]: error.message} if request.pods else {}
                continue
            if not left or request.effect.dry_run:
                break
        return self._result(request, left)

    def _check_cordoned(self, request: EvictPods) -> None:
        for name in request.nodes if not request.effect.dry_run else ():
            node = optional(self._core.read_node, name)
            if node is not None and not node["spec"].get("unschedulable"):
                raise Refused(f"node {name} is no longer cordoned: somebody has let it go")

    def _still(self, pod: PodRef) -> Object | None:
        """Read a pod; None where it is gone, or another one has its name."""
        raw = optional(self._core.read_namespaced_pod, pod.name, pod.namespace)
        return raw if raw is not None and raw["metadata"]["uid"] == pod.uid else None

    def _ask_to_go(self, pod: PodRef, raw: Object, request: EvictPods) -> str:
        """Ask for its eviction, and tell why it isn't gone yet."""
        if "deletionTimestamp" in raw["metadata"]:
            return "is ending"
        options: Object = {"preconditions": {"uid": pod.uid}}
        if request.effect.dry_run:
            options["dryRun"] = ["All"]
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            "deleteOptions": options,
        }
        try:
            ask(self._core.create_namespaced_pod_eviction, pod.name, pod.namespace, body)
        except (NotFound, Conflict):
            return "is ending"  # gone meanwhile, or another pod has its name: the next look tells
        except RateLimited:
            return self._blocked_by(raw)
        return "would go" if request.effect.dry_run else "is ending"

    def _blocked_by(self, raw: Object) -> str:
        labels: dict[str, str] = raw["metadata"].get("labels") or {}
        namespace = raw["metadata"]["namespace"]
        found = [
            f"{budget['metadata']['name']} ({status.get('currentHealthy', 0)} healthy, needs "
            f"{status.get('desiredHealthy', 0)})"
            for budget in pages(self._policy.list_namespaced_pod_disruption_budget, namespace)
            if not (status := budget.get("status") or {}).get("disruptionsAllowed")
            and selects(budget["spec"].get("selector") or {}, labels)
        ]
        return f"blocked by PodDisruptionBudget {', '.join(found)}" if found else "blocked: the API asks to wait"

    def _result(self, request: EvictPods, left: dict[PodRef, str]) -> Evicted:
        named = {pod.uid for pod in request.pods}
        on_nodes = [
            raw
            for node in request.nodes
            for raw in pages(self._core.list_pod_for_all_namespaces, field_selector=f"spec.nodeName={node}")
        ]
        others = [self._still(pod) for pod in request.pods]
        here: dict[str, tuple[PodRef, SeenPod]] = {
            raw["metadata"]["uid"]: (ref(raw), seen(raw)) for raw in (*on_nodes, *others) if raw is not None
        }
        refused = [what for pod, what in here.values() if what.grade == "needs force" and pod not in left]
        skipped = [what for _, what in here.values() if what.grade in {"daemon set", "mirror"}]
        new = [pod for uid, (pod, what) in here.items() if uid not in named and what.grade == "moves"]
        gone = [pod for pod in request.pods if pod.uid not in here]
        would = [pod for pod, why in left.items() if why == "would go"]
        after = f"{counted(len(gone or would), 'pod')} {'would go' if would else 'gone'}"
        if waits := {pod: why for pod, why in left.items() if pod not in would}:
            after += f", {len(waits)} left"
        told = [f"{pod} {why}" for pod, why in waits.items()]
        return Evicted(
            target=f"node/{', '.join(request.nodes)}" if request.nodes else "pods",
            after=after,
            applied=bool(gone) and not request.effect.dry_run,
            gone=gone,
            left=told,
            refused=[str(what) for what in refused],
            new=new,
            skipped=[str(what) for what in skipped],
            note="; ".join([*told, *(f"{what} stays" for what in refused)])[:2000],
        )
