"""Looks every minute for what runs have left held that are not running any more; a schedule starts it.

What is left is given back by a run each, which says so and goes into the archive. A look that finds nothing doesn't.
"""

import asyncio
from datetime import timedelta

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.exceptions import ChildWorkflowError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from activities.common.text import Shown
from activities.holds.holds import Holds, LookForLeft
from activities.holds.kinds import Hold
from workflows.platform import policies
from workflows.upkeep.give_back_hold import GiveBackHold, GiveBackRequest

_WITHIN = timedelta(seconds=50)


class SweepRequest(BaseModel):
    """Nothing is needed."""


class SweepResult(BaseModel):
    """What was found, and what became of it."""

    held: int = Field(description="All that is held, by whomever.")
    late: int = Field(description="Past its time, of runs that are still at it.")
    given_back: list[Shown] = Field(default_factory=list)
    failed: list[Shown] = Field(default_factory=list, description="Looked at again in a minute.")
    unread: list[Shown] = Field(default_factory=list, description="What could not be looked at, and why.")


@workflow.defn
class SweepHolds:
    """One look."""

    @workflow.run
    async def run(self, request: SweepRequest) -> SweepResult:
        """Look, and have given back what is left."""
        del request
        found = await workflow.execute_activity_method(
            Holds.left,
            LookForLeft(),
            start_to_close_timeout=_WITHIN,
            heartbeat_timeout=policies.READ.heartbeat,
            retry_policy=policies.READ.retry,
            summary="what runs have left held",
        )
        result = SweepResult(held=found.held, late=found.late, unread=found.unread)
        await asyncio.gather(*(self._give_back(hold, result) for hold in found.items))
        return result

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
