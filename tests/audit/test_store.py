"""The archive in a real PostgreSQL: added to once, never changed, found again."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from audit.chain import Verifier
from audit.records import Statement, Verdict
from audit.skeleton import restore
from audit.store import Store
from tests.audit.archived import CASES
from tests.audit.bundles import SIGNER
from tests.audit.stories import archivable, history, story, without
from tests.records_schema.fixtures import empty_database_url, records_pool, records_sql, records_url  # noqa: F401

TABLES = (
    "archive_records",
    "archive_bodies",
    "archive_heads",
    "archive_access",
)


def verify(store: Store) -> Verdict:
    verifier = Verifier([SIGNER.public_key], store.heads())
    for record in store.records():
        verifier.feed(record)
    return verifier.end()


def test_a_run_is_archived_once_and_comes_back_as_it_was(store: Store) -> None:
    made = store.append(archivable(1))
    assert made is not None
    assert store.append(archivable(1)) is None
    (found,) = store.records()
    assert found == made == store.record("default", "run-1")
    assert restore(found.skeleton, found.bodies) == history(1)
    assert store.story("default", "run-1") == story(1)
    assert store.record("default", "run-2") is None
    assert store.story("default", "run-2") is None
    assert store.has("default", "run-1")
    assert not store.has("other", "run-1")
    assert store.among("default", ["run-0", "run-1"]) == {"run-1"}


def test_archivers_at_the_same_moment_make_one_chain_without_doubles(store: Store) -> None:
    with ThreadPoolExecutor(6) as threads:
        made = list(threads.map(lambda number: store.append(archivable(number % 40)), range(120)))
    assert sum(record is not None for record in made) == 40
    verdict = verify(store)
    assert (verdict.ok, verdict.records, verdict.last) == (True, 40, 40), verdict


def test_nothing_of_it_can_be_changed_removed_or_emptied(store: Store, records_sql: psycopg.Connection[Any]) -> None:  # noqa: F811
    store.append(archivable(1))
    store.sign_head()
    store.accessed("ada", "show", "run-1")
    records_sql.execute("SET session_replication_role = replica")
    for table in TABLES:
        for command in (f"DELETE FROM runbooks.{table}", f"TRUNCATE runbooks.{table} CASCADE"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                records_sql.execute(command)
    for change in (
        "UPDATE runbooks.archive_records SET signature = ''",
        "UPDATE runbooks.archive_bodies SET data = ''",
        "UPDATE runbooks.archive_heads SET seq = seq + 1",
        "UPDATE runbooks.archive_access SET who = 'nobody'",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            records_sql.execute(change)
    assert verify(store).ok


def test_a_record_that_does_not_follow_the_chain_is_refused(store: Store, records_sql: psycopg.Connection[Any]) -> None:  # noqa: F811
    store.append(archivable(1))
    copy = """
        INSERT INTO runbooks.archive_records
        SELECT {seq}, kind, namespace, workflow_id, run_id || 'x', about, story, header, signature, skeleton, size
        FROM runbooks.archive_records
    """
    for seq in ("1", "2", "3"):
        with pytest.raises(psycopg.errors.CheckViolation, match="does not follow"):
            records_sql.execute(copy.format(seq=seq).encode())


def _redact(store: Store) -> None:
    record = store.record("default", "run-1")
    assert record is not None
    statement = Statement(seq=1, commitments=[record.header.story], who="ada", role="admin", reason="asked")
    store.redact(without(record, [record.header.story]), statement)


def test_a_body_is_erased_only_by_a_redaction_in_the_chain(store: Store, records_sql: psycopg.Connection[Any]) -> None:  # noqa: F811
    for number in (1, 2):
        store.append(archivable(number))
    _redact(store)
    assert verify(store).ok
    assert verify(store).redacted == 1
    told = store.story("default", "run-1")
    assert told is not None
    assert (told.events, told.title) != (story(1).events, story(1).title), "read anew from what is left"
    for seq in (1, 2):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no redaction"):
            records_sql.execute("DELETE FROM runbooks.archive_bodies WHERE seq = %s", (seq,))


def test_whoever_erases_a_body_with_the_triggers_off_is_found_out(
    store: Store,
    records_sql: psycopg.Connection[Any],  # noqa: F811
) -> None:
    for number in (1, 2, 3):
        store.append(archivable(number))
    records_sql.execute("ALTER TABLE runbooks.archive_bodies DISABLE TRIGGER ALL")
    records_sql.execute("DELETE FROM runbooks.archive_bodies WHERE seq = 2")
    broken = verify(store).broken
    assert broken is not None
    assert (broken.seq, broken.run_id) == (2, "run-2")


def test_the_head_is_signed_once_per_place_and_tells_when_the_end_is_gone(
    store: Store,
    records_sql: psycopg.Connection[Any],  # noqa: F811
) -> None:
    assert store.sign_head() is None
    for number in range(1, 6):
        store.append(archivable(number))
    head = store.sign_head()
    assert head is not None
    assert head == store.sign_head()
    assert [head] == list(store.heads())
    assert verify(store).ok
    for table in ("archive_records", "archive_bodies"):
        records_sql.execute(f"ALTER TABLE runbooks.{table} DISABLE TRIGGER ALL".encode())
    records_sql.execute("ALTER TABLE runbooks.archive_heads DISABLE TRIGGER ALL")
    for table in ("index", "bodies", "heads", "records"):
        records_sql.execute(f"DELETE FROM runbooks.archive_{table} WHERE seq = 5".encode())
    assert verify(store).ok, "the database alone can't tell"
    verifier = Verifier([SIGNER.public_key], [head])
    for record in store.records():
        verifier.feed(record)
    broken = verifier.end().broken
    assert broken is not None
    assert "cut off" in broken.what


def test_the_index_is_made_anew_from_the_chain(cases: Store, records_sql: psycopg.Connection[Any]) -> None:  # noqa: F811
    record = cases.record("default", "run-1")
    assert record is not None
    seq = record.header.seq
    statement = Statement(seq=seq, commitments=[record.header.story], who="ada", role="admin", reason="asked")
    cases.redact(without(record, [record.header.story]), statement)
    records_sql.execute("DELETE FROM runbooks.archive_index")
    assert list(cases.stories()) == []
    assert cases.reindex() == 5
    assert [told.run.run_id for told in cases.stories()] == [f"run-{number}" for number in CASES]
    told = cases.story("default", "run-1")
    assert told is not None
    assert told.events == 2


def test_a_story_that_was_changed_is_not_shown(cases: Store, records_sql: psycopg.Connection[Any]) -> None:  # noqa: F811
    records_sql.execute("ALTER TABLE runbooks.archive_bodies DISABLE TRIGGER ALL")
    records_sql.execute(
        "UPDATE runbooks.archive_bodies b SET data = replace(encode(data, 'escape'), 'acme', 'evil')::bytea "
        "FROM runbooks.archive_records r WHERE r.seq = b.seq AND r.story = b.commitment"
    )
    assert [told.run.run_id for told in cases.stories()] == ["run-1", "run-3", "run-4", "run-5"]


def test_who_looked_at_it_is_kept(store: Store) -> None:
    store.accessed("ada", "show", "run-1")
    store.accessed("bob", "search", "severity P1")
    assert [(line.who, line.action, line.what) for line in store.accesses()] == [
        ("ada", "show", "run-1"),
        ("bob", "search", "severity P1"),
    ]


def test_reading_takes_no_more_memory_for_a_longer_chain(store: Store) -> None:
    """Each record is a quarter of a megabyte: were a page counted in records alone, it would be fifty."""
    big = "x" * 250_000
    peaks = []
    for until in (40, 160):
        for number in range(until - 40 if until == 40 else 40, until):
            store.append(archivable(number, big))
        tracemalloc.start()
        assert sum(1 for _ in store.records()) == until
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.3
