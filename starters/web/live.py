"""One run, pushed to all who look at it: it is asked once for everybody, and only when it has gone on.

Server-sent events (HTML Standard, 9.2): an event for each part of the page, with its HTML. A viewer gets every part
when they come, and then what has changed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from temporalio.service import RPCError

from starters.steering import runs
from starters.steering.ending import Ending, ending_of
from starters.steering.errors import SteeringError
from starters.steering.runs import Run
from starters.steering.session import Session
from starters.web.place import Part
from workflows.platform.run_status import RunStatus

EVERY = 1.0
_KEEP_ALIVE = 15.0
_ANSWERS_WITHIN = 8.0
_LINGERS = 5.0
"""Seconds for which a run is looked at after its last viewer has gone: they may only have reloaded."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Seen:
    """A run as it is now."""

    run: Run
    status: RunStatus | None
    trouble: str = ""
    ended: Ending | None = None


Parts = Mapping[str, Part]
Render = Callable[[Seen], Parts]


async def see(run: Run) -> Seen:
    """Ask a run for all that its page shows."""
    status, trouble = None, ""
    try:
        status = await runs.status_of(run)
    except SteeringError as error:
        trouble = str(error)
    return Seen(run, status, trouble, None if run.running else await ending_of(run, status))


@dataclass(eq=False)
class _Watched:
    parts: Parts
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    poked: asyncio.Event = field(default_factory=asyncio.Event)
    viewers: int = 0
    number: int = 0
    over: bool = False
    task: asyncio.Task[None] | None = None


class Hub:
    """All runs that somebody looks at."""

    def __init__(self, session: Session, render: Render) -> None:
        self._session, self._render = session, render
        self._watched: dict[tuple[str, str], _Watched] = {}
        self.asked = 0
        """How often runs were asked, for whoever measures."""

    def poke(self, run: Run) -> None:
        """Look at once: somebody has just said something to the run."""
        watched = self._watched.get(_key(run))
        if watched is not None:
            watched.poked.set()

    async def events(self, run: Run) -> AsyncIterator[str]:
        """Give a viewer their events until the run is over or they go."""
        watched = self._watched.get(_key(run))
        if watched is None:
            watched = self._watched[_key(run)] = _Watched({})
        if watched.task is None and not watched.over:  # the first who comes has it asked, for all who come meanwhile
            watched.task = asyncio.create_task(self._watch(run, watched))
        watched.viewers += 1
        try:
            async for event in self._told(watched):
                yield event
        finally:
            watched.viewers -= 1
            if watched.over and not watched.viewers:
                self._watched.pop(_key(run), None)

    async def _told(self, watched: _Watched) -> AsyncIterator[str]:
        sent: dict[str, str] = {}
        while True:
            number, over = watched.number, watched.over
            for name, part in watched.parts.items():
                if sent.get(name) != part.mark:
                    sent[name] = part.mark
                    yield event(name, part)
            if over:
                yield "event: over\ndata: over\n\n"
                return
            try:
                async with asyncio.timeout(_KEEP_ALIVE), watched.changed:
                    await watched.changed.wait_for(lambda known=number: watched.number != known)  # type: ignore[misc]
            except TimeoutError:
                yield ": still here\n\n"

    async def _watch(self, run: Run, watched: _Watched) -> None:
        length, alone = -1, 0.0
        doing: tuple[str, ...] = ()
        while alone < _LINGERS:
            try:
                async with asyncio.timeout(_ANSWERS_WITHIN):
                    run = await runs.again(self._session, run)
                    poked = watched.poked.is_set()
                    watched.poked.clear()
                    at = run.description.history_length
                    if poked or at != length or run.doing != doing or not run.running:
                        self.asked += 1
                        seen = await see(run)
                        await self._publish(watched, self._render(seen), over=not run.running)
                        length, doing = (-1 if seen.trouble else at), run.doing
            except (RPCError, RuntimeError, TimeoutError):
                length = -1
                seen = Seen(run, None, "Temporal does not answer: what is shown is as of a moment ago")
                await self._publish(watched, {**watched.parts, "trouble": self._render(seen)["trouble"]}, over=False)
            except Exception:  # noqa: BLE001  what is shown stays, and the next look may go better
                _log.exception("a run can't be shown", workflow_id=run.workflow_id)
            if not run.running:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await watched.poked.wait()
            alone = 0.0 if watched.viewers else alone + EVERY
        watched.task = None
        if not watched.viewers:
            self._watched.pop(_key(run), None)

    async def _publish(self, watched: _Watched, parts: Parts, *, over: bool) -> None:
        async with watched.changed:
            if over or parts != watched.parts:
                watched.parts, watched.over = parts, over
                watched.number += 1
                watched.changed.notify_all()


async def together(*sources: AsyncIterator[str]) -> AsyncIterator[str]:
    """Give what several sources tell, as it comes, until all of them have ended."""
    waiting = {asyncio.ensure_future(anext(source)): source for source in sources}
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                source = waiting.pop(each)
                try:
                    told = each.result()
                except StopAsyncIteration:
                    continue
                waiting[asyncio.ensure_future(anext(source))] = source
                yield told
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def event(name: str, part: Part) -> str:
    """Write an event; the mark lets a page keep a part that it has already."""
    lines = "".join(f"data: {line}\n" for line in f"<!--{part.mark}-->{part.html}".split("\n"))
    return f"event: {name}\n{lines}\n"


def _key(run: Run) -> tuple[str, str]:
    return run.workflow_id, run.description.run_id
