"""What is wrong with the pods of a Helm release, while Helm waits for them and after it has given up."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from activities.common.errors import ActivityFailure
from activities.kubernetes import rollouts, run_marks
from activities.kubernetes.api import Object, ask, optional
from activities.kubernetes.cluster import Kubernetes, PodsRequest
from activities.kubernetes.states import Pod
from libraries import kubernetes

_RELEASE = "meta.helm.sh/release-name"
_LOOK = timedelta(seconds=2)
HOPELESS_AFTER = timedelta(minutes=1)
"""So long pods may fail before waiting for them is given up: a dependency may come up, a registry answer again."""


@dataclass(frozen=True)
class Asked:
    """How many replicas a Deployment is asked for, and whether it was Helm who set that number."""

    replicas: int
    by_helm: bool


class ReleasePods:
    """The pods of releases' Deployments, StatefulSets and DaemonSets, and what a run keeps stopped of them."""

    def __init__(self, api: "kubernetes.ApiClient") -> None:
        self._apps = kubernetes.AppsV1Api(api)
        self._batch = kubernetes.BatchV1Api(api)
        self._kubernetes = Kubernetes(api)

    def stopped(self, namespace: str, release: str, run: str, cron_jobs: Iterable[str] = ()) -> str:
        """Name a workload of it that another run keeps stopped, and that run; empty where there is none.

        Its `cron_jobs` are asked for by their names: the workers may not list those of a namespace.

        Raises:
            ActivityFailure: it can't be read, so that nobody knows.

        """
        kinds = (self._apps.list_namespaced_deployment, self._apps.list_namespaced_stateful_set)
        for one in (workload for kind in kinds for workload in _of(release, ask(kind, namespace))):
            stopped = one["spec"].get("replicas") == 0
            mark = rollouts.stop_mark(one["metadata"]["annotations"]) if stopped else None
            if mark is not None and mark.run != run:
                return f"{one['metadata']['name']} is kept without replicas by {mark}"
        for name in cron_jobs:
            job = optional(self._batch.read_namespaced_cron_job, name, namespace)
            if job is not None and job["spec"].get("suspend"):
                mark = run_marks.read(job["metadata"].get("annotations") or {}, rollouts.STOPPED)
                if mark is not None and mark.run != run:
                    return f"cronjob/{name} is kept suspended by {mark}"
        return ""

    def replicas(self, namespace: str, release: str) -> dict[str, Asked]:
        """Give how many replicas each Deployment of it is asked for now.

        Raises:
            ActivityFailure: it can't be read.

        """
        found = _of(release, ask(self._apps.list_namespaced_deployment, namespace))
        return {
            one["metadata"]["name"]: Asked(int(one["spec"].get("replicas", 1)), by_helm=_by_helm(one)) for one in found
        }

    def trouble(self, namespace: str, release: str) -> str:
        """Tell what is wrong with them, as far as they say: for example `3 × CrashLoopBackOff`."""
        try:
            pods = self._waited_for(self._workloads(namespace, release))
            reasons = Counter(pod.reason for pod in pods if pod.reason)
        except ActivityFailure:
            return ""  # an explanation is welcome, not needed
        return ", ".join(f"{count} × {reason}" for reason, count in reasons.most_common())

    def hopeless(self, namespace: str, release: str) -> Callable[[], bool]:
        """Give a watch that says when waiting has become useless; to be made before anything is changed.

        So it is where a Deployment has exceeded its progress deadline (there `kubectl rollout status` gives up as
        well), and where all pods that aren't ready have been failing without a break for a minute. What Helm hasn't
        changed doesn't count: the release before may have failed just so, and a hook may take its time.
        """
        try:
            before = {_uid(workload): _generation(workload) for workload in self._workloads(namespace, release)}
        except ActivityFailure:
            return lambda: False
        looked = failing_since = time.monotonic()

        def ask_now_and_then() -> bool:
            nonlocal looked, failing_since
            now = time.monotonic()
            if now - looked < _LOOK.total_seconds():
                return False
            looked = now
            try:
                workloads = self._workloads(namespace, release)
                changed = [workload for workload in workloads if before.get(_uid(workload)) != _generation(workload)]
                if any(rollouts.unfinished(workload)[1] for workload in changed):
                    return True
                pods = list(self._waited_for(changed))
            except ActivityFailure:
                return False
            if not pods or not all(pod.failing for pod in pods):
                failing_since = now
            return now - failing_since >= HOPELESS_AFTER.total_seconds()

        return ask_now_and_then

    def _workloads(self, namespace: str, release: str) -> list[Object]:
        apps = self._apps
        kinds = (apps.list_namespaced_deployment, apps.list_namespaced_stateful_set, apps.list_namespaced_daemon_set)
        return [workload for kind in kinds for workload in _of(release, ask(kind, namespace))]

    def _waited_for(self, workloads: list[Object]) -> Iterator[Pod]:
        for workload in workloads:
            where = PodsRequest(namespace=workload["metadata"]["namespace"], selector=rollouts.selector(workload))
            yield from (pod for pod in self._kubernetes.pods(where).items if not pod.ready and not pod.terminating)


def _of(release: str, found: Object) -> list[Object]:
    """Give those of a list that Helm has released with a release."""
    return [one for one in found["items"] if (one["metadata"].get("annotations") or {}).get(_RELEASE) == release]


def _by_helm(workload: Object) -> bool:
    """Tell whether Helm was the last to change the number (kubernetes.io/docs/reference/using-api/server-side-apply).

    Whoever sets it to what it is already changes nothing, and so Helm, when it keeps a number, doesn't become the one.
    """
    owners = [
        field.get("manager", "")
        for field in workload["metadata"].get("managedFields") or ()
        if "f:replicas" in ((field.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    return not owners or any(owner.startswith("helm") for owner in owners)


def _uid(workload: Object) -> str:
    return str(workload["metadata"]["uid"])


def _generation(workload: Object) -> int:
    return int(workload["metadata"]["generation"])
