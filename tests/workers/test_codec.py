"""With keys, Temporal keeps nothing that it could read; without the right ones nothing is lost."""

import asyncio
import base64
import json
import os
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel, SecretStr, ValidationError
from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker

from audit.live import fetch
from audit.payloads import Decoder
from tests.plugins.patience import HANGS
from workers.clients import connect
from workers.codec import AesGcmCodec, Undecipherable, codec, key_id
from workers.converter import data_converter
from workers.interceptors import RunbookInterceptor
from workers.settings import TemporalSettings

CANARY = "canary-4711"


def new_key() -> SecretStr:
    return SecretStr(base64.b64encode(os.urandom(32)).decode())


def payload(text: str = CANARY) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(text).encode())


class Ask(BaseModel):
    text: str


@activity.defn
async def fail(text: str) -> str:
    raise ApplicationError(f"{text} is to blame", non_retryable=True)


@activity.defn
async def echo(text: str) -> str:
    return text


@workflow.defn
class Secretive:
    """Puts what it is told everywhere a history keeps something."""

    def __init__(self) -> None:
        self.told = ""

    @workflow.run
    async def run(self, ask: Ask) -> str:
        workflow.upsert_memo({"said": ask.text})
        once = RetryPolicy(maximum_attempts=1)
        limit = timedelta(seconds=20)
        said = await workflow.execute_activity(
            echo, ask.text, start_to_close_timeout=limit, summary=f"Echo {ask.text}", retry_policy=once
        )
        await workflow.wait_condition(lambda: bool(self.told), timeout=limit, timeout_summary=ask.text)
        try:
            await workflow.execute_activity(fail, ask.text, start_to_close_timeout=limit, retry_policy=once)
        except Exception as error:
            raise ApplicationError(f"{said}: {self.told}", {"detail": ask.text}) from error
        return said

    @workflow.update
    async def tell(self, text: str) -> str:
        self.told = text
        return text


Working = Callable[[TemporalSettings], Worker]


@pytest.fixture
def queue() -> str:
    return f"codec-{uuid4()}"


def worker(client: Client, queue: str) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=[Secretive],
        activities=[echo, fail],
        workflow_runner=UnsandboxedWorkflowRunner(),
        interceptors=[RunbookInterceptor()],
    )


async def start(client: Client, queue: str) -> WorkflowHandle[Secretive, str]:
    return await client.start_workflow(
        Secretive.run, Ask(text=CANARY), id=queue, task_queue=queue, static_summary=CANARY, memo={"why": CANARY}
    )


async def told(handle: WorkflowHandle[Secretive, str]) -> None:
    assert await handle.execute_update(Secretive.tell, CANARY) == CANARY
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.message == f"{CANARY}: {CANARY}"


async def test_a_history_says_nothing_without_the_key_and_everything_with_it(temporal_address: str, queue: str) -> None:
    key = new_key()
    settings = TemporalSettings(address=temporal_address, payload_keys=(key,))
    client = await connect(settings)
    async with worker(client, queue):
        handle = await start(client, queue)
        await told(handle)
    history = await handle.fetch_history()
    raw = history.to_json()

    for form in (CANARY, *(base64.b64encode(f"{pad}{CANARY}".encode()).decode()[4:-4] for pad in ("", "x", "xx"))):
        assert form not in raw
    found = [base64.b64decode(text, validate=False) for text in re.findall(r'"data": ?"([^"]+)"', raw)]
    assert len(found) > 8
    assert not [data for data in found if CANARY.encode() in data]

    made = codec((key,))
    assert made is not None
    story = (await fetch(client, queue)).story(Decoder(made.decrypt))
    assert story.request == {"text": CANARY}
    assert [step.title for step in story.steps] == [f"Echo {CANARY}", "fail"]
    assert [(word.update, word.outcome) for word in story.words] == [("tell", CANARY)]
    assert CANARY in story.failure
    assert f"{CANARY} is to blame" in story.steps[1].failure
    assert (story.title, story.unreadable) == (CANARY, 0)
    blind = (await fetch(client, queue)).story(Decoder())
    assert blind.unreadable > 8
    assert CANARY not in blind.model_dump_json()

    replayer = Replayer(
        workflows=[Secretive], data_converter=data_converter(made), workflow_runner=UnsandboxedWorkflowRunner()
    )
    await replayer.replay_workflow(history)


@pytest.mark.parametrize("keys", [(), (new_key(),)], ids=["no key", "another key"])
async def test_a_worker_without_the_key_leaves_the_run_to_one_that_has_it(
    temporal_address: str, queue: str, keys: tuple[SecretStr, ...]
) -> None:
    client = await connect(TemporalSettings(address=temporal_address, payload_keys=(new_key(),)))
    stranger = await connect(TemporalSettings(address=temporal_address, payload_keys=keys))
    handle = await start(client, queue)
    async with worker(stranger, queue):
        await until(handle, lambda attempts: attempts > 1)
        assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    async with worker(client, queue):
        await told(handle)


@workflow.defn
class Alerted:
    """Ends with the signals it has had."""

    def __init__(self) -> None:
        self.alerts: list[str] = []

    @workflow.run
    async def run(self) -> list[str]:
        await workflow.wait_condition(lambda: bool(self.alerts))
        return self.alerts

    @workflow.signal
    async def alert(self, text: str) -> None:
        self.alerts.append(text)


async def test_a_worker_without_the_key_drops_no_signal(temporal_address: str, queue: str) -> None:
    client = await connect(TemporalSettings(address=temporal_address, payload_keys=(new_key(),)))
    plain = await connect(TemporalSettings(address=temporal_address))
    handle = await client.start_workflow(Alerted.run, id=queue, task_queue=queue)
    options: dict[str, Any] = {
        "task_queue": queue,
        "workflows": [Alerted],
        "workflow_runner": UnsandboxedWorkflowRunner(),
    }
    async with Worker(plain, **options):
        await handle.signal(Alerted.alert, CANARY)
        await until(handle, lambda attempts: attempts > 1)
    async with Worker(client, **options):
        assert await handle.result() == [CANARY]


async def until(handle: WorkflowHandle[Any, Any], seen: Callable[[int], bool]) -> None:
    async def attempts() -> int:
        return (await handle.describe()).raw_description.pending_workflow_task.attempt

    await eventually(attempts, seen)


async def eventually(read: Callable[[], Awaitable[int]], seen: Callable[[int], bool]) -> None:
    async with asyncio.timeout(HANGS):
        while not seen(await read()):
            await asyncio.sleep(0.1)


async def test_a_run_that_the_ui_starts_in_plain_is_taken(temporal_address: str, queue: str) -> None:
    plain = await connect(TemporalSettings(address=temporal_address))
    client = await connect(TemporalSettings(address=temporal_address, payload_keys=(new_key(),)))
    handle = await start(plain, queue)
    async with worker(client, queue):
        await told(client.get_workflow_handle_for(Secretive.run, handle.id))


def test_a_new_key_encrypts_and_the_former_one_goes_on_decrypting() -> None:
    old, new = new_key(), new_key()
    before, after = codec((old,)), codec((new, old))
    assert before is not None
    assert after is not None
    assert after.decrypt(before.encrypt(payload())) == payload()
    renewed = after.encrypt(payload())
    assert renewed.metadata["encryption-key-id"].decode() == key_id(base64.b64decode(new.get_secret_value()))
    with pytest.raises(Undecipherable, match="payload_keys: add it"):
        before.decrypt(renewed)


@pytest.mark.parametrize("place", [0, 11, 12, 40, -1])
def test_a_changed_payload_is_refused(place: int) -> None:
    made = AesGcmCodec([os.urandom(32)])
    sealed = made.encrypt(payload())
    data = bytearray(sealed.data)
    data[place] ^= 1
    sealed.data = bytes(data)
    with pytest.raises(Undecipherable, match="changed since, or damaged"):
        made.decrypt(sealed)


def test_what_names_no_key_is_nothing_of_ours() -> None:
    foreign = Payload(metadata={"encoding": b"binary/encrypted"}, data=b"?")
    assert AesGcmCodec([]).decrypt(foreign) == foreign
    assert AesGcmCodec([os.urandom(32)]).decrypt(foreign) == foreign


def test_the_same_payload_never_looks_the_same() -> None:
    made = AesGcmCodec([os.urandom(32)])
    assert made.encrypt(payload()).data != made.encrypt(payload()).data


@pytest.mark.parametrize("bad", ["", "short", base64.b64encode(b"x" * 16).decode()])
def test_a_key_that_is_none_is_named_and_not_shown(bad: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TemporalSettings(payload_keys=(new_key(), SecretStr(bad)))
    assert "payload_keys.1: not 32 bytes in base64" in str(refused.value)
    assert not bad or bad not in refused.value.errors(include_input=False)[0]["msg"]


def test_without_keys_there_is_no_codec() -> None:
    assert codec(()) is None
    assert TemporalSettings().payload_keys == ()
