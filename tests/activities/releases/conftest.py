"""Both backends of CI: the records, and GitHub by its contract."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from psycopg_pool import ConnectionPool
from pydantic import SecretStr

from activities.releases.ci_github import GitHubCi
from activities.releases.ci_records import RecordsCi
from tests.activities.contracts.github import GitHubContract
from tests.activities.contracts.serving import Misbehaviour, serving
from tests.activities.releases.ci_requests import REPOSITORY, TOKEN


@pytest.fixture
def records(records_pool: ConnectionPool[Any]) -> RecordsCi:
    return RecordsCi(records_pool)


@pytest.fixture
def service() -> GitHubContract:
    return GitHubContract(TOKEN, REPOSITORY)


@pytest.fixture
def faults() -> Misbehaviour:
    return Misbehaviour()


@pytest.fixture
def base_url(service: GitHubContract, faults: Misbehaviour) -> Iterator[str]:
    with serving(service.app, faults) as url:
        yield url


@pytest.fixture
def github(base_url: str) -> Iterator[GitHubCi]:
    with httpx.Client(trust_env=False) as http:
        yield GitHubCi(http, SecretStr(TOKEN), f"{base_url}/")
