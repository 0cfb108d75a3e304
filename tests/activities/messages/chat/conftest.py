"""Both backends of the chat: the records, and Slack by its contract."""

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg_pool import ConnectionPool
from pydantic import SecretStr

from activities.messages.chat.records import RecordsChat
from activities.messages.chat.slack import SlackChat
from tests.activities.contracts.serving import Misbehaviour, serving
from tests.activities.contracts.slack import SlackContract
from tests.activities.messages.chat.posting import TOKEN


@pytest.fixture
def own(records_pool: ConnectionPool[Any]) -> RecordsChat:
    return RecordsChat(records_pool)


@pytest.fixture
def service() -> SlackContract:
    return SlackContract(TOKEN)


@pytest.fixture
def channel(service: SlackContract) -> str:
    return service.add_channel("incidents", member=True)


@pytest.fixture
def faults() -> Misbehaviour:
    return Misbehaviour()


@pytest.fixture
def base_url(service: SlackContract, faults: Misbehaviour) -> Iterator[str]:
    with serving(service.app, faults) as url:
        yield f"{url}/api/"


@pytest.fixture
def chat(base_url: str) -> SlackChat:
    return SlackChat(SecretStr(TOKEN), base_url)
