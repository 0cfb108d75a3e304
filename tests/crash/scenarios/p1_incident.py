"""P1: a bad release, or a service without pods; a commander who closes."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from temporalio.client import WorkflowHandle

from activities.records.alerts import Alert
from sandbox import kubernetes_api, manifests
from tests.crash.people import decide, tell, when
from tests.crash.scenario import Case
from tests.crash.world import WHEN_TOLD, ServiceScenario, fall_over, is_down
from workflows.incident_response.incident_words import Closing
from workflows.incident_response.p1_incident import P1Incident, P1Request

CLOSING = Closing(who="ada", role="commander", resolution="Rolled back to v1.2.3", root_cause="Bad release v1.2.4")


class P1Scenario(ServiceScenario):
    name = "p1-incident"
    procedure = "p1_incident"
    leaves: ClassVar = {
        "runs v1.2.3": 1,
        "replicas ready": 3,
        "revision": 3,
        "incidents create-incident": 1,
        "deployment v1.2.4 rolled_back": 1,
    }

    def policy(self, case: Case) -> dict[str, Any]:
        return {"incident": {"steady_for": "PT1S", "verify_timeout": "PT5M"}}

    def begin(self, case: Case, health: str) -> None:
        manifests.release(case.servers.kubeconfig, case.namespace, manifests.BAD_IMAGE, annotations=WHEN_TOLD)
        fall_over(case, health)

    def request(self, case: Case) -> P1Request:
        alert = Alert(
            source="crash", fingerprint=case.workflow_id, name="TensafeServerDown", starts_at=datetime.now(UTC)
        )
        return P1Request(alert=alert)

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await when(handle, lambda status: status.waiting_for == "close")
        await tell(handle, P1Incident.close, CLOSING)


class ScaledP1Scenario(P1Scenario):
    """Somebody has scaled it to nothing; the commander chooses pods, which a pause of the autoscaler keeps (C)."""

    name = "p1-incident-scaled"
    leaves: ClassVar = {
        "replicas": 4,
        "replicas ready": 4,
        "incidents create-incident": 1,
        "Deployment notes scale": 1,
        "ScaledObject notes pause-autoscaler": 1,
        "ScaledObject notes resume-autoscaler": 1,
    }

    def policy(self, case: Case) -> dict[str, Any]:
        return {"incident": {"steady_for": "PT1S", "verify_timeout": "PT5M", "scale_to": 4}}

    def begin(self, case: Case, health: str) -> None:
        path = f"/apis/apps/v1/namespaces/{case.namespace}/deployments/{manifests.SERVICE}/scale"
        with kubernetes_api.connect(case.servers.kubeconfig) as api:
            header = {"Content-Type": "application/merge-patch+json"}
            api.patch(path, json={"spec": {"replicas": 0}}, headers=header).raise_for_status()
        is_down(health)

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Choose C, unless it was done already: a run that is reset behind it asks no more."""
        status = await when(handle, lambda status: status.waiting_for == "close" or bool(status.questions))
        if status.questions:
            await decide(handle, "mitigation-1", "scale", role="commander")
        await super().steer(handle)
