"""What only a running pod has: its processes, its connections, its memory (runbook 8.1 step 2).

Both are off unless settings allow them. A debug container is added to the pod, as `kubectl debug` does, writes what it
sees of the container beside it to its own log, and ends; the logs are then kept with all others. It can't be taken out
of the pod again, which is why the pod is isolated first. A checkpoint (`ContainerCheckpoint`, kubelet API) is a file on
the node, which root alone can read: it holds every key that the container has in its memory, so it stays there.
"""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import NotFound, Refused, Unavailable
from activities.common.heartbeat import Progress, resume, turns
from activities.common.text import Link, ToldLine
from activities.kubernetes.api import Object, ask, failures, optional
from activities.kubernetes.suspects import PodRef
from audit.text import counted
from libraries import kubernetes

_LOOK_EVERY = timedelta(seconds=1)
_STRATEGIC = "application/strategic-merge-patch+json"
_CHECKPOINT_TIMEOUT = (2, 120)
_NEVER_STARTS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"}
)
_NOT_OFFERED = frozenset(
    {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.NOT_IMPLEMENTED}
)
"""404 where the feature is off, 500 where the container runtime can't (kubelet checkpoint API)."""

SCRIPT = r"""
echo "== processes"
for p in /proc/[0-9]*; do
  [ -r "$p/status" ] || continue
  uid=$(while read -r name real rest; do [ "$name" = Uid: ] && echo "$real"; done < "$p/status")
  printf '%s uid=%s exe=%s cmd=%s\n' "${p#/proc/}" "$uid" "$(readlink "$p/exe")" "$(tr '\0' ' ' < "$p/cmdline")"
done
for f in tcp tcp6 udp udp6 unix; do
  echo "== /proc/net/$f"
  cat "/proc/net/$f" 2>/dev/null
done
"""
"""What a shell with cat, tr and readlink can tell without a tool of its own: busybox and every Debian have these."""


class CaptureLive(BaseModel):
    """Of which pods."""

    pods: list[PodRef]
    image: Link = Field(description="Of debug containers, with a shell; none are added without.")
    checkpoint: bool = Field(description="Whether the kubelet is asked for checkpoints.")
    timeout: timedelta = Field(description="For the debug containers to end.")
    effect: Effect


class CapturedLive(Change):
    """What was captured."""

    captured: list[ToldLine] = Field(description="Containers whose processes and connections stand in a log.")
    checkpoints: list[ToldLine] = Field(description="Container, and where on its node the file is.")
    missing: list[ToldLine] = Field(description="What could not be captured, and why.")


class _Done(Progress):
    """What an attempt that follows need not do again."""

    checkpoints: dict[str, str] = Field(default_factory=dict)
    missing: list[str] = Field(default_factory=list)


class LiveState:
    """Captures it; raises what `activities.kubernetes.api` does, except for one pod or node that says no."""

    def __init__(self, cluster: "kubernetes.ApiClient") -> None:
        self._cluster = cluster
        self._core = kubernetes.CoreV1Api(cluster)

    @activity.defn(name="live_state.capture")
    @effect
    def capture(self, request: CaptureLive) -> CapturedLive:
        """Capture it of every running container. What a pod or a node refuses is told, and stops nothing else."""
        missing: list[str] = []
        waiting = dict(self._begun(request, missing)) if request.image else {}
        done = resume(_Done)
        if request.checkpoint and not request.effect.dry_run:
            self._checkpoints(request, done)
        captured = [] if request.effect.dry_run else self._awaited(request, waiting, done, missing)
        made = [f"{of}: {where}" for of, where in done.checkpoints.items()]
        after = f"{counted(len(captured), 'container')} captured, {counted(len(made), 'checkpoint')}"
        if request.effect.dry_run:
            after = f"{counted(len(waiting), 'container')} would be looked into"
        return CapturedLive(
            target=counted(len(request.pods), "pod"),
            after=after,
            applied=bool(captured or made),
            note="; ".join([*made, *missing, *done.missing])[:2000],
            captured=captured,
            checkpoints=made,
            missing=[*missing, *done.missing],
        )

    def _begun(self, request: CaptureLive, missing: list[str]) -> Iterator[tuple[tuple[PodRef, str], str]]:
        """Add what is not there yet; gives pod and debug container → the container that it looks into."""
        for pod in request.pods:
            raw = self._read(pod)
            if raw is None:
                missing.append(f"{pod}: had gone")
                continue
            there = {each["name"] for each in raw["spec"].get("ephemeralContainers") or ()}
            for number, container in enumerate(_running(raw), start=1):
                name = f"runbooks-{hashlib.sha256(request.effect.key.encode()).hexdigest()[:8]}-{number}"
                try:
                    if name not in there:
                        self._add(request, pod, name, container)
                except (Refused, NotFound) as error:  # a policy of the namespace, or our rights
                    missing.append(f"{pod} {container}: no debug container: {error.message}")
                else:
                    yield (pod, name), container

    def _add(self, request: CaptureLive, pod: PodRef, name: str, container: str) -> None:
        body = {
            "metadata": {"uid": pod.uid},  # another pod by this name is refused
            "spec": {
                "ephemeralContainers": [
                    {
                        "name": name,
                        "image": request.image,
                        "command": ["sh", "-c", SCRIPT],
                        "targetContainerName": container,
                    }
                ]
            },
        }
        send = self._core.patch_namespaced_pod_ephemeralcontainers
        options: dict[str, Any] = {"dry_run": "All"} if request.effect.dry_run else {}
        ask(send, pod.name, pod.namespace, body, _content_type=_STRATEGIC, **options)

    def _awaited(
        self, request: CaptureLive, waiting: dict[tuple[PodRef, str], str], done: _Done, missing: list[str]
    ) -> list[str]:
        asked, ended = dict(waiting), set[tuple[PodRef, str]]()
        for _ in turns(done, within=request.timeout, every=_LOOK_EVERY):
            for (pod, name), container in list(waiting.items()):
                raw = self._read(pod)
                state = _state(raw, name) if raw is not None else {}
                why = state.get("waiting", {}).get("reason", "")
                if raw is None:
                    missing.append(f"{pod} {container}: has gone meanwhile")
                elif "terminated" in state:
                    ended.add((pod, name))
                elif why in _NEVER_STARTS:
                    missing.append(f"{pod} {container}: the debug container does not start: {why}")
                else:
                    continue
                del waiting[pod, name]
            if not waiting:
                break
        seconds = request.timeout.total_seconds()
        missing += [f"{pod} {of}: the debug container did not end in {seconds:g} s" for (pod, _), of in waiting.items()]
        # In the order in which they were asked, not in that in which they ended.
        return [f"{key[0]} {container}" for key, container in asked.items() if key in ended]

    def _checkpoints(self, request: CaptureLive, done: _Done) -> None:
        for pod in request.pods:
            raw = self._read(pod)
            for container in _running(raw) if raw is not None else ():
                of = f"{pod} {container}"
                if of in done.checkpoints or any(each.startswith(f"{of}:") for each in done.missing):
                    continue  # an attempt that died has it
                node = raw["spec"]["nodeName"] if raw is not None else ""
                try:
                    done.checkpoints[of] = f"{node}:{self._checkpoint(node, pod, container)}"
                except (Refused, Unavailable) as error:
                    done.missing.append(f"{of}: no checkpoint: {error.message}")
                activity.heartbeat(done.model_dump(mode="json"))

    def _checkpoint(self, node: str, pod: PodRef, container: str) -> str:
        """Have the kubelet make one (kubelet API, `POST /checkpoint/NAMESPACE/POD/CONTAINER`), and give its place.

        Raises:
            Refused: it offers none, or we may not.
            Unavailable: the node doesn't answer.

        """
        # The generated method escapes the slashes of what is behind `proxy/`.
        place = f"/api/v1/nodes/{node}/proxy/checkpoint/{pod.namespace}/{pod.name}/{container}"
        asked = self._cluster.param_serialize("POST", place, auth_settings=["BearerToken"])
        with failures():
            answer = self._cluster.call_api(*asked, _request_timeout=_CHECKPOINT_TIMEOUT)
            content: bytes = answer.read()  # type: ignore[no-untyped-call]
        if answer.status in _NOT_OFFERED:
            raise Refused(f"the kubelet of {node} offers none (HTTP {answer.status})")
        if answer.status != HTTPStatus.OK:
            raise Refused(f"the kubelet of {node} answered HTTP {answer.status}")
        return _file_of(content)

    def _read(self, pod: PodRef) -> Object | None:
        """Read a pod; None where it is no more that one."""
        raw = optional(self._core.read_namespaced_pod, pod.name, pod.namespace)
        return raw if raw is not None and raw["metadata"]["uid"] == pod.uid else None


def _running(pod: Object) -> list[str]:
    states = pod.get("status", {}).get("containerStatuses") or ()
    return [each["name"] for each in states if "running" in each.get("state", {})]


def _state(pod: Object, name: str) -> Object:
    states = pod.get("status", {}).get("ephemeralContainerStatuses") or ()
    return next((each.get("state", {}) for each in states if each["name"] == name), {})


class _Made(BaseModel):
    """The kubelet's answer."""

    items: list[ToldLine] = Field(min_length=1)


def _file_of(content: bytes) -> str:
    try:
        return _Made.model_validate_json(content).items[0]
    except ValueError:
        raise Refused("the kubelet does not say where it is") from None
