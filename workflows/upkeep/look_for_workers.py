"""Looks every minute whether open runs wait for a role, or a version, that no worker has; a schedule starts it.

Each such role or version has one run of its own until its workers are back (`MissingWorker`), which tells and pages
once. A look that finds nothing leaves nothing.
"""

from datetime import timedelta

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from activities.common.text import Shown
from activities.monitoring.workers import LookForMissing, MissingRole, MissingRoles, Workers
from workflows.platform import policies
from workflows.upkeep.missing_worker import AGAIN_AFTER, MOST_SELDOM, MissingWorker, MissingWorkerRequest


class LookRequest(BaseModel):
    """Nothing is needed."""

    every: timedelta = Field(
        default=AGAIN_AFTER,
        gt=timedelta(0),
        le=MOST_SELDOM,
        description="How often what is missing is looked at again.",
    )


class LookResult(BaseModel):
    """What was found."""

    missing: list[Shown] = Field(
        default_factory=list, description="Roles and versions that runs wait for, and since when."
    )


@workflow.defn
class LookForWorkers:
    """One look."""

    @workflow.run
    async def run(self, request: LookRequest) -> LookResult:
        """Look, and have each role and version that is missing looked after."""
        found: MissingRoles = await workflow.execute_activity_method(
            Workers.missing,
            LookForMissing(),
            start_to_close_timeout=policies.ORDER.start_to_close,
            heartbeat_timeout=policies.READ.heartbeat,
            retry_policy=policies.READ.retry,
            summary="roles and versions without a worker",
        )
        for role in found.items:
            try:
                await workflow.start_child_workflow(
                    MissingWorker.run,
                    MissingWorkerRequest(role=role.role, build_id=role.build_id, every=request.every),
                    id=f"missing-worker/{workflow.info().task_queue}-{_which(role)}",
                    parent_close_policy=ParentClosePolicy.ABANDON,
                    static_summary=f"No worker of {role.named}",
                )
            except WorkflowAlreadyStartedError:
                continue  # it is looked after already
        return LookResult(missing=[str(role) for role in found.items])


def _which(missing: MissingRole) -> str:
    version = f"version-{missing.build_id}" if missing.build_id else ""
    return "-".join(filter(None, (missing.role, version)))
