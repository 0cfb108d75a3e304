"""A real database whose files are damaged on disk, as a bad disk or controller would do it."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from activities.database.servers.servers import Database, Databases, Server
from sandbox.postgres import Postgres
from sandbox.ready import ready

PAGE = 8192
NAME, SERVER = "tensafe", "primary"


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with ready(Postgres(tmp_path_factory.mktemp("damaged"))) as server:
        yield server


class DamagedDatabase:
    """A database of a test's own on a server that may be stopped; its files can be damaged."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self.url = server.create_database(f"damaged_{secrets.token_hex(4)}")
        servers = {SERVER: Server(SERVER, SecretStr(self.url))}
        self.databases = Databases({NAME: Database(NAME, servers)})

    def run(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def value(self, query: str) -> object:
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]

    def file(self, relation: str) -> Path:
        return self.server.data / str(self.value(f"SELECT pg_relation_filepath({relation})"))

    def stop(self) -> None:
        """Stop the server and keep its files."""
        for process in self.server.processes:
            process.stop()

    def damage(self, *pages: tuple[Path, int]) -> None:
        """Write noise into pages while the server is down: nothing of them is in its memory afterwards."""
        self.stop()
        for file, page in pages:
            overwrite(file, page)
        self.server.restart()


def overwrite(file: Path, page: int) -> None:
    """Write noise over most of one page."""
    with file.open("r+b") as opened:
        opened.seek(page * PAGE + 64)
        opened.write(secrets.token_bytes(PAGE - 128))
