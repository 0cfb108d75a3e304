"""What people and programs have sent, one by one, on a real Temporal: each has the answer that is right for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError

from tests.fuzz.boundary import AT_ONCE, Boundary, as_json, boundary, payload, working
from tests.replay.live import replayed
from workers.clients import connect
from workers.examples import example
from workers.registry import PROCEDURES, Procedure, procedure
from workers.settings import Settings, TemporalSettings

FAR = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
"""Times that are valid, and of which Python can't say what they are in another zone, or a day later."""
ENDLESS = "P999999999D"
ALERT = {"source": "ui", "fingerprint": "f", "name": "n", "starts_at": "2026-02-04T03:00:00Z"}
MESSAGE = WorkflowExecution(workflow_id="x").SerializeToString()
KNOWN = b"temporal.api.common.v1.WorkflowExecution"


def given(command: str, **changes: Any) -> tuple[str, list[Payload]]:
    return command, [as_json({**procedure(command).example, **changes})]


REFUSED: list[tuple[tuple[str, list[Payload]], str]] = [
    (("p1-incident", [payload(b"\xff\xfe\x00", "binary/plain")]), "binary/plain is not a JSON object"),
    (("p1-incident", [payload(MESSAGE, "binary/protobuf", messageType=KNOWN)]), "binary/protobuf is not a JSON object"),
    (("p1-incident", [payload("{}", "json/protobuf", messageType=b"no.such.Message")]), "json/protobuf is not a JSON"),
    (("p1-incident", [as_json(None)]), "Input should be an object"),
    (given("p1-incident", title="a\x00b"), "title: has a NUL character"),
    (given("p1-incident", title="a\x00b", dry_run=True), "title: has a NUL character"),
    (given("manual-scale-up", requested_by="a\x00"), "requested_by: has a NUL character"),
    (given("manual-scale-up", target="1000000000"), "target: "),
    (given("manual-scale-up", target="-3"), "target: "),
    (given("rollback", to_revision=True), "to_revision: true and false are no numbers"),
    (given("emergency-scale-up", lease="-PT10M"), "lease: Input should be greater than 0 seconds"),
    (given("emergency-scale-up", lease=ENDLESS), "lease: "),
    (given("api-key-rotation", grace="PT0S"), "grace: Input should be greater than 0 seconds"),
    (given("api-key-rotation", grace=ENDLESS), "grace: is longer than 36525 days"),
    (given("database-maintenance", min_duration=ENDLESS), "min_duration: is longer than 36525 days"),
    (given("enterprise-onboarding", renews_on="9999-12-31"), "renews_on: is outside of the years 1900 to 2199"),
    (given("maintenance-window", starts_at="2026-02-04T03:00:00"), "starts_at: Input should have timezone info"),
    *((given("security-incident", aware_at=at), "aware_at: is outside of the years 1900 to 2199") for at in FAR),
    *((given("point-in-time-restore", target_time=at), "target_time: is outside of the years") for at in FAR),
    *((given("full-service-recovery", target_time=at), "target_time: is outside of the years") for at in FAR),
    *((given("maintenance-window", ends_at=at), "ends_at: is outside of the years") for at in FAR),
    *((given("enterprise-onboarding", kickoff_at=at), "kickoff_at: is outside of the years") for at in FAR),
]
TAKEN = [
    *(given("p1-incident", alert={**ALERT, "starts_at": at}) for at in (*FAR, "2026-02-04T03:00:00")),
    given("p1-incident", alert={**ALERT, "status": "resolved", "ends_at": FAR[0]}),
    given("p2-incident", alert={**ALERT, "labels": {"a\x00b": "\x00"}}),
]


@pytest.fixture(scope="module")
async def client(temporal_address: str) -> Client:
    return await connect(TemporalSettings(address=temporal_address))


@pytest.fixture(scope="module")
async def border(client: Client) -> AsyncIterator[Boundary]:
    async with boundary(client) as found:
        yield found


@pytest.mark.parametrize(("start", "says"), REFUSED, ids=lambda value: str(value[0]) if value[0:] else "")
async def test_it_is_refused_with_its_sentence(border: Boundary, start: tuple[str, list[Payload]], says: str) -> None:
    command, payloads = start
    failure = await border.failure(await border.start(procedure(command), payloads))
    assert isinstance(failure, ApplicationError)
    assert failure.type == "InvalidInput"
    assert says in failure.message
    assert "Send for example" in failure.message


@pytest.mark.parametrize("start", TAKEN, ids=lambda start: str(start[0]))
async def test_an_alert_is_taken_whatever_its_time_and_text(border: Boundary, start: tuple[str, list[Payload]]) -> None:
    command, payloads = start
    handle = await border.start(procedure(command), payloads)
    await border.goes_on(handle)
    assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    await border.end(handle)


@pytest.mark.parametrize("entry", PROCEDURES, ids=lambda entry: entry.name)
async def test_a_live_run_takes_alerts_of_any_time(border: Boundary, entry: Procedure) -> None:
    handle = await border.begun(entry)
    for at in (*FAR, "2026-02-04T03:00:00"):
        alert = {**ALERT, "fingerprint": at, "starts_at": at}
        await border.signal(handle, "alert", [as_json(alert)])
        await border.signal(handle, "alerts", [as_json([{**alert, "status": "resolved", "ends_at": at}])])
    await border.goes_on(handle)
    entries = (await handle.query("status"))["entries"]
    assert not [one["text"] for one in entries if one["text"].startswith("Refused")]
    far = {"who": "ada", "role": "on-call", "text": "x", "issued_at": FAR[0]}
    failure = await border.update(handle, "note", [as_json(far)])
    assert failure is not None
    assert "issued_at: is outside of the years 1900 to 2199" in failure.message
    await border.end(handle)


@pytest.mark.parametrize("entry", PROCEDURES, ids=lambda entry: entry.name)
async def test_a_word_or_signal_that_comes_too_early_harms_no_run(border: Boundary, entry: Procedure) -> None:
    """What is right but for its time: a run may not be as far as to have what the word is about."""
    definition = workflow._Definition.must_from_class(entry.workflow)
    for name, signal in definition.signals.items():
        for hint in signal.arg_types or []:
            handle = await border.begun(entry)
            await border.signal(handle, str(name), [as_json(example(hint))])
            await border.goes_on(handle)
            await border.end(handle)
    for name, update in definition.updates.items():
        for hint in update.arg_types or []:
            handle = await border.begun(entry)
            with suppress(TimeoutError):  # it was taken, and waits for a step that nobody takes here
                async with asyncio.timeout(2):
                    await border.update(handle, str(name), [as_json(example(hint))])
            await border.goes_on(handle)
            await border.end(handle)


async def test_what_comes_before_any_worker_harms_no_run(temporal_address: str) -> None:
    """All that can be said to a run, and a look at it, come with its first task: before it has looked settings up."""
    queue = f"early-{uuid4()}"
    settings = Settings(temporal=TemporalSettings(address=temporal_address, task_queue=queue))
    border = Boundary(await connect(settings.temporal), queue)
    runs = [await border.waiting(entry) for entry in PROCEDURES]
    said: list[asyncio.Task[Any]] = []
    for entry, handle in zip(PROCEDURES, runs, strict=True):
        definition = workflow._Definition.must_from_class(entry.workflow)
        for name, signal in definition.signals.items():
            for hint in signal.arg_types or []:
                await border.signal(handle, str(name), [as_json(example(hint))])
        words = [(name, hint) for name, update in definition.updates.items() for hint in update.arg_types or []]
        said += [
            asyncio.create_task(border.update(handle, str(name), [as_json(example(hint))])) for name, hint in words
        ]
        said.append(asyncio.create_task(handle.query("status")))
    await asyncio.sleep(1)  # they are with Temporal, which shows them nowhere
    assert not any(one.done() for one in said)
    async with working(border):
        for handle in runs:
            await border.knows_its_service(handle)
            await border.goes_on(handle)
        for one in said:
            one.cancel()
        await asyncio.gather(*said, return_exceptions=True)
    running = 'ExecutionStatus = "Running"'
    async with asyncio.timeout(AT_ONCE):
        while len([one async for one in border.client.list_workflows(f'TaskQueue = "{queue}" AND {running}')]) < len(
            runs
        ):
            await asyncio.sleep(0.2)  # visibility comes later
    assert await replayed(border.client, settings, running) == {}
    for handle in runs:
        await border.end(handle)
