"""A worker process on a real Temporal: watches hold slots of their own, and each role has its own task queue."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from temporalio import activity, workflow
from temporalio.api.enums.v1 import EventType

from workers.clients import connect
from workers.queues import ORCHESTRATION, Queues
from workers.settings import TemporalSettings
from workers.worker import working

pytestmark = pytest.mark.timeout(600)

WATCHES = 2
LONG, SHORT = timedelta(minutes=10), timedelta(seconds=60)
BEATS = timedelta(seconds=30)
_held = threading.Semaphore(0)
_let_go = threading.Event()


@activity.defn(name="test-watch")
def watch() -> str:
    _held.release()
    while not _let_go.wait(0.1):
        activity.heartbeat()
    return "seen"


@activity.defn(name="test-act")
def act() -> str:
    return "acted"


@activity.defn(name="test-page")
def page() -> str:
    return "paged"


@workflow.defn(name="TestWatcher")
class Watcher:
    @workflow.run
    async def run(self) -> str:
        return str(await workflow.execute_activity(watch, start_to_close_timeout=LONG, heartbeat_timeout=BEATS))


@workflow.defn(name="TestActor")
class Actor:
    @workflow.run
    async def run(self) -> list[str]:
        return [
            str(await workflow.execute_activity(one, start_to_close_timeout=SHORT, heartbeat_timeout=BEATS))
            for one in (act, page)
        ]


@pytest.fixture(autouse=True)
def _go_on() -> Iterator[None]:
    _let_go.clear()
    yield
    _let_go.set()


async def test_watches_that_take_every_slot_keep_no_other_step_waiting(temporal_address: str) -> None:
    base = "test-working"
    settings = TemporalSettings(
        address=temporal_address, task_queue=base, max_concurrent_activities=1, max_concurrent_watches=WATCHES
    )
    queues = Queues(base, frozenset({"messages"}), of_activity={"test-page": "messages"})
    client = await connect(settings)
    steps = {ORCHESTRATION: [watch, act], "messages": [page]}
    async with working(client, settings, queues, steps, workflows=[Watcher, Actor]) as asked:
        assert set(asked) == {base, f"{base}-watches", f"{base}-messages", f"{base}-messages-watches"}
        watchers = [
            await client.start_workflow(Watcher.run, id=f"{base}-{number}", task_queue=base)
            for number in range(WATCHES + 1)
        ]
        for _ in range(WATCHES):
            assert await asyncio.to_thread(_held.acquire, timeout=120)
        actor = await client.start_workflow(Actor.run, id=f"{base}-actor", task_queue=base)
        assert await actor.result() == ["acted", "paged"]
        put = [
            event.activity_task_scheduled_event_attributes.task_queue.name
            async for event in actor.fetch_history_events()
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
        ]
        assert put == [base, f"{base}-messages"]
        _let_go.set()
        assert [await each.result() for each in watchers] == ["seen"] * len(watchers)
