"""Standard deployment: a good version stays, a bad one is rolled back by a run of its own."""

from typing import Any, ClassVar

from records_schema.ci_results import report
from sandbox import manifests
from tests.crash.scenario import Case
from tests.crash.scenarios.rollback import BACK_BY_HELM
from tests.crash.world import ServiceScenario
from workflows.deployment.standard_deployment import StandardDeploymentRequest


class GoodVersionScenario(ServiceScenario):
    name = "standard-deployment"
    procedure = "standard_deployment"
    version = "v1.2.5"
    leaves: ClassVar = {
        "runs v1.2.5": 1,
        "revision": 2,
        "helm revision 2": 1,
        "helm deployed 2": 1,
        "jobs": 1,
        "deployment v1.2.5 complete": 1,
    }
    programs: ClassVar[tuple[str, ...]] = ("StandardDeployment/helm-upgrade",)
    watch_for = "PT1S"
    breach_for = "PT30S"

    def policy(self, case: Case) -> dict[str, Any]:
        return {
            "release": {
                "chart": str(manifests.CHART),
                "release": manifests.RELEASE,
                "timeout": "PT3M",
                "smoke_job": {"image": "registry.example/smoke:v1", "timeout": "PT3M"},
                "watch_for": self.watch_for,
                "watch_every": "PT0.2S",
                "breach_for": self.breach_for,
            }
        }

    def begin(self, case: Case, health: str) -> None:
        report(
            case.servers.records,
            service=case.namespace,
            version=self.version,
            verdict="passed",
            reported_by="the crash harness",
        )

    def request(self, case: Case) -> StandardDeploymentRequest:
        return StandardDeploymentRequest(version=self.version, change_log="Fixed bug #123")


class BadVersionScenario(GoodVersionScenario):
    """Its pods fall over a moment after they were ready: while it is watched, while verified, or while Helm waits."""

    name = "standard-deployment-bad"
    version = "v1.2.4"
    leaves: ClassVar = BACK_BY_HELM
    programs: ClassVar[tuple[str, ...]] = ("StandardDeployment/helm-upgrade", "Rollback/rollback")
    watch_for = "PT3M"
    breach_for = "PT0S"

    def policy(self, case: Case) -> dict[str, Any]:
        release: dict[str, Any] = super().policy(case)["release"]
        # Without the Job: whether it runs would depend on when the pods fall over.
        del release["smoke_job"]
        # Helm waits for so long where the first pods fall over before the last ones are there.
        return {"release": {**release, "timeout": "PT1M"}}
