"""P2: too few pods; two more are added behind a paused autoscaler, watched, and the incident is resolved.

Or it is raised to P1, or a P1 takes it in.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from temporalio.client import WorkflowHandle
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.records.alerts import Alert
from sandbox import kubernetes_api, manifests
from sandbox.probes import wait_until
from tests.crash.people import tell, when, whenever
from tests.crash.scenario import Case
from tests.crash.world import ServiceScenario
from workflows.incident_response.incident_words import Closing, Raise
from workflows.incident_response.p1_incident import P1Incident, P1Request
from workflows.incident_response.p2_incident import P2Incident, P2Request
from workflows.shared.continued import p1_run_id

CLOSING = Closing(who="ada", role="commander", resolution="More pods", root_cause="Load")


class P2Scenario(ServiceScenario):
    name = "p2-incident"
    procedure = "p2_incident"
    leaves: ClassVar = {
        "replicas": 5,
        "replicas ready": 5,
        "incidents create-incident": 1,
        "Deployment notes scale": 1,
        "ScaledObject notes pause-autoscaler": 1,
        "ScaledObject notes resume-autoscaler": 1,
        "evidence figures.svg": 1,
    }

    def policy(self, case: Case) -> dict[str, Any]:
        return {
            # Saturated for ever, and no figures to be watched: what is watched is the service's own health.
            "metrics": {"saturation": "vector(1)"},
            "degradation": {"watch_for": "PT6S", "watch_every": "PT0.5S", "better_for": "PT3S"},
        }

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Have it watched on where people are asked: on a busy machine it may not look well at the end of the watch."""
        await whenever(handle, "watch", role="commander")

    def matters(self, kill: str, name: str) -> bool:
        return not name.startswith("messages post-fix-")

    def request(self, case: Case) -> P2Request:
        alert = Alert(source="crash", fingerprint=case.workflow_id, name="HighLatency", starts_at=datetime.now(UTC))
        return P2Request(alert=alert)


class RaisedP2Scenario(P2Scenario):
    """It becomes an outage, says a person: a P1 goes on with the incident, and is closed."""

    name = "p2-incident-raised"
    weight = 0.4  # nearly all of it waits until what was added is held no longer
    leaves: ClassVar = {"incidents create-incident": 1, "evidence post-mortem.md": 1}

    def __init__(self) -> None:
        super().__init__()
        self._cases: dict[str, Case] = {}

    def policy(self, case: Case) -> dict[str, Any]:
        self._cases[case.namespace] = case
        found = super().policy(case)
        # What people do ends the watch, on the busiest machine too; what was added is held for as long as it would have
        # lasted.
        watch = {**found["degradation"], "watch_for": "PT90S", "better_for": "PT90S"}
        incident = {"steady_for": "PT1S", "verify_timeout": "PT5M"}
        return {**found, "degradation": watch, "scaling": {"lease": "PT1S"}, "incident": incident}

    def others(self, case: Case) -> Sequence[str]:
        return (p1_run_id(case.namespace),)

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await when(handle, lambda status: status.phase == "Watch")
        # A P1 that finds the pods still coming would add more.
        await asyncio.to_thread(_grown, self._cases[_service(handle)])
        await self.worsen(handle)
        p1 = self.p1(handle)
        while not await _begun(p1):
            await asyncio.sleep(0.2)
        await when(p1, lambda status: status.waiting_for == "close")
        await tell(p1, P1Incident.close, CLOSING)
        await p1.result()

    async def worsen(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Say that it is an outage."""
        await tell(handle, P2Incident.raise_to_p1, Raise(who="ada", role="commander", reason="orders are lost"))

    def p1(self, handle: WorkflowHandle[Any, Any]) -> WorkflowHandle[Any, Any]:
        """Give the P1 run of the case's service."""
        return handle._client.get_workflow_handle(p1_run_id(_service(handle)))


class TakenInP2Scenario(RaisedP2Scenario):
    """A P1 of the same service begins meanwhile, and goes on with its incident."""

    name = "p2-incident-taken-in"
    leaves: ClassVar = {"incidents create-incident": 1, "evidence post-mortem.md": 1}

    async def worsen(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Let somebody start a P1."""
        service = _service(handle)
        with contextlib.suppress(WorkflowAlreadyStartedError):  # said twice it is said once
            await handle._client.start_workflow(
                "P1Incident",
                P1Request(service=service, requested_by="ada"),
                id=p1_run_id(service),
                task_queue=service,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            )


def _grown(case: Case) -> None:
    path = f"/apis/apps/v1/namespaces/{case.namespace}/deployments/{manifests.SERVICE}"
    with kubernetes_api.connect(case.servers.kubeconfig) as api:
        wait_until(lambda: api.get(path).raise_for_status().json()["status"].get("readyReplicas") == 5)


async def _begun(run: WorkflowHandle[Any, Any]) -> bool:
    try:
        await run.describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True


def _service(handle: WorkflowHandle[Any, Any]) -> str:
    """Give the case's namespace, which its service and its task queue are named after."""
    return handle.id.removesuffix("-run")
