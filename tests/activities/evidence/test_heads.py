"""By the heads that are kept elsewhere it shows where the chain's end was cut off, or a key is not ours."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from activities.common.errors import Refused
from activities.evidence.files import FileStore
from activities.evidence.heads import FOLDER, kept, key_of, must_have_all, must_know_their_keys
from audit.records import Head
from audit.store import Store
from tests.activities.evidence.evidence_fixtures import kept_as
from tests.audit.stories import archivable, new_signer

SIGNER = new_signer()


@pytest.fixture
def store(records_pool: ConnectionPool[Any]) -> Store:
    return Store(records_pool, SIGNER)


@pytest.fixture
def heads(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path)


def grown(store: Store, number: int) -> Head:
    """Append a run's record, and sign the end that the chain has then."""
    assert store.append(archivable(number)) is not None
    head = store.sign_head()
    assert head is not None
    return head


def keep(heads: FileStore, *signed: Head) -> None:
    for head in signed:
        content = head.model_dump_json().encode()
        assert heads.create(key_of(head), BytesIO(content), kept_as(content), "application/json")


def test_heads_are_read_oldest_first_and_only_the_newest_of_them(
    heads: FileStore, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.evidence.heads._COMPARED", 2)
    signed = [grown(store, number) for number in (1, 2, 3)]
    keep(heads, *reversed(signed))
    heads.create(f"{FOLDER}zzz.txt", BytesIO(b"x"), kept_as(b"x"), "text/plain")
    assert kept(heads) == signed[1:]


def test_a_head_that_was_changed_is_named(heads: FileStore) -> None:
    heads.create(f"{FOLDER}000000000001.json", BytesIO(b"{}"), kept_as(b"{}"), "application/json")
    with pytest.raises(Refused, match=r"000000000001\.json is no signed head: it was changed"):
        kept(heads)


def test_a_chain_that_has_what_its_heads_name_goes_on(heads: FileStore, store: Store) -> None:
    must_have_all(store, heads)
    keep(heads, grown(store, 1), grown(store, 2))
    must_have_all(store, heads)
    grown(store, 3)
    must_have_all(store, heads)


def test_a_chain_without_its_end_does_not_go_on(heads: FileStore, store: Store) -> None:
    head = grown(store, 1)
    keep(heads, head.model_copy(update={"seq": 2}))
    with pytest.raises(Refused, match=r"the chain ends with record 1, and .* names record 2: its end was cut off"):
        must_have_all(store, heads)


def test_a_chain_with_other_records_does_not_go_on(heads: FileStore, store: Store) -> None:
    head = grown(store, 1)
    keep(heads, head.model_copy(update={"hash": "0" * 64}))
    with pytest.raises(Refused, match=r"by another hash than the chain's record 1 has: records were replaced"):
        must_have_all(store, heads)


def test_a_key_that_nobody_here_knows_is_named_whether_a_head_has_it_or_the_chain(
    heads: FileStore, store: Store
) -> None:
    other = new_signer()
    must_know_their_keys(store, heads, [other.public_key])
    head = grown(store, 1)
    with pytest.raises(
        Refused, match=rf"^Refused: record 1 was signed with key {SIGNER.key}, and we have {other.key}\."
    ):
        must_know_their_keys(store, heads, [other.public_key])
    must_know_their_keys(store, heads, [other.public_key, SIGNER.public_key])
    keep(heads, head.model_copy(update={"key": other.key}))
    with pytest.raises(Refused, match=rf"record 1, as its head of .* says, was signed with key {other.key}"):
        must_know_their_keys(store, heads, [SIGNER.public_key])
