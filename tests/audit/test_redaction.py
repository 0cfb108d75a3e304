"""What must not be kept is erased, and the chain goes on verifying."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from audit.chain import Verifier
from audit.deriving import derive
from audit.payloads import Decoder
from audit.reading import read
from audit.records import Record, Statement, Verdict
from audit.redaction import erase, find
from audit.sealing import Archivable
from audit.skeleton import restore
from audit.store import Store
from audit.story import Story
from tests.audit.stories import archivable, history, new_signer, story
from tests.records_schema.fixtures import empty_database_url, records_pool, records_url  # noqa: F401

SIGNER = new_signer()
SECRET = "Jane Q. Customer"


@pytest.fixture
def store(records_pool: ConnectionPool[Any]) -> Store:  # noqa: F811
    store = Store(records_pool, SIGNER)
    store.append(archivable(1))
    store.append(archivable(2, {"note": f"called {SECRET.upper()} back"}, "harmless", ["deep", [SECRET]]))
    store.append(archivable(3))
    return store


def record(store: Store, number: int = 2) -> Record:
    found = store.record("default", f"run-{number}")
    assert found is not None
    return found


def verify(store: Store) -> Verdict:
    verifier = Verifier([SIGNER.public_key])
    for each in store.records():
        verifier.feed(each)
    return verifier.end()


def everything(store: Store) -> str:
    """All that readers of the archive can get at, decoded."""
    parts = []
    for each in store.records():
        parts.append(each.skeleton.decode())
        parts += [base64.b64decode(body.data).decode(errors="replace") for body in each.bodies.values()]
    parts += [told.model_dump_json() for told in store.stories()]
    return "\n".join(parts).casefold()


def test_what_says_it_is_erased_and_nothing_else(store: Store) -> None:
    before = record(store)
    found = find(before, SECRET)
    assert (len(found.commitments), found.unreadable, found.in_skeleton) == (2, 0, False)
    assert SECRET.casefold() in everything(store)
    made = erase(store, before, found.commitments, who="ada", role="admin", reason="asked for by the customer")
    assert SECRET.casefold() not in everything(store)
    after = record(store)
    assert set(before.bodies) - set(after.bodies) == {*found.commitments, before.header.story}
    assert "harmless" in everything(store)
    verdict = verify(store)
    assert (verdict.ok, verdict.redacted, verdict.last) == (True, 3, 4), verdict
    statement = Statement.model_validate_json(made.skeleton)
    assert (statement.seq, statement.who, statement.role) == (2, "ada", "admin")
    assert statement.reason == "asked for by the customer"


def test_the_story_is_read_anew_from_what_is_left(store: Store) -> None:
    before = record(store)
    erase(store, before, find(before, SECRET).commitments, who="ada", role="admin", reason="asked")
    told = store.story("default", "run-2")
    assert told == derive(record(store))
    assert told is not None
    assert told.unreadable == 2


def test_more_can_be_erased_later(store: Store) -> None:
    for text in (SECRET, "harmless"):
        before = record(store)
        erase(store, before, find(before, text).commitments, who="ada", role="admin", reason="asked")
    assert record(store).bodies == {}
    assert verify(store).ok
    assert find(record(store), SECRET).commitments == []


def test_what_cannot_be_erased_is_said(store: Store) -> None:
    assert find(record(store), "signal-2").in_skeleton
    encrypted = history(9, "x")
    payloads = encrypted["events"][0]["workflowExecutionSignaledEventAttributes"]["input"]["payloads"]
    payloads[0]["metadata"]["encoding"] = "YmluYXJ5L2VuY3J5cHRlZA=="
    told = story(9)
    store.append(Archivable(encrypted, told, told.started_at))
    assert find(record(store, 9), "x").unreadable == 1


def test_a_real_history_can_be_redacted(store: Store) -> None:
    file = next((Path(__file__).parents[1] / "histories").glob("**/*p1*.json"))
    recorded = json.loads(file.read_text())
    told = derive_from(recorded)
    store.append(Archivable(recorded, told, told.started_at))
    before = record(store, 77)
    found = find(before, "tensafe-server")
    assert len(found.commitments) > 10
    erase(store, before, found.commitments, who="ada", role="admin", reason="a test")
    assert find(record(store, 77), "tensafe-server").commitments == []
    assert restore(record(store, 77).skeleton, record(store, 77).bodies) != recorded
    assert verify(store).ok


def derive_from(recorded: dict[str, object]) -> Story:
    return read(recorded, namespace="default", workflow_id="wf-77", run_id="run-77", decoder=Decoder())
