"""A real PgBouncer in front of PostgreSQL servers, and the commands that settings would name for it.

`python -m tests.activities.database.pgbouncer pause|reconnect DIRECTORY PORT [SERVER]` does what a team's script does.
"""

import contextlib
import os
import shutil
import signal
import stat
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg

from activities.database.servers.poolers import PoolerCommands
from sandbox.ports import LOOPBACK, free_port
from sandbox.postgres_programs import PostgresPrograms, temporary_directory
from sandbox.processes import ServerProcess
from sandbox.toolchain import debian

ROOT = Path(__file__).parents[3]
_LIBRARIES = f"usr/lib/{sysconfig.get_config_var('MULTIARCH')}"
_PARTS = (("pgbouncer", "usr/sbin/pgbouncer"), ("libc-ares2", f"{_LIBRARIES}/libcares.so.2"))
CLIENT, PASSWORD = "tensafe", "a password of a test"
_INI = """\
[databases]
%include {directory}/current.ini

[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {directory}/users.txt
admin_users = {client}
pool_mode = transaction
server_login_retry = 1
logfile =
"""


class PgBouncer:
    """One, whose database `service` is on one of several servers."""

    def __init__(self, directory: Path, servers: Mapping[str, int]) -> None:
        """Take where its log goes, and the servers' ports."""
        self.port = free_port()
        self.directory = temporary_directory()  # it refuses to be root, and its account reads no other folder
        self._programs = PostgresPrograms()
        program = _pgbouncer(self.directory)
        files = {
            f"{name}.ini": f"service = host={LOOPBACK} port={port} dbname=service\n" for name, port in servers.items()
        }
        files["pgbouncer.ini"] = _INI.format(directory=self.directory, host=LOOPBACK, port=self.port, client=CLIENT)
        files["users.txt"] = f'"{CLIENT}" "{PASSWORD}"\n'
        for name, text in files.items():
            (self.directory / name).write_text(text, encoding="utf-8")
        point(self.directory, next(iter(servers)))
        self.process = ServerProcess(
            name="pgbouncer",
            directory=directory,
            argv=[program, self.directory / "pgbouncer.ini"],
            env={**os.environ, "LD_LIBRARY_PATH": str(self.directory)},
            cwd=self.directory,
            uid=self._programs.uid,
            gid=self._programs.gid,
            stop_signal=signal.SIGINT,
        )

    @property
    def url(self) -> str:
        """What the service's clients have."""
        return f"postgresql://{CLIENT}:{PASSWORD.replace(' ', '%20')}@{LOOPBACK}:{self.port}/service"

    @property
    def commands(self) -> PoolerCommands:
        """What settings would say."""
        script = [sys.executable, "-m", "tests.activities.database.pgbouncer"]
        end = [str(self.directory), str(self.port)]
        return PoolerCommands(pause=[*script, "pause", *end], reconnect=[*script, "reconnect", *end, "{server}"])

    def start(self) -> None:
        self.process.start()
        self.process.wait_ready(self._answers, 60)

    def stop(self) -> None:
        self.process.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            console(self.port).close()
        except psycopg.OperationalError:
            return False
        return True


def console(port: int) -> "psycopg.Connection[Any]":
    """Connect to the console, which knows no extended protocol."""
    return psycopg.connect(
        host=LOOPBACK,
        port=port,
        user=CLIENT,
        password=PASSWORD,
        dbname="pgbouncer",
        autocommit=True,
        cursor_factory=psycopg.ClientCursor,
    )


def point(directory: Path, server: str) -> None:
    """Choose a server in one step: whoever is killed here leaves one or the other."""
    link = directory / f"current.ini.{os.getpid()}"
    link.symlink_to(f"{server}.ini")
    link.replace(directory / "current.ini")


def _pgbouncer(into: Path) -> Path:
    """Copy the program to where the account can read it: from PATH, else Debian's package."""
    on_path = shutil.which("pgbouncer")
    found = [Path(on_path)] if on_path else [_unpacked(debian.Package(*part)) for part in _PARTS]
    for file in found:
        copied = Path(shutil.copy(file, into))
        copied.chmod(stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
    return into / "pgbouncer"


def _unpacked(package: debian.Package) -> Path:
    return next(debian.unpacked(package), None) or debian.unpack(package)


def _main(what: str, directory: str, port: str, server: str = "") -> None:
    with console(int(port)) as found:
        if what == "pause":
            with _done_already():
                found.execute("PAUSE")
            return
        point(Path(directory), server)
        found.execute("RELOAD")
        found.execute("RECONNECT")
        with _done_already():
            found.execute("RESUME")


@contextlib.contextmanager
def _done_already() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        if "paused" not in str(error):
            raise


if __name__ == "__main__":
    _main(*sys.argv[1:])
