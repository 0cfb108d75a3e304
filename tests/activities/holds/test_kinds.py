"""What a run has left held is found in every kind of place, and given back as the run would have done."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from kubernetes import client
from psycopg_pool import ConnectionPool

from activities.autoscaling.autoscalers import Autoscalers
from activities.catalogue.database import DatabasePolicy, ServerPolicy
from activities.catalogue.service import Service
from activities.common.effects import Effect
from activities.customers.interventions import Interventions, OpenIntervention
from activities.holds.kinds import (
    HeldDatabaseSecrets,
    HeldKind,
    Hold,
    OpenInterventions,
    OpenWindows,
    PausedAutoscalers,
    StoppedDeployments,
)
from activities.kubernetes.database_secrets import HOLD, DatabaseSecrets, HoldSecret
from activities.kubernetes.deployments import Deployments
from activities.kubernetes.rollouts import BROUGHT_BACK, STOPPED
from activities.records.windows import MaintenanceWindows, ScheduleWindow
from tests.activities.autoscaling.conftest import autoscalers, scaled  # noqa: F401
from tests.activities.autoscaling.holding import hold as hold_autoscaler
from tests.activities.autoscaling.scaled import Scaled
from tests.activities.kubernetes.on_cluster import NAME, OnCluster, an_effect
from tests.records_schema.fixtures import effect as record_effect

PAST = datetime.now(UTC) - timedelta(hours=2)
"""Longer ago than the time after which others don't mind a mark any more."""


def service(server: OnCluster, **more: Any) -> dict[str, Service]:
    made = Service(namespace=server.namespace, deployment=NAME, selector="app=tensafe", health_url="http://x", **more)
    return {"tensafe-server": made}


def sweeping() -> Effect:
    return an_effect().model_copy(update={"workflow_id": "give-back", "actor": "sweep-holds"})


def only(kind: HeldKind) -> Hold:
    (found,) = [hold for place in kind.places() for hold in kind.held(place)]
    return found


def test_a_service_that_was_stopped_gets_its_replicas_back(server: OnCluster, cluster_api: client.ApiClient) -> None:
    deployments = Deployments(client.AppsV1Api(cluster_api))
    before = server.raw["spec"]["replicas"]
    of_run = an_effect()
    deployments.scale(server.namespace, NAME, 0, of_run, stopped_until=PAST)
    kind = StoppedDeployments(cluster_api, service(server))
    hold = only(kind)
    assert (hold.run, hold.until) == (of_run.workflow_id, PAST)
    change = kind.give_back(hold, sweeping())
    assert change.applied
    assert server.raw["spec"]["replicas"] == before > 0
    assert STOPPED not in server.raw["metadata"]["annotations"]
    assert of_run.workflow_id in server.raw["metadata"]["annotations"][BROUGHT_BACK]
    assert not kind.give_back(hold, sweeping()).applied


def test_what_people_have_scaled_meanwhile_stays(server: OnCluster, cluster_api: client.ApiClient) -> None:
    deployments = Deployments(client.AppsV1Api(cluster_api))
    deployments.scale(server.namespace, NAME, 0, an_effect(), stopped_until=PAST)
    body = {"spec": {"replicas": 1}}
    client.AppsV1Api(cluster_api).patch_namespaced_deployment_scale(NAME, server.namespace, body)
    kind = StoppedDeployments(cluster_api, service(server))
    kind.give_back(only(kind), sweeping())
    assert server.raw["spec"]["replicas"] == 1
    assert STOPPED not in server.raw["metadata"]["annotations"]


def test_a_mark_of_long_ago_is_taken_off_a_secret(
    server: OnCluster, kube: httpx.Client, cluster_api: client.ApiClient
) -> None:
    path = f"/api/v1/namespaces/{server.namespace}/secrets"
    for name in ("db", "spare"):
        kube.post(path, json={"metadata": {"name": name}, "stringData": {"url": "x"}}).raise_for_status()
    database = DatabasePolicy(
        name="tensafe",
        secret="db",
        servers={"primary": ServerPolicy(secret="db-primary"), "spare": ServerPolicy(secret="spare", spare=True)},
    )
    secrets = DatabaseSecrets(cluster_api)
    secrets.hold(HoldSecret(namespace=server.namespace, secret="spare", until=PAST, effect=an_effect()))
    kind = HeldDatabaseSecrets(secrets, service(server, database=database))
    hold = only(kind)
    assert (hold.name, kind.give_back(hold, sweeping()).applied) == ("spare", True)
    found = kube.get(f"{path}/spare").json()
    assert HOLD not in found["metadata"]["annotations"]


def test_an_open_window_is_ended(records_pool: ConnectionPool[Any], server: OnCluster) -> None:
    windows = MaintenanceWindows(records_pool)
    windows.schedule(
        ScheduleWindow(
            window_id="MW-1",
            service="tensafe-server",
            title="Upgrade",
            impact="brief",
            starts_at=PAST - timedelta(hours=1),
            ends_at=PAST,
            effect=record_effect("schedule"),
        )
    )
    kind = OpenWindows(windows, service(server))
    hold = only(kind)
    assert (hold.name, hold.until) == ("MW-1", PAST)
    assert kind.give_back(hold, record_effect("give-back")).after == "cancelled"
    assert windows.open("tensafe-server") == []


def test_an_open_intervention_is_closed_though_its_time_is_not_over(
    records_pool: ConnectionPool[Any], server: OnCluster
) -> None:
    with records_pool.connection() as connection:
        connection.execute(
            "INSERT INTO runbooks.tenants (tenant_id, name, tier, email, created_at) "
            "VALUES ('acme', 'Acme', 'team', 'it@acme.test', now())"
        )
    interventions = Interventions(records_pool)
    begun = datetime.now(UTC)
    opening = OpenIntervention(
        tenant_id="acme",
        notes="Usage down",
        score=50,
        csm="carl",
        opened_at=begun,
        effect=record_effect("intervention"),
    )
    interventions.open(opening)
    kind = OpenInterventions(interventions, service(server))
    hold = only(kind)
    assert (hold.name, hold.run, hold.first_run, hold.at_once) == ("acme", "wf-1", "run-1", True)
    assert hold.until > begun
    assert kind.give_back(hold, record_effect("give-back")).applied
    assert interventions.living() == []
    assert interventions.open(opening.model_copy(update={"effect": record_effect("another")})).applied


def test_an_autoscaler_says_whose_chain_of_runs_holds_it(
    scaled: Scaled,  # noqa: F811
    autoscalers: Autoscalers,  # noqa: F811
) -> None:
    request = hold_autoscaler(scaled, "p1/first-run/pause-autoscaler")
    autoscalers.hold(request)
    made = service(scaled.server, scaled_object=scaled.name, hpa=scaled.name)
    kind = PausedAutoscalers(scaled.kind, autoscalers, made)
    hold = only(kind)
    assert hold.lease == request.lease
    assert (hold.run, hold.first_run) == ("p1", "first-run")
