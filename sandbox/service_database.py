"""The service's own database: PostgreSQL 18 with a streaming replica, Barman behind it, and room for restores.

The servers belong to a process that plays the init system of their machines (`sandbox.database_hosts`); its commands
are those of the settings.
"""

import contextlib
import os
import secrets
import shutil
import signal
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from sandbox import probes
from sandbox.barman import PROGRAM, Barman
from sandbox.database_hosts.client import ask
from sandbox.database_hosts.plan import FENCED, REPLICATION_USER, USER, Place, Plan
from sandbox.ports import LOOPBACK, free_port
from sandbox.postgres_programs import PostgresPrograms, temporary_directory
from sandbox.processes import ServerFailed, ServerProcess, end_leftovers

NAME = "tensafe"
PRIMARY, REPLICA, SPARES = "primary", "replica-1", ("spare-1", "spare-2")
SERVERS = (PRIMARY, REPLICA, *SPARES)
SECRET = f"{NAME}-database"
_SCHEMA = Path(__file__).parent / "manifests" / "tensafe.sql"
_EXTENSIONS = ("amcheck", "pgstattuple", "pg_stat_statements")
_SETTINGS = {
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "max_wal_size": "512MB",
    "wal_level": "replica",
    "wal_log_hints": "on",
    "hot_standby": "on",
    "wal_keep_size": "256MB",
    "max_slot_wal_keep_size": "2GB",
    "shared_preload_libraries": "pg_stat_statements",
    # Who is gone is noticed in seconds.
    "wal_sender_timeout": "5s",
    "wal_receiver_timeout": "5s",
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "200ms",
    "tcp_keepalives_idle": "1",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
    # Killed processes lose nothing by this; only a power cut would, which a sandbox need not survive.
    "fsync": "off",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",
}
"""Of every server; given when it is started, so that no restore or copy brings another server's."""


class ServiceDatabase:
    """The servers `primary`, `replica-1` (streaming), and `spare-1`, `spare-2`, where nothing is yet.

    Args:
        directory: For everything. The data is in a temporary one where PostgreSQL's account cannot reach this, or
            Barman would stumble over a space in its path.
        synchronous: The primary acknowledges a commit when the replica has it.
        restart_crashed: The machines start a server again that ended unasked, as systemd can.

    """

    name = NAME

    def __init__(self, directory: Path, *, synchronous: bool = False, restart_crashed: bool = False) -> None:
        self.directory = directory
        self.ports = {server: free_port() for server in SERVERS}
        self.barman = Barman(directory / "barman", name=NAME)
        self._programs = PostgresPrograms()
        self._passwords = {user: secrets.token_urlsafe(24) for user in (USER, REPLICATION_USER, NAME)}
        self._synchronous, self._restart_crashed = synchronous, restart_crashed
        self._temporary: Path | None = None
        self._agent_port, self._key = free_port(), secrets.token_hex(32)
        self._plan_file = directory / "database-hosts.json"
        self.hosts = ServerProcess(
            name="database-hosts",
            directory=directory,
            argv=[sys.executable, "-m", "sandbox.database_hosts", "--plan", self._plan_file, "serve"],
            stop_timeout=20.0,
        )

    # -- how it is reached ------------------------------------------------------------------------------------

    def url(self, server: str, database: str = NAME) -> str:
        """Give a server's URL for its administrator, a superuser."""
        return self._url(USER, server, database)

    def service_url(self, server: str) -> str:
        """Give a server's URL for the service, whose role owns the database and little else."""
        return self._url(NAME, server, NAME)

    def data(self, server: str) -> Path:
        """Name a server's data directory."""
        return self._place(server).data

    def pid(self, server: str) -> int | None:
        """Give the process ID of a server's postmaster; None where it doesn't run."""
        return postmaster(self.data(server))

    def fenced(self, server: str) -> bool:
        """Tell whether a server's machine won't start it."""
        return (self.data(server).parent / FENCED).exists()

    def settings(self) -> dict[str, Any]:
        """Give the `[databases.tensafe]` of the workers' settings."""
        command = [sys.executable, "-m", "sandbox.database_hosts", "--plan", str(self._plan_file)]
        return {
            "servers": {server: {"url": self.url(server), "directory": str(self.data(server))} for server in SERVERS},
            "commands": {
                **{verb: [*command, verb, "{server}"] for verb in ("start", "fence", "discard")},
                "rejoin": [*command, "rejoin", "{server}", "{source}"],
            },
            "barman": {
                "program": list(PROGRAM),
                "config": str(self.barman.config),
                "server": NAME,
                "model": f"{NAME}-{{server}}",
                "waldump": [str(self._programs.folder / "pg_waldump")],
            },
        }

    def policy(self) -> dict[str, Any]:
        """Give the `database` of the service in the catalogue."""
        return {
            "name": NAME,
            "secret": SECRET,
            "servers": {
                server: {"secret": f"{SECRET}-{server}", **({"spare": True} if server in SPARES else {})}
                for server in SERVERS
            },
        }

    def secrets(self) -> dict[str, str]:
        """Give the URL that each Kubernetes Secret has: the service's, which is the primary's, and the servers'."""
        return {
            SECRET: self.service_url(PRIMARY),
            **{f"{SECRET}-{server}": self.service_url(server) for server in SERVERS},
        }

    @property
    def processes(self) -> list[ServerProcess]:
        """The machines and Barman; PostgreSQL's processes are the machines' own."""
        return [self.hosts, self.barman.process]

    # -- its life ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Create it all anew: the primary with the service's tables, then the replica and Barman.

        Raises:
            ServerFailed: a part didn't start; nothing keeps running then.

        """
        self.directory.mkdir(parents=True, exist_ok=True)
        end_leftovers(self.directory)
        for folder in (self._root, self.barman.directory):
            shutil.rmtree(folder, ignore_errors=True)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def wait_ready(self, timeout: float = 240.0) -> None:
        """Wait until the replica streams and the log arrives at Barman.

        Raises:
            ServerFailed: they don't in time.

        """
        self.barman.process.wait_ready(self.barman.receives, timeout)

    def stop(self) -> None:
        """Stop everything."""
        self.barman.process.ask_to_stop()
        self.hosts.stop()
        self.barman.stop()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    # -- what tests do to it ----------------------------------------------------------------------------------

    def do(self, verb: str, server: str, source: str | None = None) -> str:
        """Do what an administrator does on the server's machine: one of the commands of the settings.

        Raises:
            ServerFailed: it can't be done; says why.

        """
        done, said = ask(self._plan, verb, server, source)
        if not done:
            raise ServerFailed(said)
        return said

    def kill(self, server: str) -> None:
        """End a server's postmaster at once, as a crash would."""
        pid = self.pid(server)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            probes.wait_until(lambda: self.pid(server) != pid)

    def start_again(self, server: str) -> None:
        """Start a fenced server by hand, as somebody might who doesn't know."""
        self.do("start-despite-fence", server)

    def begin_backup(self) -> None:
        """Have a first backup taken while everything else goes on."""
        self.barman.first_backup.start()

    @property
    def backed_up(self) -> bool:
        """Whether that is done."""
        return self.barman.first_backup.exit_code == 0

    def backup(self) -> str:
        """Take a backup that can be restored when this returns; gives its ID."""
        return self.barman.backup()

    # -- how it is built --------------------------------------------------------------------------------------

    @cached_property
    def _root(self) -> Path:
        """Where the servers' folders are."""
        # Barman takes connection strings apart at every space, and one names the file with the passwords.
        if self._programs.reaches(self.directory) and not any(map(str.isspace, str(self.directory.resolve()))):
            return self.directory.resolve() / "servers"
        self._temporary = temporary_directory().resolve()
        return self._temporary / "servers"

    def _place(self, server: str) -> Place:
        synchronous = server == PRIMARY and self._synchronous
        return Place(
            port=self.ports[server],
            directory=str(self._root / server),
            # On the primary alone: a promoted replica would wait for itself.
            settings={"synchronous_standby_names": f'"{REPLICA}"'} if synchronous else {},
        )

    @cached_property
    def _plan(self) -> Plan:
        return Plan(
            port=self._agent_port,
            key=self._key,
            programs=str(self._programs.folder),
            uid=self._programs.uid,
            gid=self._programs.gid,
            passwords=str(self._root / "passwords"),
            logs=str(self.directory),
            restart_crashed=self._restart_crashed,
            settings=_SETTINGS,
            servers={server: self._place(server) for server in SERVERS},
        )

    def _start(self) -> None:
        self._write_passwords()
        for server in SERVERS:
            folder = Path(self._place(server).directory)
            folder.mkdir()
            self._programs.own(folder)
        self._plan.write(self._plan_file)
        self.hosts.start()  # it comes up meanwhile
        self._programs.initialise(self.data(PRIMARY), superuser=USER, password=self._passwords[USER])
        self.hosts.wait_ready(probes.tcp(self._agent_port))
        self.do("start", PRIMARY)
        self._create_database()
        self.barman.configure(
            self._programs.folder,
            self.ports,
            user=USER,
            replication=REPLICATION_USER,
            database=NAME,
            passwords=Path(self._plan.passwords),
        )
        self.barman.process.start()
        self.do("rejoin", REPLICA, PRIMARY)

    def _write_passwords(self) -> None:
        self._root.mkdir(parents=True)
        file = Path(self._plan.passwords)
        file.touch(mode=0o600)
        lines = (f"{LOOPBACK}:*:*:{user}:{password}\n" for user, password in self._passwords.items() if user != NAME)
        file.write_text("".join(lines), encoding="utf-8")
        self._programs.own(self._root, file)

    def _create_database(self) -> None:
        owner = sql.Identifier(NAME)
        with psycopg.connect(self.url(PRIMARY, "postgres"), autocommit=True) as connection:
            # The replica isn't there yet, so nothing waits for it.
            connection.execute("SET synchronous_commit = local")
            for user, right in ((NAME, ""), (REPLICATION_USER, "REPLICATION")):
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN {} PASSWORD {}").format(
                        sql.Identifier(user), sql.SQL(right), sql.Literal(self._passwords[user])
                    )
                )
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(owner, owner))
        with psycopg.connect(self.url(PRIMARY)) as connection:
            connection.execute("SET synchronous_commit = local")
            for extension in _EXTENSIONS:
                connection.execute(sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(extension)))
            connection.execute(sql.SQL("SET ROLE {}").format(owner))
            connection.execute(_SCHEMA.read_bytes())

    def _url(self, user: str, server: str, database: str) -> str:
        return f"postgresql://{user}:{self._passwords[user]}@{LOOPBACK}:{self.ports[server]}/{database}"


def postmaster(data: Path) -> int | None:
    """Give the process ID of the postmaster on a data directory; None where none lives."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid = int((data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        return None if ") Z " in status else pid
    return None
