"""Which service an alert is about, by what it names: the service, the URL that was probed, the workload, or an app.

Every exporter has labels of its own for the same thing, and where a scrape has that label too, Prometheus puts
`exported_` before it. A name counts in the namespace that stands beside it: the copy in `staging` is another service,
known or not. A service's workloads are all that its settings list.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import SplitResult, urlsplit

from activities.catalogue.service import Service
from activities.catalogue.workloads import WorkloadPolicy
from activities.common.workloads import WorkloadKind

_PROBED = (
    *("instance", "target", "url", "exported_instance", "exported_target", "param_target", "probe_url", "monitor_url"),
    *("host", "hostname", "domain", "server_name"),
)
"""What the blackbox exporter and others have probed, beside the prober's own `service`; of whom a proxy tells."""

_PORTS = {"http": 80, "https": 443}
_HASH, _SUFFIX = "[a-z0-9]{4,10}", "[a-z0-9]{5}"
_WORD = re.compile("[a-z]*[aeiouy][a-z]*")
"""No hash of a ReplicaSet: Kubernetes makes them of digits and of letters that spell nothing."""

OBSERVERS = (
    *("*monitor*", "*observability*", "*metrics*", "*prometheus*", "*grafana*", "*probe*", "*probing*", "*blackbox*"),
    *("*exporter*", "*telemetry*", "*logging*", "datadog*", "newrelic*", "elastic*", "*victoria*"),
    *("*ingress*", "*gateway*", "*istio*", "linkerd*", "*traefik*", "*nginx*", "*haproxy*", "*envoy*", "kong*"),
    *("kube-*", "*-system"),
)
"""Namespaces where what watches services or leads their traffic is, and no copy of a service: shell patterns.

Rather one too many: where it is one, an alert that names a service starts what it did before namespaces counted. An
outage that starts nothing is worse than a look at a service that is well.
"""

_ORDINAL, _TIME = r"\d{1,5}", r"\d{8,10}"
"""Of a StatefulSet's pod; of a CronJob's Job: the minute since 1970, as its controller has it."""


@dataclass(frozen=True)
class _Dialect:
    """The labels in which one exporter names a workload."""

    namespace: str
    deployment: tuple[str, ...] = ()
    pod: tuple[str, ...] = ()
    replica_set: tuple[str, ...] = ()
    stateful_set: tuple[str, ...] = ()
    cron_job: tuple[str, ...] = ()
    job: tuple[str, ...] = ()
    of_any_kind: tuple[str, ...] = ()
    """Its name, whatever it is; where `workload_type` or `owner_kind` says what, of that kind."""

    def named(self, kind: WorkloadKind) -> tuple[str, ...]:
        """Give the labels that name a workload of a kind."""
        return {"Deployment": self.deployment, "StatefulSet": self.stateful_set, "CronJob": self.cron_job}[kind]


_DIALECTS = (
    # kube-state-metrics, cAdvisor and the recording rules of github.com/prometheus-operator/kube-prometheus
    _Dialect(
        *("namespace", ("deployment",), ("pod", "pod_name"), ("replicaset", "created_by_name", "owner_name")),
        *(("statefulset",), ("cronjob",)),
        job=("job_name",),
        of_any_kind=("workload", "owner_name"),
    ),
    _Dialect(
        *("exported_namespace", ("exported_deployment",), ("exported_pod",), ("exported_replicaset",)),
        *(("exported_statefulset",), ("exported_cronjob",), ("exported_job_name",)),
    ),
    # OpenTelemetry's semantic conventions, as Prometheus writes them
    _Dialect(
        *("k8s_namespace_name", ("k8s_deployment_name",), ("k8s_pod_name",), ("k8s_replicaset_name",)),
        *(("k8s_statefulset_name",), ("k8s_cronjob_name",), ("k8s_job_name",)),
    ),
    # Prometheus' own examples of scraping Kubernetes
    _Dialect("kubernetes_namespace", (), ("kubernetes_pod_name", "kubernetes_pod")),
    # Istio's standard metrics, of the side that was called
    _Dialect("destination_workload_namespace", of_any_kind=("destination_workload",)),
    # Google Cloud's monitored resources
    _Dialect("namespace_name", (), ("pod_name",)),
    # CloudWatch Container Insights, by SNS
    _Dialect("dimension_Namespace", (), ("dimension_FullPodName",), of_any_kind=("dimension_PodName",)),
    # Datadog's tags
    _Dialect(
        *("kube_namespace", ("kube_deployment",), ("pod_name",), ("kube_replica_set",)),
        *(("kube_stateful_set",), ("kube_cronjob",), ("kube_job",)),
    ),
)

_OTHER_KINDS = ("statefulset", "daemonset", "job_name", "cronjob")
"""Where one of them stands, a pod or ReplicaSet whose name begins as a Deployment's is of that."""

_NAMED = (
    *("exported_service", "job", "exported_job", "app_kubernetes_io_name", "app", "container", "exported_container"),
    *("service_name", "horizontalpodautoscaler", "hpa", "destination_service_name", "ingress", "scaledObject"),
    *(
        "app_kubernetes_io_instance",
        "k8s_app",
        "label_app",
        "label_app_kubernetes_io_name",
        "rollout",
        "container_name",
    ),
    *("dimension_Service", "service"),
)
_HOSTS = ("destination_service", "envoy_cluster_name", "service", "exported_service")
"""What is named by its host in the cluster; Envoy puts direction and port before it: `outbound|80||api.shop.svc`."""

_DOMAINS = ("", ".svc", ".svc.cluster.local")
_NAMESPACES = (
    *("exported_namespace", "service_namespace", "k8s_namespace_name", "kubernetes_namespace", "kube_namespace"),
    *("namespace_name", "dimension_Namespace", "destination_service_namespace", "namespace"),
)
"""Where what is named is; a scrape's own `namespace` last."""


def recognised(labels: Mapping[str, str], services: Mapping[str, Service]) -> str | None:
    """Find the one service that an alert is about; None where that are several, or none.

    What names the very service counts before what may be shared; within a rule, two services are none.
    """
    for rule in (_by_place, _by_host, _by_name):
        found = {name for name, service in services.items() if rule(labels, service, name)}
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def elsewhere(
    labels: Mapping[str, str], services: Mapping[str, Service], name: str, observers: Collection[str] = OBSERVERS
) -> str | None:
    """Give the service that an alert is about which names one: its copy, where it speaks of another namespace.

    None where nobody knows that copy. A namespace of `observers` says nothing: it is that of the prober or of the rule.
    """
    named = services[name]
    spaces = _spaces(labels)
    if not spaces or named.namespace in spaces:
        return name
    copies = [
        other
        for other, service in services.items()
        if service.namespace in spaces and service.deployment in {name, named.deployment}
    ]
    if copies:
        return copies[0] if len(copies) == 1 else None
    return name if in_reach(labels, named, observers) else None


def in_reach(labels: Mapping[str, str], service: Service, observers: Collection[str] = OBSERVERS) -> bool:
    """Tell whether an alert that doesn't say which service it is about may be about one: it is from nowhere else."""
    spaces = _spaces(labels)
    if service.namespace in spaces:
        return True
    return all(_is_one(space, observers) for space in spaces) and not any(
        _names(labels, service, space) for space in spaces
    )


def foreign(labels: Mapping[str, str], service: Service, observers: Collection[str] = OBSERVERS) -> list[str]:
    """Name the namespaces of an alert that are neither a service's nor an observer's; all, where these are none."""
    spaces = _spaces(labels) - {service.namespace}
    return sorted({space for space in spaces if not _is_one(space, observers)} or spaces)


def _is_one(namespace: str, observers: Collection[str]) -> bool:
    return any(fnmatchcase(namespace, pattern) for pattern in observers)


def _spaces(labels: Mapping[str, str]) -> set[str]:
    return {labels[label] for label in _NAMESPACES if labels.get(label)}


def _by_place(labels: Mapping[str, str], service: Service, name: str) -> bool:
    """By its health URL, or by one of its workloads."""
    del name
    health = _address(service.health_url)
    if any(_address(url) == health for url in _probed(labels) if "://" in url):
        return True
    return _names(labels, service, service.namespace)


def _by_host(labels: Mapping[str, str], service: Service, name: str) -> bool:
    """By the host of its health URL: a probe may ask for another page, or for the certificate alone."""
    del name
    host, port, _ = _address(service.health_url)
    for text in _probed(labels):
        probed = _address(text if "://" in text else f"//{text}")
        if probed[0] == host and (probed[1] or port) == port:
            return True
    return False


def _by_name(labels: Mapping[str, str], service: Service, name: str) -> bool:
    """By the name under which it is scraped; in another namespace that is another service."""
    space = next((labels[label] for label in _NAMESPACES if labels.get(label)), service.namespace)
    names = {name.casefold(), service.deployment.casefold()}
    others = {one.name.casefold() for one in service.other_workloads}
    full = {f"{service.namespace}/{one}".casefold() for one in names | others}  # as a PodMonitor's job is called
    hosts = {f"{one}.{service.namespace}{domain}" for one in names | others for domain in _DOMAINS}
    given = {labels.get(label, "").strip().casefold() for label in _NAMED}
    if full & given or hosts & {labels.get(label, "").rpartition("|")[2].strip().casefold() for label in _HOSTS}:
        return True
    # `redis` or `worker` is what many call theirs: such a name says which one only beside its namespace.
    said = others if space in _spaces(labels) else set()
    return space == service.namespace and bool((names | said) & given)


def _names(labels: Mapping[str, str], service: Service, namespace: str) -> bool:
    """Tell whether they name a workload of the service in a namespace, or a pod of it."""
    return any(_in_dialect(labels, one, namespace, dialect) for one in service.all_workloads for dialect in _DIALECTS)


def _in_dialect(labels: Mapping[str, str], workload: WorkloadPolicy, namespace: str, dialect: _Dialect) -> bool:
    if labels.get(dialect.namespace) != namespace:
        return False
    if any(labels.get(label) == workload.name for label in dialect.named(workload.kind)):
        return True
    kind = (labels.get("workload_type") or labels.get("owner_kind") or workload.kind).casefold()
    if kind == workload.kind.casefold() and any(labels.get(label) == workload.name for label in dialect.of_any_kind):
        return True
    return _of_a_pod(labels, workload, dialect)


def _of_a_pod(labels: Mapping[str, str], workload: WorkloadPolicy, dialect: _Dialect) -> bool:
    """Tell whether they name a pod of a workload, or what stands between the two."""
    pods = [labels.get(label, "") for label in dialect.pod]
    match workload.kind:
        case "StatefulSet":
            return any(re.fullmatch(rf"{re.escape(workload.name)}-{_ORDINAL}", pod) for pod in pods)
        case "CronJob":
            jobs = [labels.get(label, "") for label in dialect.job]
            made = rf"{re.escape(workload.name)}-{_TIME}"
            return any(re.fullmatch(made, job) for job in jobs) or any(
                re.fullmatch(rf"{made}(-\d+)?-{_SUFFIX}", pod) for pod in pods
            )
        case "Deployment":
            if any(labels.get(label) for label in _OTHER_KINDS):
                return False
            return any(_made_by(workload.name, labels.get(label, ""), "") for label in dialect.replica_set) or any(
                _made_by(workload.name, pod, f"-{_SUFFIX}") for pod in pods
            )


def _made_by(deployment: str, name: str, suffix: str) -> bool:
    """Tell whether a ReplicaSet's or a pod's name is that of the Deployment with a hash.

    `shop-redis-0` is a pod of the StatefulSet `shop-redis`, `shop-agent-x7k2p` one of a DaemonSet or a Job.
    """
    found = re.fullmatch(rf"{re.escape(deployment)}-({_HASH}){suffix}", name)
    return found is not None and _WORD.fullmatch(found[1]) is None


def _probed(labels: Mapping[str, str]) -> Iterator[str]:
    return (labels[label] for label in _PROBED if labels.get(label))


def _address(url: str) -> tuple[str, int | None, str]:
    """Give what two ways of writing a URL have in common: host, port, and the rest without a slash at its end."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        parts, port = SplitResult("", "", url, "", ""), None
    return (
        (parts.hostname or "").rstrip("."),
        port,
        parts._replace(scheme="", netloc="", path=parts.path.rstrip("/")).geturl(),
    )
