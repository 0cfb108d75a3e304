"""Who is there to take a step, how long one may wait, and how it is said that nobody takes it.

That runs on a real Temporal say so is in `tests/workers/test_missing_workers.py`.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.api.enums.v1 import PendingActivityState, WorkerDeploymentVersionStatus
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import DescribeWorkerDeploymentResponse
from temporalio.service import RPCError, RPCStatusCode

from activities.monitoring.workers import (
    MissingRole,
    MissingRoles,
    RoleQueue,
    Told,
    WaitingRun,
    Workers,
    WorkerWord,
    _at_it,
    _deserted,
    _in_use,
    _since,
    _waits,
    named,
)
from tests.activities.monitoring.answering import begin, heartbeats, poller, queue, refused, temporal

SCHEDULED = PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
STARTED = PendingActivityState.PENDING_ACTIVITY_STATE_STARTED


@pytest.fixture(autouse=True)
def _now() -> None:
    begin()


async def deserted(*pollers: Any, told: Any = None, waiting: int = 1) -> bool:
    answers = {"describe_task_queue": queue(*pollers, waiting=waiting), "list_workers": told or heartbeats()}
    return await _deserted(temporal(**answers), "q")


async def test_a_queue_is_deserted_where_steps_wait_and_nobody_has_asked_lately() -> None:
    assert await deserted()
    assert await deserted(poller("a", 120))
    assert not await deserted(poller("a", 30))
    assert not await deserted(poller("a", 120), waiting=0)


async def test_a_worker_that_says_that_it_lives_is_there_and_one_that_has_stopped_since_is_not() -> None:
    assert not await deserted(told=heartbeats(("a", 5, False)))
    assert await deserted(told=heartbeats(("a", 120, False)))
    assert await deserted(poller("a", 5), told=heartbeats(("a", 3, True)))
    assert not await deserted(poller("a", 3), poller("a", 120), told=heartbeats(("a", 5, True)))
    assert not await deserted(poller("a", 5), poller("b", 5), told=heartbeats(("a", 3, True)))


async def test_a_server_that_knows_no_heartbeats_has_the_last_poll() -> None:
    assert not await deserted(poller("a", 5), told=refused(RPCStatusCode.UNIMPLEMENTED))
    with pytest.raises(RPCError):
        await deserted(poller("a", 5), told=refused(RPCStatusCode.UNAVAILABLE))


def before(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def step(state: Any = SCHEDULED, *, scheduled: float = 0, due: float | None = None, beat: float = 0) -> Any:
    found = PendingActivityInfo(state=state)
    found.scheduled_time.FromDatetime(before(scheduled))
    if due is not None:
        found.next_attempt_schedule_time.FromDatetime(before(due))
    found.last_heartbeat_time.FromDatetime(before(beat))
    return found


@pytest.mark.parametrize(
    ("found", "waits"),
    [
        (step(scheduled=61), True),
        (step(scheduled=59), False),
        # A retry waits for nobody before it is due.
        (step(scheduled=600, due=59), False),
        (step(scheduled=600, due=61), True),
        (step(scheduled=600, due=-30), False),
        (step(STARTED, scheduled=600), False),
    ],
)
def test_a_step_waits_once_it_could_have_been_taken_for_a_minute(found: PendingActivityInfo, *, waits: bool) -> None:
    assert _waits(found, NOW) is waits


def test_it_has_waited_since_its_retry_was_due() -> None:
    assert _since(step(scheduled=600, due=61)) == before(61)
    assert _since(step(scheduled=600)) == before(600)


@pytest.mark.parametrize(
    ("found", "at_it"), [(step(STARTED, beat=30), True), (step(STARTED, beat=31), False), (step(beat=5), False)]
)
def test_a_worker_is_at_a_step_while_it_beats(found: PendingActivityInfo, *, at_it: bool) -> None:
    assert _at_it(found, NOW) is at_it


def test_a_step_of_an_older_server_has_the_role_of_its_type() -> None:
    made = Workers("runs", [RoleQueue("steps-cluster", "cluster")], lambda kind: f"role of {kind}")
    of_old, of_new, of_other = PendingActivityInfo(), PendingActivityInfo(), PendingActivityInfo()
    of_old.activity_type.name = "kubernetes.scale"
    of_new.activity_options.task_queue.name = "steps-cluster"
    of_other.activity_options.task_queue.name = "somebody's"
    assert made._place(of_old) == ("", "role of kubernetes.scale")
    assert made._place(of_new) == ("steps-cluster", "cluster")
    assert made._place(of_other) == ("somebody's", "")


async def test_versions_that_no_run_ends_with_any_more_are_not_looked_at() -> None:
    answer = DescribeWorkerDeploymentResponse()
    statuses = WorkerDeploymentVersionStatus
    for build, status in (
        ("one", statuses.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINED),
        ("two", statuses.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINING),
        ("three", statuses.WORKER_DEPLOYMENT_VERSION_STATUS_CURRENT),
    ):
        added = answer.worker_deployment_info.version_summaries.add(status=status)
        added.deployment_version.build_id = build
    assert await _in_use(temporal(describe_worker_deployment=answer), "d") == ["two", "three"]
    assert await _in_use(temporal(describe_worker_deployment=refused(RPCStatusCode.NOT_FOUND)), "d") == []
    with pytest.raises(RPCError):
        await _in_use(temporal(describe_worker_deployment=refused(RPCStatusCode.UNAVAILABLE)), "d")


def waiting(run: str) -> WaitingRun:
    return WaitingRun(workflow_id=run, run_id="r", step="kubernetes.scale", since=NOW)


def test_what_is_missing_is_said_with_who_waits_longest() -> None:
    at = f"{NOW:%H:%M:%S} UTC"
    of_role = MissingRole(role="cluster", runs=[waiting("p1"), waiting("p2")])
    assert str(of_role) == f"no worker of role cluster: 2 runs wait, `p1` for kubernetes.scale since {at}"
    of_version = MissingRole(role="", build_id="v2", runs=[waiting("p1"), waiting("p2")])
    assert str(of_version) == f"no worker of version v2 since {at}, and open runs end with it: `p1` and 1 more"
    alone = MissingRole(role="", build_id="v2", runs=[waiting("p1")])
    assert str(MissingRoles(items=[alone])).endswith("end with it: `p1`")
    assert str(MissingRoles(items=[])) == "every role and version that a run waits for has a worker"


def test_a_role_of_a_version_has_both_names() -> None:
    assert [named("cluster", "v2"), named("cluster", ""), named("", "v2")] == [
        "role cluster of version v2",
        "role cluster",
        "version v2",
    ]


def test_a_run_is_told_since_when_it_waits_where_that_is_known() -> None:
    assert str(WorkerWord(role="cluster", step="scale", since=NOW)) == f"scale waits since {NOW:%H:%M:%S} UTC"
    assert str(WorkerWord(role="cluster", step="scale")) == "scale waits"
    assert str(Told(told=1)) == "1 run told"
