"""Isolating pods and nodes, as holds with marks of their own (runbook 8.1 step 1).

A suspected pod goes on running: a deny-all NetworkPolicy holds it, and the labels by which a Service and its controller
find it are taken off, so that no request reaches it and another takes its place. What it was is kept in an annotation.
A cordon is one annotation a run: the node is schedulable again when the last run lets it go, unless it wasn't before.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import Conflict, NotFound, Refused
from activities.common.text import Key, ToldLine
from activities.kubernetes.api import FIELD_MANAGER, Object, ask, optional, pages
from activities.kubernetes.changing import Body, patch, settle
from activities.kubernetes.suspects import QUARANTINE, PodRef, SeenNode, SeenPod, Suspects, controller, seen
from audit.text import counted
from libraries import kubernetes

ISOLATED = "runbooks.dev/isolated"
"""Annotation of an isolated pod: which run took which labels off."""

CORDONED = "cordoned.runbooks.dev/"
"""What a cordon's annotation begins with; behind it stands a digest of the run."""

_NodePlan = Callable[[Object], tuple[Change, Body | None]]
_TEMPLATE_HASH = "pod-template-hash"
_REPLACES = frozenset({"ReplicaSet", "ReplicationController"})
"""Controllers that make another pod at once. A StatefulSet would wait for the name, a DaemonSet for the node."""


class CordonMark(BaseModel):
    """What a cordon's annotation holds."""

    model_config = ConfigDict(frozen=True)

    run: str
    since: AwareDatetime
    before: Literal["schedulable", "cordoned"]
    """How the node was before any run held it."""


class LookAtSuspects(BaseModel):
    """Which pods and nodes an incident speaks of."""

    namespace: Key
    selector: Key = Field(description="Label selector of the service's pods: only these can be isolated.")
    nodes: list[Key]
    pods: list[Key] = Field(description="Names; all of the service on the nodes where none are given.")
    incident_id: Key = Field(default="", description="Pods that this incident has isolated already count as well.")


class IsolatePods(BaseModel):
    """Which pods are isolated."""

    incident_id: Key
    namespace: Key
    pods: list[PodRef]
    effect: Effect


class Isolated(Change):
    """What was isolated."""

    isolated: list[PodRef] = Field(default_factory=list)
    gone: list[ToldLine] = Field(default_factory=list, description="No longer there, or another pod by that name.")
    told: list[ToldLine] = Field(default_factory=list, description="What doesn't hold as people might think.")


class LiftIsolation(BaseModel):
    """The policy of an incident, once nobody needs it."""

    incident_id: Key
    namespace: Key
    effect: Effect


class CordonNode(BaseModel):
    """`kubectl cordon`, as a hold."""

    node: Key
    at: AwareDatetime = Field(description="Pinned by the workflow.")
    effect: Effect


class UncordonNode(BaseModel):
    """`kubectl uncordon`: let go of the hold."""

    node: Key
    effect: Effect


class Isolation:
    """Pods and nodes of one cluster; raises what `Kubernetes` raises."""

    def __init__(self, api: "kubernetes.ApiClient") -> None:
        self._core = kubernetes.CoreV1Api(api)
        self._apps = kubernetes.AppsV1Api(api)
        self._network = kubernetes.NetworkingV1Api(api)

    @activity.defn(name="isolation.look")
    def look(self, request: LookAtSuspects) -> Suspects:
        """Read nodes and pods (8.1 step 1).

        Raises:
            NotFound: a node or a pod is not there.
            Refused: a pod is not one of the service.

        """
        nodes = [_node(ask(self._core.read_node, name)) for name in request.nodes]
        of_service = {
            pod["metadata"]["name"]: pod
            for pod in pages(self._core.list_namespaced_pod, request.namespace, label_selector=request.selector)
        }
        for name in request.pods:
            if name not in of_service and not self._isolated_by(request, name):
                raise Refused(f"pod {name} is not one of the service ({request.selector} in {request.namespace})")
        found: dict[str, SeenPod] = {}
        for node in request.nodes:
            on_it = f"spec.nodeName={node}"
            for pod in pages(self._core.list_pod_for_all_namespaces, field_selector=on_it):
                known = pod["metadata"]["name"] in of_service and pod["metadata"]["namespace"] == request.namespace
                # Once it has isolated what was there, what has come in its place is no suspect.
                suspect = known and not (request.pods or request.incident_id)
                found[pod["metadata"]["uid"]] = seen(pod, suspect=suspect)
        for name, pod in of_service.items():
            if name in request.pods or not (request.pods or request.nodes):
                found[pod["metadata"]["uid"]] = seen(pod, suspect=name in request.pods)
        if request.incident_id:
            ours = f"{QUARANTINE}={request.incident_id}"
            for pod in pages(self._core.list_namespaced_pod, request.namespace, label_selector=ours):
                found[pod["metadata"]["uid"]] = seen(pod, suspect=True)
        return Suspects(nodes=nodes, pods=sorted(found.values(), key=lambda pod: str(pod.ref)))

    def _isolated_by(self, request: LookAtSuspects, name: str) -> bool:
        pod = ask(self._core.read_namespaced_pod, name, request.namespace)
        held = (pod["metadata"].get("labels") or {}).get(QUARANTINE)
        if held and held != request.incident_id:
            raise Refused(f"pod {name} is isolated already, by {held}")
        return held is not None

    @activity.defn(name="isolation.isolate")
    @effect
    def isolate(self, request: IsolatePods) -> Isolated:
        """Put a deny-all NetworkPolicy in place, then take the pods off their Service and controller."""
        self._deny(request)
        services = list(pages(self._core.list_namespaced_service, request.namespace))
        told: list[str] = []
        isolated, gone, sent = [], [], False
        for pod in request.pods:
            try:
                found, applied = self._isolate_one(pod, services, request)
            except NotFound:
                gone.append(str(pod))
                continue
            told += found
            isolated.append(pod)
            sent = sent or applied
        told += self._let_through(request)
        after = f"{counted(len(isolated), 'pod')} isolated" + (f", {len(gone)} gone" if gone else "")
        return Isolated(
            target=f"networkpolicy/{policy_name(request.incident_id)}",
            after=after,
            applied=sent and not request.effect.dry_run,
            isolated=isolated,
            gone=gone,
            told=told,
            note="; ".join(told)[:2000],
        )

    def _isolate_one(self, pod: PodRef, services: list[Object], request: IsolatePods) -> tuple[list[str], bool]:
        _, told, sent = settle(
            f"pod/{pod.name}",
            read=lambda: ask(self._core.read_namespaced_pod, pod.name, pod.namespace),
            plan=lambda raw: self._plan(raw, pod, services, request),
            send=lambda _, body: patch(
                self._core.patch_namespaced_pod, pod.name, pod.namespace, body=body, dry_run=request.effect.dry_run
            ),
        )
        return told, sent

    def _plan(
        self, raw: Object, pod: PodRef, services: list[Object], request: IsolatePods
    ) -> tuple[list[str], Body | None]:
        metadata = raw["metadata"]
        if metadata["uid"] != pod.uid:
            raise NotFound(f"pod {pod} is another pod by now")
        labels: dict[str, str] = metadata.get("labels") or {}
        held = labels.get(QUARANTINE)
        if held == request.incident_id:
            return [], None
        if held:
            raise Refused(f"pod {pod} is isolated already, by {held}")
        owner = controller(raw)
        told = []
        if raw["spec"].get("hostNetwork"):
            told.append(f"{pod.name} uses its node's network: no NetworkPolicy holds for it")
        moved: set[str] = set()
        if owner is None or owner["kind"] in _REPLACES:
            moved = _selected_by(labels, services) | self._of_controller(pod.namespace, owner, labels)
        else:
            told.append(f"{pod.name} stays with {owner['kind']} {owner['name']}, which would not replace it")
        taken = {key: labels[key] for key in sorted(moved)}
        note = {
            "run": request.effect.workflow_id,
            "incident": request.incident_id,
            "labels": taken,
            "by": request.effect.actor,
        }
        body = {
            "metadata": {
                "resourceVersion": metadata["resourceVersion"],
                "labels": {**dict.fromkeys(taken), QUARANTINE: request.incident_id},
                "annotations": {ISOLATED: json.dumps(note)},
            }
        }
        return told, body

    def _of_controller(self, namespace: str, owner: Object | None, labels: Mapping[str, str]) -> set[str]:
        """Give the labels by which its controller knows it; the template's hash stays, since it tells the release."""
        if owner is None or owner["kind"] != "ReplicaSet":
            return set()
        raw = optional(self._apps.read_namespaced_replica_set, owner["name"], namespace)
        keys = set((raw or {}).get("spec", {}).get("selector", {}).get("matchLabels") or {}) & labels.keys()
        return keys - {_TEMPLATE_HASH} or keys

    def _deny(self, request: IsolatePods) -> None:
        name = policy_name(request.incident_id)
        if optional(self._network.read_namespaced_network_policy, name, request.namespace) is not None:
            return
        body = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {
                "name": name,
                "labels": {QUARANTINE: request.incident_id},
                "annotations": {ISOLATED: json.dumps({"run": request.effect.workflow_id, "by": request.effect.actor})},
            },
            "spec": {
                "podSelector": {"matchLabels": {QUARANTINE: request.incident_id}},
                "policyTypes": ["Ingress", "Egress"],
            },
        }
        options = {"dry_run": "All"} if request.effect.dry_run else {}
        with suppress(Conflict):  # an attempt that was thought dead has made it
            ask(
                self._network.create_namespaced_network_policy,
                request.namespace,
                body,
                field_manager=FIELD_MANAGER,
                **options,
            )

    def _let_through(self, request: IsolatePods) -> list[str]:
        """Name policies that allow the isolated pods something all the same: policies add up, none takes away."""
        ours = policy_name(request.incident_id)
        pods = [optional(self._core.read_namespaced_pod, pod.name, pod.namespace) for pod in request.pods]
        told = []
        for policy in pages(self._network.list_namespaced_network_policy, request.namespace):
            spec = policy["spec"]
            if policy["metadata"]["name"] == ours or not (spec.get("ingress") or spec.get("egress")):
                continue
            held = [pod["metadata"]["name"] for pod in pods if pod and selects(spec["podSelector"], _labels(pod))]
            if held:
                told.append(f"NetworkPolicy {policy['metadata']['name']} still lets something through to {held[0]}")
        return told

    @activity.defn(name="isolation.lift")
    @effect
    def lift(self, request: LiftIsolation) -> Change:
        """Remove the incident's NetworkPolicy; not while a pod is left that it holds."""
        name = policy_name(request.incident_id)
        target = f"networkpolicy/{name}"
        ours = f"{QUARANTINE}={request.incident_id}"
        left = [
            pod["metadata"]["name"]
            for pod in pages(self._core.list_namespaced_pod, request.namespace, label_selector=ours)
        ]
        if left:
            note = f"{', '.join(left)} stay isolated: `kubectl delete pod` ends them"
            return Change(target=target, after="kept", applied=False, note=note)
        options = {"dry_run": "All"} if request.effect.dry_run else {}
        try:
            ask(self._network.delete_namespaced_network_policy, name, request.namespace, **options)
        except NotFound:
            return Change(target=target, after="not there", applied=False)
        return Change(target=target, before="deny all", after="removed", applied=not request.effect.dry_run)

    @activity.defn(name="isolation.cordon")
    @effect
    def cordon(self, request: CordonNode) -> Change:
        """Cordon a node, and leave the run's mark (8.1 step 1)."""
        run = request.effect.workflow_id

        def plan(raw: Object) -> tuple[Change, Body | None]:
            marks = read_marks(raw["metadata"].get("annotations") or {})
            cordoned = bool(raw["spec"].get("unschedulable"))
            others = [mark for mark in marks.values() if mark.run != run]
            before: Literal["schedulable", "cordoned"] = "cordoned" if cordoned else "schedulable"
            if others:
                before = others[0].before
            change = Change(
                target=f"node/{request.node}",
                before="cordoned" if cordoned else "schedulable",
                after="cordoned",
                applied=False,
                note=f"also held by {', '.join(mark.run for mark in others)}" if others else "",
            )
            key = CORDONED + _digest(run)
            if key in marks and cordoned:
                return change, None
            mark = marks.get(key) or CordonMark(run=run, since=request.at, before=before)
            return change, _node_patch(raw, {key: mark.model_dump_json()}, unschedulable=True)

        return self._on_node(request, plan)

    @activity.defn(name="isolation.uncordon")
    @effect
    def uncordon(self, request: UncordonNode) -> Change:
        """Take the run's mark off; schedulable again when it was the last, and the node was so before."""
        key = CORDONED + _digest(request.effect.workflow_id)

        def plan(raw: Object) -> tuple[Change, Body | None]:
            marks = read_marks(raw["metadata"].get("annotations") or {})
            cordoned = bool(raw["spec"].get("unschedulable"))
            before = "cordoned" if cordoned else "schedulable"
            change = Change(target=f"node/{request.node}", before=before, after=before, applied=False)
            mine = marks.get(key)
            if mine is None:
                return change.model_copy(update={"note": "no longer held by this run"}), None
            others = [mark.run for mark in marks.values() if mark is not mine]
            keeps = bool(others) or mine.before == "cordoned"
            why = f"still held by {', '.join(others)}" if others else "it was cordoned before, by somebody else"
            update = {"note": why} if keeps else {"after": "schedulable"}
            return change.model_copy(update=update), _node_patch(
                raw, {key: None}, unschedulable=None if keeps else False
            )

        return self._on_node(request, plan)

    def _on_node(self, request: CordonNode | UncordonNode, plan: _NodePlan) -> Change:
        _, change, sent = settle(
            f"node/{request.node}",
            read=lambda: ask(self._core.read_node, request.node),
            plan=plan,
            send=lambda _, body: patch(self._core.patch_node, request.node, body=body, dry_run=request.effect.dry_run),
        )
        return change.model_copy(update={"applied": sent and not request.effect.dry_run})


def policy_name(incident_id: str) -> str:
    """Name the NetworkPolicy of an incident."""
    return f"quarantine-{incident_id.lower()}"


def read_marks(annotations: Mapping[str, str]) -> dict[str, CordonMark]:
    """Give the marks of runs that hold a node cordoned, by their annotation."""
    found = {}
    for key, value in annotations.items():
        if key.startswith(CORDONED):
            try:
                found[key] = CordonMark.model_validate_json(value)
            except ValidationError:
                # Somebody edited it by hand: whose it is can't be told any more, that it is held can.
                found[key] = CordonMark(run=f"unknown ({key})", since=datetime.now(UTC), before="cordoned")
    return found


def _digest(run: str) -> str:
    return hashlib.sha256(run.encode()).hexdigest()[:16]


def _node(raw: Object) -> SeenNode:
    marks = read_marks(raw["metadata"].get("annotations") or {})
    return SeenNode(
        name=raw["metadata"]["name"],
        schedulable=not raw["spec"].get("unschedulable"),
        held_by=[mark.run for mark in marks.values()],
    )


def _node_patch(raw: Object, annotations: Mapping[str, str | None], *, unschedulable: bool | None) -> Object:
    body: Object = {
        "metadata": {"resourceVersion": raw["metadata"]["resourceVersion"], "annotations": dict(annotations)}
    }
    if unschedulable is not None:
        body["spec"] = {"unschedulable": unschedulable}
    return body


def _labels(pod: Object) -> dict[str, str]:
    labels: dict[str, str] = pod["metadata"].get("labels") or {}
    return labels


def _selected_by(labels: Mapping[str, str], services: Iterable[Object]) -> set[str]:
    """Give the labels by which Services find a pod."""
    keys: set[str] = set()
    for service in services:
        selector: dict[str, str] = service["spec"].get("selector") or {}
        if selector and selector.items() <= labels.items():
            keys |= selector.keys()
    return keys


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector of the API takes a pod."""
    if not (selector.get("matchLabels") or {}).items() <= labels.items():
        return False
    for expression in selector.get("matchExpressions") or ():
        key, values = expression["key"], expression.get("values") or []
        holds = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not holds[expression["operator"]]:
            return False
    return True
