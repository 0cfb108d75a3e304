"""Histories from Temporal itself, while its retention lasts."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode

from audit.errors import RunNotFound
from audit.payloads import Decoder
from audit.reading import read
from audit.story import RunIdentity, Story
from audit.text import kept

_ANSWERED_WITHIN = timedelta(seconds=30)
_LONGEST_ID = 1000
"""Bytes that Temporal takes in a workflow ID (limit.maxIDLength)."""

_GONE = {RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT}


@dataclass(frozen=True)
class Fetched:
    """One run's history."""

    namespace: str
    workflow_id: str
    run_id: str
    history: dict[str, Any]

    def story(self, decoder: Decoder) -> Story:
        """Read it; a workflow ID that PostgreSQL couldn't keep is escaped, here and in everything made of it."""
        workflow_id = kept(self.workflow_id, _LONGEST_ID)
        return read(
            self.history, namespace=self.namespace, workflow_id=workflow_id, run_id=self.run_id, decoder=decoder
        )


async def fetch(client: Client, workflow_id: str, run_id: str | None = None) -> Fetched:
    """Fetch the history of a run; of the latest one where no run ID is given.

    Raises:
        RunNotFound: Temporal doesn't have it, or not any more.
        RPCError: Temporal doesn't answer.

    """
    try:
        handle = client.get_workflow_handle(workflow_id, run_id=run_id)
        if run_id is None:
            # Pinned first: a run that continues as new while its history is read would give two halves.
            run_id = (await handle.describe(rpc_timeout=_ANSWERED_WITHIN)).run_id
            handle = client.get_workflow_handle(workflow_id, run_id=run_id)
        events = [event async for event in handle.fetch_history_events(rpc_timeout=_ANSWERED_WITHIN)]
    except RPCError as error:
        if error.status in _GONE:
            raise RunNotFound(
                f"Temporal has no run {workflow_id!r}{f' with run ID {run_id}' if run_id else ''}"
            ) from None
        raise
    history = json.loads(WorkflowHistory(workflow_id, events).to_json())
    return Fetched(client.namespace, workflow_id, run_id or "", history)


async def family(client: Client, workflow_id: str, run_id: str | None = None) -> AsyncIterator[Fetched]:
    """Fetch all runs of a run's chain, the first one first, each followed by the runs it started.

    A member whose retention has passed is left out.

    Raises:
        RunNotFound: Temporal doesn't have the run that was asked for.
        RPCError: Temporal doesn't answer.

    """
    asked = await fetch(client, workflow_id, run_id)
    seen: set[str] = set()
    async for member in _chain(client, asked, seen):
        yield member


async def _chain(client: Client, asked: Fetched, seen: set[str]) -> AsyncIterator[Fetched]:
    earlier: list[str] = []
    first: Fetched | None = asked
    while first is not None and (before := _story(first).continued_from) and before not in earlier:
        earlier.append(before)
        first = await _maybe(client, asked.workflow_id, before)
    later = asked
    for run_id in reversed(earlier):
        member = await _maybe(client, asked.workflow_id, run_id)
        if member is not None:
            async for found in _with_children(client, member, seen):
                yield found
    async for found in _with_children(client, asked, seen):
        yield found
    while after := _story(later).continued_to:
        found_later = await _maybe(client, asked.workflow_id, after)
        if found_later is None or found_later.run_id in seen:
            return
        later = found_later
        async for found in _with_children(client, later, seen):
            yield found


async def _with_children(client: Client, member: Fetched, seen: set[str]) -> AsyncIterator[Fetched]:
    if member.run_id in seen:
        return
    seen.add(member.run_id)
    yield member
    children: list[RunIdentity] = [child.run for child in _story(member).children if child.run.run_id]
    for child in children:
        started = await _maybe(client, child.workflow_id, child.run_id)
        if started is not None:
            async for found in _chain(client, started, seen):
                yield found


def _story(member: Fetched) -> Story:
    """Read what ties it to others; that is never encrypted."""
    return member.story(Decoder())


async def _maybe(client: Client, workflow_id: str, run_id: str) -> Fetched | None:
    try:
        return await fetch(client, workflow_id, run_id)
    except RunNotFound:
        return None
