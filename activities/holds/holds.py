"""What runs that are not running any more have left held past its time, and its way back (ARCHITECTURE, rule 5).

A run gives back what it holds on every way out but two: somebody terminates it, or resets it so that it goes another
way. Then nobody would, for as long as nobody else needs the same thing.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field
from temporalio import activity
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.common.effects import Change, Effect, effect
from activities.common.errors import ActivityFailure, NotFound, RateLimited, Unavailable, unavailable
from activities.holds.kinds import HeldKind, Hold
from audit.text import counted
from libraries import logger

if TYPE_CHECKING:
    from temporalio.client import Client

GIVEN_BACK = "given back already"
_log = logger(__name__)


class LookForLeft(BaseModel):
    """Nothing is needed: everything that settings name is looked at."""


class LeftHolds(BaseModel):
    """What was found."""

    items: list[Hold] = Field(description="Past its time, and of a run that is not running any more.")
    held: int = Field(description="All that is held, by whomever.")
    late: int = Field(default=0, description="Past its time, of runs that are still at it.")
    unread: list[str] = Field(default_factory=list, description="What could not be looked at, and why.")

    def __str__(self) -> str:
        unread = f", {len(self.unread)} could not be looked at" if self.unread else ""
        return f"{counted(self.held, 'hold')}, {len(self.items)} left by runs that are gone{unread}"


class GiveBack(BaseModel):
    """Give one back."""

    hold: Hold
    effect: Effect


class Holds:
    """Looks at all kinds of holds; `kinds` is made anew for each look, from the clients that are there."""

    def __init__(self, kinds: Callable[[], Sequence[HeldKind]]) -> None:
        self._kinds = kinds

    @activity.defn(name="holds.left")
    async def left(self, request: LookForLeft) -> LeftHolds:
        """Find what is left.

        Raises:
            Unavailable: Temporal doesn't answer: nothing is said of any run then.

        """
        del request
        found, unread = await asyncio.to_thread(self._all)
        now = datetime.now(UTC)
        client = activity.client()
        items, late = [], 0
        for hold in found:
            past = hold.until <= now
            if (past or hold.at_once) and not await _lives(client, hold):
                items.append(hold)
            elif past:
                late += 1
        return LeftHolds(items=items, held=len(found), late=late, unread=unread)

    @activity.defn(name="holds.give_back")
    @effect
    async def give_back(self, request: GiveBack) -> Change:
        """Give it back, unless it has changed hands or end since it was found, or its run runs again.

        Raises:
            Unavailable: its system or Temporal doesn't answer. Also what the kind of hold raises.

        """
        hold = request.hold
        if await _lives(activity.client(), hold):
            return Change(target=_target(hold), after="left to its run", applied=False, note="that runs again")
        change = await asyncio.to_thread(self._give_back, hold, request.effect)
        _log.info("hold given back", hold=str(hold), after=change.after, applied=change.applied)
        return change

    def _all(self) -> tuple[list[Hold], list[str]]:
        found: list[Hold] = []
        unread: list[str] = []
        for kind in self._kinds():
            for place in kind.places():
                try:
                    found += kind.held(place)
                except NotFound:
                    continue
                except ActivityFailure as error:
                    unread.append(f"{kind.kind} {place.namespace}/{place.name}: {error.message}")
                    if isinstance(error, Unavailable | RateLimited):
                        break  # the others of this kind are asked for in a minute
        return found, unread

    def _give_back(self, hold: Hold, effect: Effect) -> Change:
        kind = next(kind for kind in self._kinds() if kind.kind == hold.kind)
        try:
            there = kind.held(hold.place)
        except NotFound:
            return Change(target=_target(hold), after="gone", applied=False, note="somebody has deleted it")
        if hold not in there:
            anew = any(other.name == hold.name for other in there)
            return Change(target=_target(hold), after="held anew" if anew else GIVEN_BACK, applied=False)
        return kind.give_back(hold, effect)


async def _lives(client: "Client", hold: Hold) -> bool:
    """Tell whether the run that holds it still runs: it gives back by itself, and knows better when.

    A run that goes on as new, is retried or was reset has the workflow ID and the first run ID that it had.
    """
    try:
        described = await client.get_workflow_handle(hold.run).describe()
    except RPCError as error:
        if error.status in {RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT}:
            return False
        unavailable("Temporal", error)
    if described.status is not WorkflowExecutionStatus.RUNNING:
        return False
    first = described.raw_description.workflow_execution_info.first_run_id or described.run_id
    return not hold.first_run or hold.first_run == first


def _target(hold: Hold) -> str:
    return f"{hold.kind.lower()}/{hold.name}"
