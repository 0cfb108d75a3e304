"""Customers for recorded runs: real records and a real mail server, started once and ended with the recording."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from itertools import count
from pathlib import Path

import psycopg

import records_schema
from activities.catalogue.service import CustomerPolicy
from records_schema.pool import connect_pool
from sandbox.mail_server import MailServer
from sandbox.postgres import Postgres
from tests.workflows.worlds.company import Company

STACK = ExitStack()
_numbers = count(1)
KEY = "tsk_aaaaaaaa1"


@cache
def _servers() -> tuple[Postgres, MailServer]:
    directory = Path(STACK.enter_context(tempfile.TemporaryDirectory(prefix="runbooks-record-")))
    postgres, mail = Postgres(directory / "postgresql"), MailServer(directory / "mail")
    for server in (postgres, mail):
        server.start()
        STACK.callback(server.stop)
        server.wait_ready()
    return postgres, mail


def company(*statements: str) -> Callable[[], Company]:
    """Make customers: Acme with one key, and what the statements say besides."""

    def make() -> Company:
        postgres, mail = _servers()
        url = postgres.create_database(f"case_{next(_numbers)}")
        records_schema.migrate(url)
        pool = STACK.enter_context(connect_pool(url, max_size=8))
        sql = STACK.enter_context(psycopg.connect(url, autocommit=True))
        made = Company(pool, sql, mail, CustomerPolicy())
        made.tenant("acme", csm="carl")
        made.key("acme", KEY)
        for statement in statements:
            sql.execute(statement.encode())
        return made

    return make
