"""What is not our JSON of the one expected model is refused at once, by every procedure, on a real Temporal."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio import workflow
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError

from activities.records.alerts import Alert
from tests.fuzz.boundary import Boundary, as_json, boundary, payload
from workers.clients import connect
from workers.registry import PROCEDURES, Procedure, procedure
from workers.settings import TemporalSettings

each = pytest.mark.parametrize("entry", PROCEDURES, ids=lambda entry: entry.name)

NOT_OURS: dict[str, list[Payload]] = {
    "bytes": [payload(b"\xff\x00", "binary/plain")],
    "a known message": [
        payload(
            WorkflowExecution(workflow_id="x").SerializeToString(),
            "binary/protobuf",
            messageType=b"temporal.api.common.v1.WorkflowExecution",
        )
    ],
    "a known message as JSON": [
        payload("{}", "json/protobuf", messageType=b"temporal.api.common.v1.WorkflowExecution")
    ],
    "an unknown encoding": [payload("{}", "yaml/" + "x" * 5000)],
    "no encoding": [Payload(data=b"{}")],
    "broken JSON": [payload("{")],
    "a list": [as_json([1])],
    "a string": [as_json("x" * 100_000)],
    "JSON's null": [as_json(None)],
    "null": [payload("", "binary/null")],
    "half a character": [payload('{"requested_by": "\\ud800"}')],
    "deep": [payload("[" * 100_000)],
    "two": [as_json({}), as_json({})],
    "two, one of them bytes": [as_json({}), payload(b"\xff", "binary/plain")],
}
LARGE: dict[str, list[Payload]] = {
    "a hundred thousand unknown fields": [as_json({f"field{number}": number for number in range(100_000)})],
    "an unknown field of 700 KB": [as_json({"x" * 700_000: 1})],
}
STARTS: dict[str, list[Payload]] = {
    **NOT_OURS,
    **LARGE,
    "a NUL": [as_json({"requested_by": "a\x00"})],
    "a name of 700 KB": [as_json({"service": "x" * 700_000})],
    "a NUL in an alert's fingerprint": [
        as_json({"alert": {"source": "ui", "fingerprint": "\x00", "name": "n", "starts_at": "2026-02-04T03:00:00Z"}})
    ],
}


@pytest.fixture(scope="module")
async def client(temporal_address: str) -> Client:
    return await connect(TemporalSettings(address=temporal_address))


@pytest.fixture(scope="module")
async def border(client: Client) -> AsyncIterator[Boundary]:
    async with boundary(client) as found:
        yield found


@each
async def test_a_start_that_is_not_ours_fails_at_once(border: Boundary, entry: Procedure) -> None:
    async def tried(what: str, payloads: list[Payload]) -> None:
        failure = await border.failure(await border.start(entry, payloads))
        assert isinstance(failure, ApplicationError), what
        assert failure.type == "InvalidInput", what
        assert len(failure.message) < 5000, what
        assert "x" * 500 not in failure.message, what
        assert failure.failure is not None
        assert failure.failure.stack_trace == "", what

    await asyncio.gather(*(tried(what, payloads) for what, payloads in STARTS.items()))


@each
async def test_a_live_run_takes_no_harm_from_what_is_sent_to_it(border: Boundary, entry: Procedure) -> None:
    handle = await border.begun(entry)
    definition = workflow._Definition.must_from_class(entry.workflow)
    bad: dict[str, list[Payload]] = {"an empty box": [], **NOT_OURS}

    for name in definition.signals:
        assert name
        for payloads in (bad | LARGE).values():
            await border.signal(handle, name, payloads)
    await border.goes_on(handle)
    entries = (await handle.query("status"))["entries"]
    refused = [one["text"] for one in entries if one["kind"] == "signal" and one["text"].startswith("Refused")]
    assert len(refused) == len(bad | LARGE) * len(definition.signals)
    assert all("Send for example" in text for text in refused)
    assert max(map(len, refused)) < 20_000

    async def tried(name: str, what: str, payloads: list[Payload]) -> None:
        failure = await border.update(handle, name, payloads)
        assert failure is not None, (name, what)
        assert failure.application_failure_info.type == "InvalidInput", (name, what, failure.message[:300])
        assert len(failure.message) < 5000, (name, what)
        assert failure.stack_trace == "", (name, what)
        if not payloads:
            assert "Send for example {" in failure.message, (name, what)

    names = [name for name in definition.updates if name]
    for what, payloads in bad.items():
        await asyncio.gather(*(tried(name, what, payloads) for name in names))
    await asyncio.gather(*(tried("note", what, payloads) for what, payloads in LARGE.items()))
    await border.goes_on(handle)

    for payloads in bad.values():  # it takes nothing, so whatever is in the box doesn't matter
        assert await border.query(handle, "status", payloads) == ""

    good = {
        "source": "ui",
        "fingerprint": "f\x1b",
        "name": "Another\x00",
        "starts_at": "2026-02-04T03:00:00Z",
        "labels": {"a\x00b": "\x00"},
    }
    await border.signal(handle, "alert", [as_json(good)])
    await border.goes_on(handle)
    await handle.cancel()
    await border.goes_on(handle)


async def test_an_update_without_data_is_told_what_to_send(border: Boundary) -> None:
    handle = await border.begun(PROCEDURES[0])
    failure = await border.update(handle, "note", [])
    assert failure is not None
    assert failure.message == (
        "the update note takes one JSON object, none was given. "
        'Send for example {"who": "<who>", "role": "on-call", "text": "<text>"}'
    )
    assert await border.update(handle, "note", [as_json({"who": "ada", "role": "on-call", "text": "hello"})]) is None
    await handle.terminate()


async def test_a_run_whose_id_cannot_be_kept_is_refused(border: Boundary) -> None:
    entry = PROCEDURES[0]
    handle: Any = await border.client.start_workflow(
        entry.workflow_type, entry.request.model_validate(entry.example), id="odd\x00id", task_queue=border.queue
    )
    failure = await border.failure(handle)
    assert isinstance(failure, ApplicationError)
    assert "control characters" in failure.message
    assert (await handle.describe()).status is WorkflowExecutionStatus.FAILED


def test_an_alert_that_was_made_fit_is_the_same_wherever_it_is_read() -> None:
    given = {
        "source": "ui\x00",
        "fingerprint": "f",
        "name": "n\n",
        "starts_at": "2026-02-04T03:00:00Z",
        "labels": {"a\x00": "\x1b"},
    }
    alert = Alert.model_validate(given)
    assert Alert.model_validate_json(alert.model_dump_json()) == alert
    assert json.loads(alert.model_dump_json())["labels"] == {"a␀": "␛"}


async def test_the_status_of_a_run_that_was_refused_can_be_read(border: Boundary) -> None:
    handle = await border.start(procedure("p1_incident"), [payload(b"\xff", "binary/plain")])
    failure = await border.failure(handle)
    assert isinstance(failure, ApplicationError)
    assert failure.message.startswith("the input: binary/plain is not a JSON object")
    status = await handle.query("status")
    assert (status["procedure"], status["entries"]) == ("P1Incident", [])
