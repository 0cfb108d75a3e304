"""What a run has left held is found in every kind of place, and given back as the run would have done."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from kubernetes import client
from psycopg_pool import ConnectionPool
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.autoscaling.autoscalers import Autoscalers
from activities.catalogue.database import DatabasePolicy, ServerPolicy
from activities.catalogue.service import Service
from activities.common.effects import Effect
from activities.common.errors import Unavailable
from activities.customers.interventions import Interventions, OpenIntervention
from activities.holds.holds import GiveBack, Holds, LookForLeft
from activities.holds.kinds import (
    HeldDatabaseSecrets,
    HeldKind,
    Hold,
    OpenInterventions,
    OpenWindows,
    PausedAutoscalers,
    Place,
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


# -- which runs are gone ---------------------------------------------------------------------------------------


class Marked:
    """A kind whose holds are as told."""

    kind = "Deployment"

    def __init__(self, *holds: Hold, fails: bool = False) -> None:
        self.there = list(holds)
        self.fails = fails
        self.given: list[Hold] = []

    def places(self) -> Iterator[Place]:
        return iter([hold.place for hold in self.there])

    def held(self, place: Place) -> list[Hold]:
        if self.fails:
            raise Unavailable("the API server doesn't answer")
        return [hold for hold in self.there if hold.name == place.name]

    def give_back(self, hold: Hold, effect: Effect) -> Any:
        raise AssertionError(f"{hold} {effect}")


def held_by(run: str, *, first_run: str = "", until: datetime = PAST, at_once: bool = False) -> Hold:
    place = Place(service="s", channel="#c", namespace="n", name=run)
    return Hold(**place.model_dump(), kind="Deployment", run=run, first_run=first_run, until=until, at_once=at_once)


class Temporal:
    """Answers what runs there are; the rest of a client is of no use here."""

    def get_workflow_handle(self, run: str) -> Any:
        async def describe() -> Any:
            if run == "forgotten":
                raise RPCError("no such run", RPCStatusCode.NOT_FOUND, b"")
            if run == "away":
                raise RPCError("nobody answers", RPCStatusCode.UNAVAILABLE, b"")
            status = WorkflowExecutionStatus.RUNNING if run.startswith("lives") else WorkflowExecutionStatus.TERMINATED
            info = SimpleNamespace(first_run_id="first")
            raw = SimpleNamespace(workflow_execution_info=info)
            return SimpleNamespace(status=status, run_id="later", raw_description=raw)

        return SimpleNamespace(describe=describe)


@pytest.fixture
def temporal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.holds.holds.activity.client", lambda: cast("Client", Temporal()))


@pytest.mark.usefixtures("temporal")
async def test_only_what_is_past_its_time_and_of_no_run_is_left() -> None:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    kind = Marked(
        held_by("gone"),
        held_by("forgotten"),
        held_by("gone-soon", until=soon),
        held_by("gone-at-once", until=soon, at_once=True),
        held_by("lives-at-once", until=soon, at_once=True),
        held_by("lives"),
        held_by("lives-on", first_run="first"),
        held_by("lives-anew", first_run="an earlier chain"),
    )
    found = await Holds(lambda: [kind]).left(LookForLeft())
    assert {hold.run for hold in found.items} == {"gone", "gone-at-once", "forgotten", "lives-anew"}
    assert (found.held, found.late) == (8, 2)


@pytest.mark.usefixtures("temporal")
async def test_while_temporal_is_away_nothing_is_left() -> None:
    with pytest.raises(Unavailable):
        await Holds(lambda: [Marked(held_by("gone"), held_by("away"))]).left(LookForLeft())


@pytest.mark.usefixtures("temporal")
async def test_what_cannot_be_looked_at_is_told_and_hides_no_other() -> None:
    found = await Holds(lambda: [Marked(held_by("x"), fails=True), Marked(held_by("gone"))]).left(LookForLeft())
    assert [hold.run for hold in found.items] == ["gone"]
    assert "API server doesn't answer" in found.unread[0]


@pytest.mark.usefixtures("temporal")
@pytest.mark.parametrize(
    ("now", "after"),
    [
        ([held_by("lives")], "left to its run"),
        ([], "given back already"),
        ([held_by("gone", until=PAST + timedelta(hours=1))], "held anew"),
    ],
)
async def test_what_has_changed_since_it_was_found_is_left(now: list[Hold], after: str) -> None:
    hold = now[0] if after == "left to its run" else held_by("gone")
    change = await Holds(lambda: [Marked(*now)]).give_back(GiveBack(hold=hold, effect=an_effect()))
    assert (change.after, change.applied) == (after, False)
