"""What every workflow and activity of a worker gets, without its author thinking of it.

- An empty or doubled input becomes defaults, or a readable failure (see `workers.converter`).
- Every activity heartbeats while its worker lives, so that a dead worker is noticed in seconds.
- Every log line of an activity carries workflow, run, activity, attempt and procedure.
"""

import contextvars
import inspect
import threading
import typing
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from pydantic import BaseModel, ValidationError
from temporalio import activity
from temporalio.worker import (
    ActivityInboundInterceptor,
    ActivityOutboundInterceptor,
    ExecuteActivityInput,
    ExecuteWorkflowInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from activities.common.errors import InvalidInput
from workers.settings import explain

_BEATS_PER_TIMEOUT = 4


class RunbookInterceptor(Interceptor):
    """Both directions, for a worker's `interceptors`."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Wrap activities."""
        return _Activity(next)

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002
    ) -> type[WorkflowInboundInterceptor] | None:
        """Wrap workflows."""
        del input
        return _Workflow


class _Workflow(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002
        """Give a run started from an empty box its defaults, and refuse more than one input."""
        request = _request_model(input.run_fn)
        if request is not None:
            if len(input.args) > 1:
                message = f"one JSON object is expected as input, {len(input.args)} were given"
                raise InvalidInput(message)
            if not input.args:
                try:
                    input.args = [request.model_validate({})]
                except ValidationError as error:
                    raise InvalidInput(explain(error)) from None
        return await super().execute_workflow(input)


def _request_model(run: Any) -> type[BaseModel] | None:
    parameters = [p for p in inspect.signature(run).parameters if p != "self"]
    hints = typing.get_type_hints(run)
    if len(parameters) != 1:
        return None
    hint = hints.get(parameters[0])
    return hint if isinstance(hint, type) and issubclass(hint, BaseModel) else None


class _Beats(ActivityOutboundInterceptor):
    """Remembers an activity's own heartbeat details, so that ours repeat them instead of wiping them."""

    details: tuple[Any, ...] = ()

    def heartbeat(self, *details: Any) -> None:
        """Pass on, and remember."""
        self.details = details
        super().heartbeat(*details)


class _Activity(ActivityInboundInterceptor):
    _beats: _Beats

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        """Sit between the activity and the server."""
        self._beats = _Beats(outbound)
        super().init(self._beats)

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        """Bind the log context and keep the heart beating."""
        if not activity.info().is_local and not inspect.iscoroutinefunction(input.fn):
            input.fn = _beating(input.fn, self._beats)
        return await super().execute_activity(input)


def _beating(fn: Any, beats: _Beats) -> Any:
    def run(*args: Any) -> Any:
        with _log_context(), _heart(beats):
            return fn(*args)

    run.__name__ = getattr(fn, "__name__", "activity")
    return run


@contextmanager
def _log_context() -> Iterator[None]:
    info = activity.info()
    with structlog.contextvars.bound_contextvars(
        workflow_id=info.workflow_id,
        run_id=info.workflow_run_id,
        procedure=info.workflow_type,
        activity=info.activity_type,
        attempt=info.attempt,
    ):
        yield


@contextmanager
def _heart(beats: _Beats) -> Iterator[None]:
    timeout = activity.info().heartbeat_timeout
    if timeout is None or timeout.total_seconds() <= 0:
        yield
        return
    beats.details = tuple(activity.info().heartbeat_details)
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(timeout.total_seconds() / _BEATS_PER_TIMEOUT):
            # Through the activity's own context: it hands over to the worker's event loop, where heartbeats are sent.
            with suppress(TimeoutError):  # a busy loop takes the next one
                activity.heartbeat(*beats.details)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(beat,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
