"""Builds the worker of all procedures; tests and the crash harness build the same one."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from temporalio.client import Client
from temporalio.worker import Interceptor, Worker

from workers.interceptors import RunbookInterceptor
from workers.registry import PROCEDURES, SYSTEM
from workers.runner import runner
from workers.settings import Temporal
from workers.settings import Worker as HowToWork

_EAGER_STEPS_PER_TASK = 12
"""An assessment starts this many reads at once; started with the task's answer, they skip the server's queue."""

_BUILD = f"durable-runbooks-{version('durable-runbooks')}"
"""How histories name this code. Without it the SDK reads the code of every module again at start, for half a second."""

_DEAD_WORKER_KEEPS_RUNS = timedelta(seconds=3)
"""How long a run waits for the worker that had it in its cache, before any other takes it."""

_ALL: tuple[type, ...] = (*(procedure.workflow for procedure in PROCEDURES), *(system.workflow for system in SYSTEM))

CHECKED = HowToWork(workflow_sandbox=True)
"""How tests work; a process says what its settings say."""


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
        build_id=_BUILD,
        max_concurrent_activities=settings.max_concurrent_activities,
        max_cached_workflows=settings.max_cached_workflows,
        max_eager_activity_reservations_per_workflow_task=_EAGER_STEPS_PER_TASK,
        graceful_shutdown_timeout=settings.graceful_shutdown,
        sticky_queue_schedule_to_start_timeout=_DEAD_WORKER_KEEPS_RUNS,
        interceptors=[RunbookInterceptor(), *interceptors],
        workflow_runner=runner(sandbox=how.workflow_sandbox),
    )
