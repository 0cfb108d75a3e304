"""Emergency scale-up: the autoscaler is paused for a lease, and resumed whatever becomes of worker and run."""

from datetime import timedelta
from typing import Any, ClassVar

from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from tests.crash.people import when
from tests.crash.scenario import Case
from tests.crash.world import ServiceScenario
from workflows.platform.run_status import RunStatus
from workflows.scaling.emergency_scale_up import EmergencyScaleUpRequest

_LEFT = {
    "replicas": 6,
    "replicas ready": 6,
    "Deployment notes scale": 1,
    "messages post-scaled": 1,
    "messages post-resumed": 1,
}


class EmergencyScaleUpScenario(ServiceScenario):
    """The lease ends by itself, while workers die."""

    name = "emergency-scale-up"
    procedure = "emergency_scale_up"
    leaves: ClassVar = {**_LEFT, "ScaledObject notes pause-autoscaler": 1, "ScaledObject notes resume-autoscaler": 1}
    lease = timedelta(seconds=3)

    def request(self, case: Case) -> EmergencyScaleUpRequest:
        return EmergencyScaleUpRequest(lease=self.lease)


class CancelledScaleUpScenario(EmergencyScaleUpScenario):
    """The run is cancelled inside of a lease that would last for long."""

    name = "emergency-scale-up-cancelled"
    end = WorkflowExecutionStatus.CANCELED
    lease = timedelta(minutes=30)

    async def steer(self, handle: WorkflowHandle[Any, Any]) -> None:
        await when(handle, inside_the_lease)
        await handle.cancel()


class RaisedMinimumScenario(EmergencyScaleUpScenario):
    """No KEDA: an HPA is held by its minimum."""

    name = "emergency-scale-up-hpa"
    leaves: ClassVar = {
        **_LEFT,
        "hpa's minimum": 3,
        "HorizontalPodAutoscaler notes pause-autoscaler": 1,
        "HorizontalPodAutoscaler notes resume-autoscaler": 1,
    }

    def policy(self, case: Case) -> dict[str, Any]:
        # Named, and not there: the ScaledObject of the namespace is left alone.
        return {"scaled_object": "tensafe-other"}


def inside_the_lease(status: RunStatus) -> bool:
    """Tell whether nothing but the lease's end is to come."""
    return status.phase == "Autoscaler paused" and any("Tell the channel: scaled" in e.text for e in status.entries)
