"""Says a person's word to a run within the time that Slack gives: it is in the run's history before Slack is answered.

Slack waits three seconds. An update that Temporal has accepted is in history, and survives whatever is killed then;
what the run makes of it is told afterwards. What isn't accepted in time is said to be so, and goes on being tried; to
press again is no second word.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import structlog
from temporalio.client import (
    WorkflowUpdateFailedError,
    WorkflowUpdateHandle,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from starters.slack import offers
from starters.slack.people import Someone
from starters.slack.presses import Press, mark
from starters.steering import runs
from starters.steering.answering import decided
from starters.steering.errors import Decided, NoSuchRun, Over, Refused, SteeringError, Unreachable
from starters.steering.gateway import Gateway
from starters.steering.inputs import word_of_fields
from starters.steering.session import Session
from starters.steering.words import looked_at
from workflows.platform.approval import Answer, Decision
from workflows.platform.run_status import RunStatus

_ACCEPTED_WITHIN = 20.0
_ANSWERED_WITHIN = 60.0
"""Seconds; the first from the press, the second from there."""

_AT_ONCE = 0.3
_NOBODY = "the run has not taken it: no worker answers, or Temporal doesn't. Press again: that is no second word"

_NOT_YET = (
    "Not taken yet: Temporal, or a worker of this run, has not answered. It goes on being tried for some seconds, and "
    "you are told how that went. To press again is no second word."
)
_NOT_TAKEN = "Temporal does not answer. Press again: that is no second word"

_log = structlog.get_logger(__name__)
Later = Callable[[str], Awaitable[None]]
"""Tells whoever pressed how it ended, after Slack has been answered."""


@dataclass(frozen=True)
class Asked:
    """A run that a press is about, as it is now."""

    run: runs.Run
    status: RunStatus


class Speaker:
    """Sends words; remembers what it is still sending."""

    def __init__(self, session: Session, nudge: Callable[[str, str], None]) -> None:
        self._session = session
        self._gateway = Gateway(session.settings.gateway)
        self._nudge = nudge
        self._sending: set[asyncio.Task[Any]] = set()

    async def look(self, press: Press) -> Asked:
        """Look at the run that a press is about.

        Raises:
            NoSuchRun, Over, Unreachable, Refused: it is not there, has ended, or no worker answers for it.

        """
        run = await runs.describe(self._session, press.workflow_id, press.run_id)
        if run is None:
            raise NoSuchRun(f"{press.workflow_id} is no longer kept by Temporal")
        if not run.running:
            raise Over(f"{press.workflow_id} is {run.state}: nothing was sent")
        return Asked(run, await runs.status_of(run))

    async def say(self, press: Press, someone: Someone, fields: dict[str, Any], within: float, later: Later) -> str:
        """Say it; gives what to tell whoever has pressed, at most `within` seconds from now.

        Raises:
            SteeringError: it was refused, by the run or before it was sent.

        """
        loop = asyncio.get_running_loop()
        until = loop.time() + within
        task = asyncio.create_task(self._accepted(press, someone, fields))
        self._keep(task)
        done, _ = await asyncio.wait({task}, timeout=within)
        if not done:
            self._keep(asyncio.create_task(self._late(press, task, later)))
            return _NOT_YET
        # What a validator refuses is known at once, and most words are answered at once.
        answer = asyncio.create_task(_result(task.result()))
        self._keep(answer)
        answered, _ = await asyncio.wait({answer}, timeout=max(0.0, min(_AT_ONCE, until - loop.time())))
        self._nudge(press.workflow_id, press.run_id)
        if answered:
            return answer.result()
        self._keep(asyncio.create_task(self._told(press, answer, later)))
        return ""

    async def settle(self, within: float) -> None:
        """Bring to an end what is being sent: this process ends."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=within)

    async def _accepted(self, press: Press, someone: Someone, fields: dict[str, Any]) -> "_Sent":
        """Have it in the run's history, or know why not."""
        asked = await self.look(press)
        model = offers.word_of(asked.run.description.workflow_type, press.update)
        if model is None:
            raise Refused(f"this run takes no {press.update}")
        if press.update == Decision.UPDATE and (told := _decided(asked.status, str(press.fields.get("question")))):
            raise Decided(told)
        allowed = offers.roles(asked.status, press, self._session.settings.approvals.roles)
        if press.seen and press.seen != mark(asked.status):
            raise Refused(_changed(asked.status))
        speaker = someone.as_one_of(allowed, press.update)
        given = {**press.fields, **fields}
        nonce = press.nonce(speaker.who, _plain(fields))
        word = word_of_fields(model, speaker, {**given, "nonce": nonce})
        signed = self._gateway.signed(word, workflow_id=press.workflow_id, run_id=press.run_id)
        await asked.run.free()

        async def send() -> WorkflowUpdateHandle[Any]:
            try:
                return await asked.run.handle.start_update(
                    signed.UPDATE,
                    signed,
                    id=nonce,
                    wait_for_stage=WorkflowUpdateStage.ACCEPTED,
                    result_type=Answer if press.update == Decision.UPDATE else str,
                    rpc_timeout=timedelta(seconds=_ACCEPTED_WITHIN),
                )
            except WorkflowUpdateRPCTimeoutOrCancelledError:
                raise Unreachable(_NOBODY) from None
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    raise Over(f"{press.workflow_id} has ended: nothing was taken") from None
                raise Unreachable(_NOBODY) from None

        sent = _Sent(await send(), send)
        _log.info("word sent", update=press.update, run=press.workflow_id, who=speaker.who, role=speaker.role)
        return sent

    async def _told(self, press: Press, answering: "asyncio.Task[str]", later: Later) -> None:
        try:
            async with asyncio.timeout(_ANSWERED_WITHIN):
                answer = await answering
        except SteeringError as error:
            await later(str(error))
        except (TimeoutError, RPCError):
            await later("The run has your word, and is still at it.")
        else:
            self._nudge(press.workflow_id, press.run_id)
            await later(answer)

    async def _late(self, press: Press, task: "asyncio.Task[_Sent]", later: Later) -> None:
        try:
            sent = await task
        except SteeringError as error:
            await later(f"It was not taken: {error}")
            return
        except (RPCError, RuntimeError, TimeoutError):
            await later(f"It was not taken: {_NOT_TAKEN}")
            return
        answer = asyncio.create_task(_result(sent))
        self._keep(answer)
        await self._told(press, answer, later)

    def _keep(self, task: "asyncio.Task[Any]") -> None:
        self._sending.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._sending.discard(task)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, SteeringError):
            _log.error("a word could not be said", why=type(error).__name__)


class _Sent(NamedTuple):
    """A word that the run has taken or refused; or that nobody has looked at, so that it is sent again."""

    handle: WorkflowUpdateHandle[Any]
    again: Callable[[], Awaitable[WorkflowUpdateHandle[Any]]]


async def _result(sent: _Sent) -> str:
    """Give what the run answers.

    Raises:
        Refused: the run refuses, in its own words.
        Over, Unreachable: it has to be sent again, and can't be.

    """
    handles = [sent.handle]

    async def answered() -> Any:
        handle = handles.pop() if handles else await sent.again()
        return await handle.result()

    try:
        answer = await looked_at(answered)
    except WorkflowUpdateFailedError as error:
        cause = error.cause
        raise Refused(cause.message if isinstance(cause, ApplicationError) else str(cause)) from None
    if isinstance(answer, Answer):
        return f"{answer.choice}: it counts when {answer.needs} has" if answer.needs else f"{answer.choice}: it counts"
    return str(answer or "The run has your word")


def _decided(status: RunStatus, question: str) -> str:
    """Say who has answered a question that is no longer open; empty where it is open, or nobody knows."""
    if any(one.id == question for one in status.questions):
        return ""
    return decided(status, question) or f"{question} is not asked any more"


def _changed(status: RunStatus) -> str:
    said = [entry for entry in status.entries if entry.kind == "decision"]
    last = f" Last: {said[-1].text}{f', by {said[-1].who}' if said[-1].who else ''}." if said else ""
    return f"The run has changed since this was shown, and nothing was sent.{last} Press what stands there now."


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Give fields as JSON has them, for the word's number."""
    return {name: value if isinstance(value, bool | int | str) else str(value) for name, value in fields.items()}
