"""What a run had read and done before somebody reset it, from the histories that Temporal keeps of it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, Field
from temporalio import activity
from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.common.effects import Change
from activities.common.errors import NotFound, unavailable
from activities.monitoring.visibility import can_be_quoted
from audit.deadlines import Stood, stood
from audit.text import counted

_TOLERANCE = timedelta(seconds=1)
"""Between a run's first event and the time that visibility lists it with."""
_RESET = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW


class BeforeResetRequest(BaseModel):
    """What this run did and read before somebody reset it."""

    effect_key: str = Field(description="Of the effect whose values were pinned.")
    reads: list[str] = Field(description="Activity types that it was decided by.")


class BeforeReset(BaseModel):
    """What the run did that this one was reset from; the first of them that came so far."""

    begun: bool = Field(default=False, description="Whether it had come as far as that effect.")
    asked: dict[str, Any] = Field(default_factory=dict, description="What the effect was asked to do.")
    change: dict[str, Any] | None = Field(default=None, description="What the effect answered; None: it had not ended.")
    results: dict[str, Any] = Field(default_factory=dict, description="The first answer of each activity type.")

    def __str__(self) -> str:
        if not self.begun:
            return "it had not come so far"
        return "it had done it" if self.change is not None else "it had begun it"


class ChildBeforeRequest(BaseModel):
    """What became of a run that this one had started before somebody reset it."""

    workflow_id: str = Field(description="Of the run that it started.")
    wait: bool = Field(default=False, description="Whether to wait until it has ended.")


class ChildBefore(BaseModel):
    """The run that was started before the reset, and how it ended."""

    run_id: str = Field(default="", description="Empty where none had been started.")
    ended: bool = False
    result: Any = None
    failure: str = Field(default="", description="Why it has none; empty where it completed.")

    def __str__(self) -> str:
        if not self.run_id:
            return "it had not been started"
        return (self.failure or "it had ended") if self.ended else "it had been started"


class DoneBeforeRequest(BaseModel):
    """What this run had done before somebody reset it."""

    most: int = Field(default=200, description="Of a run that has done more only the last are given.")


class DoneBefore(BaseModel):
    """The effects of the runs that this one was reset from, in their order, by their keys."""

    changes: dict[str, Change] = Field(default_factory=dict, description="What each answered.")
    begun: list[str] = Field(default_factory=list, description="All that were begun, also where nobody knows the end.")
    deadlines: dict[str, Stood] = Field(default_factory=dict, description="How each deadline stood; none: not told.")

    def __str__(self) -> str:
        return counted(len(self.changes), "effect")


class Resets:
    """Asks the Temporal that the worker is connected to; raises `Unavailable` when it doesn't answer."""

    @activity.defn(name="resets.before")
    async def before_reset(self, request: BeforeResetRequest) -> BeforeReset:
        """Read in the histories that this run was reset from what an effect was decided by, and what it did.

        Raises:
            NotFound: one of them isn't kept any more, so nobody can tell what was done.

        """
        client, info = activity.client(), activity.info()
        workflow_id = info.workflow_id or ""
        found = BeforeReset()
        for run_id in await _before(client, workflow_id, info.workflow_run_id or ""):
            before = await _done(client, workflow_id, run_id, request)
            # One that was itself reset has only repeated what an earlier one had decided.
            found = before if before.begun else found
        return found

    @activity.defn(name="resets.child")
    async def child(self, request: ChildBeforeRequest) -> ChildBefore:
        """Find the run that an earlier run of this one had started under an ID; waits for its end where it is asked to.

        Raises:
            NotFound: a history that would say it isn't kept any more, so nobody can tell what was done.

        """
        client, info = activity.client(), activity.info()
        workflow_id = info.workflow_id or ""
        for run_id in await _before(client, workflow_id, info.workflow_run_id or ""):
            if child := await _started(client, workflow_id, run_id, request.workflow_id):
                return await _child(client, request.workflow_id, child, wait=request.wait)
        return ChildBefore()

    @activity.defn(name="resets.done")
    async def done(self, request: DoneBeforeRequest) -> DoneBefore:
        """Read in the histories that this run was reset from what they did outside.

        Raises:
            NotFound: one of them isn't kept any more, so nobody can tell what was done.

        """
        client, info = activity.client(), activity.info()
        workflow_id = info.workflow_id or ""
        begun: dict[str, Change | None] = {}
        deadlines: dict[str, Stood] = {}
        for run_id in await _before(client, workflow_id, info.workflow_run_id or ""):
            # One that was itself reset has only repeated what an earlier one had done.
            for key, change in (await _effects(client, workflow_id, run_id)).items():
                begun[key] = change or begun.get(key)
            # What the last run says of one counts: it has taken up what an earlier one had said.
            deadlines = {**await _deadlines(client, workflow_id, run_id), **deadlines}
        last = dict([*begun.items()][-request.most :])
        changes = {key: change for key, change in last.items() if change}
        return DoneBefore(changes=changes, begun=[*last], deadlines=deadlines)


async def _events(client: Client, workflow_id: str, run_id: str) -> AsyncIterator[HistoryEvent]:
    try:
        async for event in client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history_events():
            yield event
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise NotFound(
                f"this run was reset from {run_id}, which is not kept any more: what that one did can't be read. "
                "Nothing was done: look at the target, and start a new run"
            ) from None
        unavailable("Temporal", error)


async def _before(client: Client, workflow_id: str, run_id: str) -> list[str]:
    """Give the runs of which one is the continuation, the last one first; none where it was not reset.

    A second reset may be from the first run again: what went on from the first reset has acted as well, and only that
    it began as this one says so.
    """
    chain, base = [], run_id
    while base := await _reset_from(client, workflow_id, base):
        chain.append(base)
    if not chain:
        return []
    first = await _beginning(client, workflow_id, run_id)
    # A workflow ID may have had hundreds of runs: those from before the first one are none of these.
    since = first.event_time.ToDatetime(UTC) - _TOLERANCE
    query = f"WorkflowType = '{activity.info().workflow_type}' AND StartTime >= '{since:%Y-%m-%dT%H:%M:%S.%fZ}'"
    if can_be_quoted(workflow_id):
        query += f" AND WorkflowId = '{workflow_id}'"
    began = {run_id: datetime.max.replace(tzinfo=UTC)}
    try:
        async for one in client.list_workflows(query):
            if one.id == workflow_id:
                began.setdefault(one.run_id, one.start_time)
    except RPCError as error:
        unavailable("Temporal", error)
    original = _original(first)
    beside = [
        one
        for one in began
        if one not in {run_id, *chain} and _original(await _beginning(client, workflow_id, one)) == original
    ]
    return sorted([*chain, *beside], key=lambda one: began.get(one, datetime.min.replace(tzinfo=UTC)), reverse=True)


async def _beginning(client: Client, workflow_id: str, run_id: str) -> HistoryEvent:
    """Give a run's first event; a reset copies it from the first run, with its time."""
    async for event in _events(client, workflow_id, run_id):
        return event
    raise NotFound(f"run {run_id} has no history any more")


def _original(beginning: HistoryEvent) -> str:
    """Give the run that a beginning is of."""
    return beginning.workflow_execution_started_event_attributes.original_execution_run_id


async def _reset_from(client: Client, workflow_id: str, run_id: str) -> str:
    """Give the run that one was reset from; empty where it was none."""
    bases = [
        event.workflow_task_failed_event_attributes.base_run_id
        async for event in _events(client, workflow_id, run_id)
        if event.HasField("workflow_task_failed_event_attributes")
        if event.workflow_task_failed_event_attributes.cause == _RESET
    ]
    return bases[-1] if bases else ""


async def _done(client: Client, workflow_id: str, run_id: str, request: BeforeResetRequest) -> BeforeReset:
    scheduled: dict[int, str] = {}
    effect = 0
    found = BeforeReset()
    async for event in _events(client, workflow_id, run_id):
        if event.HasField("activity_task_scheduled_event_attributes"):
            asked = event.activity_task_scheduled_event_attributes
            scheduled[event.event_id] = asked.activity_type.name
            if asked.activity_type.name not in request.reads:
                given = await client.data_converter.decode(asked.input.payloads)
                if given and isinstance(given[0], dict) and _key(given[0]) == request.effect_key:
                    effect, found.begun, found.asked = event.event_id, True, given[0]
        elif event.HasField("activity_task_completed_event_attributes"):
            ended = event.activity_task_completed_event_attributes
            name = scheduled[ended.scheduled_event_id]
            if ended.scheduled_event_id == effect or (name in request.reads and name not in found.results):
                (answer,) = await client.data_converter.decode(ended.result.payloads)
                if ended.scheduled_event_id == effect:
                    found.change = answer
                else:
                    found.results[name] = answer
    return found


async def _effects(client: Client, workflow_id: str, run_id: str) -> dict[str, Change | None]:
    keys: dict[int, str] = {}
    found: dict[str, Change | None] = {}
    async for event in _events(client, workflow_id, run_id):
        if event.HasField("activity_task_scheduled_event_attributes"):
            given = await client.data_converter.decode(event.activity_task_scheduled_event_attributes.input.payloads)
            if given and isinstance(given[0], dict) and (key := _key(given[0])):
                keys[event.event_id] = key
                found.setdefault(key, None)
        elif event.HasField("activity_task_completed_event_attributes"):
            ended = event.activity_task_completed_event_attributes
            if key := keys.get(ended.scheduled_event_id):
                (answer,) = await client.data_converter.decode(ended.result.payloads)
                if isinstance(answer, dict) and "target" in answer:
                    found[key] = Change.model_validate(answer)
    return found


async def _deadlines(client: Client, workflow_id: str, run_id: str) -> dict[str, Stood]:
    told: list[tuple[datetime, str]] = []
    async for event in _events(client, workflow_id, run_id):
        fields = event.workflow_properties_modified_event_attributes.upserted_memo.fields
        if "said" in fields:
            (said,) = await client.data_converter.decode([fields["said"]])
            if isinstance(said, dict) and said.get("kind") == "deadline":
                told.append((datetime.fromisoformat(said["at"]), said["text"]))
    return stood(told)


async def _started(client: Client, workflow_id: str, run_id: str, child_id: str) -> str:
    """Give the last run that one had started under an ID; empty where it had started none."""
    found = ""
    async for event in _events(client, workflow_id, run_id):
        if event.HasField("child_workflow_execution_started_event_attributes"):
            child = event.child_workflow_execution_started_event_attributes.workflow_execution
            found = child.run_id if child.workflow_id == child_id else found
    return found


async def _child(client: Client, workflow_id: str, run_id: str, *, wait: bool) -> ChildBefore:
    handle = client.get_workflow_handle(workflow_id, run_id=run_id)
    try:
        if not wait and (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
            return ChildBefore(run_id=run_id)
        return ChildBefore(run_id=run_id, ended=True, result=await handle.result())
    except WorkflowFailureError as error:
        cause = error.cause
        failure = cause.message if isinstance(cause, ApplicationError) else str(cause)
        return ChildBefore(run_id=run_id, ended=True, failure=failure or type(cause).__name__)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise NotFound(
                f"this run was reset, and had started {workflow_id} before, which is not kept any more: what that one "
                "did can't be read. Look at its target"
            ) from None
        unavailable("Temporal", error)


def _key(given: dict[str, Any]) -> str | None:
    effect = given.get("effect")
    return effect.get("key") if isinstance(effect, dict) else None
