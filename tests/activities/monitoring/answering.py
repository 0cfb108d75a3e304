"""A Temporal whose answers are made by hand: its own messages, of which a test says what is in them."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from temporalio.api.enums.v1 import WorkerStatus
from temporalio.api.taskqueue.v1 import PollerInfo
from temporalio.api.workflowservice.v1 import DescribeTaskQueueResponse, ListWorkersResponse
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

STOPS = WorkerStatus.WORKER_STATUS_SHUTTING_DOWN
_NOW = [datetime.now(UTC)]


def begin() -> None:
    """Let times be told from now: a test may begin long after it was read."""
    _NOW[0] = datetime.now(UTC)


def refused(status: RPCStatusCode) -> RPCError:
    return RPCError("refused", status, b"")


def ago(seconds: float) -> datetime:
    return _NOW[0] - timedelta(seconds=seconds)


def poller(worker: str, seconds: float, build: str = "", deployment: str = "d") -> PollerInfo:
    """One that has asked for work so long ago."""
    found = PollerInfo(identity=worker)
    found.last_access_time.FromDatetime(ago(seconds))
    if build:
        found.deployment_options.deployment_name = deployment
        found.deployment_options.build_id = build
    return found


def queue(*pollers: PollerInfo, waiting: int = 0) -> DescribeTaskQueueResponse:
    answer = DescribeTaskQueueResponse(pollers=pollers)
    answer.stats.approximate_backlog_count = waiting
    return answer


def heartbeats(*told: tuple[str, float, bool], build: str = "", deployment: str = "d") -> ListWorkersResponse:
    """Who has said so long ago that it lives, or that it stops."""
    answer = ListWorkersResponse()
    for worker, seconds, stops in told:
        beat = answer.workers_info.add().worker_heartbeat
        beat.worker_identity = worker
        beat.heartbeat_time.FromDatetime(ago(seconds))
        beat.status = STOPS if stops else WorkerStatus.WORKER_STATUS_RUNNING
        beat.deployment_version.build_id, beat.deployment_version.deployment_name = build, deployment
    return answer


def temporal(**answers: Any) -> Client:
    """Give a client that gets these answers, by the names of the service's methods; errors are raised."""

    def method(answer: Any) -> Any:
        async def call(request: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call

    service = SimpleNamespace(**{name: method(answer) for name, answer in answers.items()})
    return cast("Client", SimpleNamespace(namespace="default", workflow_service=service))
