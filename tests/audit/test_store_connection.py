"""Without a key it can be read and not added to, and an older schema says what to do."""

from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from audit.store import Store
from audit.store_connection import StoreError
from tests.audit.stories import archivable


def test_without_a_key_it_can_be_read_and_not_added_to(store: Store, records_pool: ConnectionPool[Any]) -> None:
    store.append(archivable(1))
    reader = Store(records_pool)
    assert len(list(reader.records())) == 1
    with pytest.raises(StoreError, match="no signing key"):
        reader.append(archivable(2))


def test_an_older_schema_is_said_to_be_one(empty_database_url: str) -> None:
    with (
        ConnectionPool(empty_database_url, min_size=1, open=True) as pool,
        pytest.raises(StoreError, match="python -m records_schema migrate"),
    ):
        list(Store(pool).records())
