"""What a worker knows by itself (settings, the registry), looked up once and pinned in the run's history.

By an activity, and not by a local one. A query that comes with the workflow task of a local activity (somebody looks
at a run that no worker has taken up yet) makes the SDK write that activity's marker into a workflow task of its own. On
replay it then answers `workflow.patched` for what follows with False, and the run can never be taken up again
(temporalio 1.35; `tests/workflows/platform/test_looked_at_early.py`).
"""

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

from activities.common.errors import InvalidInput
from workflows.platform import policies

_Out = TypeVar("_Out", bound=BaseModel)


async def looked_up(method: Callable[[Any, Any], _Out], request: BaseModel, summary: str) -> _Out:
    """Look something up; it is tried until a worker answers.

    Raises:
        InvalidInput: what is asked for isn't there, or isn't so; says what is.

    """
    try:
        if workflow.patched("looked-up-by-activity"):
            answer: _Out = await workflow.execute_activity_method(
                method,
                request,
                start_to_close_timeout=policies.LOOK_UP.start_to_close,
                heartbeat_timeout=policies.LOOK_UP.heartbeat,
                retry_policy=policies.LOOK_UP.retry,
                summary=summary,
            )
            return answer
        answer = await workflow.execute_local_activity_method(
            method,
            request,
            start_to_close_timeout=policies.LOOK_UP.start_to_close,
            summary=summary,
        )
    except FailureError as error:
        # A local activity's failure arrives bare.
        cause = error.cause if isinstance(error, ActivityError) else error
        if isinstance(cause, ApplicationError) and cause.non_retryable:
            raise InvalidInput(cause.message) from None
        raise
    return answer
