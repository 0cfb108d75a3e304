"""What is done in a maintenance window (runbook 6.1): other procedures as child runs, and what people do and tick."""

import asyncio
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from temporalio import workflow
from temporalio.exceptions import (
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
)

from activities.catalogue.procedures import BuildRequest, BuiltRequest, Procedures
from activities.common.errors import InvalidInput
from activities.common.text import Key, Name
from activities.common.times import Time
from workflows.platform.approval import Question
from workflows.platform.cancelling import cancel_kept
from workflows.platform.lookups import looked_up
from workflows.platform.resets import child_before_reset
from workflows.platform.runbook import Runbook
from workflows.shared.desk import Desk

_RETRY, _SKIP, _GO_BACK = "retry", "skip", "go-back"


class WindowTask(BaseModel):
    """One thing to be done: a procedure with its input, or something that a person does and ticks."""

    model_config = ConfigDict(extra="forbid")

    id: Key = Field(default="", max_length=60, pattern=r"^[a-z0-9-]*$", description="For ticks; task-1, … otherwise.")
    procedure: Name = Field(
        default="", max_length=100, description="See `runbooks catalogue`, e.g. database-maintenance."
    )
    input: dict[Key, Any] = Field(default_factory=dict, description="The procedure's.")
    check: Name = Field(default="", description="What a person does, and then ticks.")
    takes: Annotated[timedelta, Time()] = Field(
        default=timedelta(minutes=15), gt=timedelta(0), description="How long it is expected to."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> "WindowTask":
        if bool(self.procedure) == bool(self.check):
            raise ValueError("procedure, check: name one of the two, it says what is done")
        if self.check and self.input:
            raise ValueError("input: only a procedure takes one")
        return self


class TaskState(BaseModel):
    """One task, as far as it has come."""

    id: str
    what: str
    built: BuiltRequest | None = Field(default=None, description="None: a person does it.")
    status: Literal["open", "running", "done", "skipped", "failed", "stopped"] = "open"
    by: str = ""
    note: str = ""
    at: datetime | None = None

    def __str__(self) -> str:
        by = f" by {self.by}" if self.by and self.status == "done" else f", {self.by}" if self.by else ""
        return f"{self.id}: {self.what} – {self.status}{by}{f': {self.note}' if self.note else ''}"


async def build_tasks(run: Runbook, service: str, tasks: list[WindowTask]) -> list[TaskState]:
    """Build every procedure's request, so that a wrong one is refused before anybody is told of the window.

    Raises:
        InvalidInput: a procedure is unknown, its input is wrong, or two tasks have one ID.

    """
    states: list[TaskState] = []
    for number, task in enumerate(tasks, 1):
        built = await _built(run, service, number, task) if task.procedure else None
        what = f"{built.title} ({built.section})" if built else task.check
        states.append(TaskState(id=task.id or f"task-{number}", what=what, built=built))
    ids = [state.id for state in states]
    twice = sorted({each for each in ids if ids.count(each) > 1})
    if twice:
        raise InvalidInput(f"tasks: the ID {', '.join(twice)} is given twice")
    return states


async def _built(run: Runbook, service: str, number: int, task: WindowTask) -> BuiltRequest:
    request = BuildRequest(
        procedure=task.procedure, input=task.input, service=service, requested_by=run.actor, dry_run=run.dry_run
    )
    try:
        return await looked_up(Procedures.build, request, f"Build the input of {task.procedure}")
    except InvalidInput as error:
        raise InvalidInput(f"tasks.{number}: {error.message}") from None


class WindowTasks:
    """Does them, one after the other."""

    def __init__(self, run: Runbook, desk: Desk, states: list[TaskState], decision_timeout: timedelta) -> None:
        self.run = run
        self.desk = desk
        self.states = states
        self._timeout = decision_timeout
        self._stopped = False
        self._questions = 0

    @property
    def open(self) -> list[TaskState]:
        """What is still to be done."""
        return [state for state in self.states if state.status in {"open", "running"}]

    async def work(self) -> str:
        """Do all of them; gives why it went no further, empty where it went through."""
        for state in self.states:
            if self._stopped:
                break
            if state.status == "open" and not await self._do(state):
                return f"{state.what} has failed"
        return ""

    async def stop(self, work: "asyncio.Task[str]") -> None:
        """Stop what is under way: a child run is cancelled, and puts back what it had before this returns."""
        self._stopped = True
        if not work.done():
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            self.run.wait_for("")
        for state in self.open:
            state.status = "stopped"
            self.run.say("decision", f"Not done: {state.what}", section="6.1")

    async def _do(self, state: TaskState) -> bool:
        """Do one; False where people want to go no further."""
        if state.built is None:
            await self._ticked(state)
            return True
        runs = 0
        while True:
            runs += 1
            trouble = await self._child(state, state.built, runs)
            if not trouble:
                self._end(state, "done", by=state.by)
                return True
            self.run.say("problem", f"{state.what}: {trouble}", section="6.1")
            choice = _SKIP if self.run.dry_run else await self._ask(state, trouble)
            if choice != _RETRY:
                self._end(state, "skipped" if choice == _SKIP else "failed", note=trouble)
                return choice == _SKIP

    async def _ticked(self, state: TaskState) -> None:
        if self.run.dry_run:
            self.run.say("decision", f"would wait for a person to tick: {state.what}", section="6.1")
            return
        self.show(state)
        await workflow.wait_condition(lambda: state.status == "done")
        self.run.wait_for("")

    def show(self, state: TaskState | None = None) -> None:
        """Show which tick is waited for, if one is."""
        state = state or next((each for each in self.open if each.built is None), None)
        if state is not None and not any(each.status == "running" for each in self.states):
            self.run.wait_for(f"tick {state.id}")

    async def _child(self, state: TaskState, built: BuiltRequest, runs: int) -> str:
        """Run a procedure to its end; gives what went wrong."""
        name = f"{workflow.info().workflow_id}/{state.id}" + (f"-{runs}" if runs > 1 else "")
        state.status, state.by = "running", name
        if (before := await child_before_reset(self.run, "6.1", name)) is not None:
            return before.failure
        self.run.say("step", f"{state.what} is a run of its own: {name}", section="6.1")
        try:
            child = await workflow.start_child_workflow(
                built.workflow_type,
                built.input,
                id=name,
                # Whatever becomes of this run, it puts back what it has, and ends.
                parent_close_policy=workflow.ParentClosePolicy.REQUEST_CANCEL,
                memo=self.run.began,
                static_summary=f"Task of: {self.run.title}",
            )
            with cancel_kept():
                await child
        except ChildWorkflowError as error:
            if self._stopped:
                raise
            cause = error.cause
            return cause.message if isinstance(cause, ApplicationError) else str(cause or error)
        except WorkflowAlreadyStartedError:
            return f"{name} is still open from before: end it first"
        return ""

    async def _ask(self, state: TaskState, trouble: str) -> str:
        self._questions += 1
        question = Question(
            id=f"task-{self._questions}",
            title=f"{state.what} has failed. What now?",
            options={
                _RETRY: "run it again",
                _SKIP: "go on without it",
                _GO_BACK: "do nothing more: verify the service, and end the window",
            },
            default=_GO_BACK,
            kind="maintain",
            evidence=[trouble],
            timeout=self._timeout,
        )
        self.run.background(self.desk.ask(question))
        answer = await self.run.ask(question, escalate=self.desk.escalate)
        return answer.choice

    def tick(self, task_id: str, by: str, note: str, *, undo: bool) -> str:
        """Take a person's tick, or take one back."""
        state = self.find(task_id)
        if undo:
            state.status, state.by, state.note, state.at = "open", "", "", None
            self.run.say("decision", f"☐ {state.what} {note}".rstrip(), who=by)
            return f"{state.id} is open again"
        self._end(state, "done", by=by, note=note)
        return ", ".join(each.id for each in self.open) or "everything is done"

    def check_tick(self, task_id: str, *, undo: bool) -> None:
        """Refuse a tick that can't be meant.

        Raises:
            InvalidInput: there is no such task, a procedure does it, or it is (not) ticked already.

        """
        state = self.find(task_id)
        if state.built is not None:
            raise InvalidInput(f"task: {task_id} is done by {state.by or 'a procedure'}, and not by a tick")
        if (state.status == "done") != undo:
            raise InvalidInput(f"task: {task_id} is {'not ticked' if undo else 'ticked already'}")

    def find(self, task_id: str) -> TaskState:
        """Find a task.

        Raises:
            InvalidInput: there is none; names what is open.

        """
        for state in self.states:
            if state.id == task_id:
                return state
        raise InvalidInput(
            f"task: there is no {task_id!r}. Open: {', '.join(each.id for each in self.open) or 'nothing'}"
        )

    def _end(
        self, state: TaskState, status: Literal["done", "skipped", "failed"], *, by: str = "", note: str = ""
    ) -> None:
        state.status, state.at = status, workflow.now()
        state.by, state.note = by or state.by, note
        mark = {"done": "☑", "skipped": "☒", "failed": "✗"}[status]
        self.run.say("decision", f"{mark} {state.what}{f': {note}' if note else ''}", who=by, section="6.1")

    def markdown(self) -> str:
        """Show them as a checklist."""
        return "\n".join(f"- [{'x' if state.status == 'done' else ' '}] {state}" for state in self.states)
