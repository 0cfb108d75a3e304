"""How the system's own runs call activities: they are no procedures, and have no timeline and no starter."""

from typing import Any

from temporalio import workflow

from activities.common.effects import Effect
from workflows.platform.policies import Policy


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
