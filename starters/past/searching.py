"""Runs by what they were about: of Temporal those that the archive has not, and of the archive, as one list."""

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from temporalio.client import Client, WorkflowExecution

from audit.errors import RunNotFound
from audit.live import fetch
from audit.payloads import Decoder
from audit.store import Store
from audit.store_filter import Filter
from audit.story import Story
from starters.past.visibility import query_of

_PAGE = 200
_AT_ONCE = 8
_FIRST_WINDOW = timedelta(days=1)
_AHEAD = timedelta(days=1)
"""How far the clocks of others may be ahead."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class Found:
    """A run that was found."""

    story: Story
    archived: bool


@dataclass(frozen=True)
class Search:
    """Where is searched: Temporal, or the archive, or both."""

    client: Client | None
    store: Store | None
    decoder: Decoder

    async def all(self, wanted: Filter) -> AsyncIterator[Found]:
        """Give every run once, in no order, a few at a time."""
        live = [execution async for execution in self._live(wanted)]
        for start in range(0, len(live), _AT_ONCE):
            together = await asyncio.gather(*(self._read(one, wanted) for one in live[start : start + _AT_ONCE]))
            for story in together:
                if story is not None:
                    yield Found(story, archived=False)
        had = {execution.run_id for execution in live}
        async for story in self._archived(wanted):
            if story.run.run_id not in had:
                yield Found(story, archived=True)

    async def latest(self, wanted: Filter, limit: int) -> AsyncIterator[Found]:
        """Give the `limit` runs that began last, the newest first."""
        live = sorted([one async for one in self._live(wanted)], key=lambda one: (one.start_time, one.run_id))
        had = {execution.run_id for execution in live}
        archive = self._newest(wanted, limit)
        archived = await _following(archive, had)
        for _ in range(limit):
            found: Found | None = None
            while live and found is None and (archived is None or live[-1].start_time >= archived.started_at):
                story = await self._read(live.pop(), wanted)
                found = Found(story, archived=False) if story else None
            if found is None and archived is not None:
                found, archived = Found(archived, archived=True), await _following(archive, had)
            if found is None:
                return
            yield found

    async def one(self, namespace: str, workflow_id: str, run_id: str) -> Story | None:
        """Give a run by its exact names; None where neither has it."""
        if self.client is not None and self.client.namespace == namespace:
            with suppress(RunNotFound):
                return (await fetch(self.client, workflow_id, run_id)).story(self.decoder)
        return await asyncio.to_thread(self.store.story, namespace, run_id) if self.store else None

    # -- Temporal ----------------------------------------------------------------------------------------

    async def _live(self, wanted: Filter) -> AsyncIterator[WorkflowExecution]:
        """List what Temporal has and the archive has not; asked first, so that no run is lost between the two."""
        if self.client is None:
            return
        page: list[WorkflowExecution] = []
        async for execution in self.client.list_workflows(query_of(wanted)):
            page.append(execution)
            if len(page) == _PAGE:
                for one in await self._unarchived(page):
                    yield one
                page = []
        for one in await self._unarchived(page):
            yield one

    async def _unarchived(self, page: list[WorkflowExecution]) -> list[WorkflowExecution]:
        closed = [one.run_id for one in page if one.close_time is not None]
        if self.store is None or self.client is None or not closed:
            return page
        known = await asyncio.to_thread(self.store.among, self.client.namespace, closed)
        return [one for one in page if one.run_id not in known]

    async def _read(self, execution: WorkflowExecution, wanted: Filter) -> Story | None:
        """Read a run's story; None where it isn't meant after all, or is gone meanwhile."""
        assert self.client is not None
        try:
            fetched = await fetch(self.client, execution.id, execution.run_id)
        except RunNotFound:
            return None
        story = fetched.story(self.decoder)
        return story if wanted.matches(story) else None

    # -- the archive -------------------------------------------------------------------------------------

    async def _archived(self, wanted: Filter) -> AsyncIterator[Story]:
        if self.store is not None:
            async for story in _beside(self.store.stories(wanted)):
                yield story

    async def _newest(self, wanted: Filter, limit: int) -> AsyncIterator[Story]:
        """Go back through the archive, which gives the oldest first, by windows that double."""
        oldest = await anext(self._archived(wanted), None)
        if oldest is None:
            return
        until = wanted.until or datetime.now(UTC) + _AHEAD
        window = _FIRST_WINDOW
        while until > oldest.started_at:
            since = max(until - window, oldest.started_at)
            stories = self._archived(wanted.model_copy(update={"since": since, "until": until}))
            for story in reversed(deque([story async for story in stories], maxlen=limit)):
                yield story
            until, window = since, window * 2


async def _following(stories: AsyncIterator[Story], had: set[str]) -> Story | None:
    async for story in stories:
        if story.run.run_id not in had:
            return story
    return None


async def _beside(items: Iterator[_T]) -> AsyncIterator[_T]:
    """Go through what blocks, without blocking."""

    def some() -> list[_T]:
        return list(itertools.islice(items, _PAGE))

    while page := await asyncio.to_thread(some):
        for item in page:
            yield item
