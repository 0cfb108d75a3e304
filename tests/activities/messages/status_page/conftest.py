"""Both status pages: our own, and Atlassian's by its contract."""

from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from psycopg_pool import ConnectionPool
from pydantic import SecretStr

from activities.messages.status_page.atlassian import AtlassianStatusPage
from activities.messages.status_page.records import RecordsStatusPage
from tests.activities.contracts.serving import Misbehaviour, serving
from tests.activities.contracts.statuspage import StatuspageContract
from tests.activities.messages.status_page.shown import Shown
from tests.activities.messages.status_page.updates import KEY


@pytest.fixture
def own(records_pool: ConnectionPool[Any]) -> RecordsStatusPage:
    return RecordsStatusPage(records_pool)


@pytest.fixture
def service() -> StatuspageContract:
    return StatuspageContract(KEY, "page1", ["comp-api", "comp-db"])


@pytest.fixture
def faults() -> Misbehaviour:
    return Misbehaviour()


@pytest.fixture
def base_url(service: StatuspageContract, faults: Misbehaviour) -> Iterator[str]:
    with serving(service.app, faults) as url:
        yield url


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client() as client:
        yield client


@pytest.fixture
def page(http: httpx.Client, base_url: str) -> AtlassianStatusPage:
    return AtlassianStatusPage(http, SecretStr(KEY), "page1", {"api": "comp-api", "db": "comp-db"}, base_url)


@pytest.fixture(params=["own", "atlassian"])
def shown(
    request: pytest.FixtureRequest,
    own: RecordsStatusPage,
    page: AtlassianStatusPage,
    service: StatuspageContract,
    records_sql: psycopg.Connection[Any],
) -> Shown:
    if request.param == "own":
        return Shown(own, records_sql, service)
    return Shown(page, None, service)
