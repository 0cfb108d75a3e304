"""The records in a PostgreSQL of their own."""

from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from activities.records.activities import Records


@pytest.fixture
def records(records_pool: ConnectionPool[Any]) -> Records:
    return Records(records_pool)
