"""Looks every minute for what runs have left that are not running any more: holds, and open incidents.

A schedule starts it. What is left is given back, or ended, by a run each, which says so and goes into the archive. A
look that finds nothing doesn't.
"""

import asyncio
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.exceptions import ActivityError, ChildWorkflowError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from activities.common.text import Shown
from activities.holds.holds import Holds, LookForLeft
from activities.holds.kinds import Hold
from activities.holds.left_incidents import IncidentsLeft, LeftIncident, LookForLeftIncidents
from workflows.platform import policies
from workflows.upkeep.end_left_incident import EndLeftIncident, EndLeftIncidentRequest
from workflows.upkeep.give_back_hold import GiveBackHold, GiveBackRequest
from workflows.upkeep.leave_incident import LeaveIncident, LeaveIncidentRequest
from workflows.upkeep.own_steps import options

_WITHIN = timedelta(seconds=50)


class SweepRequest(BaseModel):
    """Nothing is needed."""


class SweepResult(BaseModel):
    """What was found, and what became of it."""

    held: int = Field(description="All that is held, by whomever.")
    late: int = Field(description="Past its time, of runs that are still at it.")
    given_back: list[Shown] = Field(default_factory=list)
    incidents: list[Shown] = Field(
        default_factory=list, description="Open incidents that nobody looks after any more: people are being told."
    )
    failed: list[Shown] = Field(default_factory=list, description="Looked at again in a minute.")
    unread: list[Shown] = Field(default_factory=list, description="What could not be looked at, and why.")


@workflow.defn
class SweepHolds:
    """One look."""

    @workflow.run
    async def run(self, request: SweepRequest) -> SweepResult:
        """Look, and have given back what is left."""
        del request
        seen = SweepResult(held=0, late=0)
        # First: a cluster that can't be looked at must not keep anybody from hearing that a P1 is nobody's.
        if workflow.patched("left-incidents"):
            await self._incidents(seen)
        found = await workflow.execute_activity_method(
            Holds.left,
            LookForLeft(),
            start_to_close_timeout=_WITHIN,
            heartbeat_timeout=policies.READ.heartbeat,
            retry_policy=policies.READ.retry,
            summary="what runs have left held",
        )
        counts = {"held": found.held, "late": found.late, "unread": [*seen.unread, *found.unread]}
        result = seen.model_copy(update=counts)
        await asyncio.gather(*(self._give_back(hold, result) for hold in found.items))
        return result

    async def _incidents(self, seen: SweepResult) -> None:
        """Have people told of the incidents that nobody looks after; these runs last as long as telling takes."""
        try:
            found = await workflow.execute_activity_method(
                IncidentsLeft.look,
                LookForLeftIncidents(),
                summary="open incidents that nobody looks after",
                **options(policies.READ),
            )
        except ActivityError as error:
            seen.unread.append(f"open incidents: {error.cause or error}")
            return
        for left in found.items:
            told = await self._begun(left, "leave-incident", LeaveIncident.run, LeaveIncidentRequest(left=left))
            (seen.incidents if told else seen.failed).append(left.because)
        for left in found.behind:
            await self._begun(left, "end-left-incident", EndLeftIncident.run, EndLeftIncidentRequest(left=left))

    async def _begun(self, left: LeftIncident, kind: str, run: Any, request: BaseModel) -> bool:
        """Start it; False where it is at it already."""
        try:
            await workflow.start_child_workflow(
                run,
                request,
                id=f"{kind}/{left.entry.incident_id}",
                parent_close_policy=ParentClosePolicy.ABANDON,
                static_summary=f"Nobody looks after {left.entry}"[:180],
            )
        except WorkflowAlreadyStartedError:
            return False
        return True

    async def _give_back(self, hold: Hold, result: SweepResult) -> None:
        try:
            told = await workflow.execute_child_workflow(
                GiveBackHold.run,
                GiveBackRequest(hold=hold),
                id=f"give-back/{hold.kind}/{hold.namespace}/{hold.name}".replace(" ", "-").lower(),
                parent_close_policy=ParentClosePolicy.ABANDON,
                static_summary=f"Give back: {hold}"[:180],
            )
        except WorkflowAlreadyStartedError:
            result.failed.append(f"{hold}: is being given back already")
        except ChildWorkflowError as error:
            result.failed.append(f"{hold}: {error.cause or error}")
        else:
            result.given_back.append(told)
