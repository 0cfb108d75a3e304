"""The world that the scenarios share: the service in a namespace of the case's own, and what is left of it."""

import asyncio
import contextlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import httpx
import psycopg
from psycopg import sql
from temporalio.client import WorkflowHandle

from activities.autoscaling.objects import HOLD
from activities.kubernetes import effect_notes
from sandbox import binaries, kubernetes_api, manifests
from sandbox.aws import REGION
from sandbox.ports import LOOPBACK, free_port
from sandbox.probes import http, wait_until
from tests.crash.forks import Fork
from tests.crash.scenario import Case, EndState, Strict
from tests.plugins.patience import HANGS

SCALED_OBJECT = "tensafe-scaledobject"
_HASH = re.compile(r"\.[0-9a-f]{16}(?=\.)")
TABLES = (
    "alerts",
    "audit_log",
    "deployments",
    "incident_notes",
    "incidents",
    "messages",
    "pages",
    "post_mortems",
    "status_updates",
)


class ServiceScenario(Strict):
    """A scenario on the healthy service; those that derive from it say what is different."""

    name: str
    procedure: str
    leaves: ClassVar[Mapping[str, int]] = {}
    programs: ClassVar[Collection[str]] = ()

    def __init__(self) -> None:
        self._services: dict[str, Fork] = {}

    # -- what differs ------------------------------------------------------------------------------------------

    def policy(self, case: Case) -> dict[str, Any]:
        """Give the settings of the service that this scenario needs besides."""
        return {}

    def begin(self, case: Case, health: str) -> None:
        """Bring the healthy service to where the procedure begins."""

    def look(self, case: Case, api: httpx.Client, state: EndState) -> None:
        """Add what else is left."""

    def others(self, case: Case) -> Sequence[str]:
        """Give the workflow IDs of further runs whose records count as this run's."""
        return ()

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Nothing is for people to do, unless the scenario says so."""

    # -- before ------------------------------------------------------------------------------------------------

    async def prepare(self, case: Case) -> dict[str, Any]:
        return await asyncio.to_thread(self._prepare, case)

    def _prepare(self, case: Case) -> dict[str, Any]:
        kubeconfig = case.servers.kubeconfig
        manifests.apply_service(kubeconfig, case.namespace)
        port = free_port()
        (case.directory / "pod-logs").mkdir()
        self._services[case.name] = case.servers.forks.python(
            "sandbox.service.__main__",
            "--kubeconfig",
            kubeconfig,
            "--namespace",
            case.namespace,
            "--port",
            port,
            "--logs",
            case.directory / "pod-logs",
            "--requests-per-second",
            "1",
            log=case.directory / "service.log",
        )
        health = f"http://{LOOPBACK}:{port}/health"
        wait_until(http(health))
        self.begin(case, health)
        return {
            "temporal": {"address": case.servers.temporal, "task_queue": case.task_queue},
            "worker": {
                "workflow_sandbox": True,
                "dead_worker_keeps_runs": "PT3S",
                "heartbeat_throttle": "PT0.5S",
                "health_timeout": "PT20S",
            },
            "records": {"url": case.servers.records, "pool_size": 4},
            "kubernetes": {"kubeconfig": str(kubeconfig)},
            "prometheus": {"url": case.servers.prometheus},
            "aws": {"region": REGION, "endpoint_url": case.servers.aws},
            "helm": {"program": str(binaries.find("helm"))},
            "evidence": {"directory": str(case.directory / "evidence")},
            "observability": {"log_format": "console"},
            "approvals": {"allow_unsigned": True},
            # A name of its own: the records are shared, and no case may take another's deployment for its own.
            "services": {
                case.namespace: {
                    "namespace": case.namespace,
                    "deployment": manifests.SERVICE,
                    "selector": "app=tensafe",
                    "health_url": health,
                    "hpa": manifests.SERVICE,
                    "scaled_object": SCALED_OBJECT,
                    **self.policy(case),
                }
            },
        }

    # -- after -------------------------------------------------------------------------------------------------

    async def end_state(self, case: Case) -> EndState:
        return await asyncio.to_thread(self._end_state, case)

    def _end_state(self, case: Case) -> EndState:
        state = EndState()
        with kubernetes_api.connect(case.servers.kubeconfig) as api:
            with contextlib.suppress(TimeoutError):  # the counts tell what has not come
                wait_until(lambda: _rolled_out(_deployment(case, api)))
            _look_at_the_service(case, api, state)
            _look_at_the_autoscalers(case, api, state)
            _look_at_the_release(case, api, state)
            self.look(case, api, state)
        _look_at_the_records(case, state, [case.workflow_id, *self.others(case)])
        evidence = case.directory / "evidence"
        # What differs from a file of its name that is there has a hash in its name: of each name only how many counts.
        names = (_HASH.sub(".…", file.name) for file in evidence.rglob("[!.]*") if file.is_file())
        state.counts.update(f"evidence {name}" for name in names)
        return state

    async def clean(self, case: Case) -> None:
        await asyncio.to_thread(self.remove, case)

    def remove(self, case: Case) -> None:
        """Remove the world, also one that was not set up to its end."""
        if service := self._services.pop(case.name, None):
            service.stop()
        with kubernetes_api.connect(case.servers.kubeconfig) as api:
            api.delete(f"/api/v1/namespaces/{case.namespace}")


WHEN_TOLD = {manifests.FALLS_OVER_AFTER: "24h"}
"""For a bad release whose pods fall over when they are told to: see `fall_over`."""


def fall_over(case: Case, health: str) -> None:
    """Have a bad release's pods fall over as soon as they have replaced every good one, and wait for it."""
    pods = f"/api/v1/namespaces/{case.namespace}/pods"
    with kubernetes_api.connect(case.servers.kubeconfig) as api:
        wait_until(lambda: _rolled_out(_deployment(case, api)))
        for pod in items(api, pods, labelSelector="app=tensafe"):
            if "deletionTimestamp" not in pod["metadata"]:
                api.patch(
                    f"{pods}/{pod['metadata']['name']}",
                    json={"metadata": {"annotations": {manifests.FALLS_OVER_AFTER: "0s"}}},
                    headers={"Content-Type": "application/merge-patch+json"},
                ).raise_for_status()
    is_down(health)


def is_down(health: str) -> None:
    """Wait until the service says that it isn't healthy."""
    with httpx.Client(trust_env=False, timeout=HANGS) as client:
        wait_until(lambda: client.get(health).status_code == httpx.codes.SERVICE_UNAVAILABLE)


def _deployment(case: Case, api: httpx.Client) -> dict[str, Any]:
    path = f"/apis/apps/v1/namespaces/{case.namespace}/deployments/{manifests.SERVICE}"
    found: dict[str, Any] = api.get(path).raise_for_status().json()
    return found


def _rolled_out(deployment: dict[str, Any]) -> bool:
    wanted, status = deployment["spec"]["replicas"], deployment.get("status", {})
    return deployment["metadata"]["generation"] == status.get("observedGeneration") and all(
        status.get(count) == wanted for count in ("replicas", "updatedReplicas", "readyReplicas")
    )


def a_deployment(namespace: str, name: str) -> dict[str, Any]:
    """Give one beside the service."""
    labels = {"part": name}
    container = {"name": name, "image": f"registry.example/{name}:v1"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def items(api: httpx.Client, path: str, **params: str) -> list[dict[str, Any]]:
    """List a collection of the cluster's API."""
    found: list[dict[str, Any]] = api.get(path, params=params).raise_for_status().json()["items"]
    return found


def scaled_object(case: Case, api: httpx.Client) -> dict[str, Any]:
    """Read KEDA's autoscaler."""
    path = f"/apis/keda.sh/v1alpha1/namespaces/{case.namespace}/scaledobjects/{SCALED_OBJECT}"
    found: dict[str, Any] = api.get(path).raise_for_status().json()
    return found


def _look_at_the_service(case: Case, api: httpx.Client, state: EndState) -> None:
    root = f"/apis/apps/v1/namespaces/{case.namespace}"
    deployment = _deployment(case, api)
    metadata, spec = deployment["metadata"], deployment["spec"]
    tag = spec["template"]["spec"]["containers"][0]["image"].rpartition(":")[2]
    state.counts[f"runs {tag}"] = 1
    state.counts["replicas"] = spec["replicas"]
    state.counts["replicas ready"] = deployment["status"].get("readyReplicas", 0)
    # Every change of the spec counts, also one that was taken back.
    state.counts["changes of the deployment"] = metadata["generation"]
    state.counts["revision"] = int(metadata["annotations"]["deployment.kubernetes.io/revision"])
    state.counts["replica sets"] = len(items(api, f"{root}/replicasets"))
    state.counts["jobs"] = len(items(api, f"/apis/batch/v1/namespaces/{case.namespace}/jobs"))
    _look_at_the_notes(deployment, state)


def _look_at_the_autoscalers(case: Case, api: httpx.Client, state: EndState) -> None:
    hpas = f"/apis/autoscaling/v2/namespaces/{case.namespace}/horizontalpodautoscalers"
    hpa = api.get(f"{hpas}/{manifests.SERVICE}").raise_for_status().json()
    state.counts["hpa's minimum"] = hpa["spec"]["minReplicas"]
    for autoscaler in (hpa, scaled_object(case, api)):
        annotations = autoscaler["metadata"].get("annotations", {})
        held = [name for name in annotations if name == HOLD or name.startswith("autoscaling.keda.sh/paused")]
        state.paused += [f"{autoscaler['kind']} has {name}" for name in held]
        _look_at_the_notes(autoscaler, state)


def _look_at_the_notes(found: dict[str, Any], state: EndState) -> None:
    notes = effect_notes.read(found["metadata"].get("annotations", {}))
    state.counts.update(f"{found['kind']} notes {note.key.rpartition('/')[2]}" for note in notes)


def _look_at_the_release(case: Case, api: httpx.Client, state: EndState) -> None:
    path = f"/api/v1/namespaces/{case.namespace}/secrets"
    for secret in items(api, path, labelSelector=f"owner=helm,name={manifests.RELEASE}"):
        number, status = (secret["metadata"]["labels"][label] for label in ("version", "status"))
        state.counts[f"helm revision {number}"] = 1
        if status == "deployed":
            state.counts[f"helm deployed {number}"] = 1
        elif status.startswith("pending"):
            state.paused.append(f"helm revision {number} is {status}")


def _look_at_the_records(case: Case, state: EndState, runs: Sequence[str]) -> None:
    """Count the rows of the runs, and of those that they started, by the effect that wrote them."""
    with psycopg.connect(case.servers.records) as connection:
        for table in TABLES:
            of_runs = sql.SQL(
                "SELECT regexp_replace(effect_key, '.*/', ''), count(*) FROM {} "
                "WHERE EXISTS (SELECT FROM unnest(%s::text[]) AS run(id) "
                "WHERE workflow_id = run.id OR starts_with(workflow_id, run.id || '/')) GROUP BY 1"
            ).format(sql.Identifier("runbooks", table))
            state.counts.update({f"{table} {step}": rows for step, rows in connection.execute(of_runs, (list(runs),))})
        deployments = "SELECT version, status FROM runbooks.deployments WHERE service = %s"
        state.counts.update(
            f"deployment {version} {status}" for version, status in connection.execute(deployments, (case.namespace,))
        )
        incidents = "SELECT incident_id FROM runbooks.incidents WHERE workflow_id = ANY(%s) AND status <> 'closed'"
        state.paused += [f"incident {name} is open" for (name,) in connection.execute(incidents, (list(runs),))]
