"""Rollback of a release whose pods have fallen over, by Helm and beside it."""

from typing import Any, ClassVar

from sandbox import manifests
from tests.crash.scenario import Case
from tests.crash.world import WHEN_TOLD, ServiceScenario, fall_over
from workflows.deployment.rollback import RollbackRequest

_BACK = {
    "runs v1.2.3": 1,
    "replicas ready": 3,
    "revision": 3,
    "deployment v1.2.4 rolled_back": 1,
    "evidence logs-before-rollback.txt": 1,
}
BACK_BY_HELM = {**_BACK, "helm revision 3": 1, "helm deployed 3": 1}


class RollbackScenario(ServiceScenario):
    """Helm has released it, and takes it back."""

    name = "rollback"
    procedure = "rollback"
    leaves: ClassVar = BACK_BY_HELM
    programs: ClassVar[tuple[str, ...]] = ("Rollback/rollback",)

    def policy(self, case: Case) -> dict[str, Any]:
        return {"release": {"chart": str(manifests.CHART), "release": manifests.RELEASE, "timeout": "PT3M"}}

    def begin(self, case: Case, health: str) -> None:
        tag = manifests.BAD_IMAGE.rpartition(":")[2]
        annotations = [f"podAnnotations.{name}={value}" for name, value in WHEN_TOLD.items()]
        manifests.helm(
            case.servers.kubeconfig,
            case.namespace,
            "upgrade",
            manifests.RELEASE,
            str(manifests.CHART),
            "--set-string",
            ",".join([f"image.tag={tag}", *annotations]),
        )
        fall_over(case, health)

    def request(self, case: Case) -> RollbackRequest:
        return RollbackRequest(reason="Error rate spiked to 5%")


class UndoScenario(RollbackScenario):
    """Somebody has released it beside Helm: the rollout is undone."""

    name = "rollback-undo"
    leaves: ClassVar = {**_BACK, "helm deployed 1": 1, "Deployment notes rollback": 1}
    programs: ClassVar[tuple[str, ...]] = ()

    def begin(self, case: Case, health: str) -> None:
        manifests.release(case.servers.kubeconfig, case.namespace, manifests.BAD_IMAGE, annotations=WHEN_TOLD)
        fall_over(case, health)
