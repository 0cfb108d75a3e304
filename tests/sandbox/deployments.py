"""A Deployment of the sandbox's cluster, by its plain API."""

from typing import Any

import httpx

MERGE = {"Content-Type": "application/strategic-merge-patch+json"}


def deployment_path(namespace: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments/tensafe-server"


def roll_out(kube: httpx.Client, namespace: str, image: str) -> None:
    container = {"name": "tensafe-server", "image": image}
    spec = {"spec": {"template": {"spec": {"containers": [container]}}}}
    kube.patch(deployment_path(namespace), json=spec, headers=MERGE).raise_for_status()


def pods(kube: httpx.Client, namespace: str) -> list[dict[str, Any]]:
    return kube.get(f"/api/v1/namespaces/{namespace}/pods").raise_for_status().json()["items"]
