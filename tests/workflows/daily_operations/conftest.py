from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from activities.catalogue.service import CustomerPolicy
from sandbox.mail_server import MailServer
from tests.workflows.worlds.day import Day


@pytest.fixture
def day(records_pool: ConnectionPool[Any], records_sql: psycopg.Connection[Any], mail_server: MailServer) -> Day:
    return Day(records_pool, records_sql, mail_server, CustomerPolicy())
