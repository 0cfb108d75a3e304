"""Words to a P1 count where they are signed and by who may say them."""

import base64
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowUpdateFailedError

from activities.catalogue.service import ApprovalPolicy
from tests.workflows.conftest import Working
from tests.workflows.incident_response.p1.runs import CLOSING, close, start, texts, until
from tests.workflows.worlds.world import World
from workflows.incident_response.incident_words import Closing
from workflows.incident_response.p1_incident import P1Incident
from workflows.platform.run_status import Note
from workflows.platform.signing import sign


async def test_who_may_not_is_refused_without_a_trace(working: Working, client: Client) -> None:
    world = World()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "close")
        before = len([event async for event in handle.fetch_history_events()])
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update(P1Incident.close, CLOSING.model_copy(update={"role": "intern"}))
        assert "Roles that may: commander" in str(refused.value.cause)
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("close", {"who": "ada"})
        events = [event async for event in handle.fetch_history_events()]
        assert not [e for e in events[before:] if "UPDATE" in EventType.Name(e.event_type)]
        await close(handle)


async def test_only_signed_words_count_where_settings_say_so(working: Working, client: Client) -> None:
    key, stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    world = World(approvals=ApprovalPolicy(public_keys=(public,)))
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "close")
        now = (await handle.query(P1Incident.status)).now

        def signed(by: Ed25519PrivateKey, workflow_id: str = handle.id, at: datetime = now) -> Closing:
            word = CLOSING.model_copy(update={"issued_at": at})
            signature = sign(word, by, workflow_id, handle.first_execution_run_id or "")
            return word.model_copy(update={"signature": signature})

        for bad, why in (
            (CLOSING, "not signed"),
            (signed(stranger), "fits none"),
            (signed(key, workflow_id="another-run"), "fits none"),
            (signed(key).model_copy(update={"resolution": "something else"}), "fits none"),
            (signed(key, at=now - timedelta(hours=1)), "sign it anew"),
        ):
            with pytest.raises(WorkflowUpdateFailedError) as refused:
                await handle.execute_update(P1Incident.close, bad)
            assert why in str(refused.value.cause)
        await handle.execute_update(P1Incident.close, signed(key))
        assert (await handle.result()).outcome == "closed"


async def test_notes_reach_the_timeline_and_the_record(working: Working, client: Client) -> None:
    world = World()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "close")
        await handle.execute_update(P1Incident.note, Note(who="ada", role="commander", text="DNS was fine"))
        assert "DNS was fine" in texts(await handle.query(P1Incident.status))
        await close(handle)
    assert "DNS was fine" in [request.text for request in world.done("records.note_incident")]
