"""Where a bundle lies that is verified, and the archive."""

from pathlib import Path
from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from audit.store import Store
from tests.audit.archived import CASES
from tests.audit.bundles import SIGNER
from tests.audit.stories import archivable
from tests.records_schema.fixtures import empty_database_url, records_pool, records_sql, records_url  # noqa: F401


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundles") / "b.zip"


@pytest.fixture
def store(records_pool: ConnectionPool[Any]) -> Store:  # noqa: F811
    return Store(records_pool, SIGNER)


@pytest.fixture
def cases(store: Store) -> Store:
    for number, told in reversed(CASES.items()):
        run = archivable(number)
        store.append(type(run)(run.history, told, run.closed_at))
    return store
