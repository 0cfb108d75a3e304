"""Where a run meets people: its channel, its pages, its questions.

Nothing here stops the work: a backend that is down is tried for as long as its policy says, the timeline says so, and
the run goes on.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import BaseModel
from temporalio import workflow

from activities.catalogue.service import Service
from activities.common.severity import Severity
from activities.messages.chat.chat import Message, PostMessage, Slack, escaped
from activities.messages.paging.paging import PageOnCall, Paging
from audit.text import lasted
from workflows.platform import policies
from workflows.platform.approval import Question
from workflows.platform.policies import Policy
from workflows.platform.runbook import Runbook

_ESCALATE_AFTER = timedelta(minutes=5)
_Req = TypeVar("_Req", bound=BaseModel)
_Res = TypeVar("_Res")


class Desk:
    """One run's side of the conversation, about something that has an ID people can name."""

    def __init__(self, run: Runbook, service: Service, severity: Severity, title: str, prefix: str) -> None:
        self.run = run
        self.service = service
        self.severity: Severity = severity
        self.title = title
        self.opened_at = workflow.info().workflow_start_time
        self.id = f"{prefix}-{self.opened_at:%Y%m%d-%H%M%S}-{run.own_id(6)}"
        self.commander = ""
        self.levels = 0
        self.held_by = ""
        """Who has taken over, as they say who they are; empty where nobody has."""

        self.thread: Message | None = None
        self._opening = ""
        """The key of what opens the thread, from when that has begun."""

    async def open(self, text: str) -> None:
        """Open a thread in the service's channel."""
        opening = self.run.effect("post-opened")
        self._opening = opening.key
        message = PostMessage(channel=self.service.channel, text=escaped(text), effect=opening)
        self.thread = await self._posted("Open the thread", message)

    async def tell(self, what: str, text: str) -> None:
        """Post into the thread, also while that is being opened; to the channel where it could not be."""
        thread = self.thread.message_id if self.thread else ""
        message = PostMessage(
            channel=self.service.channel,
            text=escaped(text),
            thread=thread or None,
            opened_by="" if self.thread else self._opening,
            effect=self.run.effect(f"post-{what}"),
        )
        await self._posted(f"Tell the channel: {what}", message)

    async def page(self, why: str) -> None:
        """Page the on-call; every further page is an escalation, one level up."""
        self.levels += 1
        level = self.levels
        await self.run.keep(
            self.run.SECTION,
            "Page the on-call" if level == 1 else f"Escalate to level {level}",
            Paging.page,
            PageOnCall(
                incident_id=self.id,
                service=self.service.name,
                severity=self.severity,
                rotation=self.service.on_call,
                level=level,
                summary=f"{self.title}: {why}",
                effect=self.run.effect(f"page-level-{level}"),
            ),
        )

    async def escalate(self, why: str) -> None:
        """Page the next level, and say so in the thread.

        Who has taken over is not escalated past; and there is a highest level, above which only the thread is told.
        """
        told = f":rotating_light: Escalated: {why}"
        if self.held_by:
            await self.tell("escalated", f":rotating_light: {why}. {self.held_by} has it: nobody else is paged")
        elif self.levels >= self.service.incident.highest_page and workflow.patched("highest-page"):
            await self.tell("escalated", f"{told}. Level {self.levels}, the highest, has been paged already")
        else:
            await asyncio.gather(self.page(why), self.tell("escalated", told))

    async def ask(self, question: Question) -> None:
        """Put a question before the people of the channel."""
        options = "\n".join(
            f"• `{choice}`: {does}{' _(recommended)_' if choice == question.recommended else ''}"
            for choice, does in question.options.items()
        )
        run = self.run.incident_id or workflow.info().workflow_id
        await self.tell(
            question.id,
            f"{f':question: *{question.title}* {self.commander}'.rstrip()}\n{options}\n"
            f"Answer with `runbooks approve {run} --choice …`; no answer within {lasted(question.timeout)} escalates.",
        )

    async def post(self, what: str, title: str, text: str, *, channel: str) -> Message | None:
        """Post a message elsewhere; None when the first tries fail."""
        effect = self.run.effect(f"post-{what}")
        return await self._posted(title, PostMessage(channel=channel, text=escaped(text), effect=effect))

    async def _posted(self, title: str, message: PostMessage) -> Message | None:
        return await self.run.keep(self.run.SECTION, title, Slack.post, message)


async def insist(
    desk: Desk,
    section: str,
    title: str,
    method: Callable[[Any, _Req], _Res],
    request: _Req,
    *,
    undone: str,
    policy: Policy = policies.RELEASE,
) -> _Res:
    """Run a step until it succeeds; after five minutes the next level is paged that it is `undone`.

    Raises:
        ActivityError: it was refused, which no trying helps.

    """
    task = asyncio.create_task(desk.run.step(section, title, method, request, policy))
    try:
        await workflow.wait_condition(task.done, timeout=_ESCALATE_AFTER, timeout_summary=f"escalation: {undone}")
    except TimeoutError:
        desk.run.say("deadline", f"{undone}: escalating, and trying on")
        await desk.escalate(f"{undone}; being tried")
    return await task
