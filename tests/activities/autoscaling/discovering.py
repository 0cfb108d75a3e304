"""Workloads of a real cluster, and what scales them."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox import kubernetes_api

Make = Callable[..., str]


def deployment(name: str, labels: dict[str, str], **container: Any) -> dict[str, Any]:
    image = {"name": name, "image": f"registry.example/{name}:1.0.0"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": {**labels, "team": "shop"}},
                "spec": {"containers": [image | container]},
            },
        },
    }


def in_front(name: str, labels: dict[str, str], port: int, target: int | str) -> dict[str, Any]:
    spec = {"selector": labels, "ports": [{"port": port, "targetPort": target}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def scaler(name: str, of: str) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": of}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 4},
    }


@pytest.fixture
def make(kubeconfig: Path, kube: httpx.Client) -> Iterator[Make]:
    """Have objects in a namespace of the test's own; gives its name."""
    made = []

    def objects(*documents: dict[str, Any]) -> str:
        name = f"shop-{secrets.token_hex(4)}"
        made.append(name)
        placed = ({**one, "metadata": {**one["metadata"], "namespace": name}} for one in documents)
        with kubernetes_api.connect(kubeconfig) as api:
            kubernetes_api.apply(api, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, *placed])
        return name

    yield objects
    for name in made:
        kube.delete(f"/api/v1/namespaces/{name}").raise_for_status()
