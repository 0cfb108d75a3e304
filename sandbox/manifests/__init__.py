"""What the sandbox's cluster holds and how its pods behave, as plain Kubernetes files beside this one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from sandbox import kubernetes_api
from sandbox.probes import wait_until

_HERE = Path(__file__).parent

SERVICE = "tensafe-server"
GOOD_IMAGE = "registry.example/tensafe-server:v1.2.3"
BAD_IMAGE = "registry.example/tensafe-server:v1.2.4"
BAD_IMAGES = (r":v1[.]2[.]4$", r"-bad$")
"""Patterns of images whose pods crash-loop."""


def kwok_configuration(bad_images: Sequence[str], pods_log_directory: Path) -> str:
    """Give kwok's configuration: which images crash, and where pods' logs are."""
    template = (_HERE / "kwok.yaml").read_text(encoding="utf-8")
    pattern = "|".join(f"(?:{image})" for image in bad_images) or "^$"
    return template.replace("BAD_IMAGE", pattern).replace("PODS", str(pods_log_directory))


def apply_logs_definition(kubeconfig: Path) -> None:
    """Create the definition of kwok's Logs, which kwok needs when it starts."""
    with kubernetes_api.connect(kubeconfig) as api:
        _apply_definition(api, _HERE / "kwok-logs.yaml", "/apis/kwok.x-k8s.io/v1alpha1/logs")


def _apply_definition(api: httpx.Client, file: Path, collection: str) -> None:
    kubernetes_api.apply(api, kubernetes_api.documents(file.read_text(encoding="utf-8")))
    wait_until(lambda: api.get(collection).is_success)


def apply_nodes(kubeconfig: Path, *, keda_definition: Path) -> None:
    """Create three nodes, and the definition of KEDA's ScaledObject."""
    with kubernetes_api.connect(kubeconfig) as api:
        kubernetes_api.apply(api, kubernetes_api.documents((_HERE / "nodes.yaml").read_text(encoding="utf-8")))
        _apply_definition(api, keda_definition, "/apis/keda.sh/v1alpha1/scaledobjects")


def apply_service(kubeconfig: Path, namespace: str = "tensafe", *, timeout: float = 30.0) -> None:
    """Create a namespace with the service of the runbook in it, and wait until all its pods are ready.

    Raises:
        TimeoutError: they were not in time.

    """
    documents = [
        document
        for name in ("tensafe.yaml", "keda.yaml")
        for document in kubernetes_api.documents((_HERE / name).read_text(encoding="utf-8"))
    ]
    for document in documents:
        place = "name" if document["kind"] == "Namespace" else "namespace"
        document["metadata"][place] = namespace
    deployment = next(document for document in documents if document["kind"] == "Deployment")
    with kubernetes_api.connect(kubeconfig) as api:
        kubernetes_api.apply(api, documents)

        def all_ready() -> bool:
            status = api.get(kubernetes_api.path_of(deployment)).json().get("status", {})
            return bool(status.get("readyReplicas") == deployment["spec"]["replicas"])

        wait_until(all_ready, timeout)


def alert_rules() -> list[dict[str, Any]]:
    """Give Prometheus' alerting rules for the service."""
    rules: list[dict[str, Any]] = yaml.safe_load((_HERE / "alerts.yaml").read_text(encoding="utf-8"))
    return rules


def alert_routes() -> str:
    """Give the webhook's routing rules."""
    return (_HERE / "routes.toml").read_text(encoding="utf-8")


def release(kubeconfig: Path, namespace: str, image: str) -> None:
    """Roll a release of the service out, as a deployment pipeline would."""
    patch = {
        "metadata": {"annotations": {"kubernetes.io/change-cause": f"release {image.rpartition(':')[2]}"}},
        "spec": {"template": {"spec": {"containers": [{"name": SERVICE, "image": image}]}}},
    }
    with kubernetes_api.connect(kubeconfig) as api:
        api.patch(
            f"/apis/apps/v1/namespaces/{namespace}/deployments/{SERVICE}",
            json=patch,
            headers={"Content-Type": "application/strategic-merge-patch+json"},
        ).raise_for_status()
