"""How the system's own runs call activities: they are no procedures, and have no timeline and no starter."""

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel
from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.common.effects import Effect
from workflows.platform import policies
from workflows.platform.policies import Policy

_Req = TypeVar("_Req", bound=BaseModel)
_Res = TypeVar("_Res")


def own_effect(step: str, actor: str) -> Effect:
    """Give the identity of a run's step, the same for each attempt and after a reset."""
    info = workflow.info()
    key = f"{info.workflow_id}/{info.first_execution_run_id}/{step}"
    return Effect(key=key, workflow_id=info.workflow_id, run_id=info.run_id, actor=actor)


def options(policy: Policy) -> dict[str, Any]:
    """Give a policy as the SDK takes it."""
    return {
        "start_to_close_timeout": policy.start_to_close,
        "heartbeat_timeout": policy.heartbeat,
        "retry_policy": policy.retry,
    }


async def done(title: str, method: Callable[[Any, _Req], _Res], request: _Req) -> None:
    """Do it, for as long as it takes; where it is refused for good, the others are done all the same."""
    try:
        await workflow.execute_activity_method(method, request, summary=title, **options(policies.RELEASE))
    except ActivityError:
        workflow.logger.warning("%s: not done", title)
