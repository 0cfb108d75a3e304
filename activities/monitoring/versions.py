"""Versions of the workers (Temporal's Worker Versioning): which have workers, and which open runs end with one.

A run that ends with its version waits, and Temporal shows nothing wrong with it, when that version has no worker.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from temporalio.api.deployment.v1 import WorkerDeploymentVersion
from temporalio.api.enums.v1 import TaskQueueType, WorkerStatus
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    DescribeWorkerDeploymentVersionRequest,
    ListWorkersRequest,
)
from temporalio.service import RPCError, RPCStatusCode

if TYPE_CHECKING:
    from temporalio.client import Client

_POLLED_WITHIN = timedelta(seconds=90)
"""A poll that waits for nothing ends after a minute (the server's own long poll), and is made again at once."""
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass
class Seen:
    """The workers of one version."""

    workers: int = 0
    """Those that have asked for work within the last one and a half minutes, and haven't said since that they stop."""

    last: datetime = field(default=_NEVER)
    """When any of them was last heard of; long ago where the server has forgotten it, which it does after minutes."""


async def workers(client: "Client", deployment: str, task_queue: str, *, of_steps: bool = False) -> dict[str, Seen]:
    """Give each build of a deployment whose workers were heard of lately; those of a queue of runs, or of steps.

    A worker with every slot taken by steps asks for nothing: then it counts that it says that it lives.
    """
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=task_queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
            if of_steps
            else TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
    )
    polled: dict[tuple[str, str], datetime] = {}
    for poller in answer.pollers:
        if poller.deployment_options.deployment_name == deployment:
            worker = poller.deployment_options.build_id, poller.identity
            polled[worker] = max(poller.last_access_time.ToDatetime(UTC), polled.get(worker, _NEVER))
    lives, stopped = await _heartbeats(client, deployment, task_queue)
    alive = datetime.now(UTC) - _POLLED_WITHIN
    if of_steps:
        for worker, at in lives.items():
            polled[worker] = max(at, polled.get(worker, _NEVER))
    found: dict[str, Seen] = {}
    for worker, at in [*polled.items(), *stopped.items()]:
        seen = found.setdefault(worker[0], Seen())
        seen.last = max(seen.last, at)
    for worker, at in polled.items():
        found[worker[0]].workers += at > max(alive, stopped.get(worker, _NEVER))
    return found


_Heard = dict[tuple[str, str], datetime]
"""Build and identity of a worker → when."""


async def _heartbeats(client: "Client", deployment: str, task_queue: str) -> tuple[_Heard, _Heard]:
    """Give who has said that they live, and who that they stop: of these the last poll is remembered."""
    lives: _Heard = {}
    stopped: _Heard = {}
    try:
        answer = await client.workflow_service.list_workers(
            ListWorkersRequest(namespace=client.namespace, query=f'TaskQueue = "{task_queue}"')
        )
    except RPCError as error:
        if error.status is RPCStatusCode.UNIMPLEMENTED:  # an older server; then the last poll has to do
            return lives, stopped
        raise
    for one in (told.worker_heartbeat for told in answer.workers_info):
        version, worker = one.deployment_version, (one.deployment_version.build_id, one.worker_identity)
        if version.deployment_name == deployment:
            of = stopped if one.status == WorkerStatus.WORKER_STATUS_SHUTTING_DOWN else lives
            of[worker] = max(one.heartbeat_time.ToDatetime(UTC), of.get(worker, _NEVER))
    return lives, stopped


async def waiting_queues(client: "Client", deployment: str, build_id: str) -> set[str]:
    """Name the queues with steps that wait for a version; other versions' workers don't get them."""
    version = WorkerDeploymentVersion(deployment_name=deployment, build_id=build_id)
    try:
        answer = await client.workflow_service.describe_worker_deployment_version(
            DescribeWorkerDeploymentVersionRequest(
                namespace=client.namespace, deployment_version=version, report_task_queue_stats=True
            )
        )
    except RPCError as error:
        if error.status in {RPCStatusCode.NOT_FOUND, RPCStatusCode.UNIMPLEMENTED}:
            return set()
        raise
    return {
        queue.name
        for queue in answer.version_task_queues
        if queue.type == TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY and queue.stats.approximate_backlog_count
    }


def of_version(deployment: str, build_id: str) -> str:
    """Give the query of runs that are with a version now."""
    return f'TemporalWorkerDeploymentVersion = "{deployment}:{build_id}"'


def staying(deployment: str, build_id: str) -> str:
    """Give the query of runs that end with a version."""
    return f'{of_version(deployment, build_id)} AND TemporalWorkflowVersioningBehavior = "Pinned"'
