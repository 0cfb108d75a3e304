"""The archiver against a real Temporal and a real PostgreSQL."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution, WorkflowType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest, StartWorkflowExecutionRequest
from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError, RPCStatusCode

import activities.evidence.archive as module
from audit import live
from audit.errors import RunNotFound
from audit.sealing import Archivable
from audit.skeleton import restore
from audit.store import Store
from audit.store_connection import StoreError
from audit.store_filter import Filter
from tests.audit.archiving import Place, new_namespace
from tests.audit.stories import new_signer
from tests.plugins.patience import HANGS
from tests.records_schema.fixtures import empty_database_url, records_pool, records_sql, records_url  # noqa: F401
from tests.workflows.steering import cause
from workflows.audit import archive_runs


@pytest.fixture
async def place(temporal_address: str, records_pool: ConnectionPool[Any], tmp_path: Path) -> Place:  # noqa: F811
    return Place(await new_namespace(temporal_address), records_pool, new_signer(), tmp_path / "evidence")


async def test_what_has_closed_is_archived_once_with_its_whole_history(place: Place) -> None:
    await place.runs([{"text": "one"}, {"child": "two"}, {"again": "three"}, {"fail": True}])
    first = await place.archive()
    assert (first.archived, first.failures, first.head) == (6, 0, 6)
    assert set(place.archived()) == await place.closed()
    again = await place.archive()
    assert (again.archived, again.head) == (0, 6)
    assert place.verify().ok
    assert [head.seq for head in place.heads] == [6]
    for record in place.store.records():
        fetched = await live.fetch(place.client, record.header.workflow_id, record.header.run_id)
        assert restore(record.skeleton, record.bodies) == fetched.history
    told = {story.run.workflow_id: story for story in place.store.stories()}
    assert told["note-3"].status == "failed"
    child = told["note-1-child"]
    assert child.parent is not None
    assert child.parent.run_id == told["note-1"].run.run_id
    chain = list(place.store.stories(Filter(workflow_id="note-2")))
    assert [story.status for story in chain] == ["continued as new", "completed"]
    assert {story.first_run_id for story in chain} == {chain[0].run.run_id}


async def test_it_goes_on_where_it_was(place: Place) -> None:
    assert (await place.archive()).head == 0
    for number in range(3):
        await place.runs([{"text": "more"}] * 4, prefix=f"batch{number}")
        assert (await place.archive()).archived == 4
    assert place.verify().records == 12
    until = place.progress.until(place.client.namespace)
    assert until is not None
    assert datetime.now(UTC) - until < timedelta(minutes=1)


@pytest.mark.parametrize("how", ["cut off", "replaced"])
async def test_to_a_chain_that_lost_records_nothing_is_appended(place: Place, how: str) -> None:
    await place.runs([{"text": "one"}, {"text": "two"}])
    async with place.worker():
        await place.start()
        (head,) = place.heads
        seq = head.seq if how == "cut off" else 0
        with place.pool.connection() as owner:
            for table in ("archive_records", "archive_heads", "archive_bodies"):
                owner.execute(f"ALTER TABLE runbooks.{table} DISABLE TRIGGER ALL".encode())
            owner.execute("DELETE FROM runbooks.archive_heads")
            if how == "cut off":
                for table in ("archive_index", "archive_bodies", "archive_records"):
                    owner.execute(f"DELETE FROM runbooks.{table} WHERE seq >= {seq}".encode())
            else:
                owner.execute("UPDATE runbooks.archive_records SET header = header || ' '::bytea WHERE seq = 2")
        end = place.store.end()
        await place.runs([{"text": "three"}], prefix="later")
        with pytest.raises(WorkflowFailureError) as failed:
            await place.start()
    said = str(cause(failed.value))
    assert ("its end was cut off" if how == "cut off" else "records were replaced") in said
    assert "Nothing is archived" in said
    assert place.store.end() == end
    for file in (place.folder / "audit" / "heads").glob("0*.json"):  # the way on, by people's decision
        file.rename(place.folder / file.name)
    async with place.worker():
        await place.start()
    assert place.store.end().seq > end.seq


async def test_a_child_that_still_runs_comes_when_it_has_closed(place: Place) -> None:
    handle = await place.client.start_workflow("Note", {"text": "later"}, id="note-later", task_queue="archive")
    await place.runs([{"text": "now"}], prefix="other")
    assert (await place.archive()).archived == 1
    await handle.terminate()
    while (await place.client.count_workflows("ExecutionStatus = 'Terminated'")).count < 1:
        await asyncio.sleep(0.05)
    assert (await place.archive()).archived == 1
    story = place.store.story(place.client.namespace, handle.result_run_id or "")
    assert story is not None
    assert story.status == "terminated"


async def test_what_temporal_lists_late_is_found(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await place.runs([{"text": "seen"}, {"text": "hidden"}])
    query, hidden = module._query, "note-1"
    monkeypatch.setattr(module, "_query", lambda *window: f"{query(*window)} AND WorkflowId != '{hidden}'")
    place.settle = timedelta(minutes=10)
    assert (await place.archive()).archived == 1
    monkeypatch.setattr(module, "_query", query)
    result = await place.archive()
    assert result.archived == 1
    assert place.verify().records == 2


async def test_many_runs_are_many_windows_and_the_run_continues_as_new(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WINDOW_RUNS", 5)
    monkeypatch.setattr(module, "_FINEST", timedelta(milliseconds=50))
    monkeypatch.setattr(archive_runs, "_WINDOWS", 2)
    for number in range(4):
        await place.runs([{"text": "x"}] * 5, prefix=f"wave{number}")
    result = await place.archive()
    assert result.archived == 20
    assert result.windows > 4
    assert set(place.archived()) == await place.closed()
    query = "WorkflowType = 'ArchiveRuns' AND ExecutionStatus = 'ContinuedAsNew'"
    while (await place.client.count_workflows(query)).count < 2:
        await asyncio.sleep(0.05)


async def test_a_run_that_is_gone_meanwhile_stops_none_of_the_others(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    records_sql: psycopg.Connection[Any],  # noqa: F811
) -> None:
    await place.runs([{"text": str(number)} for number in range(5)])
    fetch = live.fetch
    gone: list[str] = []

    async def deleted_just_before(client: Any, workflow_id: str, run_id: str) -> Any:
        if workflow_id == "note-2" and not gone:
            gone.append(run_id)
            await client.workflow_service.delete_workflow_execution(
                DeleteWorkflowExecutionRequest(
                    namespace=client.namespace,
                    workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
                )
            )
            while True:
                try:
                    await fetch(client, workflow_id, run_id)
                except RunNotFound:
                    break
                await asyncio.sleep(0.05)
        return await fetch(client, workflow_id, run_id)

    monkeypatch.setattr(live, "fetch", deleted_just_before)
    result = await place.archive()
    assert (result.archived, result.failures) == (4, 1)
    assert result.failed == [f"note-2 {gone[0]}: Temporal no longer has its history"]
    assert place.verify().records == 4
    (noted,) = place.progress.failures(place.client.namespace)
    assert (noted.run_id, noted.gone, noted.attempts) == (gone[0], True, 1)
    for attempts in (2, 3):
        records_sql.execute("UPDATE runbooks.archive_failures SET last_at = last_at - interval '1 day'")
        assert (await place.archive()).failures == 1
        assert place.progress.failures(place.client.namespace)[0].attempts == attempts
    records_sql.execute("UPDATE runbooks.archive_failures SET last_at = last_at - interval '1 day'")
    assert (await place.archive()).failures == 0, "what is gone for good is not asked for any more"
    assert len(place.progress.failures(place.client.namespace)) == 1


async def test_a_run_that_could_not_be_read_is_archived_when_it_can(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    records_sql: psycopg.Connection[Any],  # noqa: F811
) -> None:
    await place.runs([{"text": str(number)} for number in range(3)])
    fetch = live.fetch

    async def failing(client: Any, workflow_id: str, run_id: str) -> Any:
        if workflow_id == "note-1":
            raise RPCError("corrupt", RPCStatusCode.DATA_LOSS, b"")
        return await fetch(client, workflow_id, run_id)

    monkeypatch.setattr(live, "fetch", failing)
    result = await place.archive()
    assert (result.archived, result.failures) == (2, 1)
    assert "DATA_LOSS" in result.failed[0]
    monkeypatch.setattr(live, "fetch", fetch)
    assert (await place.archive()).archived == 0, "not yet: it is tried again after a while"
    records_sql.execute("UPDATE runbooks.archive_failures SET last_at = last_at - interval '3 minutes'")
    assert (await place.archive()).archived == 1
    assert place.progress.failures(place.client.namespace) == []
    assert set(place.archived()) == await place.closed()


@pytest.mark.parametrize("what", ["history", "database"])
async def test_a_run_that_keeps_failing_alone_does_not_hold_up_the_others(
    place: Place, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    await place.runs([{"text": str(number)} for number in range(4)])
    fetch, append, tried = live.fetch, Store.append, []

    async def too_large(client: Any, workflow_id: str, run_id: str) -> Any:
        if workflow_id == "note-1":
            tried.append(run_id)
            raise RPCError("larger than max", RPCStatusCode.RESOURCE_EXHAUSTED, b"")
        return await fetch(client, workflow_id, run_id)

    def too_slow(store: Store, run: Archivable) -> Any:
        if run.story.run.workflow_id == "note-1":
            tried.append(run.story.run.run_id)
            raise StoreError("the archive (PostgreSQL) did not answer (QueryCanceled)", passing=True)
        return append(store, run)

    if what == "history":
        monkeypatch.setattr(live, "fetch", too_large)
    else:
        monkeypatch.setattr(Store, "append", too_slow)
    result = await place.archive()
    assert len(tried) == 3, "it may pass: only then it is noted"
    assert (len(place.archived()), result.failures) == (3, 1)
    assert [failure.run_id for failure in place.progress.failures(place.client.namespace)] == [tried[0]]


async def test_without_a_key_it_says_that_it_is_off(place: Place) -> None:
    async with place.worker(off=True):
        with pytest.raises(WorkflowFailureError) as caught:
            await place.start()
    assert "the archive is off: there is no signing key" in str(caught.value.cause.__cause__)


async def test_it_says_when_it_came_too_late(place: Place) -> None:
    await place.runs([{"text": "x"}])
    place.progress.move(place.client.namespace, datetime.now(UTC) - timedelta(days=30))
    result = await place.archive()
    assert "longer than Temporal keeps closed runs" in result.warning
    assert result.archived == 1
    assert (await place.archive()).warning == ""


async def test_two_archivers_at_the_same_moment_make_one_chain(place: Place) -> None:
    await place.runs([{"text": str(number)} for number in range(40)])
    async with place.worker():
        await asyncio.gather(place.start(), place.start(), place.start())
    assert sorted(place.archived()) == sorted(await place.closed())
    assert place.verify().ok


async def test_its_own_runs_are_not_archived(place: Place) -> None:
    for _ in range(3):
        assert (await place.archive()).archived == 0
    query = "WorkflowType = 'ArchiveRuns' AND ExecutionStatus = 'Completed'"
    while (await place.client.count_workflows(query)).count < 3:
        await asyncio.sleep(0.05)
    assert (await place.archive()).archived == 0
    assert json.dumps(place.archived()) == "[]"


@pytest.mark.parametrize("odd", [b'{"note": "\\ud800"}', b'{"a":' * 300 + b"1" + b"}" * 300])
async def test_a_run_with_what_can_not_be_written_again_stops_nothing(place: Place, odd: bytes) -> None:
    await place.runs([{"text": "before"}] * 2)
    client = place.client
    started = await client.workflow_service.start_workflow_execution(
        StartWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_id="odd",
            workflow_type=WorkflowType(name="Other"),
            task_queue=TaskQueue(name="nobody"),
            request_id="odd",
            input=Payloads(payloads=[Payload(metadata={"encoding": b"json/plain"}, data=odd)]),
        )
    )
    await client.get_workflow_handle("odd", run_id=started.run_id).terminate(reason="enough")
    async with asyncio.timeout(HANGS):
        while not (await client.count_workflows("WorkflowId = 'odd' AND ExecutionStatus = 'Terminated'")).count:
            await asyncio.sleep(0.05)
    result = await place.archive()

    assert (result.archived, result.failures) == (3, 0)
    assert place.verify().ok
    told = place.store.story(client.namespace, started.run_id)
    assert told is not None
    assert (told.status, told.unreadable, told.request) == ("terminated", 1, None)


async def test_whatever_temporal_can_hold_is_archived_and_found(place: Place) -> None:
    """A workflow ID with control characters, names of 700 KB and a NUL: nobody can keep a run out of the evidence."""
    client = place.client
    input_ = json.dumps({"requested_by": "a\x00b" + "x" * 700_000, "service": "\x00", "title": "\x1b[31m"}).encode()
    workflow_id = "odd\x00\x1b/ü"
    started = await client.workflow_service.start_workflow_execution(
        StartWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_id=workflow_id,
            workflow_type=WorkflowType(name="Other\x00"),
            task_queue=TaskQueue(name="nobody"),
            request_id="odd",
            identity="who\x00",
            input=Payloads(payloads=[Payload(metadata={"encoding": b"json/plain"}, data=input_)]),
        )
    )
    await client.get_workflow_handle(workflow_id, run_id=started.run_id).terminate(reason="enough\x00")
    async with asyncio.timeout(HANGS):
        while not (await client.count_workflows("ExecutionStatus = 'Terminated'")).count:
            await asyncio.sleep(0.05)
    result = await place.archive()

    assert (result.archived, result.failures) == (1, 0), result
    assert place.verify().ok
    (told,) = place.store.stories(Filter(workflow_id=workflow_id))
    assert told.run.run_id == started.run_id
    assert told.run.workflow_id == "odd\\x00\x1b/ü"
    assert place.store.reindex() == 1
    for actor in told.actors:
        assert [found.run.run_id for found in place.store.stories(Filter(actor=actor))] == [started.run_id]
