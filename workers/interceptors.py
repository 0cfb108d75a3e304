"""What every workflow and activity of a worker gets, without its author thinking of it.

- An empty or doubled input becomes defaults, or a readable failure (see `workers.converter`).
- What is not the one JSON object that an update or a signal takes is refused with a sentence that says what to send.
  A signal's sender has gone: there the run notes it.
- A step is in the task queue whose workers can do it (`workers.queues`).
- A person's word counts once (`workflows.platform.said`).
- Every activity heartbeats while its worker lives, so that a dead worker is noticed in seconds.
- Every log line of an activity carries workflow, run, activity, attempt and procedure.
"""

import contextvars
import functools
import inspect
import json
import threading
import typing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from pydantic import BaseModel, ValidationError
from temporalio import activity, workflow
from temporalio.worker import (
    ActivityInboundInterceptor,
    ActivityOutboundInterceptor,
    ExecuteActivityInput,
    ExecuteWorkflowInput,
    HandleSignalInput,
    HandleUpdateInput,
    Interceptor,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from activities.common.errors import InvalidInput
from workers.converter import Undecodable
from workers.examples import example
from workers.queues import Queues
from workers.settings import explain

_BEATS_PER_TIMEOUT = 4


class RunbookInterceptor(Interceptor):
    """Both directions, for a worker's `interceptors`; without `queues` all steps are in their run's own task queue."""

    def __init__(self, queues: Queues | None = None) -> None:
        self._queues = queues

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Wrap activities."""
        return _Activity(next)

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002
    ) -> type[WorkflowInboundInterceptor] | None:
        """Wrap workflows."""
        del input
        return _Workflow if self._queues is None else _routed(self._queues)


class _Routing(WorkflowOutboundInterceptor):
    """Puts each step into the task queue whose workers can do it, and have slots for it."""

    def __init__(self, outbound: WorkflowOutboundInterceptor, queues: Queues) -> None:
        super().__init__(outbound)
        self._queues = queues

    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:  # noqa: A002
        """Name the queue, unless it is the run's own: those steps are taken along with the run's answer."""
        if input.task_queue is None:
            queue = self._queues.of(input.activity, input.start_to_close_timeout)
            input.task_queue = queue if queue != self._queues.base else None
        return super().start_activity(input)


def _routed(queues: Queues) -> "type[_Workflow]":
    class Routed(_Workflow):
        def init(self, outbound: WorkflowOutboundInterceptor) -> None:
            super().init(_Routing(outbound, queues))

    return Routed


class _Workflow(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002
        """Give a run started from an empty box its defaults, and refuse what is not its one request."""
        request = _hint(input.run_fn)
        if isinstance(request, type) and issubclass(request, BaseModel) and not input.args:
            try:
                input.args = [request.model_validate({})]
            except ValidationError as error:
                raise InvalidInput(f"{explain(error)}. {_to_send(request)}") from None
        _refuse(input.run_fn, input.args, "the input")
        return await super().execute_workflow(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:  # noqa: A002
        """Refuse what is not the update's word, before anything of it is in history."""
        _refuse(_handler("updates", input.update), input.args, f"the update {input.update}")
        said = _said()
        if said is None or not said.again(*input.args):
            super().handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:  # noqa: A002
        """Refuse it where an update has no validator."""
        _refuse(_handler("updates", input.update), input.args, f"the update {input.update}")
        said, take = _said(), functools.partial(super().handle_update_handler, input)
        return await (take() if said is None else said.once(*input.args, take))

    async def handle_signal(self, input: HandleSignalInput) -> None:  # noqa: A002
        """Note a signal that isn't one, and go on: its handler would fail the task for ever."""
        try:
            _refuse(_handler("signals", input.signal), input.args, f"the signal {input.signal}")
        except InvalidInput as refused:
            workflow.logger.warning("a signal was refused: %s", refused.message)
            if (say := getattr(workflow.instance(), "say", None)) is not None:
                # As a signal and no problem: the history has it anyway, and runs from before this go on replaying.
                say("signal", f"Refused: {refused.message}")
            return
        await super().handle_signal(input)


def _said() -> Any:
    """Give what the run remembers of people's words; None of a workflow that takes none."""
    return getattr(workflow.instance(), "said_words", None)


def _handler(kind: str, name: str) -> Any:
    """Find the function behind a handler, which has its model; what the SDK gives out takes anything."""
    definition = workflow._Definition.must_from_class(type(workflow.instance()))  # noqa: SLF001
    found = getattr(definition, kind).get(name)
    return found and found.fn


def _refuse(handler: Any, given: Sequence[Any], what: str) -> None:
    """Refuse what a handler doesn't take.

    Raises:
        InvalidInput: says what to send.

    """
    hint = _hint(handler) if handler is not None else None
    if hint is None:
        return
    several = typing.get_origin(hint) is list
    if len(given) != 1:
        found = "none was" if not given else f"{len(given)} were"
        what_it_takes = "JSON list" if several else "JSON object"
        raise InvalidInput(f"{what} takes one {what_it_takes}, {found} given. {_to_send(hint)}")
    (value,) = given
    if isinstance(value, Undecodable):
        raise InvalidInput(f"{what}: {value.why}. {_to_send(hint)}")
    expected = list if several else hint
    if isinstance(expected, type) and not isinstance(value, expected):
        raise InvalidInput(f"{what} is not what it takes. {_to_send(hint)}")


def _hint(handler: Any) -> Any:
    """Give what a handler takes: a model, or a list of them; None where it takes nothing, or several things."""
    parameters = [name for name in inspect.signature(handler).parameters if name != "self"]
    return typing.get_type_hints(handler).get(parameters[0]) if len(parameters) == 1 else None


def _to_send(hint: Any) -> str:
    return f"Send for example {json.dumps(example(hint), ensure_ascii=False)}"


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
