"""What another run or person holds on a service is seen at the moment of acting, on real servers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client, WorkflowFailureError

from activities.common.errors import Refused
from tests.activities.kubernetes.on_cluster import OnCluster
from tests.activities.releases.on_helm import OnHelm
from tests.workflows.conftest import Working
from tests.workflows.deployment.test_standard_deployment import NAME, REQUEST, decided
from tests.workflows.steering import begin, waiting_for
from tests.workflows.worlds.platform import Platform

RESTORE = "point-in-time-restore/x"
THREE = {"replicas": "3"}


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
        released.run(released.helm.upgrade, released.upgrade("v1.2.4", values=THREE, from_revision=2))
    assert [status for _, status in released.history] == ["superseded", "deployed"]


def test_nor_does_its_rollback(released: OnHelm) -> None:
    released.release("v1.2.4", "--set=replicas=3")
    with kept_stopped(released.server), pytest.raises(Refused, match=RESTORE):
        released.run(released.helm.rollback, released.rollback())


# -- raised for an emergency ---------------------------------------------------------------------------------


def test_a_release_keeps_the_replicas_of_an_emergency_and_says_so(released: OnHelm) -> None:
    released.run(released.helm.upgrade, released.upgrade("v1.2.3-b", values=THREE))
    released.server.patch({"spec": {"replicas": 6}})
    change = released.run(released.helm.upgrade, released.upgrade("v1.2.4", values=THREE, from_revision=2))
    assert (change.deployed, released.server.spec["replicas"]) == (True, 6)
    assert released.server.image.endswith("v1.2.4")
    assert "tensafe-server keeps 6 replicas, to which somebody has raised it from 3" in change.note


def test_a_release_that_wants_fewer_itself_gets_them(released: OnHelm) -> None:
    released.run(released.helm.upgrade, released.upgrade("v1.2.3-b", values={"replicas": "4"}))
    change = released.run(released.helm.upgrade, released.upgrade("v1.2.4", values={"replicas": "2"}, from_revision=2))
    assert (change.deployed, released.server.spec["replicas"]) == (True, 2)
    assert "keeps" not in change.note
