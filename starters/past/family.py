"""A run with all that belongs to it, wherever each part is still kept: in Temporal, or in the archive."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

from audit.errors import RunNotFound
from audit.live import fetch
from audit.render.chapters import Told
from audit.store import Store
from audit.store_filter import Filter
from audit.story import RunIdentity
from starters.past.room import Room
from starters.steering.errors import NoSuchRun
from starters.steering.finding import by_part, named
from starters.steering.runs import Run
from starters.steering.session import Session

_RUN_ID = re.compile(r"(?P<workflow>.+)@(?P<run>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})")


async def family_of(room: Room, reference: str) -> list[Told]:
    """Find a run by workflow ID (its latest), WORKFLOW_ID@RUN_ID, its incident, or a part; and all that belongs to it.

    A whole name is meant before a part of one, wherever it is kept. First the runs of its chain in their order, each
    followed by the runs it started.

    Raises:
        NoSuchRun: neither Temporal nor the archive knows it.
        WrongInput: no run is named so, and it is a part of several names.

    """
    asked = await _live(room, reference, named) or await _archived(room, reference)
    asked = asked or await _live(room, reference, by_part)
    if asked is None:
        where = "neither Temporal nor the archive has a" if room.store and room.client else "there is no"
        raise NoSuchRun(
            f"{where} run {reference!r}: give a workflow ID, WORKFLOW_ID@RUN_ID, or the ID of an incident; "
            "`runbooks audit search` finds runs"
        )
    return [member async for member in _chain(room, asked, set())]


async def _live(room: Room, reference: str, found_by: Callable[[Session, str], Awaitable[Run | None]]) -> Told | None:
    if room.client is None:
        return None
    run = await found_by(Session(room.settings, room.client), reference)
    return await _lookup(room, run.workflow_id, run.description.run_id) if run else None


async def _archived(room: Room, reference: str) -> Told | None:
    store = room.store
    if store is None:
        return None
    named = _RUN_ID.fullmatch(reference)
    wanted = (
        [Filter(workflow_id=named["workflow"], run_id=named["run"])]
        if named
        else [Filter(workflow_id=reference), Filter(incident=reference)]
    )
    for one in wanted:
        latest = await asyncio.to_thread(_last, store, one)
        if latest is not None:
            return await _lookup(room, latest.workflow_id, latest.run_id)
    return None


def _last(store: Store, wanted: Filter) -> RunIdentity | None:
    """Name the run that began last; stories come in the order of their starts."""
    latest = deque(store.stories(wanted), maxlen=1)
    return latest[0].run if latest else None


async def _lookup(room: Room, workflow_id: str, run_id: str) -> Told | None:
    """Read one run from Temporal, and from the archive where that has forgotten it."""
    namespace = room.client.namespace if room.client else room.settings.temporal.namespace
    record = await asyncio.to_thread(room.store.record, namespace, run_id) if room.store else None
    header = record.header if record else None
    if room.client is not None:
        try:
            story = (await fetch(room.client, workflow_id, run_id)).story(room.decoder)
            return Told(story, record=header)
        except RunNotFound:
            pass
    kept = await asyncio.to_thread(room.store.story, namespace, run_id) if room.store and record else None
    return Told(kept, archived=True, record=header) if kept else None


async def _chain(room: Room, asked: Told, seen: set[str]) -> AsyncIterator[Told]:
    before = [asked]
    while (earlier := before[0].story.continued_from) and earlier not in {one.story.run.run_id for one in before}:
        found = await _lookup(room, asked.story.run.workflow_id, earlier)
        if found is None:
            break
        before.insert(0, found)
    chain = before
    while (later := chain[-1].story.continued_to) and later not in {one.story.run.run_id for one in chain}:
        found = await _lookup(room, asked.story.run.workflow_id, later)
        if found is None:
            break
        chain.append(found)
    for member in chain:
        if member.story.run.run_id in seen:
            continue
        seen.add(member.story.run.run_id)
        yield member
        for child in member.story.children:
            started = await _lookup(room, child.run.workflow_id, child.run.run_id) if child.run.run_id else None
            if started is not None:
                async for one in _chain(room, started, seen):
                    yield one
