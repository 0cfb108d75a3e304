"""StatefulSets, CronJobs and other Deployments are stopped and given back as they were, on a real API server."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.catalogue.service import Service
from activities.catalogue.workloads import WorkloadPolicy
from activities.common.effects import Change, Effect
from activities.common.errors import Refused
from activities.common.workloads import WorkloadKind
from activities.holds.kinds import StoppedWorkloads
from activities.kubernetes.api import connect
from activities.kubernetes.rollouts import STOPPED
from activities.kubernetes.workload_holds import (
    AwaitWorkload,
    GiveWorkloadBack,
    RestartWorkload,
    StopWorkload,
    WorkloadHolds,
)
from tests.activities.kubernetes.on_cluster import OnCluster

_POD: dict[str, Any] = {
    "metadata": {"labels": {"app": "beside"}},
    "spec": {"containers": [{"name": "one", "image": "beside:v1"}], "restartPolicy": "Always"},
}
_PATHS = {"StatefulSet": "apis/apps/v1", "Deployment": "apis/apps/v1", "CronJob": "apis/batch/v1"}
_PLURAL = {"StatefulSet": "statefulsets", "Deployment": "deployments", "CronJob": "cronjobs"}
KINDS: list[WorkloadKind] = ["StatefulSet", "Deployment", "CronJob"]


class Beside:
    """One of each kind, beside the service's Deployment."""

    def __init__(self, cluster: OnCluster) -> None:
        self.cluster = cluster
        self.holds = WorkloadHolds(connect(cluster.kubeconfig))
        job = {"template": {**_POD, "spec": {**_POD["spec"], "restartPolicy": "Never"}}}
        scaled = {"replicas": 2, "selector": {"matchLabels": {"app": "beside"}}, "template": _POD}
        specs: dict[str, dict[str, Any]] = {
            "StatefulSet": {**scaled, "serviceName": "beside"},
            "Deployment": scaled,
            "CronJob": {"schedule": "0 3 * * *", "jobTemplate": {"spec": job}},
        }
        for kind, spec in specs.items():
            body = {"apiVersion": _PATHS[kind].removeprefix("apis/"), "kind": kind, "metadata": {"name": "beside"}}
            cluster.kube.post(self.path(kind).rpartition("/")[0], json={**body, "spec": spec}).raise_for_status()

    def path(self, kind: str) -> str:
        return f"/{_PATHS[kind]}/namespaces/{self.cluster.namespace}/{_PLURAL[kind]}/beside"

    def raw(self, kind: str) -> dict[str, Any]:
        raw: dict[str, Any] = self.cluster.kube.get(self.path(kind)).raise_for_status().json()
        return raw

    def value(self, kind: str) -> Any:
        return self.raw(kind)["spec"]["suspend" if kind == "CronJob" else "replicas"]

    def set(self, kind: str, value: object) -> None:
        """Change it as a person may."""
        spec = {"spec": {"suspend" if kind == "CronJob" else "replicas": value}}
        header = {"Content-Type": "application/merge-patch+json"}
        self.cluster.kube.patch(self.path(kind), headers=header, content=json.dumps(spec)).raise_for_status()

    def stop(
        self, kind: WorkloadKind, run: str, *, step: str = "stop", until: timedelta = timedelta(hours=1)
    ) -> Change:
        at = {"namespace": self.cluster.namespace, "kind": kind, "name": "beside"}
        request = StopWorkload(**at, until=datetime.now(UTC) + until, effect=_by(run, "stop"))
        return ActivityEnvironment().run(self.holds.stop, request)

    def give_back(self, kind: WorkloadKind, run: str) -> Change:
        at = {"namespace": self.cluster.namespace, "kind": kind, "name": "beside"}
        return ActivityEnvironment().run(self.holds.give_back, GiveWorkloadBack(**at, effect=_by(run, "back")))


def _by(run: str, step: str) -> Effect:
    return Effect(key=f"{run}/1/{step}", workflow_id=run, run_id="1", actor="ada")


@pytest.fixture
def beside(server: OnCluster) -> Beside:
    return Beside(server)


STOPPED_AT = {"StatefulSet": 0, "Deployment": 0, "CronJob": True}
BEFORE = {"StatefulSet": 2, "Deployment": 2, "CronJob": False}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_stopped_once_and_given_back_as_it_was(beside: Beside, kind: WorkloadKind) -> None:
    assert beside.stop(kind, "restore").applied
    assert beside.value(kind) == STOPPED_AT[kind]
    assert not beside.stop(kind, "restore").applied
    with pytest.raises(Refused, match="kept stopped by restore"):
        beside.stop(kind, "another")
    assert not beside.give_back(kind, "another").applied
    assert beside.value(kind) == STOPPED_AT[kind]
    assert beside.give_back(kind, "restore").applied
    assert beside.value(kind) == BEFORE[kind]
    assert STOPPED not in beside.raw(kind)["metadata"]["annotations"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_person_changes_meanwhile_stays(beside: Beside, kind: WorkloadKind) -> None:
    beside.stop(kind, "restore")
    theirs = False if kind == "CronJob" else 5
    beside.set(kind, theirs)
    assert "as somebody has set it" in beside.give_back(kind, "restore").after
    assert beside.value(kind) == theirs
    assert STOPPED not in beside.raw(kind)["metadata"]["annotations"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_stopped_before_stays_so(beside: Beside, kind: WorkloadKind) -> None:
    beside.set(kind, STOPPED_AT[kind])
    assert not beside.stop(kind, "restore").applied
    assert not beside.give_back(kind, "restore").applied
    assert beside.value(kind) == STOPPED_AT[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_terminated_run_has_left_is_given_back_by_the_sweep(beside: Beside, kind: WorkloadKind) -> None:
    beside.stop(kind, "gone", until=timedelta(hours=-2))
    service = Service(
        namespace=beside.cluster.namespace,
        deployment="api",
        selector="app=api",
        health_url="http://x",
        workloads=(WorkloadPolicy(kind=kind, name="beside"),),
    )
    kept = StoppedWorkloads(beside.holds, {"api": service})
    (place,) = kept.places()
    (hold,) = kept.held(place)
    assert (hold.run, hold.name) == ("gone", f"{kind}/beside")
    assert hold.until < datetime.now(UTC)
    assert kept.give_back(hold, _by("sweep", "back")).applied
    assert beside.value(kind) == BEFORE[kind]
    assert kept.held(place) == []
    assert not kept.give_back(hold, _by("sweep", "again")).applied


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_terminated_run_has_left_is_given_back_by_the_next(beside: Beside, kind: WorkloadKind) -> None:
    beside.stop(kind, "terminated", until=timedelta(minutes=-11))
    assert beside.stop(kind, "next").applied
    assert beside.give_back(kind, "next").applied
    assert beside.value(kind) == BEFORE[kind]


def test_jobs_that_still_run_are_named(beside: Beside) -> None:
    beside.stop("CronJob", "restore")
    # A real one: the controller takes off the list what is not there. Suspended, so that it has no pods that end.
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "beside", "controller": True}
    owner["uid"] = beside.raw("CronJob")["metadata"]["uid"]
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "beside-29", "ownerReferences": [owner]},
        "spec": {"suspend": True, "template": {**_POD, "spec": {**_POD["spec"], "restartPolicy": "Never"}}},
    }
    jobs = f"/apis/batch/v1/namespaces/{beside.cluster.namespace}/jobs"
    made = beside.cluster.kube.post(jobs, json=job).raise_for_status().json()["metadata"]
    active = [{"kind": "Job", "name": made["name"], "namespace": made["namespace"], "uid": made["uid"]}]
    header = {"Content-Type": "application/merge-patch+json"}
    beside.cluster.kube.patch(
        f"{beside.path('CronJob')}/status", headers=header, content=json.dumps({"status": {"active": active}})
    ).raise_for_status()
    at = {"namespace": beside.cluster.namespace, "kind": "CronJob", "name": "beside"}
    request = AwaitWorkload(**at, want="stopped", timeout=timedelta(0))
    seen = ActivityEnvironment().run(beside.holds.await_it, request)
    assert str(seen) == "not complete: job/beside-29 still running"


@pytest.mark.parametrize("kind", KINDS)
def test_its_pods_are_replaced_unless_another_run_keeps_it_stopped(beside: Beside, kind: WorkloadKind) -> None:
    at = {"namespace": beside.cluster.namespace, "kind": kind, "name": "beside"}
    now = datetime.now(UTC)

    def restart(run: str) -> Change:
        request = RestartWorkload(**at, restarted_at=now, effect=_by(run, "restart"))
        return ActivityEnvironment().run(beside.holds.restart, request)

    assert restart("failover").applied == (kind != "CronJob")
    assert not restart("failover").applied
    beside.stop(kind, "restore")
    with pytest.raises(Refused, match="kept stopped by restore"):
        restart("another")
