"""The activities of tenants, on the records of the test."""

from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from activities.customers.interventions import Interventions
from activities.customers.tenants import Tenants
from tests.activities.customers.tenancy import LINKS


@pytest.fixture
def interventions(records_pool: ConnectionPool[Any]) -> Interventions:
    return Interventions(records_pool)


@pytest.fixture
def tenants(records_pool: ConnectionPool[Any]) -> Tenants:
    return Tenants(records_pool, LINKS)
