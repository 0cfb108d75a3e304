"""Routing rules: which alert starts what, and how a wrong file is told."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from activities.catalogue.service import Service
from activities.records.alerts import Alert
from starters.steering import routes
from starters.steering.deciding import Unrouted, decide
from tests.starters.support import RULES
from workers.registry import PROCEDURES, Procedure
from workers.settings import SettingsError
from workflows.deployment.standard_deployment import StandardDeploymentRequest

SERVICES = ["tensafe-server", "billing"]


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ('[[route]]\nmatch = { a = "b" }\nprocedure = "p1-incidnet"', "Known: morning-startup"),
        ('[[route]]\nprocedure = "p1-incident"', "match or match_re: one is required"),
        ('[[route]]\nmatch_re = { a = "(" }\nprocedure = "p1-incident"', "match_re.a"),
        ('[[route]]\nmatch = { a = "b" }\nprocedure = "p1-incident"\nseverity = "P9"', "route.0.severity"),
        ('[[route]]\nmatch = { a = "b" }\nprocedure = "p1-incident"\nservice = "bling"', "billing"),
        ('[[route]]\nmatch = { a = "b" }\nprocedure = "standard-deployment"', "needs version"),
        ('[[route]]\nmatch = { a = "b" }\nprocedure = "rollback"\ninput = { alert = 1 }', "doesn't take alert"),
        ('[[route]]\nmatch = { a = "b" }\nprocedure = "rollback"\ninput = { reson = "x" }', "doesn't take reson"),
        ('[[rout]]\nprocedure = "p1-incident"', "rout: there is no such field"),
        ("", "route: Field required"),
        ("[[route]", "routes.toml"),
    ],
)
def test_wrong_rules_name_the_field(tmp_path: Path, rules: str, says: str) -> None:
    (tmp_path / "routes.toml").write_text(rules, encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        routes.load(tmp_path / "routes.toml", SERVICES)
    assert says in str(error.value)
    assert "routes.toml" in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        routes.load(tmp_path / "routes.toml", SERVICES)


def test_the_first_rule_that_matches_counts(tmp_path: Path) -> None:
    (tmp_path / "routes.toml").write_text(
        '[[route]]\nmatch = { team = "x" }\nmatch_re = { alertname = "Down|Slow" }\nprocedure = "P1Incident"\n'
        'service = "billing"\n' + RULES,
        encoding="utf-8",
    )
    rules = routes.load(tmp_path / "routes.toml", SERVICES)
    first = rules.find({"team": "x", "alertname": "Slow", "severity": "P1"})
    assert first is not None
    assert first.service_of({"service": "tensafe-server"}, SERVICES) == "billing"
    second = rules.find({"team": "x", "alertname": "Slower", "severity": "P1"})
    assert second is not None
    assert second is not first
    assert second.service_of({"service": "tensafe-server"}, SERVICES) == "tensafe-server"
    assert rules.find({"severity": "P2"}) is None
    assert rules.find({}) is None


def test_without_a_label_the_only_service_is_meant(tmp_path: Path) -> None:
    (tmp_path / "routes.toml").write_text(RULES, encoding="utf-8")
    rule = routes.load(tmp_path / "routes.toml", SERVICES).route[0]
    assert rule.service_of({}, ["tensafe-server"]) == "tensafe-server"
    assert rule.service_of({}, SERVICES) is None
    assert rule.service_of({"service": "typo"}, ["tensafe-server"]) is None


def test_a_rule_fills_in_the_request_from_itself_and_from_labels(tmp_path: Path) -> None:
    (tmp_path / "routes.toml").write_text(
        '[[route]]\nmatch = { event = "built" }\nprocedure = "standard-deployment"\n'
        'input = { change_log = "by the pipeline" }\ninput_labels = { version = "image_tag" }\n',
        encoding="utf-8",
    )
    rule = routes.load(tmp_path / "routes.toml", SERVICES).route[0]
    built = Alert(
        source="ci",
        fingerprint="f",
        name="Built",
        starts_at=datetime(2026, 2, 4, tzinfo=UTC),
        labels={"event": "built", "image_tag": "v1.2.5"},
    )
    request = rule.request(built, "tensafe-server")
    assert request == StandardDeploymentRequest(
        service="tensafe-server", version="v1.2.5", change_log="by the pipeline", alert=built, requested_by="ci: Built"
    )
    for labels in ({"event": "built"}, {"event": "built", "image_tag": "no tag"}):
        with pytest.raises(ValidationError, match="version"):
            rule.request(built.model_copy(update={"labels": labels}), "tensafe-server")


@pytest.mark.parametrize("entry", PROCEDURES, ids=lambda entry: entry.command)
def test_every_procedure_can_be_started_by_an_alert(tmp_path: Path, entry: Procedure) -> None:
    fields = entry.request.model_fields.items()
    required = "".join(f'{name} = "{entry.example[name]}"\n' for name, field in fields if field.is_required())
    text = f'[[route]]\nmatch = {{ a = "b" }}\nprocedure = "{entry.command}"\n[route.input]\n{required}'
    (tmp_path / "routes.toml").write_text(text, encoding="utf-8")
    alert = Alert(source="a", fingerprint="f", name="A", starts_at=datetime(2026, 2, 4, tzinfo=UTC))
    rule = routes.load(tmp_path / "routes.toml", SERVICES).route[0]
    assert isinstance(rule.request(alert, "billing"), entry.request)


def catalogue() -> dict[str, Service]:
    def service(deployment: str, namespace: str = "shop") -> Service:
        url = f"http://{deployment}.{namespace}/health"
        return Service(deployment=deployment, namespace=namespace, selector=f"app={deployment}", health_url=url)

    return {"api": service("api"), "api-batch": service("api-batch"), "billing": service("api", "billing")}


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({"service": "api-batch"}, "api-batch"),
        ({"namespace": "shop", "deployment": "api"}, "api"),
        ({"namespace": "billing", "deployment": "api"}, "billing"),
        ({"namespace": "shop", "pod": "api-5d4f7b6c9-x2x7z"}, "api"),
        ({"namespace": "shop", "pod": "api-batch-5d4f7b6c9-x2x7z"}, "api-batch"),
        ({"namespace": "shop", "pod": "api"}, None),
        ({"namespace": "other", "deployment": "api"}, None),
        ({"deployment": "api"}, None),
        ({"service": "prometheus-blackbox-exporter", "instance": "http://api.billing/health/"}, "billing"),
        ({"service": "kube-state-metrics", "namespace": "shop", "deployment": "api"}, "api"),
        ({"instance": "http://api.shop/health", "namespace": "billing", "deployment": "api"}, None),
        ({"instance": "10.0.0.7:9090"}, None),
        ({"service": "typo"}, None),
        ({}, None),
    ],
)
def test_the_service_that_an_alert_is_about_is_recognised(labels: dict[str, str], service: str | None) -> None:
    rule = routes.Route(procedure="p1-incident", match={"severity": "P1"})
    assert rule.service_of(labels, catalogue()) == service


def test_a_fixed_service_is_not_guessed() -> None:
    rule = routes.Route(procedure="p1-incident", match={"severity": "P1"}, service="elsewhere")
    assert rule.service_of({"namespace": "shop", "deployment": "api"}, catalogue()) is None


TWO = {
    "tensafe-server": Service(
        deployment="tensafe", namespace="prod", selector="app=tensafe", health_url="https://tensafe.example/health"
    ),
    "billing": Service(deployment="billing", namespace="prod", selector="app=billing", health_url="http://b:8080/"),
}


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({"service": "billing"}, "billing"),
        ({"service": "blackbox-exporter", "instance": "https://tensafe.example/health"}, "tensafe-server"),
        ({"service": "blackbox-exporter", "namespace": "prod", "deployment": "tensafe"}, "tensafe-server"),
        (
            {
                "service": "kube-state-metrics",
                "namespace": "monitoring",
                "exported_namespace": "prod",
                "exported_pod": "billing-5d4f7c9b8-x2x4z",
            },
            "billing",
        ),
        ({"target": "http://b:8080"}, "billing"),
        ({"job": "billing"}, "billing"),
        ({"job": "tensafe", "namespace": "prod"}, "tensafe-server"),
        ({"job": "tensafe", "namespace": "staging"}, None),
        ({"app": "tensafe", "job": "billing"}, None),
        ({"job": "billing", "instance": "https://tensafe.example/health"}, "tensafe-server"),
        ({"namespace": "prod"}, None),
        ({}, None),
    ],
)
def test_an_alert_is_about_the_service_that_it_names_best(labels: dict[str, str], service: str | None) -> None:
    rule = routes.Route(procedure="p1-incident", match={"severity": "P1"})
    assert rule.service_of(labels, TWO) == service


SHOPS = {
    "shop": Service(deployment="shop", namespace="prod", selector="app=shop", health_url="http://shop.prod/health"),
    "till": Service(
        deployment="till", namespace="prod", selector="app=till", health_url="https://Till.example:443/health?full=1"
    ),
    "shop-staging": Service(
        deployment="shop", namespace="staging", selector="app=shop", health_url="http://shop.staging/health"
    ),
}


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        # pods of others, whose names begin alike
        ({"namespace": "prod", "pod": "shop-5d4f7b6c9-x2x7z"}, "shop"),
        ({"namespace": "prod", "pod": "shop-redis-0"}, None),
        ({"namespace": "prod", "pod": "shop-db-0"}, None),
        ({"namespace": "prod", "pod": "shop-agent-x7k2p"}, None),
        ({"namespace": "prod", "pod": "shop-migrate-x7k2p"}, None),
        ({"namespace": "prod", "pod": "shop-28391520-x7k2p", "job_name": "shop-28391520"}, None),
        # the same workload, as other exporters name it
        ({"namespace": "prod", "replicaset": "shop-5d4f7b6c9"}, "shop"),
        ({"namespace": "prod", "horizontalpodautoscaler": "shop"}, "shop"),
        ({"namespace": "prod", "workload": "shop", "workload_type": "deployment"}, "shop"),
        ({"namespace": "prod", "workload": "shop", "workload_type": "statefulset"}, None),
        ({"kubernetes_namespace": "prod", "kubernetes_pod_name": "shop-5d4f7b6c9-x2x7z"}, "shop"),
        ({"k8s_namespace_name": "staging", "k8s_deployment_name": "shop"}, "shop-staging"),
        ({"kube_namespace": "prod", "kube_deployment": "till"}, "till"),
        ({"service_namespace": "prod", "service_name": "till"}, "till"),
        ({"destination_workload_namespace": "prod", "destination_workload": "till"}, "till"),
        ({"job": "prod/till"}, "till"),
        (
            {"job": "kubelet", "namespace": "monitoring", "exported_namespace": "prod", "exported_container": "till"},
            "till",
        ),
        (
            {
                "service": "ingress-nginx-controller-metrics",
                "namespace": "ingress-nginx",
                "exported_namespace": "prod",
                "exported_service": "till",
            },
            "till",
        ),
        ({"namespace": "ingress-nginx", "exported_namespace": "prod", "ingress": "till"}, "till"),
        ({"namespace": "keda", "exported_namespace": "prod", "scaledObject": "till"}, "till"),
        ({"namespace": "prod", "created_by_kind": "ReplicaSet", "created_by_name": "till-5d4f7b6c9"}, "till"),
        ({"namespace": "prod", "owner_kind": "Deployment", "owner_name": "till"}, "till"),
        ({"namespace": "prod", "owner_kind": "StatefulSet", "owner_name": "till"}, None),
        ({"namespace": "prod", "label_app_kubernetes_io_name": "till"}, "till"),
        ({"namespace": "test", "label_app_kubernetes_io_name": "till"}, None),
        ({"namespace_name": "staging", "pod_name": "shop-5d4f7b6c9-x2x7z"}, "shop-staging"),
        ({"dimension_Namespace": "prod", "dimension_PodName": "till"}, "till"),
        ({"destination_service": "shop.staging.svc.cluster.local"}, "shop-staging"),
        ({"destination_service": "shop.test.svc.cluster.local"}, None),
        ({"envoy_cluster_name": "outbound|80||till.prod.svc.cluster.local"}, "till"),
        ({"service": "prod/till"}, "till"),
        ({"service": " Till"}, "till"),
        ({"service": "Till", "namespace": "test"}, None),
        # what was probed, however it is written
        ({"instance": "blackbox:9115", "exported_instance": "https://till.example/"}, "till"),
        ({"monitor_url": "https://till.example./", "monitor_name": "shops"}, "till"),
        ({"server_name": "till.example"}, "till"),
        ({"host": "node-7.till.example"}, None),
        ({"instance": "https://till.example/health?full=1"}, "till"),
        ({"instance": "till.example:443"}, "till"),
        ({"target": "https://till.example/"}, "till"),
        ({"instance": "till.example:9100"}, None),
        ({"instance": "http://[::1"}, None),
        # the copy in another namespace is another service
        ({"service": "shop", "namespace": "prod"}, "shop"),
        ({"service": "shop", "namespace": "staging"}, "shop-staging"),
        ({"service": "shop", "namespace": "monitoring"}, "shop"),
        ({"service": "shop", "namespace": "monitoring", "exported_namespace": "prod"}, "shop"),
        ({"service": "till", "namespace": "test", "pod": "till-5d4f7b6c9-x2x7z"}, None),
        ({"service": "till", "namespace": "test", "deployment": "till"}, None),
    ],
)
def test_it_is_not_taken_for_one_that_is_called_alike(labels: dict[str, str], service: str | None) -> None:
    """What exporters say: kube-state-metrics, OpenTelemetry, Istio, Datadog, ingress-nginx, blackbox."""
    rule = routes.Route(procedure="p1-incident", match={"severity": "P1"})
    assert rule.service_of(labels, SHOPS) == service


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({"service": "till", "namespace": "test"}, None),
        ({"service": "till", "namespace": "test", "pod": "worker-5d4f7b6c9-x2x7z"}, None),
        ({"service": "till", "exported_namespace": "test", "namespace": "monitoring"}, None),
        ({"service": "till", "kube_namespace": "till-preview-118"}, None),
        ({"service": "till", "namespace": "kube-system"}, "till"),
        ({"service": "till", "namespace": "probes"}, "till"),
        ({"service": "till", "namespace": "team-a-monitoring"}, "till"),
        ({"service": "till", "namespace": "gmp-system", "exported_namespace": "test"}, None),
        ({"service": "till", "namespace": "ingress-nginx", "pod": "ingress-nginx-controller-x2x7z"}, "till"),
        ({"service": "till", "namespace": "test", "exported_namespace": "prod"}, "till"),
        ({"service": "till", "namespace": "test", "instance": "https://till.example/health?full=1"}, "till"),
        ({"service": "till", "namespace": "prod"}, "till"),
        ({"service": "till", "namespace": ""}, "till"),
        ({"service": "till"}, "till"),
    ],
)
def test_an_alert_from_elsewhere_is_no_reason_to_act_here(labels: dict[str, str], service: str | None) -> None:
    rule = routes.Route(procedure="p1-incident", match={"severity": "P1"})
    assert rule.service_of(labels, SHOPS) == service


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({}, "till"),
        ({"service": ""}, "till"),
        ({"namespace": "prod"}, "till"),
        ({"namespace": "prod", "pod": "worker-5d4f7b6c9-x2x7z"}, "till"),
        ({"namespace": "monitoring"}, "till"),
        ({"namespace": "staging"}, None),
        ({"namespace": "staging", "pod": "till-5d4f7b6c9-x2x7z"}, None),
        ({"namespace": "monitoring", "deployment": "till"}, None),
    ],
)
def test_nor_is_the_only_service_meant_by_what_is_elsewhere(labels: dict[str, str], service: str | None) -> None:
    rule = routes.Route(procedure="p1-incident", match={"severity": "P1"})
    assert rule.service_of(labels, {"till": SHOPS["till"]}) == service


def test_whose_namespaces_say_nothing_a_rule_may_name() -> None:
    rule = routes.Route(procedure="p1-incident", match={"severity": "P1"}, observers=("look*",))
    assert rule.service_of({"service": "till", "namespace": "looks-at-all"}, SHOPS) == "till"
    assert rule.service_of({"service": "till", "namespace": "monitoring"}, SHOPS) is None


@pytest.mark.parametrize("labels", [{"service": "till"}, {"service": "till", "deployment": "till"}])
def test_an_alert_from_elsewhere_is_told_so(labels: dict[str, str]) -> None:
    rules = routes.Routes(route=(routes.Route(procedure="p1-incident", match={"severity": "P1"}),))
    labels = {"severity": "P1", "namespace": "test", **labels}
    alert = Alert(source="a", fingerprint="f", name="A", starts_at=datetime(2026, 2, 4, tzinfo=UTC), labels=labels)
    decided = decide(alert, rules, SHOPS)
    assert isinstance(decided, Unrouted)
    assert decided.why.startswith("labels.service: till is in prod, and the alert is from test, where no one copy")


SEVERAL = {
    "shop": Service.model_validate(
        {
            "namespace": "prod",
            "deployment": "shop",
            "workloads": [
                {"name": "shop", "primary": True},
                {"name": "shop-worker"},
                {"name": "shop-redis", "kind": "StatefulSet"},
                {"name": "shop-report", "kind": "CronJob"},
            ],
            "selector": "app=shop",
            "health_url": "http://shop.prod/health",
        }
    ),
    "till": SHOPS["till"],
}


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({"namespace": "prod", "deployment": "shop-worker"}, "shop"),
        ({"namespace": "prod", "pod": "shop-worker-5d4f7b6c9-x2x7z"}, "shop"),
        ({"namespace": "prod", "replicaset": "shop-worker-5d4f7b6c9"}, "shop"),
        ({"namespace": "prod", "container": "shop-worker"}, "shop"),
        ({"job": "prod/shop-worker"}, "shop"),
        ({"namespace": "prod", "statefulset": "shop-redis"}, "shop"),
        ({"namespace": "prod", "pod": "shop-redis-0"}, "shop"),
        ({"namespace": "prod", "pod": "shop-redis-11", "statefulset": "shop-redis"}, "shop"),
        ({"namespace": "prod", "workload": "shop-redis", "workload_type": "statefulset"}, "shop"),
        ({"k8s_namespace_name": "prod", "k8s_statefulset_name": "shop-redis"}, "shop"),
        ({"kube_namespace": "prod", "kube_stateful_set": "shop-redis"}, "shop"),
        ({"exported_namespace": "prod", "exported_pod": "shop-redis-2", "namespace": "monitoring"}, "shop"),
        ({"namespace": "prod", "cronjob": "shop-report"}, "shop"),
        ({"namespace": "prod", "job_name": "shop-report-29391520"}, "shop"),
        ({"namespace": "prod", "pod": "shop-report-29391520-x2x7z"}, "shop"),
        # nobody's that settings know of
        ({"namespace": "prod", "pod": "shop-db-0"}, None),
        ({"namespace": "prod", "statefulset": "shop-worker"}, None),
        ({"namespace": "prod", "pod": "shop-redis-exporter-5d4f7b6c9-x2x7z"}, None),
        ({"namespace": "prod", "job_name": "shop-report-by-hand"}, None),
        ({"namespace": "prod", "workload": "shop-redis", "workload_type": "deployment"}, None),
        ({"container": "shop-worker"}, None),
        ({"namespace": "staging", "statefulset": "shop-redis"}, None),
        ({"service": "shop", "namespace": "staging", "statefulset": "shop-redis"}, None),
    ],
)
def test_a_services_other_workloads_are_its_own(labels: dict[str, str], service: str | None) -> None:
    rule = routes.Route(procedure="p1-incident", match={"severity": "P1"})
    assert rule.service_of(labels, SEVERAL) == service
