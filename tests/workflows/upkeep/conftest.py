"""An incident whose run is gone, in the records."""

from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from tests.workflows.upkeep.leaving import Left


@pytest.fixture
def world(records_pool: ConnectionPool[Any], records_sql: psycopg.Connection[Any]) -> Left:
    return Left(records_pool, records_sql)
