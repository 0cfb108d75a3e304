"""The records' own pager."""

from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from activities.messages.paging.records import RecordsPager


@pytest.fixture
def pager(records_pool: ConnectionPool[Any]) -> RecordsPager:
    return RecordsPager(records_pool)
