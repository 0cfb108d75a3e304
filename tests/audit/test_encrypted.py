"""What the codec encrypts in Temporal is encrypted in the archive: found all the same, and read with the key alone."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg_pool import ConnectionPool
from temporalio.api.common.v1 import Payload

from audit.chain import Verifier
from audit.payloads import Decoder
from audit.reading import read
from audit.redaction import erase, find
from audit.sealing import Archivable
from audit.store import Store
from audit.store_filter import Filter
from audit.story import Story
from tests.audit.stories import new_signer
from tests.records_schema.fixtures import empty_database_url, records_pool, records_url  # noqa: F401

SIGNER = new_signer()
HISTORY = Path(__file__).parents[1] / "histories" / "p1_incident-rolled-back.json"
CIPHER = AESGCM(os.urandom(32))


def codec(payload: Payload) -> Payload:
    if payload.metadata["encoding"] != b"binary/encrypted":
        return payload
    return Payload.FromString(CIPHER.decrypt(payload.data[:12], payload.data[12:], None))


def encrypted(value: Any) -> Any:
    """A history as it is with a codec: each payload inside another one."""
    if isinstance(value, list):
        return [encrypted(item) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("metadata"), dict) and "data" in value:
        metadata = {name: base64.b64decode(item) for name, item in value["metadata"].items()}
        plain = Payload(metadata=metadata, data=base64.b64decode(value["data"])).SerializeToString()
        nonce = os.urandom(12)
        data = base64.b64encode(nonce + CIPHER.encrypt(nonce, plain, None)).decode()
        return {"metadata": {"encoding": base64.b64encode(b"binary/encrypted").decode()}, "data": data}
    return {name: encrypted(item) for name, item in value.items()}


def told(history: Any, decoder: Decoder) -> Story:
    return read(history, namespace="default", workflow_id="wf-1", run_id="run-1", decoder=decoder)


@pytest.fixture
def known() -> Story:
    return told(json.loads(HISTORY.read_text()), Decoder())


@pytest.fixture
def pool(records_pool: ConnectionPool[Any]) -> ConnectionPool[Any]:  # noqa: F811
    history = encrypted(json.loads(HISTORY.read_text()))
    story, with_key = told(history, Decoder()), told(history, Decoder(codec))
    assert story.unreadable > 10
    assert with_key.ended_at is not None
    Store(records_pool, SIGNER).append(Archivable(history, story, with_key.ended_at, with_key))
    return records_pool


def test_it_is_read_with_the_key_alone(pool: ConnectionPool[Any], known: Story) -> None:
    without, with_key = Store(pool).story("default", "run-1"), Store(pool, codec=codec).story("default", "run-1")
    assert without is not None
    assert without.unreadable > 10
    assert without.request is None
    assert with_key == known
    for record in Store(pool).records():
        for body in record.bodies.values():
            assert b"tensafe-server" not in base64.b64decode(body.data)


def test_it_is_found_as_if_it_were_not(pool: ConnectionPool[Any], known: Story) -> None:
    assert known.actors
    for wanted in (Filter(actor=known.actors[0]), Filter(incident=known.incident_id), Filter(severity=known.severity)):
        assert [story.run for story in Store(pool).stories(wanted)] == [known.run]
    Store(pool, codec=codec).reindex()
    assert [story.run for story in Store(pool).stories(Filter(actor=known.actors[0]))] == [known.run]


def test_it_is_verified_without_the_key(pool: ConnectionPool[Any]) -> None:
    verifier = Verifier([SIGNER.public_key])
    for record in Store(pool).records():
        verifier.feed(record)
    assert verifier.end().ok


def test_it_is_redacted_with_the_key(pool: ConnectionPool[Any], known: Story) -> None:
    store = Store(pool, SIGNER, codec)
    record = store.record("default", "run-1")
    assert record is not None
    actor = known.actors[0]
    assert find(record, actor).unreadable > 10
    found = find(record, actor, codec)
    assert found.unreadable == 0
    erase(store, record, found.commitments, who="ada", role="admin", reason="asked")
    after = store.story("default", "run-1")
    assert after is not None
    assert actor in known.actors
    assert actor not in after.actors
    left = store.record("default", "run-1")
    assert left is not None
    assert find(left, actor, codec).commitments == []
    assert list(store.stories(Filter(actor=actor))) == []
