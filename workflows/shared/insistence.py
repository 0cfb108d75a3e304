"""A step that must be done: tried for a week, while people are told that it isn't yet."""

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


async def insist(desk: Desk, section: str, title: str, method: Callable[[Any, _Req], _Res], request: _Req, *,
                 undone: str, policy: Policy = policies.RELEASE) -> _Res:  # fmt: skip
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
