"""Finds in a cluster what a service's settings say: its Deployment, pods, autoscalers, and where it tells its health.

Of `runbooks config init`: nothing is changed, and what may not be read is left out.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from activities.autoscaling.objects import KEDA, SCALED_OBJECTS
from activities.common.errors import NotFound, Refused
from activities.kubernetes.api import Object, ask, pages
from libraries import kubernetes

if TYPE_CHECKING:
    from libraries import kubernetes as _kubernetes

_PROBES = ("readinessProbe", "livenessProbe", "startupProbe")
"""What Kubernetes itself asks about a container's health; whether it takes requests is the best of it."""

_OPERATORS = {
    "In": "{key} in ({values})",
    "NotIn": "{key} notin ({values})",
    "Exists": "{key}",
    "DoesNotExist": "!{key}",
}


@dataclass(frozen=True)
class Found:
    """A Deployment, and what belongs to it; empty is what isn't there, or couldn't be read."""

    namespace: str
    deployment: str
    selector: str
    hpa: str = ""
    scaled_object: str = ""
    health_url: str = ""
    """As other pods reach it, by its Kubernetes Service."""


def deployments(api: "_kubernetes.ApiClient", namespace: str | None) -> list[Object]:
    """List the Deployments of a namespace, or of all of them.

    Raises:
        Refused: this account may not list them.
        Unavailable: the API server doesn't answer.

    """
    apps = kubernetes.AppsV1Api(api)
    if namespace is None:
        return [*pages(apps.list_deployment_for_all_namespaces)]
    return [*pages(apps.list_namespaced_deployment, namespace)]


def described(api: "_kubernetes.ApiClient", deployment: Object) -> Found:
    """Say what belongs to a Deployment.

    Raises:
        Unavailable: the API server doesn't answer.

    """
    metadata = deployment["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    return Found(
        namespace=namespace,
        deployment=name,
        selector=selector(deployment["spec"]["selector"]),
        hpa=_hpa(api, namespace, name),
        scaled_object=_scaled_object(api, namespace, name),
        health_url=_health_url(api, namespace, deployment["spec"]["template"]),
    )


def selector(labels: Object) -> str:
    """Write a label selector as `kubectl -l` takes it."""
    equal = [f"{key}={value}" for key, value in sorted(labels.get("matchLabels", {}).items())]
    others = (
        _OPERATORS[one["operator"]].format(key=one["key"], values=", ".join(one.get("values", [])))
        for one in labels.get("matchExpressions", [])
    )
    return ",".join([*equal, *others])


@dataclass(frozen=True)
class Selected:
    """Whose pods a selector matches: those of a Deployment, and others; pods of Jobs don't count."""

    ours: list[str]
    missed: list[str]
    """Pods of the Deployment that it doesn't match."""

    others: list[str]


def selected(api: "_kubernetes.ApiClient", namespace: str, deployment: str, by: str) -> Selected:
    """Compare what a selector matches with what is the Deployment's, which its own selector says.

    Raises:
        NotFound: there is no such Deployment.
        Refused: this account may not read it or its pods, or `by` is no selector.
        Unavailable: the API server doesn't answer.

    """
    core = kubernetes.CoreV1Api(api)
    raw = ask(kubernetes.AppsV1Api(api).read_namespaced_deployment, deployment, namespace)
    own = selector(raw["spec"]["selector"])
    theirs, matched = (
        {
            one["metadata"]["name"]
            for one in pages(core.list_namespaced_pod, namespace, label_selector=labels)
            if not any(owner["kind"] == "Job" for owner in one["metadata"].get("ownerReferences", []))
        }
        for labels in (own, by)
    )
    return Selected(sorted(theirs & matched), sorted(theirs - matched), sorted(matched - theirs))


def _hpa(api: "_kubernetes.ApiClient", namespace: str, deployment: str) -> str:
    with suppress(Refused):
        for one in pages(kubernetes.AutoscalingV2Api(api).list_namespaced_horizontal_pod_autoscaler, namespace):
            target = one["spec"]["scaleTargetRef"]
            if (target["kind"], target["name"]) == ("Deployment", deployment):
                return str(one["metadata"]["name"])
    return ""


def _scaled_object(api: "_kubernetes.ApiClient", namespace: str, deployment: str) -> str:
    with suppress(Refused, NotFound):  # not found: there is no KEDA
        listed = ask(kubernetes.CustomObjectsApi(api).list_namespaced_custom_object, *KEDA, namespace, SCALED_OBJECTS)
        for one in listed["items"]:
            target = one["spec"]["scaleTargetRef"]
            if (target.get("kind", "Deployment"), target["name"]) == ("Deployment", deployment):
                return str(one["metadata"]["name"])
    return ""


def _health_url(api: "_kubernetes.ApiClient", namespace: str, template: Object) -> str:
    """Give what a probe asks, at the Service in front of these pods; empty where no probe asks by HTTP."""
    services: list[Object] = []
    with suppress(Refused):
        services = [*pages(kubernetes.CoreV1Api(api).list_namespaced_service, namespace)]
    labels = template.get("metadata", {}).get("labels", {}).items()
    in_front = [one for one in services if (chosen := one["spec"].get("selector")) and chosen.items() <= labels]
    for container, probe in _http_probes(template):
        names = _names(container, probe["port"])
        for service in in_front:
            for port in service["spec"].get("ports", []):
                if port.get("targetPort", port["port"]) in names:
                    scheme, path = probe.get("scheme", "HTTP").lower(), probe.get("path", "/")
                    return f"{scheme}://{service['metadata']['name']}.{namespace}.svc:{port['port']}{path}"
    return ""


def _http_probes(template: Object) -> Iterator[tuple[Object, Object]]:
    for kind in _PROBES:
        for container in template["spec"]["containers"]:
            if asked := container.get(kind, {}).get("httpGet"):
                yield container, asked


def _names(container: Object, port: int | str) -> set[int | str]:
    """Give all that a container's port may be called: by a probe, and by a Service."""
    names: set[int | str] = {port}
    for one in container.get("ports", []):
        known = {one["containerPort"], *([one["name"]] if "name" in one else [])}
        if port in known:
            names |= known
    return names
