"""Looks at the real things that a service's settings name: `runbooks doctor`."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import httpx
from temporalio.exceptions import ApplicationError

from activities.autoscaling import discovery
from activities.autoscaling.autoscalers import Autoscalers
from activities.autoscaling.states import AutoscalingRequest
from activities.catalogue.service import Service
from activities.kubernetes import api as kubernetes_api
from activities.kubernetes.cluster import Kubernetes, Workload
from activities.monitoring.health import HealthChecks, HealthRequest
from audit.text import counted
from starters.cli import findings, reaching
from starters.cli.configured import load_settings
from starters.cli.findings import Finding, look
from starters.steering import routes
from starters.steering.errors import WrongInput
from workers.settings import Settings

if TYPE_CHECKING:
    from libraries import kubernetes

_SHOWN = 3
_ALERT = {"alertname": "Sample", "severity": "P1"}


def show(name: str, *, as_json: bool) -> None:
    """Look at everything, and say what was seen.

    Raises:
        WrongInput: there is no such service.
        Stop: something is not as the settings say.

    """
    settings = load_settings()
    if name not in settings.services:
        known = ", ".join(settings.services) or "none"
        raise WrongInput(f"service: {name!r} is not in the catalogue. Known services: {known}")
    service = settings.services[name].model_copy(update={"name": name})
    findings.show([*looked_at(service, settings)], as_json=as_json, told="found wrong")


def looked_at(service: Service, settings: Settings) -> Iterator[Finding]:
    """Look at each thing by itself: one that is out of reach hides no other."""
    yield from _of_the_cluster(service, settings)
    with httpx.Client() as http:
        health = HealthChecks(http, settings.worker.health_timeout).check(HealthRequest(url=service.health_url))
        yield Finding("health", health.healthy, f"{service.health_url}: {health}")
        yield _prometheus(http, settings.prometheus.url)
    yield from _of_the_database(service, settings)
    yield look("alert route", lambda: _route(service, settings))


def _of_the_cluster(service: Service, settings: Settings) -> Iterator[Finding]:
    kubeconfig = settings.kubernetes.kubeconfig
    try:
        api = kubernetes_api.connect(settings.path(kubeconfig) if kubeconfig else None, settings.kubernetes.context)
    except ApplicationError as error:
        yield Finding("Kubernetes", fine=False, seen=error.message)
        return
    with api:
        cluster = Kubernetes(api)
        where = Workload(namespace=service.namespace, deployment=service.deployment)
        yield look("Deployment", lambda: _deployment(cluster, where))
        yield look("selector", lambda: _pods(api, service))
        if service.hpa or service.scaled_object:
            yield from _autoscalers(Autoscalers(api), service)


def _deployment(cluster: Kubernetes, where: Workload) -> tuple[bool, str]:
    state = cluster.deployment(where)
    stopped = f", stopped by {state.stopped}" if state.stopped else ""
    told = f"{where.namespace}/{where.deployment}: {state.ready} of {state.replicas} ready{stopped}"
    return bool(state.ready or not state.replicas), told


def _pods(api: "kubernetes.ApiClient", service: Service) -> tuple[bool, str]:
    found = discovery.selected(api, service.namespace, service.deployment, service.selector)
    # A service of several workloads has pods beside those of its Deployment.
    others = found.others if not service.other_workloads else []
    faults = [
        *(["matches no pod"] if not (found.ours or found.others) else []),
        *([f"misses {_some(found.missed)} of {service.deployment}"] if found.missed else []),
        *([f"also matches {_some(others)}, not of {service.deployment}"] if others else []),
    ]
    told = ", ".join(faults) or counted(len(found.ours) + len(found.others), "pod")
    return not faults, f"{service.selector}: {told}"


def _some(pods: list[str]) -> str:
    shown = ", ".join(pods[:_SHOWN])
    return f"{counted(len(pods), 'pod')} ({shown}{', …' if len(pods) > _SHOWN else ''})"


def _autoscalers(autoscalers: Autoscalers, service: Service) -> Iterator[Finding]:
    asked = AutoscalingRequest(namespace=service.namespace, hpa=service.hpa, scaled_object=service.scaled_object)
    try:
        found = autoscalers.read(asked)
    except ApplicationError as error:
        yield Finding("autoscaler", fine=False, seen=error.message)
        return
    if service.hpa:
        there = found.hpa_max is not None
        yield Finding(
            "HPA", there, f"{service.hpa}: {found.hpa_min} to {found.hpa_max}" if there else _absent(service.hpa)
        )
    if service.scaled_object:
        there = found.scaled_object_paused is not None
        seen = f"{service.scaled_object}: {'paused' if found.scaled_object_paused else 'active'}"
        yield Finding("ScaledObject", there, seen if there else _absent(service.scaled_object))


def _absent(name: str) -> str:
    return f"{name}: there is none of that name"


def _prometheus(http: httpx.Client, url: str) -> Finding:
    try:
        answer = http.get(f"{url.rstrip('/')}/api/v1/query", params={"query": "1"}, timeout=2)
    except (httpx.HTTPError, httpx.InvalidURL):
        return Finding("Prometheus", fine=False, seen=f"{url} does not answer (`[prometheus] url`)")
    return Finding("Prometheus", answer.is_success, f"{url}: HTTP {answer.status_code}")


def _of_the_database(service: Service, settings: Settings) -> Iterator[Finding]:
    if service.database is None:
        return
    name = service.database.name
    section = settings.databases.get(name)
    if section is None:
        yield Finding("database", fine=False, seen=f"settings have no [databases.{name}]")
        return
    for server, role in service.database.servers.items():
        if role.spare:
            continue  # it need not run before something is restored into it
        yield look(f"database {server}", partial(reaching.server, settings, name, server))


def _route(service: Service, settings: Settings) -> tuple[bool, str]:
    rules = routes.load(settings.path(settings.webhook.routes), settings.services)
    labels = {**_ALERT, "service": service.name}
    rule = rules.find(labels)
    if rule is None:
        return False, f"no rule takes an alert with severity=P1 service={service.name}"
    fits = rule.service_of(labels, settings.services) == service.name
    return fits, f"severity=P1 service={service.name} starts {rule.procedure}"
