"""Steps of a run: activities with a line in the timeline, and effects that have an identity."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pydantic import BaseModel
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError

from activities.common.effects import Effect, is_effect
from activities.monitoring.workers import WorkerWord
from workflows.platform import policies
from workflows.platform.cancelling import cancel_kept
from workflows.platform.policies import Policy
from workflows.platform.reporting import Reporting

if TYPE_CHECKING:
    from activities.catalogue.lookup import Resolved

_Req = TypeVar("_Req", bound=BaseModel)
_Res = TypeVar("_Res")


class Steps(Reporting):
    """A run that does something, and tells it."""

    def __init__(self) -> None:
        super().__init__()
        self.pinned: Resolved | None = None
        """What settings said when the run began."""
        self.actor = ""
        self.epoch = ""
        self._keys: dict[str, int] = {}
        self._ids = 0
        self._background: set[asyncio.Task[Any]] = set()

    def effect(self, step: str) -> Effect:
        """Give the identity of the next effect of that name."""
        count = self._keys[step] = self._keys.get(step, 0) + 1
        return self._identity(step if count == 1 else f"{step}-{count}")

    def first_effect(self, step: str) -> Effect:
        """Give the identity of the first effect of that name, to ask what became of it before a reset."""
        return self._identity(step)

    def _identity(self, name: str) -> Effect:
        info = workflow.info()
        return Effect(
            key="/".join(filter(None, (info.workflow_id, info.first_execution_run_id, self.epoch, name))),
            workflow_id=info.workflow_id,
            run_id=info.run_id,
            actor=self.actor,
            dry_run=self.dry_run,
        )

    def own_id(self, length: int) -> str:
        """Make up an ID, the same for a retry and after a reset: what bears it is there already then.

        It can't be guessed by who doesn't know the run ID, which is random.
        """
        if self.pinned is None or not self.pinned.own_ids:
            return workflow.uuid4().hex[:length]
        self._ids += 1
        info = workflow.info()
        text = "/".join((info.workflow_id, info.first_execution_run_id, self.epoch, str(self._ids)))
        return hashlib.sha256(text.encode()).hexdigest()[:length]

    @overload
    async def step(
        self, section: str, title: str, method: Callable[[Any, _Req], Awaitable[_Res]], request: _Req, policy: Policy
    ) -> _Res: ...

    @overload
    async def step(
        self, section: str, title: str, method: Callable[[Any, _Req], _Res], request: _Req, policy: Policy
    ) -> _Res: ...

    async def step(
        self, section: str, title: str, method: Callable[[Any, _Req], Any], request: _Req, policy: Policy
    ) -> Any:
        """Run an activity as a step of the runbook.

        Raises:
            ActivityError: it failed for good; the timeline says so already.

        """
        phase, started = self.timeline.phase, workflow.now()
        try:
            with cancel_kept():
                result = await workflow.execute_activity_method(
                    method,
                    request,
                    start_to_close_timeout=policy.start_to_close,
                    schedule_to_close_timeout=policy.schedule_to_close,
                    heartbeat_timeout=policy.heartbeat,
                    retry_policy=policy.retry,
                    cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                    summary=f"{section} {title}",
                )
        except ActivityError as error:
            if not _cancelled(error):
                self.say("problem", f"{title}: {reason(error)}", section=section, phase=phase)
            raise
        self._was_taken(method)
        acts = is_effect(method)
        would = "would: " if acts and self.dry_run else ""
        self.say(
            "effect" if acts else "step",
            f"{title}: {would}{result}",
            section=section,
            seconds=(workflow.now() - started).total_seconds(),
            phase=phase,
        )
        return result

    async def keep(self, section: str, title: str, method: Callable[[Any, _Req], _Res], request: _Req) -> _Res | None:
        """Write a record or a message that nobody waits for and that must not be lost.

        None when the first tries fail; the timeline says so, the run goes on, and the same effect is tried in the
        background for a day.
        """
        result = await self.attempt(section, title, method, request, policies.RECORD)
        if result is None:
            self.background(self.attempt(section, f"{title}, late", method, request, policies.PERSIST))
        return result

    @overload
    async def attempt(
        self, section: str, title: str, method: Callable[[Any, _Req], Awaitable[_Res]], request: _Req, policy: Policy
    ) -> _Res | None: ...

    @overload
    async def attempt(
        self, section: str, title: str, method: Callable[[Any, _Req], _Res], request: _Req, policy: Policy
    ) -> _Res | None: ...

    async def attempt(
        self, section: str, title: str, method: Callable[[Any, _Req], Any], request: _Req, policy: Policy
    ) -> Any:
        """Run a step that the run can do without: None when its backend fails, and the timeline says so."""
        try:
            return await self.step(section, title, method, request, policy)
        except ActivityError as error:
            if _cancelled(error):
                raise
            return None

    def background(self, work: Coroutine[Any, Any, _Res]) -> "asyncio.Task[_Res]":
        """Do something beside the main line; `settle` waits for all of it."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def settle(self) -> None:
        """Wait for everything in the background, and for update handlers."""
        while self._background:
            await asyncio.gather(*self._background)
        await workflow.wait_condition(workflow.all_handlers_finished)

    # -- roles of workers ---------------------------------------------------------------------------------

    @workflow.signal(name="worker", description="No worker has the role that a step needs, or one has it again.")
    def worker(self, word: WorkerWord) -> None:
        """Say what the run waits for. It changes nothing that the run does, so there is nothing to replay."""
        if word.back:
            self._has(word.role)
        elif word.role not in self.lacks:
            self.lacks[word.role] = word
            self.say("signal", f"No worker of role {word.role}: {word}")

    def _has(self, role: str) -> None:
        if self.lacks.pop(role, None) is not None:
            self.say("signal", f"A worker of role {role} is there again")

    def _was_taken(self, method: Callable[..., Any]) -> None:
        """See by the end of a step that its role has a worker: sooner than anybody could say so."""
        if self.lacks:
            step = str(getattr(method, "__temporal_activity_definition").name)
            for role in [role for role, word in self.lacks.items() if word.step == step]:
                self._has(role)


def reason(error: ActivityError) -> str:
    """Say why an activity failed, as its typed failure says it."""
    cause = error.cause
    if isinstance(cause, ApplicationError):
        return f"{cause.type or 'failed'}: {cause.message}"
    return str(cause or error)


def _cancelled(error: ActivityError) -> bool:
    return isinstance(error.cause, CancelledError)
