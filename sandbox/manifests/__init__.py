"""What the sandbox's cluster holds and how its pods behave, as plain Kubernetes files and a Helm chart beside this."""

import copy
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from sandbox import binaries, kubernetes_api
from sandbox.probes import wait_until

_HERE = Path(__file__).parent

CHART = _HERE / "chart" / "tensafe"
RELEASE = "tensafe"
VERSION = "v1.2.3"
SERVICE = "tensafe-server"
GOOD_IMAGE = f"registry.example/tensafe-server:{VERSION}"
BAD_IMAGE = "registry.example/tensafe-server:v1.2.4"
BAD_IMAGES = (r":v1[.]2[.]4$", r"-bad$")
"""Patterns of images whose pods crash-loop: ready at first, and falling over after six seconds."""
FALLS_OVER_AFTER = "falls-over-after"
"""The annotation of such a pod that says when its first crash is, where that isn't after six seconds."""


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


def apply_more_nodes(kubeconfig: Path, count: int) -> None:
    """Create so many nodes more, for whoever has more services than three nodes have room for."""
    first, *_ = kubernetes_api.documents((_HERE / "nodes.yaml").read_text(encoding="utf-8"))
    nodes = []
    for number in range(count):
        node = copy.deepcopy(first)
        node["metadata"]["name"] = node["metadata"]["labels"]["kubernetes.io/hostname"] = f"node-{number:03}"
        nodes.append(node)
    with kubernetes_api.connect(kubeconfig) as api:
        kubernetes_api.apply(api, nodes)


def apply_service(kubeconfig: Path, namespace: str = "tensafe", *, timeout: float = 240.0) -> None:
    """Create a namespace with the service of the runbook in it, and wait until all its pods are ready.

    Its Deployment is the first revision of the Helm release `tensafe`.

    Raises:
        TimeoutError: they were not in time.
        subprocess.CalledProcessError: Helm failed; it has said why.

    """
    namespaces, others = _service(namespace)
    with kubernetes_api.connect(kubeconfig) as api:
        kubernetes_api.apply(api, namespaces)
        helm(kubeconfig, namespace, "upgrade", "--install", RELEASE, str(CHART), "--set-string", f"image.tag={VERSION}")
        kubernetes_api.apply(api, others)
        _scale(api, namespace, others, timeout)


def apply_service_plainly(kubeconfig: Path, namespace: str = "tensafe", *, timeout: float = 240.0) -> None:
    """Do the same without Helm: its Deployment is nobody's release.

    Raises:
        TimeoutError: its pods were not ready in time.

    """
    namespaces, others = _service(namespace)
    (deployment,) = kubernetes_api.documents((_HERE / "deployment.yaml").read_text(encoding="utf-8"))
    deployment["metadata"]["namespace"] = namespace
    with kubernetes_api.connect(kubeconfig) as api:
        kubernetes_api.apply(api, [*namespaces, deployment, *others])
        _scale(api, namespace, others, timeout)


def _scale(api: httpx.Client, namespace: str, others: Sequence[Mapping[str, Any]], timeout: float) -> None:
    """Do what the autoscaler would, to which the chart leaves the number, and wait."""
    replicas = next(d["spec"]["minReplicas"] for d in others if d["kind"] == "HorizontalPodAutoscaler")
    deployment = f"/apis/apps/v1/namespaces/{namespace}/deployments/{SERVICE}"
    merge = {"Content-Type": "application/merge-patch+json"}
    api.patch(f"{deployment}/scale", json={"spec": {"replicas": replicas}}, headers=merge).raise_for_status()
    wait_until(lambda: api.get(deployment).json().get("status", {}).get("readyReplicas") == replicas, timeout)


def apply_secrets(kubeconfig: Path, namespace: str, urls: Mapping[str, str], *, key: str = "url") -> None:
    """Create a namespace with a Secret for each URL in it, before the service that reads them."""
    namespaces, _ = _service(namespace)
    secrets = [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "stringData": {key: url},
        }
        for name, url in urls.items()
    ]
    with kubernetes_api.connect(kubeconfig) as api:
        kubernetes_api.apply(api, [*namespaces, *secrets])


def _service(namespace: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Give the namespace, and what is in it besides the Helm release."""
    namespaces, others = [], []
    for name in ("tensafe.yaml", "keda.yaml", "ingress.yaml"):
        for document in kubernetes_api.documents((_HERE / name).read_text(encoding="utf-8")):
            if document["kind"] == "Namespace":
                document["metadata"]["name"] = namespace
                namespaces.append(document)
            else:
                document["metadata"]["namespace"] = namespace
                others.append(document)
    return namespaces, others


def helm(kubeconfig: Path, namespace: str, *arguments: str) -> str:
    """Run Helm as an engineer would; gives what it printed.

    Raises:
        subprocess.CalledProcessError: it failed; it has said why.

    """
    # Releases are kept where Helm keeps them by default, whatever this machine's user has set.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HELM_", "KUBE"))}
    command = [str(binaries.find("helm")), f"--kubeconfig={kubeconfig}", f"--namespace={namespace}", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout


def alert_rules() -> list[dict[str, Any]]:
    """Give Prometheus' alerting rules for the service."""
    rules: list[dict[str, Any]] = yaml.safe_load((_HERE / "alerts.yaml").read_text(encoding="utf-8"))
    return rules


def alert_routes() -> str:
    """Give the webhook's routing rules."""
    return (_HERE / "routes.toml").read_text(encoding="utf-8")


def release(kubeconfig: Path, namespace: str, image: str, *, annotations: Mapping[str, str] | None = None) -> None:
    """Roll a release of the service out, as a deployment pipeline would; `annotations` are its pods'."""
    pods = {"metadata": {"annotations": annotations or {}}, "spec": {"containers": [{"name": SERVICE, "image": image}]}}
    patch = {
        "metadata": {"annotations": {"kubernetes.io/change-cause": f"release {image.rpartition(':')[2]}"}},
        "spec": {"template": pods},
    }
    with kubernetes_api.connect(kubeconfig) as api:
        api.patch(
            f"/apis/apps/v1/namespaces/{namespace}/deployments/{SERVICE}",
            json=patch,
            headers={"Content-Type": "application/strategic-merge-patch+json"},
        ).raise_for_status()
