"""Kill -9 in the middle of an erasure: either nothing has happened, or all of it and the chain says so."""

import os
from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from audit.chain import Verifier
from audit.redaction import erase, find
from audit.signer import FileSigner
from audit.store import Store
from records_schema.pool import connect_pool
from tests.audit.stories import archivable, new_pem
from tests.records_schema.fixtures import empty_database_url, records_pool, records_url  # noqa: F401
from tests.workflows.audit.dying_archiver import FORKS, Instant, arm

SECRET = "Jane Q. Customer"
INSTANTS = [
    (Instant("store", "_lock", "after"), False),
    (Instant("store", "_insert", "before"), False),
    (Instant("store", "_insert", "after"), False),
    (Instant("store", "_index", "before"), False),
    (Instant("store", "_index", "after"), False),
    (Instant("Store", "redact", "after"), True),
]


def redact(environment: dict[str, str], url: str, pem: str, instant: Instant | None) -> None:
    os.environ.update(environment)
    if instant is not None:
        arm(instant)
    with connect_pool(url) as pool:
        store = Store(pool, FileSigner(pem))
        record = store.record("default", "run-2")
        assert record is not None
        erase(store, record, find(record, SECRET).commitments, who="ada", role="admin", reason="request 17")


def died(*arguments: Any) -> int | None:
    process = FORKS.Process(target=redact, args=(dict(os.environ), *arguments))
    process.start()
    process.join(60)
    return process.exitcode


@pytest.mark.parametrize(("instant", "erased"), INSTANTS, ids=str)
def test_an_erasure_is_whole_or_has_not_begun(
    records_url: str,  # noqa: F811
    records_pool: ConnectionPool[Any],  # noqa: F811
    instant: Instant,
    *,
    erased: bool,
) -> None:
    pem = new_pem()
    signer = FileSigner(pem)
    store = Store(records_pool, signer)
    for number in (1, 2, 3):
        store.append(archivable(number, {"note": SECRET}, "harmless"))

    assert died(records_url, pem, instant) == -9
    check(store, signer, erased=erased)
    if not erased:
        assert died(records_url, pem, None) == 0
        check(store, signer, erased=True)


def check(store: Store, signer: FileSigner, *, erased: bool) -> None:
    verifier = Verifier([signer.public_key])
    for record in store.records():
        verifier.feed(record)
    verdict = verifier.end()
    redacted = store.record("default", "run-2")
    assert redacted is not None
    assert verdict.ok, verdict.broken
    assert verdict.records == (4 if erased else 3)
    assert (verdict.redacted > 0) == erased
    assert (find(redacted, SECRET).commitments == []) == erased
    assert len(list(store.stories())) == 3, "the run is found before and after"
