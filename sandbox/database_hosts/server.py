"""One PostgreSQL server on its machine, with what an init system knows of it: enabled or not, fenced or not."""

import os
import signal
import threading
import time
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from sandbox import postgres_processes
from sandbox.database_hosts.client import LOOPBACK
from sandbox.database_hosts.plan import FENCED, MAINTENANCE_DATABASE, USER, Plan
from sandbox.processes import ServerProcess

_START_SECONDS = 540.0
_FAST_SECONDS, _DOWN_SECONDS, _IMMEDIATE_SECONDS = 60.0, 5.0, 5.0
_POLL_SECONDS = 0.02
_SAID_LINES = 4
STOP_REACHING = dict.fromkeys(
    (
        "restore_command",
        "recovery_target",
        "recovery_target_time",
        "recovery_target_lsn",
        "recovery_target_name",
        "recovery_target_xid",
    ),
    "",
)
"""A restore leaves its target in the settings. A standby that reaches one may promote itself."""


class HostError(Exception):
    """It can't be done; the sentence says why and what to do."""


class DatabaseServer:
    """Starts and ends one server, and remembers in its folder what it was told, over its own restarts."""

    def __init__(self, plan: Plan, name: str) -> None:
        self.plan, self.name = plan, name
        self.place = plan.servers[name]
        self.data = self.place.data
        self.folder = Path(self.place.directory)
        self.fenced, self.enabled = self.folder / FENCED, self.folder / "enabled"
        self.lock = threading.RLock()
        settings = {
            **plan.settings,
            **self.place.settings,
            "listen_addresses": LOOPBACK,
            "port": str(self.place.port),
            "cluster_name": name,
        }
        self.options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        self._process = ServerProcess(
            name=name,
            directory=Path(plan.logs),
            argv=[Path(plan.programs) / "postgres", "-D", self.data, *self.options],
            uid=plan.uid,
            gid=plan.gid,
            cwd=self.data,
        )

    # -- what can be asked ------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether its postmaster lives."""
        return self._process.pid is not None

    @property
    def crashed(self) -> bool:
        """Whether it ended though nobody told it to."""
        return self.enabled.exists() and not self.fenced.exists() and self._process.exit_code is not None

    @property
    def has_data(self) -> bool:
        """Whether there is something to start."""
        return (self.data / "PG_VERSION").exists()

    def conninfo(self, database: str = MAINTENANCE_DATABASE) -> str:
        """Give libpq's form of how the administrator reaches it."""
        return make_conninfo(
            host=LOOPBACK,
            port=self.place.port,
            user=USER,
            dbname=database,
            passfile=self.plan.passwords,
            connect_timeout=3,
            application_name="database-hosts",
        )

    def ask(self, query: str) -> list[tuple[object, ...]]:
        """Run a query as the administrator.

        Raises:
            psycopg.Error: it can't be answered.

        """
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    # -- what can be done -------------------------------------------------------------------------------------

    def start(self, *, despite_fence: bool = False) -> None:
        """Start it, and wait until it takes connections.

        Raises:
            HostError: it is fenced, has no data, or can't start.

        """
        if self.fenced.exists() and not despite_fence:
            raise HostError(f"{self.name} is fenced, so it isn't started: `rejoin` makes it a replica of the primary")
        if not self.has_data:
            raise HostError(f"{self.name} has no data: restore a backup into {self.data}, or `rejoin` it to a primary")
        if not despite_fence:
            self.enabled.touch()
        if not self.running:
            self.end_all()
            self.put_in_order()
            self._process.start()
        self._wait(while_enabled=not despite_fence)

    def interrupt(self) -> None:
        """Let a start end that still waits: whoever ends the server doesn't wait for that."""
        self.enabled.unlink(missing_ok=True)

    def stop(self) -> None:
        """Stop it: clients are disconnected, everything is written."""
        self.enabled.unlink(missing_ok=True)
        self._end(signal.SIGINT, _FAST_SECONDS)
        self.end_all()

    def fence(self) -> None:
        """Stop it at once, and see to it that whoever starts it gets a standby, which takes no writes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.fenced.touch()
        self.enabled.unlink(missing_ok=True)
        self._end(signal.SIGQUIT, _IMMEDIATE_SECONDS)
        self.end_all()
        if self.has_data:
            self.configure(STOP_REACHING)
            (self.data / "standby.signal").touch()
            self.put_in_order()

    def shut_down(self) -> None:
        """Stop it as its machine does when it goes down: enabled is enabled."""
        with self.lock:
            self._end(signal.SIGINT, _DOWN_SECONDS)
            self.end_all()

    def kill(self) -> None:
        """End it where it doesn't matter how."""
        self._end(signal.SIGQUIT, _IMMEDIATE_SECONDS)
        self.end_all()

    def configure(self, settings: dict[str, str]) -> None:
        """Add settings, with which it starts the next time."""
        with (self.data / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            for name, value in settings.items():
                quoted = value.replace("'", "''")
                file.write(f"{name} = '{quoted}'\n")

    def put_in_order(self) -> None:
        """Give its data to the account it runs as, whoever put them there, with the rights PostgreSQL insists on."""
        if self.plan.uid is not None and self.plan.gid is not None:
            # Tablespaces lie elsewhere; the data lead to them by links.
            for place in (self.data, *(link.resolve() for link in (self.data / "pg_tblspc").glob("*"))):
                for folder, _, files in os.walk(place):
                    for path in (folder, *(os.path.join(folder, file) for file in files)):  # noqa: PTH118 - thousands
                        os.chown(path, self.plan.uid, self.plan.gid, follow_symlinks=False)
        self.data.chmod(0o700)

    def end_all(self) -> None:
        """End whatever still runs on its data: a killed postmaster's processes may be about to notice."""
        postgres_processes.end_all(self.data)

    def _end(self, how: signal.Signals, seconds: float) -> None:
        self._process.stop_signal, self._process.stop_timeout = how, seconds
        self._process.stop()

    def _wait(self, *, while_enabled: bool) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if while_enabled and not self.enabled.exists():
                raise HostError(f"{self.name} was told to end before it took connections")
            if not self.running:
                raise HostError(f"{self.name} ended as soon as it was started. {self._last_words()}")
            if time.monotonic() > deadline:
                raise HostError(f"{self.name} takes no connections after {_START_SECONDS:g} s. {self._last_words()}")
            time.sleep(_POLL_SECONDS)

    def _answers(self) -> bool:
        try:
            self.ask("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _last_words(self) -> str:
        try:
            lines = self._process.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        telling = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "HINT"))]
        return " ".join(telling[-_SAID_LINES:])
