"""Builds the worker of all procedures; tests and the crash harness build the same one."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Interceptor, Worker, WorkerDeploymentConfig

from workers.interceptors import RunbookInterceptor
from workers.registry import PROCEDURES, SYSTEM
from workers.runner import runner
from workers.settings import Temporal
from workers.settings import Worker as HowToWork

_EAGER_STEPS_PER_TASK = 12
"""An assessment starts this many reads at once; started with the task's answer, they skip the server's queue."""

_ALL: tuple[type, ...] = (*(procedure.workflow for procedure in PROCEDURES), *(system.workflow for system in SYSTEM))

CHECKED = HowToWork(workflow_sandbox=True, dead_worker_keeps_runs=timedelta(seconds=3))
"""How tests work, some of which kill workers; a process works as its settings say."""

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


def version(how: HowToWork) -> WorkerDeploymentVersion | None:
    """Give the version that a worker works as; none without Worker Versioning."""
    return WorkerDeploymentVersion(how.deployment, how.build_id or _build_id()) if how.deployment else None


def _deployment(how: HowToWork) -> WorkerDeploymentConfig | None:
    ours = version(how)
    if ours is None:
        return None
    return WorkerDeploymentConfig(
        version=ours, use_worker_versioning=True, default_versioning_behavior=VersioningBehavior.PINNED
    )


def build(
    client: Client,
    settings: Temporal,
    activities: Sequence[Callable[..., Any]],
    *,
    how: HowToWork = CHECKED,
    workflows: Sequence[type] = _ALL,
    interceptors: Sequence[Interceptor] = (),
) -> Worker:
    """Build a worker on the settings' task queue; use it as an async context manager or `run` it.

    `workflows` are the types that it takes: a test may name those that it needs.
    """
    return Worker(
        client,
        task_queue=settings.task_queue,
        workflows=list(workflows),
        activities=list(activities),
        activity_executor=ThreadPoolExecutor(settings.max_concurrent_activities, thread_name_prefix="activity"),
        max_concurrent_activities=settings.max_concurrent_activities,
        max_cached_workflows=how.cached_runs,
        max_eager_activity_reservations_per_workflow_task=_EAGER_STEPS_PER_TASK,
        graceful_shutdown_timeout=settings.graceful_shutdown,
        sticky_queue_schedule_to_start_timeout=how.dead_worker_keeps_runs,
        interceptors=[RunbookInterceptor(), *interceptors],
        build_id=None if how.deployment else how.build_id or _build_id(),
        deployment_config=_deployment(how),
        workflow_runner=runner(sandbox=how.workflow_sandbox, versioned=how.deployment is not None),
    )
