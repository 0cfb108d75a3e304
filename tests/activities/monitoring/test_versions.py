"""A version has the workers that were heard of lately and have not said since that they stop."""

from typing import Any

import pytest
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.workflowservice.v1 import DescribeWorkerDeploymentVersionResponse
from temporalio.service import RPCError, RPCStatusCode

from activities.monitoring.versions import Seen, of_version, staying, waiting_queues, workers
from tests.activities.monitoring.answering import ago, begin, heartbeats, poller, queue, refused, temporal

NOBODY = heartbeats()


@pytest.fixture(autouse=True)
def _now() -> None:
    begin()


async def seen(pollers: Any, told: Any = NOBODY, *, of_steps: bool = False) -> dict[str, Seen]:
    client = temporal(describe_task_queue=queue(*pollers), list_workers=told)
    return await workers(client, "d", "q", of_steps=of_steps)


async def test_only_who_has_asked_lately_is_there() -> None:
    found = await seen(
        [poller("a", 5, "one"), poller("b", 30, "one"), poller("c", 120, "one"), poller("d", 120, "two")]
    )
    assert (found["one"].workers, found["one"].last) == (2, ago(5))
    assert (found["two"].workers, found["two"].last) == (0, ago(120))


async def test_workers_of_another_deployment_or_of_no_version_are_none_of_it() -> None:
    assert await seen([poller("a", 5, "one", deployment="other"), poller("b", 5)]) == {}


async def test_a_worker_that_is_listed_twice_is_one() -> None:
    assert (await seen([poller("a", 30, "one"), poller("a", 5, "one")]))["one"] == Seen(1, ago(5))


async def test_a_worker_that_has_said_since_that_it_stops_is_gone() -> None:
    stops = heartbeats(("a", 3, True), build="one")
    assert (await seen([poller("a", 5, "one")], stops))["one"] == Seen(0, ago(3))
    again = heartbeats(("a", 9, True), build="one")
    assert (await seen([poller("a", 5, "one")], again))["one"].workers == 1, "it has asked since"


async def test_a_worker_at_its_steps_asks_for_nothing_and_is_there_all_the_same() -> None:
    lives = heartbeats(("a", 5, False), build="one")
    assert (await seen([], lives, of_steps=True))["one"].workers == 1
    assert await seen([], lives) == {}, "one that takes runs always asks"


async def test_a_server_that_knows_no_heartbeats_has_the_last_poll() -> None:
    found = await seen([poller("a", 5, "one")], refused(RPCStatusCode.UNIMPLEMENTED))
    assert found["one"].workers == 1
    with pytest.raises(RPCError):
        await seen([poller("a", 5, "one")], refused(RPCStatusCode.UNAVAILABLE))


async def test_queues_of_steps_that_wait_are_named() -> None:
    answer = DescribeWorkerDeploymentVersionResponse()
    for name, kind, waiting in (
        ("steps", TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY, 2),
        ("idle", TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY, 0),
        ("runs", TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, 2),
    ):
        added = answer.version_task_queues.add(name=name, type=kind)
        added.stats.approximate_backlog_count = waiting
    assert await waiting_queues(temporal(describe_worker_deployment_version=answer), "d", "one") == {"steps"}


@pytest.mark.parametrize("status", [RPCStatusCode.NOT_FOUND, RPCStatusCode.UNIMPLEMENTED])
async def test_of_a_version_that_the_server_does_not_know_nothing_waits(status: RPCStatusCode) -> None:
    assert await waiting_queues(temporal(describe_worker_deployment_version=refused(status)), "d", "one") == set()


async def test_a_server_that_does_not_answer_is_not_taken_for_one_where_nothing_waits() -> None:
    away = temporal(describe_worker_deployment_version=refused(RPCStatusCode.UNAVAILABLE))
    with pytest.raises(RPCError):
        await waiting_queues(away, "d", "one")


def test_runs_are_asked_for_by_the_version_that_they_are_with_or_end_with() -> None:
    assert of_version("d", "one") == 'TemporalWorkerDeploymentVersion = "d:one"'
    assert staying("d", "one") == f'{of_version("d", "one")} AND TemporalWorkflowVersioningBehavior = "Pinned"'
