"""Barman behind the service's database: its configuration, and the process that keeps the log streaming in.

It writes to whichever server takes writes, by libpq's own means (several hosts, `target_session_attrs`). Where two do,
a restored one and the one it replaces, one of its models (`barman config-switch tensafe tensafe-spare-1`) says which.
"""

import fcntl
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from psycopg.conninfo import make_conninfo

from sandbox.ports import LOOPBACK
from sandbox.processes import ServerFailed, ServerProcess

PROGRAM = (sys.executable, str(Path(sys.executable).parent / "barman"))
_AGAIN_SECONDS = 3.0
_PATIENCE = {"connect_timeout": 3, "keepalives_idle": 1, "keepalives_interval": 1, "keepalives_count": 2}


class Barman:
    """One Barman with one server in its configuration, `name`."""

    def __init__(self, directory: Path, *, name: str) -> None:
        self.directory, self.name = directory, name
        self.config = directory / "barman.conf"
        self.streaming = directory / "home" / name / "streaming"
        self.process = ServerProcess(
            name="barman",
            directory=directory,
            argv=[],
        )

        self.first_backup = ServerProcess(
            name="first-backup",
            directory=directory,
            argv=[sys.executable, "-m", "sandbox.barman", directory, name],
        )

    def configure(
        self, programs: Path, ports: Mapping[str, int], *, user: str, replication: str, database: str, passwords: Path
    ) -> None:
        """Write its configuration, with a model for each server of `ports`."""
        (self.directory / "home").mkdir(parents=True, exist_ok=True)

        def connect(only: Sequence[int]) -> dict[str, str]:
            common: dict[str, Any] = {
                "host": ",".join([LOOPBACK] * len(only)),
                "port": ",".join(map(str, only)),
                "passfile": str(passwords),
                "target_session_attrs": "read-write",
                **_PATIENCE,
            }
            return {
                "conninfo": make_conninfo(user=user, dbname=database, **common),
                "streaming_conninfo": make_conninfo(user=replication, **common),
            }

        every = connect(list(ports.values()))
        self.process.argv = [
            sys.executable,
            "-m",
            "sandbox.wal_archiving",
            "--config",
            self.config,
            "--server",
            self.name,
            "--conninfo",
            every["conninfo"],
        ]
        sections: dict[str, dict[str, str]] = {
            "barman": {
                "barman_user": pwd.getpwuid(os.geteuid()).pw_name,
                "barman_home": str(self.directory / "home"),
                "barman_lock_directory": str(self.directory / "home"),
                "log_file": str(self.directory / "barman.events"),
                "log_level": "INFO",
                "path_prefix": str(programs),
            },
            self.name: {
                "description": "the service's database",
                "backup_method": "postgres",
                "streaming_archiver": "on",
                "slot_name": "barman",
                "create_slot": "auto",
                "immediate_checkpoint": "true",
                **every,
            },
            **{
                f"{self.name}-{server}": {"cluster": self.name, "model": "true", **connect([port])}
                for server, port in ports.items()
            },
        }
        lines = []
        for section, values in sections.items():
            lines += [f"[{section}]", *(f"{key} = {value}" for key, value in values.items()), ""]
        self.config.write_text("\n".join(lines), encoding="utf-8")

    def run(self, *arguments: str) -> str:
        """Run one of its commands; gives what it printed.

        Raises:
            ServerFailed: it failed; says what it said.

        """
        command = [*PROGRAM, "-c", str(self.config), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ServerFailed(f"barman {' '.join(arguments)} failed: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def backup(self) -> str:
        """Take a backup and wait until it can be restored; gives its ID.

        Raises:
            ServerFailed: it failed.

        """
        # Barman begins none before there is a first segment in its archive.
        self.run("switch-wal", "--force", "--archive", self.name)
        self.run("backup", "--wait", self.name)
        return self.run("list-backups", "--minimal", self.name).split()[0]

    def receives(self) -> bool:
        """Tell whether the log is streaming in."""
        return any(self.streaming.glob("*.partial")) and is_receiving(self.directory / "home", self.name)

    def stop(self) -> None:
        """End it, and what one of its commands may have started."""
        self.first_backup.stop()
        self.process.stop()
        end_receivers(self.streaming)


def is_receiving(locks: Path, name: str) -> bool:
    """Tell whether a `barman receive-wal` holds its lock."""
    try:
        with (locks / f".{name}-receive-wal.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def end_receivers(streaming: Path) -> None:
    """End every pg_receivewal that writes there: one of a killed `barman receive-wal` would keep the slot."""
    destination = f"--directory={streaming}"
    for process in psutil.process_iter():
        try:
            if process.name() == "pg_receivewal" and destination in process.cmdline():
                process.kill()
        except psutil.Error:
            continue


def main() -> None:
    """Take a first backup, also where the server is away for a while: `python -m sandbox.barman DIRECTORY NAME`."""
    barman = Barman(Path(sys.argv[1]), name=sys.argv[2])
    while True:
        try:
            barman.backup()
        except ServerFailed as error:
            sys.stderr.write(f"{error}\n")
            time.sleep(_AGAIN_SECONDS)
        else:
            return


if __name__ == "__main__":
    main()
