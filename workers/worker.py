"""Builds the worker of all procedures; tests and the crash harness build the same one."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Interceptor, Worker, WorkerDeploymentConfig

from workers.interceptors import RunbookInterceptor
from workers.queues import ORCHESTRATION, Queues, Role
from workers.registry import PROCEDURES, SYSTEM
from workers.runner import runner
from workers.settings import TemporalSettings, WorkerSettings

_EAGER_STEPS_PER_TASK = 12
"""An assessment starts this many reads at once; started with the task's answer, they skip the server's queue."""

_ALL: tuple[type, ...] = (*(procedure.workflow for procedure in PROCEDURES), *(system.workflow for system in SYSTEM))

CHECKED = WorkerSettings(
    workflow_sandbox=True,
    dead_worker_keeps_runs=timedelta(seconds=3),
    heartbeat_throttle=timedelta(milliseconds=500),
)
"""How tests work, some of which kill workers or cancel steps; a process works as its settings say."""

_PACKAGES = ("activities", "audit", "workers", "workflows")


@cache
def _build_id() -> str:
    """Name the code that takes a run's steps, for its history.

    The SDK would hash the bytecode of all modules there are, which takes 0.4 s of each process' start.
    """
    root, code = Path(__file__).parents[1], hashlib.sha256()
    for file in sorted(file for package in _PACKAGES for file in (root / package).rglob("*.py")):
        code.update(file.read_bytes())
    return code.hexdigest()[:16]


def version(how: WorkerSettings) -> WorkerDeploymentVersion | None:
    """Give the version that a worker works as; none without Worker Versioning."""
    return WorkerDeploymentVersion(how.deployment, how.build_id or _build_id()) if how.deployment else None


def _deployment(how: WorkerSettings) -> WorkerDeploymentConfig | None:
    ours = version(how)
    if ours is None:
        return None
    return WorkerDeploymentConfig(
        version=ours, use_worker_versioning=True, default_versioning_behavior=VersioningBehavior.PINNED
    )


def build(
    client: Client,
    settings: TemporalSettings,
    activities: Sequence[Callable[..., Any]],
    *,
    how: WorkerSettings = CHECKED,
    workflows: Sequence[type] = _ALL,
    interceptors: Sequence[Interceptor] = (),
    queues: Queues | None = None,
) -> Worker:
    """Build a worker on the settings' task queue; use it as an async context manager or `run` it.

    `workflows` are the types that it takes: a test may name those that it needs. `queues` are where the steps of its
    runs go, which workers of their own then have to take (`working`).
    """
    return Worker(
        client,
        task_queue=settings.task_queue,
        workflows=list(workflows),
        max_cached_workflows=how.cached_runs,
        max_eager_activity_reservations_per_workflow_task=_EAGER_STEPS_PER_TASK,
        sticky_queue_schedule_to_start_timeout=how.dead_worker_keeps_runs,
        workflow_runner=runner(sandbox=how.workflow_sandbox, versioned=how.deployment is not None),
        **_options(settings, activities, how, [RunbookInterceptor(queues), *interceptors]),
    )


def _steps(
    client: Client,
    settings: TemporalSettings,
    activities: Sequence[Callable[..., Any]],
    *,
    queue: str,
    slots: int,
    how: WorkerSettings,
    interceptors: Sequence[Interceptor],
) -> Worker:
    """Build a worker of a queue of steps, where no runs are."""
    options = _options(settings, activities, how, [RunbookInterceptor(), *interceptors], slots)
    return Worker(client, task_queue=queue, **options)


def _options(
    settings: TemporalSettings,
    activities: Sequence[Callable[..., Any]],
    how: WorkerSettings,
    interceptors: Sequence[Interceptor],
    slots: int | None = None,
) -> dict[str, Any]:
    """Give what workers of runs and of steps have alike."""
    slots = slots or settings.max_concurrent_activities
    return {
        "activities": list(activities),
        "activity_executor": ThreadPoolExecutor(slots, thread_name_prefix="activity"),
        "max_concurrent_activities": slots,
        "graceful_shutdown_timeout": settings.graceful_shutdown,
        "max_heartbeat_throttle_interval": how.heartbeat_throttle,
        "interceptors": list(interceptors),
        "build_id": None if how.deployment else how.build_id or _build_id(),
        "deployment_config": _deployment(how),
    }


@asynccontextmanager
async def working(
    client: Client,
    settings: TemporalSettings,
    queues: Queues,
    activities: Mapping[Role, Sequence[Callable[..., Any]]],
    *,
    how: WorkerSettings = CHECKED,
    workflows: Sequence[type] = _ALL,
    interceptors: Sequence[Interceptor] = (),
) -> AsyncIterator[list[str]]:
    """Work on every task queue that is this process' own, until the context ends; gives their names.

    `activities` are those of each role that the process has.
    """
    workers: dict[str, Worker] = {}
    for queue, role, watches in queues.taken(activities):
        of_it = [one for of, some in activities.items() if queues.separate(of) == role for one in some]
        if role == ORCHESTRATION and not watches:
            workers[queue] = build(
                client, settings, of_it, how=how, workflows=workflows, interceptors=interceptors, queues=queues
            )
        else:
            slots = settings.max_concurrent_watches if watches else settings.max_concurrent_activities
            workers[queue] = _steps(
                client, settings, of_it, queue=queue, slots=slots, how=how, interceptors=interceptors
            )
    async with AsyncExitStack() as stack:
        for worker in workers.values():
            await stack.enter_async_context(worker)
        try:
            yield list(workers)
        finally:
            # Side by side: each of them waits for its own steps.
            await asyncio.gather(*(worker.shutdown() for worker in workers.values()))
