"""How long a procedure takes, and how often it fails: of its past runs, as Temporal still lists them."""

import asyncio
import statistics
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio.client import WorkflowExecutionStatus

from starters.steering.listing import Wanted, executions
from starters.steering.outcomes import reached
from starters.steering.session import Session
from workers.registry import Procedure
from workflows.platform.search_attributes import OUTCOME, SERVICE

_LOOKED_AT = 200
_KEPT_FOR = 60.0
_ANSWERS_WITHIN = 5.0
_FEWEST = 2
_PLANS = ("plan", "would")
"""What the outcome of a run in plan mode begins with: it took no effect, so its time says nothing."""


@dataclass(frozen=True)
class Past:
    """A procedure's past runs, the newest `runs` of them; plans are not counted, and drills apart."""

    runs: int = 0
    failed: int = 0
    half: timedelta | None = None
    """Half of them took no longer (p50)."""
    most: timedelta | None = None
    """Nineteen of twenty took no longer (p95)."""
    last: datetime | None = None
    drilled: datetime | None = None
    """When the newest drill began: a run of a service to practise on, which is in no other figure."""
    drill_worked: bool = False


class Durations:
    """Keeps what was counted for a minute."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._kept: dict[str, tuple[float, Past]] = {}
        self._turn = asyncio.Semaphore(4)

    async def of(self, procedure: Procedure) -> Past:
        """Count a procedure's runs.

        Raises:
            RPCError, RuntimeError, TimeoutError: Temporal does not answer.

        """
        at, kept = self._kept.get(procedure.name, (-_KEPT_FOR, Past()))
        if time.monotonic() - at < _KEPT_FOR:
            return kept
        async with self._turn, asyncio.timeout(_ANSWERS_WITHIN):
            found = await self._counted(procedure)
        self._kept[procedure.name] = (time.monotonic(), found)
        return found

    async def _counted(self, procedure: Procedure) -> Past:
        lasted: list[float] = []
        failed, last, looked = 0, None, 0
        drills = {name for name, service in self._session.settings.services.items() if service.drill}
        drilled, worked = None, False
        async for one in executions(self._session, Wanted(procedure=procedure), running=False):
            looked += 1
            outcome = one.typed_search_attributes.get(OUTCOME) or ""
            if outcome.startswith(_PLANS) or one.close_time is None:
                continue
            well = one.status is WorkflowExecutionStatus.COMPLETED and reached(procedure.workflow_type, outcome)
            if one.typed_search_attributes.get(SERVICE) in drills:
                if drilled is None:
                    drilled, worked = one.start_time, well
            else:
                last = last or one.start_time
                lasted.append((one.close_time - one.start_time).total_seconds())
                failed += not well
            if looked >= _LOOKED_AT:
                break
        if not lasted:
            return Past(drilled=drilled, drill_worked=worked)
        cuts = statistics.quantiles(lasted, n=20, method="inclusive") if len(lasted) >= _FEWEST else lasted * 19
        half, most = timedelta(seconds=cuts[9]), timedelta(seconds=cuts[18])
        return Past(len(lasted), failed, half, most, last, drilled, worked)
