"""Keeps the threads: one a run, its first message updated in place, and few below it.

A process of its own follows the runs by Temporal's visibility and their `status`, instead of each run posting: so no
procedure has a command more, runs that were begun before this was there are followed as well, and an update that
fails costs a run nothing. What it has posted is in the records. Of several processes one follows, which holds a lock.

The run's own opening message, where it has one in Slack, becomes the first message: there is one thread. A run that
opens none within seconds gets one.

Each run is looked at for itself: one that no worker answers for holds up no other (`turns.py`).
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import structlog
from temporalio.client import WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError

from activities.common.effects import Effect
from activities.common.errors import ActivityFailure, RateLimited
from activities.messages.chat.chat import PostMessage
from activities.messages.chat.slack import EVENT_TYPE, SlackChat
from activities.messages.chat.slack_calls import SlackCalls
from activities.messages.chat.threads import Thread, Threads
from audit.text import kept
from starters.slack import head
from starters.slack.offers import OFFERS
from starters.slack.turns import Key, Turns
from starters.steering import runs
from starters.steering.ending import ending_of
from starters.steering.listing import Wanted, executions
from starters.steering.runs import Run
from starters.steering.session import Session
from starters.steering.starting import START_KEY
from workers.registry import PROCEDURES
from workflows.platform.run_status import RunStatus
from workflows.platform.search_attributes import INCIDENT, SERVICE, WAITING_FOR

_log = structlog.get_logger(__name__)
_ONE_A_SERVICE = {one.workflow_type for one in PROCEDURES if one.one_a_service}
_CONFIDENTIAL = "SecurityIncident"
_OPENS_WITHIN = timedelta(seconds=10)
"""A run that has a channel opens its thread with its first step."""

_LOOKED_AT_AGAIN = 60.0
"""Seconds: what has changed shows in visibility at once, but for what a run doesn't write into its memo."""

_GIVEN_UP_AFTER = 300.0
"""Seconds: so long the end of a run that no worker can tell of is waited with."""

_PAGES = 5  # of 200 messages each


class Follower:
    """Brings all threads up to date, again and again."""

    def __init__(
        self, session: Session, calls: SlackCalls, chat: SlackChat, threads: Threads, leads: Callable[[], bool]
    ) -> None:
        """`leads` tells whether it is this process that follows; it blocks."""
        self._session = session
        self._calls = calls
        self._chat = chat
        self._threads = threads
        self._leads = leads
        self._nudged = asyncio.Event()
        self._spoken_to: set[Key] = set()
        self._seen: dict[Key, tuple[str, float]] = {}
        self._gone: dict[Key, float] = {}
        self._not_before = 0.0
        self._live: dict[Key, WorkflowExecution] = {}
        self._turns = Turns(self._one)

    def nudge(self, workflow_id: str, run_id: str) -> None:
        """Look at a run at once: somebody has said something to it."""
        self._spoken_to.add((workflow_id, run_id))
        self._nudged.set()

    async def run(self) -> None:
        """Follow for ever; what fails is tried again at the next look."""
        every = self._session.settings.slack.follow_every.total_seconds()
        try:
            while True:
                try:
                    if await asyncio.to_thread(self._leads):
                        await self.look()
                except (ActivityFailure, RPCError, RuntimeError, psycopg.Error) as error:
                    _log.warning("threads are not up to date", why=type(error).__name__, detail=str(error)[:200])
                wait = max(every, self._not_before - time.monotonic())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._nudged.wait()
                self._nudged.clear()
        finally:
            self._turns.stop()

    async def look(self) -> None:
        """See which threads are out of date, and have each brought up to date; unless Slack wants to be left alone."""
        if time.monotonic() < self._not_before:
            return
        threads = {(one.workflow_id, one.run_id): one for one in await asyncio.to_thread(self._threads.open)}
        self._live = {(one.id, one.run_id): one async for one in executions(self._session, Wanted(), running=True)}
        spoken_to, self._spoken_to = self._spoken_to, set()
        due = [
            key
            for key, live in self._live.items()
            if await self._due(live, threads.get(key), spoken_to=key in spoken_to)
        ]
        self._turns.take([*due, *(key for key in threads if key not in self._live)])

    async def _one(self, key: Key) -> bool:
        """Bring one thread up to date; False where no worker has answered for its run."""
        if time.monotonic() < self._not_before:
            return True
        live, thread = self._live.get(key), await asyncio.to_thread(self._threads.find, *key)
        try:
            if live is not None:
                return await self._show_live(live, thread)
            return thread is None or thread.ended or await self._over(thread)
        except RateLimited as limited:
            self._wait(limited)
        except (ActivityFailure, RPCError, psycopg.Error) as error:
            _log.warning("a thread is not up to date", run=key[0], why=str(error)[:200])
        return True

    def _wait(self, limited: RateLimited) -> None:
        """Leave Slack alone for as long as it has asked."""
        delay = limited.next_retry_delay or timedelta(seconds=30)
        self._not_before = max(self._not_before, time.monotonic() + delay.total_seconds())
        _log.info("slack asks us to slow down", seconds=delay.total_seconds())

    async def _due(self, live: WorkflowExecution, thread: Thread | None, *, spoken_to: bool) -> bool:
        """Tell whether a run's thread may be out of date, as far as visibility knows."""
        if thread is None and not self._followed(live, await live.memo()):
            return False
        before, at = self._seen.get((live.id, live.run_id), ("", 0.0))
        changed = spoken_to or await _state(live) != before or time.monotonic() - at >= _LOOKED_AT_AGAIN
        return changed or thread is None or not thread.message_id

    async def _show_live(self, live: WorkflowExecution, thread: Thread | None) -> bool:
        key, now = (live.id, live.run_id), time.monotonic()
        run = await runs.describe(self._session, *key)
        status = await runs.told(run) if run else None
        if run is None or status is None:
            return run is None
        if status.dry_run and START_KEY not in await live.memo():
            return True
        thread = thread or await self._opened(live, status)
        if thread is None or not (thread := await self._posted(thread, live, status)).message_id:
            return True
        await self._show(thread, head.head(key, status, run.link))
        if not _adopted(thread):
            for question in status.questions:
                await self._tell(thread, question.id, head.asked(question))
        self._seen[key] = (await _state(live), now)
        return True

    def _followed(self, live: WorkflowExecution, memo: Any) -> bool:
        """Tell whether a run gets a thread: incidents, what waits for people or takes words, what was begun here."""
        waits = live.typed_search_attributes.get(WAITING_FOR)
        return bool(live.workflow_type in _ONE_A_SERVICE or live.workflow_type in OFFERS or waits or START_KEY in memo)

    def _channel(self, workflow_type: str, name: str) -> str | None:
        """Give a run's channel; that of a security incident is its own, and None where settings have none."""
        service = self._session.settings.services.get(name)
        if service is None:
            return None
        if workflow_type == _CONFIDENTIAL:
            return service.security.channel
        return service.channel

    async def _opened(self, live: WorkflowExecution, status: RunStatus) -> Thread | None:
        """Enter a run's thread: the one that it goes on in, else a new one."""
        channel = self._channel(live.workflow_type, status.service)
        if channel is None:
            return None
        thread = Thread(workflow_id=live.id, run_id=live.run_id, incident_id=status.incident_id, channel=channel)
        before = await asyncio.to_thread(self._threads.before, live.id, status.incident_id)
        if before is not None and await self._goes_on(before, status):
            same = {"channel": before.channel, "message_id": before.message_id, "told": before.told}
            thread = thread.model_copy(update=same)
        return await asyncio.to_thread(self._threads.put, thread)

    async def _goes_on(self, before: Thread, status: RunStatus) -> bool:
        if status.incident_id and before.incident_id == kept(status.incident_id):
            return True
        earlier = await runs.describe(self._session, before.workflow_id, before.run_id)
        return earlier is not None and earlier.description.status is WorkflowExecutionStatus.CONTINUED_AS_NEW

    async def _posted(self, thread: Thread, live: WorkflowExecution, status: RunStatus) -> Thread:
        """Give the thread with its first message: the run's own, else ours."""
        if thread.message_id:
            return thread
        begun = live.execution_time or live.start_time
        if self._session.settings.slack.backend == "slack":
            found = await asyncio.to_thread(self._own, thread, begun)
            if found is not None:
                channel, message, key = found
                return await self._kept(
                    thread, channel=channel, message_id=message, told=[*thread.told, f"{_ADOPTED}{key}"]
                )
            if datetime.now(UTC) - begun < _OPENS_WITHIN:
                return thread
        title = head.head((thread.workflow_id, thread.run_id), status, "").text
        posted = await asyncio.to_thread(self._chat.post, self._message(thread, "head", title))
        return await self._kept(thread, channel=posted.channel, message_id=posted.message_id)

    def _own(self, thread: Thread, begun: datetime) -> tuple[str, str, str] | None:
        """Find channel, message and key by which the run itself has opened its thread; None where it hasn't."""
        window = {"oldest": f"{begun.timestamp() - 60:.6f}", "include_all_metadata": True}
        channel = self._chat.channel(thread.channel)
        if channel is None:
            return None
        start = f"{thread.workflow_id}/{thread.run_id}/"
        for message in self._calls.pages("conversations.history", "messages", _PAGES, channel=channel, **window):
            metadata = message.get("metadata") or {}
            key = str((metadata.get("event_payload") or {}).get("key", ""))
            if metadata.get("event_type") == EVENT_TYPE and key.startswith(start) and key.endswith("/post-opened"):
                return channel, str(message["ts"]), key
        return None

    async def _kept(self, thread: Thread, **changes: Any) -> Thread:
        changed = thread.model_copy(update=changes)
        await asyncio.to_thread(self._threads.keep, changed)
        return changed

    async def _show(self, thread: Thread, said: head.Said, **changes: Any) -> None:
        """Have the first message show it, unless it does."""
        if thread.shows == said.digest and not changes:
            return
        shown = await asyncio.to_thread(self._update, thread, said)
        if shown:
            await self._kept(thread, shows=said.digest, **changes)
        else:  # somebody has deleted it: the next look posts another
            told = [one for one in thread.told if not one.startswith(_ADOPTED)]
            await self._kept(thread, message_id="", shows="", told=told)

    def _update(self, thread: Thread, said: head.Said) -> bool:
        channel = self._chat.channel(thread.channel) or thread.channel
        key = _adopted(thread) or self._message(thread, "head", "").effect.key
        # With the key by which whoever has posted it finds it again: Slack doesn't say that an update leaves it there.
        payload = {"event_type": EVENT_TYPE, "event_payload": {"key": key, "workflow_id": thread.workflow_id}}
        content = {
            "channel": channel,
            "ts": thread.message_id,
            "text": said.text,
            "blocks": said.blocks,
            "metadata": payload,
        }
        return self._calls.once("chat.update", {"message_not_found"}, **content) is not None

    async def _tell(self, thread: Thread, name: str, text: str) -> None:
        """Post into the thread, once."""
        if name in thread.told:
            return
        await asyncio.to_thread(self._chat.post, self._message(thread, name, text, below=thread.message_id))
        thread.told.append(name)
        await asyncio.to_thread(self._threads.keep, thread)

    def _message(self, thread: Thread, name: str, text: str, *, below: str | None = None) -> PostMessage:
        key = f"{thread.workflow_id}/{thread.run_id}/thread-{name}"
        effect = Effect(key=key, workflow_id=thread.workflow_id, run_id=thread.run_id, actor="slack")
        return PostMessage(channel=thread.channel, text=text, thread=below, effect=effect)

    async def _over(self, thread: Thread) -> bool:
        """Show how a run has ended, once; False where no worker has answered for it yet."""
        key = (thread.workflow_id, thread.run_id)
        run = await runs.describe(self._session, *key)
        if run is not None and run.running:  # visibility is a moment behind
            return True
        goes_on = run is not None and run.description.status is WorkflowExecutionStatus.CONTINUED_AS_NEW
        if run is None or not thread.message_id or goes_on or await self._shared(thread):
            await self._kept(thread, ended=True)
            return True
        status = await runs.told(run)
        if status is None:
            since = self._gone.setdefault(key, time.monotonic())
            if time.monotonic() - since < _GIVEN_UP_AFTER:
                return False
            status = _bare(run)
        ending = await ending_of(run, status)
        if not _adopted(thread):
            await self._tell(thread, "ended", head.ended(ending))
        await self._show(thread, head.head(key, status, run.link, ending), ended=True)
        self._seen.pop(key, None)
        self._gone.pop(key, None)
        return True

    async def _shared(self, thread: Thread) -> bool:
        """Tell whether another run goes on in this thread, and shows itself there."""
        others = await asyncio.to_thread(self._threads.open)
        return any(
            one.message_id == thread.message_id and (one.workflow_id, one.run_id) != (thread.workflow_id, thread.run_id)
            for one in others
        )


_ADOPTED = "opened by the run: "
"""Before the key of the run's own message, in `told`."""


def _adopted(thread: Thread) -> str:
    """Give the key of the run's own opening message; empty where the thread is ours alone, and nobody else posts."""
    return next((one.removeprefix(_ADOPTED) for one in thread.told if one.startswith(_ADOPTED)), "")


async def _state(live: WorkflowExecution) -> str:
    """Give what visibility shows of a run that changes when its thread has to."""
    memo = await live.memo()
    return repr([memo.get("said"), memo.get("asked"), live.typed_search_attributes.get(WAITING_FOR)])


def _bare(run: Run) -> RunStatus:
    """Give what Temporal alone knows of a run that has ended."""
    description = run.description
    attributes = description.typed_search_attributes
    return RunStatus(
        section="",
        procedure=description.workflow_type,
        title=description.workflow_type,
        phase="",
        started_at=description.start_time,
        now=datetime.now(UTC),
        dry_run=False,
        service=attributes.get(SERVICE) or "",
        incident_id=attributes.get(INCIDENT) or "",
        clocks=[],
        questions=[],
        entries=[],
    )
