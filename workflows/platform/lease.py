"""A lease: something is held for a time and let go on every way out (ARCHITECTURE, rule 5).

The lease itself is a durable timer with an end that can be moved, and an end that can come early. What is acquired and
released is the procedure's: it releases in whatever way `hold` was left, cancellation and failure included.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field
from temporalio import workflow

from activities.common.errors import InvalidInput
from activities.common.text import Reason
from activities.common.times import Time
from audit.text import length
from workflows.platform.signing import SignedWord

_T = TypeVar("_T")


class Extend(SignedWord):
    """A person wants more time."""

    UPDATE = "extend"

    by: Annotated[timedelta, Time()] = Field(gt=timedelta(0), description="How much later the lease ends, e.g. PT15M.")
    reason: Reason = ""


class Resume(SignedWord):
    """A person wants the lease to end now."""

    UPDATE = "resume"

    reason: Reason = ""


class Lease(BaseModel):
    """A time that ends by itself, may be extended up to a limit, and may end early."""

    name: str
    acquired_at: datetime
    until: datetime
    latest: datetime = Field(description="However often it is extended.")
    ended_by: str = Field(default="", description="`expiry`, or the person who ended it early.")

    @classmethod
    def of(cls, name: str, lasting: timedelta, longest: timedelta) -> "Lease":
        """Begin a lease now."""
        now = workflow.now()
        return cls(name=name, acquired_at=now, until=now + lasting, latest=now + max(lasting, longest))

    def check(self, by: timedelta) -> None:
        """Refuse an extension that can't be.

        Raises:
            InvalidInput: it has ended, or would last longer than it may; says what is possible.

        """
        if self.ended_by:
            raise InvalidInput(f"{self.name}: has ended already ({self.ended_by})")
        if self.until + by > self.latest:
            left = self.latest - self.until
            raise InvalidInput(
                f"by: {self.name} may be extended by {length(left)} at most, until {self.latest:%H:%M:%S %Z}"
            )

    def extend(self, by: timedelta) -> None:
        """Move the end."""
        self.until += by

    def end(self, by: str) -> None:
        """End it early; the first to say so counts."""
        self.ended_by = self.ended_by or by

    async def hold(self, moving: asyncio.Lock | None = None) -> None:
        """Wait until it ends, wherever the end is moved to meanwhile.

        Whoever needs time to move the end holds ``moving``: a word that was said before the end comes first, however
        long it takes to be carried out, for example because all workers were down.
        """
        while not self.ended_by:
            if self.until <= workflow.now():
                if moving is None or not moving.locked():
                    self.end("expiry")
                    return
                async with moving:
                    continue
            await self.wait_until(self.until, f"lease: {self.name} until {self.until:%H:%M:%S %Z}")

    async def wait_until(self, at: datetime, summary: str) -> bool:
        """Wait for a time in the lease; False as soon as it has ended, or its end is moved."""
        until = self.until
        try:
            await workflow.wait_condition(
                lambda: bool(self.ended_by) or self.until != until,
                timeout=max(at - workflow.now(), timedelta(0)),
                timeout_summary=summary,
            )
        except TimeoutError:
            return True
        return False


async def shielded(work: Coroutine[Any, Any, _T]) -> _T:
    """Bring work to its end though the run is cancelled meanwhile; the cancellation follows it."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


async def finally_do(work: Coroutine[Any, Any, _T], last: Callable[[], Coroutine[Any, Any, None]]) -> _T:
    """Do `work`, and `last` in whatever way it ended: done, failed or cancelled.

    A `finally` would also run when a worker drops the run from its cache, which is no end.
    """
    try:
        result = await work
    except (Exception, asyncio.CancelledError):
        await shielded(last())
        raise
    await shielded(last())
    return result
