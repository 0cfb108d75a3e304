"""The cluster's HTTP API with plain JSON: enough for applying manifests and watching, without the client's models."""

import base64
import json
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RECONNECT_SECONDS = 0.3
_WATCH_TIMEOUT = httpx.Timeout(10.0, read=None)
_PLURALS = {
    "Namespace": "namespaces",
    "Node": "nodes",
    "Secret": "secrets",
    "Service": "services",
    "Deployment": "deployments",
    "StatefulSet": "statefulsets",
    "CronJob": "cronjobs",
    "Ingress": "ingresses",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
    "CustomResourceDefinition": "customresourcedefinitions",
    "ScaledObject": "scaledobjects",
}


def connect(kubeconfig: Path) -> httpx.Client:
    """Give an HTTP client for the current context of a kubeconfig with a token and an authority."""
    (config,) = documents(kubeconfig.read_text(encoding="utf-8"))
    context = next(c["context"] for c in config["contexts"] if c["name"] == config["current-context"])
    cluster = next(c["cluster"] for c in config["clusters"] if c["name"] == context["cluster"])
    user = next(u["user"] for u in config["users"] if u["name"] == context["user"])
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    return httpx.Client(
        base_url=cluster["server"],
        verify=ssl.create_default_context(cadata=authority),
        headers={"Authorization": f"Bearer {user['token']}"},
        timeout=60.0,
        trust_env=False,
    )


def documents(text: str) -> list[dict[str, Any]]:
    """Give the objects of a YAML file."""
    return [document for document in yaml.load_all(text, Loader=_LOADER) if document is not None]


def path_of(document: dict[str, Any]) -> str:
    """Give an object's path in the API."""
    version, metadata = document["apiVersion"], document["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    scope = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{root}{scope}/{_PLURALS[document['kind']]}/{metadata['name']}"


def apply(api: httpx.Client, objects: Iterable[dict[str, Any]]) -> None:
    """Create or update objects by server-side apply.

    Raises:
        httpx.HTTPStatusError: the API refused one.

    """
    for document in objects:
        answer = api.patch(
            path_of(document),
            params={"fieldManager": "sandbox", "force": "true"},
            json=document,  # JSON is YAML
            headers={"Content-Type": "application/apply-patch+yaml"},
        )
        if answer.is_error:
            raise httpx.HTTPStatusError(
                f"{path_of(document)}: {answer.status_code} {answer.text}", request=answer.request, response=answer
            )


def follow(
    api: httpx.Client, path: str, params: Mapping[str, str], stop: threading.Event
) -> Iterator[dict[str, dict[str, Any]]]:
    """Give all objects of a collection by name, again after every change, until `stop` is set.

    Lost connections and expired watches begin anew by themselves; meanwhile nothing is given.
    """
    while not stop.is_set():
        try:
            listed = api.get(path, params=params).raise_for_status().json()
            objects = {item["metadata"]["name"]: item for item in listed["items"]}
            yield objects
            since = {"watch": "true", "resourceVersion": listed["metadata"]["resourceVersion"]}
            with api.stream("GET", path, params={**params, **since}, timeout=_WATCH_TIMEOUT) as events:
                events.raise_for_status()
                for line in events.iter_lines():
                    if stop.is_set():
                        return
                    event = json.loads(line)
                    if event["type"] == "ERROR":  # most often: our resourceVersion is too old
                        break
                    name = event["object"]["metadata"]["name"]
                    objects = {key: item for key, item in objects.items() if key != name}
                    if event["type"] != "DELETED":
                        objects[name] = event["object"]
                    yield objects
        except httpx.HTTPError:
            stop.wait(_RECONNECT_SECONDS)
