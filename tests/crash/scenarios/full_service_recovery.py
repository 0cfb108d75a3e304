"""Full recovery: everything restarted once and in order, and traffic where the service was well, whoever is killed."""

from typing import Any, ClassVar

import httpx
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from activities.kubernetes import effect_notes
from activities.kubernetes.rollouts import STOPPED
from activities.kubernetes.traffic import WEIGHT
from sandbox import kubernetes_api, manifests
from sandbox.service_database import PRIMARY, SPARES
from tests.crash.database_world import DatabaseScenario
from tests.crash.people import decide, tell, when
from tests.crash.scenario import Case, EndState
from tests.crash.world import ServiceScenario, a_deployment
from workflows.disaster_recovery.recovery.full_service_recovery import FullServiceRecoveryRequest
from workflows.disaster_recovery.restore.point_in_time_restore import PointInTimeRestore
from workflows.platform.lease import Resume

OTHERS = ("gateway", "worker")
_RECOVERED = {
    "weight of the ingress": 100,
    "Ingress notes traffic-0": 1,
    "Ingress notes traffic-100": 1,
    "Deployment notes restart-tensafe-server": 1,
    **{f"{name} notes restart-{name}": 1 for name in OTHERS},
    **{f"changes of {name}": 2 for name in OTHERS},
    "replicas ready": 3,
    "changes of cache": 2,
    "StatefulSet notes restart-statefulset-cache": 1,
    "CronJob notes stop-cronjob-nightly": 1,
    "CronJob notes give-back-cronjob-nightly": 1,
    "jobs": 1,
    "status_updates status-page-resolved": 1,
}


def recovery(health: str, **traffic: Any) -> dict[str, Any]:
    """Give a policy that is through within seconds."""
    return {
        "order": [list(OTHERS), [manifests.SERVICE]],
        "steady_for": "PT0S",
        "tests": [{"name": "health", "url": health}],
        "test_job": {"image": "registry.example/integration:v1", "timeout": "PT3M"},
        "traffic": {"mode": "ingress", "ingress": manifests.SERVICE, "steps": [50, 100], "hold": "PT0.5S", **traffic},
        "breach_for": "PT30S",
        "sample_every": "PT0.1S",
        "watch_for": "PT3S",
        "watch_every": "PT1.5S",
        "look_for": "PT0.3S",
        "decision_timeout": "PT10M",
    }


class RecoveryScenario(ServiceScenario):
    """Three Deployments in two stages; traffic is taken away, and comes back in two steps."""

    name = "full-service-recovery"
    procedure = "full_service_recovery"
    leaves: ClassVar = {**_RECOVERED, "Ingress notes traffic-50": 1, "incidents create-incident": 1}
    traffic: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        super().__init__()
        self._health: dict[str, str] = {}

    def begin(self, case: Case, health: str) -> None:
        self._health[case.name] = health
        with kubernetes_api.connect(case.servers.kubeconfig) as api:
            others = [a_deployment(case.namespace, name) for name in OTHERS]
            kubernetes_api.apply(api, [*others, _cache(case.namespace), _nightly(case.namespace)])

    def policy(self, case: Case) -> dict[str, Any]:
        beside = [{"kind": "StatefulSet", "name": "cache"}, {"kind": "CronJob", "name": "nightly"}]
        policy = recovery(self._health[case.name], **self.traffic)
        return {**super().policy(case), "recovery": policy, "workloads": beside}

    def request(self, case: Case) -> FullServiceRecoveryRequest:
        return FullServiceRecoveryRequest(take_traffic_away="always")

    def look(self, case: Case, api: httpx.Client, state: EndState) -> None:
        super().look(case, api, state)
        ingresses = f"/apis/networking.k8s.io/v1/namespaces/{case.namespace}/ingresses"
        ingress = api.get(f"{ingresses}/{manifests.SERVICE}").raise_for_status().json()
        state.counts["weight of the ingress"] = int(ingress["metadata"]["annotations"][WEIGHT])
        _notes(ingress, "Ingress", state)
        for name in OTHERS:
            path = f"/apis/apps/v1/namespaces/{case.namespace}/deployments/{name}"
            deployment = api.get(path).raise_for_status().json()
            state.counts[f"changes of {name}"] = deployment["metadata"]["generation"]
            _notes(deployment, name, state)

        for path, kind, name in (("apps/v1", "StatefulSet", "cache"), ("batch/v1", "CronJob", "nightly")):
            found = (
                api.get(f"/apis/{path}/namespaces/{case.namespace}/{kind.lower()}s/{name}").raise_for_status().json()
            )
            _notes(found, kind, state)
            state.counts[f"changes of {name}"] = found["metadata"]["generation"]
            if found["spec"].get("suspend") or STOPPED in found["metadata"].get("annotations", {}):
                state.paused.append(f"{kind} {name} is kept stopped")


class CancelledRecoveryScenario(RecoveryScenario):
    """Cancelled while the first step is still being watched: the share of before comes back to the healthy service."""

    name = "full-service-recovery-cancelled"
    end = WorkflowExecutionStatus.CANCELED
    traffic: ClassVar = {"hold": "PT10M"}
    leaves: ClassVar = {
        "weight of the ingress": 100,
        "Ingress notes traffic-0": 1,
        "Ingress notes traffic-50": 1,
        "Ingress notes traffic-100": 1,
        "incident_notes note": 1,
    }

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await when(handle, lambda status: any("50 % of the traffic" in entry.text for entry in status.entries))
        await handle.cancel()

    async def end_state(self, case: Case) -> EndState:
        state = await super().end_state(case)
        # It is in human hands, as the run has said.
        state.paused = [what for what in state.paused if not what.startswith("incident ")]
        return state


class RestoredScenario(DatabaseScenario, RecoveryScenario):
    """The database is restored by a run of its own, which goes on when the service is back."""

    name = "full-service-recovery-restored"
    backup = True
    leaves: ClassVar = {
        **_RECOVERED,
        # Stopped and given back by the restore as well.
        "changes of cache": 4,
        "CronJob notes stop-cronjob-nightly": 2,
        "CronJob notes give-back-cronjob-nightly": 2,
        f"the service is pointed at {SPARES[0]}": 1,
        f"{SPARES[0]} takes writes": 1,
        f"{PRIMARY} is fenced": 1,
        "the service can write": 1,
        "status_updates status-resolved": 1,  # the restore has said so too
    }

    def policy(self, case: Case) -> dict[str, Any]:
        return {**DatabaseScenario.policy(self, case), **RecoveryScenario.policy(self, case)}

    def look(self, case: Case, api: httpx.Client, state: EndState) -> None:
        DatabaseScenario.look(self, case, api, state)
        RecoveryScenario.look(self, case, api, state)

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await decide(handle, "restore", "restore")
        await when(handle, lambda status: any("a run of its own" in entry.text for entry in status.entries))
        restore = handle._client.get_workflow_handle(f"{handle.id}/restore")
        await decide(restore, "switch", "switch")
        await when(restore, lambda status: status.phase == "Damaged copy kept")
        await tell(restore, PointInTimeRestore.resume, Resume(who="ada", role="dba"))
        await decide(restore, "damaged-copy", "keep")
        await restore.result()


def _cache(namespace: str) -> dict[str, Any]:
    """A StatefulSet, which is restarted before the Deployments."""
    made = a_deployment(namespace, "cache")
    return {**made, "kind": "StatefulSet", "spec": {**made["spec"], "serviceName": "cache"}}


def _nightly(namespace: str) -> dict[str, Any]:
    """A CronJob, which is suspended meanwhile; it never runs in a test."""
    pod = {"containers": [{"name": "nightly", "image": "registry.example/nightly:v1"}], "restartPolicy": "Never"}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly", "namespace": namespace},
        "spec": {"schedule": "0 0 29 2 *", "jobTemplate": {"spec": {"template": {"spec": pod}}}},
    }


def _notes(found: dict[str, Any], kind: str, state: EndState) -> None:
    notes = effect_notes.read(found["metadata"].get("annotations", {}))
    state.counts.update(f"{kind} notes {note.key.rpartition('/')[2]}" for note in notes)
