"""What another run or person holds on a service is seen at the moment of acting, on real servers."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from temporalio.client import Client, WorkflowFailureError

from activities.common.errors import Refused
from activities.kubernetes.cluster import Kubernetes, ScaleDeployment
from activities.kubernetes.workload_holds import GiveWorkloadBack, StopWorkload, WorkloadHolds
from activities.releases.helm_records import HelmRecords
from tests.activities.kubernetes.on_cluster import OnCluster, an_effect
from tests.activities.releases.on_helm import OnHelm
from tests.workflows.conftest import Working
from tests.workflows.deployment.deploying import NAME, REQUEST, decided
from tests.workflows.steering import begin, waiting_for
from tests.workflows.worlds.platform import Platform

RESTORE = "point-in-time-restore/x"
THREE = {"replicas": "3"}
NEW = "v1.2.5"


@contextmanager
def kept_stopped(server: OnCluster) -> Iterator[None]:
    """A restore keeps the Deployment without replicas."""
    until = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    mark = json.dumps({"run": RESTORE, "until": until})
    server.patch({"spec": {"replicas": 0}, "metadata": {"annotations": {"runbooks.dev/stopped": mark}}})
    yield
    assert server.spec["replicas"] == 0


# -- kept stopped --------------------------------------------------------------------------------------------


async def test_a_restore_that_begins_while_somebody_is_asked_is_seen(working: Working, client: Client) -> None:
    world = Platform()
    world.tests = "failed"
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await waiting_for(handle, "decide predeploy")
        world.stopped_by = RESTORE
        await handle.execute_update("decide", decided("deploy-anyway", reason="hotfix"))
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert not world.done("helm.upgrade")


async def test_what_can_not_be_read_is_not_taken_for_running(working: Working, client: Client) -> None:
    world = Platform()
    world.down.add("kubernetes.deployment")
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert not world.done("helm.upgrade")
    assert not world.done("records.record_deployment")


def test_helm_itself_does_not_start_what_a_restore_keeps_stopped(released: OnHelm) -> None:
    released.run(released.helm.upgrade, released.upgrade("v1.2.3-b", values=THREE))
    with (
        kept_stopped(released.server),
        pytest.raises(Refused, match=rf"tensafe-server is kept without replicas by {RESTORE}"),
    ):
        released.run(released.helm.upgrade, released.upgrade("v1.2.5", values=THREE, from_revision=2))
    assert [status for _, status in released.history] == ["superseded", "deployed"]


def test_nor_does_its_rollback(released: OnHelm) -> None:
    released.release("v1.2.5", "--set=replicas=3")
    with kept_stopped(released.server), pytest.raises(Refused, match=RESTORE):
        released.run(released.helm.rollback, released.rollback())


def test_nor_does_a_release_start_a_stateful_set_of_it(released: OnHelm, cluster_api: client.ApiClient) -> None:
    apps, namespace = client.AppsV1Api(cluster_api), released.server.namespace
    until = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    notes = {
        "meta.helm.sh/release-name": released.upgrade(NEW).release,
        "runbooks.dev/stopped": json.dumps({"run": RESTORE, "until": until, "was": 2}),
    }
    labels = {"app": "queue"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "queue", "image": "queue:v1"}]}}
    spec = {"replicas": 0, "serviceName": "queue", "selector": {"matchLabels": labels}, "template": template}
    queue: Any = {"metadata": {"name": "queue", "annotations": notes}, "spec": spec}
    apps.create_namespaced_stateful_set(namespace, queue)
    with pytest.raises(Refused, match=rf"queue is kept without replicas by {RESTORE}"):
        released.run(released.helm.upgrade, released.upgrade(NEW))
    apps.patch_namespaced_stateful_set("queue", namespace, {"spec": {"replicas": 1}})
    assert released.run(released.helm.upgrade, released.upgrade(NEW)).applied, "somebody has scaled it up by hand"


CRON = """
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 3 * * *"
  suspend: false
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: nightly, image: "nightly:v1"}]}}}}
"""


def test_nor_does_it_wake_a_cron_job_of_it(released: OnHelm, cluster_api: client.ApiClient, tmp_path: Path) -> None:
    chart = tmp_path / "chart"
    shutil.copytree(released.chart, chart)
    (chart / "templates" / "cron.yaml").write_text(CRON)
    namespace, batch = released.server.namespace, client.BatchV1Api(cluster_api)
    assert released.run(released.helm.upgrade, released.upgrade(NEW, chart=str(chart))).deployed
    restore = an_effect().model_copy(update={"workflow_id": RESTORE})
    nightly = {"namespace": namespace, "kind": "CronJob", "name": "nightly"}
    until = datetime.now(UTC) + timedelta(hours=2)
    holds = WorkloadHolds(cluster_api)
    assert holds.stop(StopWorkload(**nightly, until=until, effect=restore)).applied
    upgrade = released.upgrade("v1.2.6", chart=str(chart), from_revision=2)
    for attempt in (
        lambda: released.run(released.helm.upgrade, upgrade),
        lambda: released.run(released.helm.rollback, released.rollback()),
    ):
        with pytest.raises(Refused, match=rf"cronjob/nightly is kept suspended by {RESTORE}"):
            attempt()
    assert batch.read_namespaced_cron_job("nightly", namespace).spec.suspend
    again = restore.model_copy(update={"key": "give-back"})
    assert holds.give_back(GiveWorkloadBack(**nightly, effect=again)).applied
    assert released.run(
        released.helm.upgrade, released.upgrade("v1.2.6", chart=str(chart), from_revision=2, effect=an_effect())
    ).deployed


# -- raised for an emergency ---------------------------------------------------------------------------------


def test_a_release_keeps_the_replicas_of_an_emergency_and_says_so(released: OnHelm) -> None:
    released.run(released.helm.upgrade, released.upgrade("v1.2.3-b", values=THREE))
    released.server.patch({"spec": {"replicas": 6}})
    change = released.run(released.helm.upgrade, released.upgrade("v1.2.5", values=THREE, from_revision=2))
    assert change.deployed, change
    assert released.server.spec["replicas"] == 6
    assert released.server.image.endswith("v1.2.5")
    assert "tensafe-server keeps 6 replicas, to which somebody has raised it from 3" in change.note


def test_a_release_that_wants_fewer_itself_gets_them(released: OnHelm) -> None:
    released.run(released.helm.upgrade, released.upgrade("v1.2.3-b", values={"replicas": "4"}))
    change = released.run(released.helm.upgrade, released.upgrade("v1.2.5", values={"replicas": "2"}, from_revision=2))
    assert change.deployed, change
    assert released.server.spec["replicas"] == 2
    assert "keeps" not in change.note


def raised_to(released: OnHelm, replicas: int) -> None:
    """Raise it as an emergency does (3.2): by the API, not by Helm."""
    kubernetes = Kubernetes(released.api)
    scale = ScaleDeployment(**released.server.target, replicas=replicas, at_least=True, effect=an_effect())
    assert kubernetes.scale(scale).applied


def manifest(released: OnHelm, revision: int) -> str:
    return released.cli("get", "manifest", "tensafe", f"--revision={revision}")


class LowestSeen(threading.Thread):
    """Follows a Deployment, and keeps the fewest replicas that it was asked for."""

    def __init__(self, server: OnCluster) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._over = threading.Event()
        self.seen: set[int] = set()
        self.start()

    def run(self) -> None:
        while not self._over.is_set():
            self.seen.add(self._server.spec["replicas"])

    def end(self) -> int:
        self._over.set()
        self.join()
        return min(self.seen)


@pytest.mark.parametrize("to", [2, 1])
def test_a_rollback_by_helm_keeps_the_replicas_of_an_emergency(released: OnHelm, to: int) -> None:
    """To a release that said three; or to one that said nothing, of which Helm would make one."""
    released.run(released.helm.upgrade, released.upgrade("v1.2.3-b", values=THREE))
    released.run(released.helm.upgrade, released.upgrade("v1.2.5", values=THREE, from_revision=2))
    raised_to(released, 6)
    before = manifest(released, to)
    watching = LowestSeen(released.server)
    change = released.run(released.helm.rollback, released.rollback(from_revision=3, to_revision=to))
    assert watching.end() == 6, "not lowered in between either"
    assert change.deployed, change
    assert released.server.spec["replicas"] == 6
    assert released.server.image.endswith("v1.2.3-b" if to == 2 else "v1.2.3")
    assert (
        f"tensafe-server keeps 6 replicas, to which somebody has raised it from {'3' if to == 2 else '1'}"
        in change.note
    )
    assert manifest(released, to) == before, "what it said stays what it was"
    assert "replicas: 6" in manifest(released, 4)
    assert not released.left_marks()


def test_it_keeps_them_through_one_release_after_another(released: OnHelm) -> None:
    released.run(released.helm.upgrade, released.upgrade("v1.2.3-b", values=THREE))
    raised_to(released, 6)
    released.run(released.helm.upgrade, released.upgrade("v1.2.3-c", values=THREE, from_revision=2))
    # By now Helm itself has released six; they are whoever's set them all the same.
    again = released.run(released.helm.upgrade, released.upgrade("v1.2.5", values=THREE, from_revision=3))
    assert again.deployed, again
    assert released.server.spec["replicas"] == 6
    assert "tensafe-server keeps 6 replicas, which somebody has set" in again.note
    back = released.run(released.helm.rollback, released.rollback(from_revision=4, to_revision=2))
    assert back.deployed, back
    assert released.server.spec["replicas"] == 6
    released.server.patch({"spec": {"replicas": 3}})  # the emergency is over
    over = released.run(released.helm.upgrade, released.upgrade("v1.2.6", values=THREE, from_revision=5))
    assert over.deployed, over
    assert (released.server.spec["replicas"], "keeps" in over.note) == (3, False)


def test_a_rollback_to_a_release_with_fewer_gets_them(released: OnHelm) -> None:
    released.run(released.helm.upgrade, released.upgrade("v1.2.3-b", values=THREE))
    released.run(released.helm.upgrade, released.upgrade("v1.2.5", values={"replicas": "5"}, from_revision=2))
    change = released.run(released.helm.rollback, released.rollback(from_revision=3, to_revision=2))
    assert change.deployed, change
    assert (released.server.spec["replicas"], "keeps" in change.note) == (3, False)


def test_what_a_dead_attempt_has_changed_is_put_right(released: OnHelm) -> None:
    released.run(released.helm.upgrade, released.upgrade("v1.2.5", values=THREE))
    raised_to(released, 6)
    before, records = manifest(released, 1), HelmRecords(released.api)
    dying = records.with_replicas(**released.where, revision=1, replicas={"tensafe-server": 6})
    dying.__enter__()  # and nobody comes back
    assert "replicas: 6" in manifest(released, 1)
    assert released.left_marks() == ["sh.helm.release.v1.tensafe.v1"]
    change = released.run(released.helm.rollback, released.rollback(), attempt=2)
    assert change.deployed, change
    assert released.server.spec["replicas"] == 6
    assert manifest(released, 1) == before
    assert not released.left_marks()


def test_a_plan_leaves_the_history_alone(released: OnHelm) -> None:
    released.run(released.helm.upgrade, released.upgrade("v1.2.5", values=THREE))
    raised_to(released, 6)
    change = released.run(released.helm.rollback, released.rollback(effect=an_effect(dry_run=True)))
    assert "keeps 6 replicas" in change.note
    assert (released.history[-1], released.server.spec["replicas"]) == ((2, "deployed"), 6)
    assert not released.left_marks()
