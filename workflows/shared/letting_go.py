"""Bringing back what a run has taken away: tried for a week, while people are told that it isn't back yet."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import BaseModel
from temporalio import workflow

from workflows.shared import policies
from workflows.shared.desk import Desk
from workflows.shared.policies import Policy

_ESCALATE_AFTER = timedelta(minutes=5)

_Req = TypeVar("_Req", bound=BaseModel)
_Res = TypeVar("_Res")


async def let_go(desk: Desk, section: str, title: str, method: Callable[[Any, _Req], _Res],
                 request: _Req, *, still: str, policy: Policy = policies.RELEASE) -> _Res:  # fmt: skip
    """Do a step that must be done in the end; the on-call is paged while that doesn't succeed.

    Args:
        desk: The side of the run whose step it is, in the conversation.
        section: Of the runbook.
        title: Of the step.
        method: The activity.
        request: Its request.
        still: What is the case until it is done, in words for people, e.g. `hpa/x is still paused`.
        policy: How it is tried.

    Raises:
        ActivityError: it was refused, or a week was not enough.

    """
    run = desk.run
    task = asyncio.create_task(run.step(section, title, method, request, policy))
    try:
        await workflow.wait_condition(task.done, timeout=_ESCALATE_AFTER, timeout_summary=f"escalation: {still}")
    except TimeoutError:
        run.say("deadline", f"{still}: escalating, and trying on")
        await desk.escalate(f"{still}; being tried")
    return await task
