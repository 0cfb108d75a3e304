"""Manual scale-up: two more replicas."""

from typing import ClassVar

from tests.crash.scenario import Case
from tests.crash.world import ServiceScenario
from workflows.scaling.manual_scale_up import ManualScaleUpRequest


class ManualScaleUpScenario(ServiceScenario):
    name = "manual-scale-up"
    procedure = "manual_scale_up"
    leaves: ClassVar = {"replicas": 5, "replicas ready": 5, "Deployment notes scale": 1, "messages post-scaled": 1}

    def request(self, case: Case) -> ManualScaleUpRequest:
        return ManualScaleUpRequest(target="+2")
