"""What stands behind a database's backups: Barman for PostgreSQL that one runs oneself, or AWS RDS."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from activities.backup import Backup, Reach
    from activities.databases import Connection, Server

Beat = Callable[[str], None]
"""Called at least every second with what is going on; heartbeats, and raises where the activity is to end."""


class BackupSystem(Protocol):
    """The backends' side, one for each database. Raises typed failures; `beat` is called while it takes long."""

    def backups(self) -> "list[Backup]":
        """List them, newest first; `verified` is None throughout: verdicts are kept in the records."""

    def latest(self, beat: Beat) -> datetime | None:
        """Tell what the archived log is known to reach."""

    def verify(self, backup_id: str, beat: Beat) -> tuple[bool, str]:
        """Check all files of a backup: good, and what was found."""

    def archive(self, server: "Server", primary: "Connection", at: datetime, beat: Beat) -> None:
        """Have the primary's log in the archive up to a time, of which there is a commit after it."""

    def reach(self, backup_id: str, target: datetime, beat: Beat) -> "Reach":
        """Look whether the log is complete from the backup to the end of a transaction after the target."""

    def begun(self, into: "Server", effect_key: str) -> bool:
        """Tell whether an earlier attempt of this effect began a restore that can be gone on with."""

    def restore(self, backup_id: str, target: datetime, into: "Server", effect_key: str, beat: Beat) -> None:
        """Put data and log on a spare server so that starting it recovers to the target; `discard`ed before."""

    def finish(self, into: "Server", connection: "Connection", mark: str) -> None:
        """Make a recovered server a primary like any other, and mark it as completely restored."""

    def mark(self, into: "Server", connection: "Connection") -> str:
        """Give a server's mark; empty where it has none."""

    def create(self, server: "Server | None", effect_key: str, beat: Beat) -> str:
        """Take a backup, the same one for the same effect; gives its ID."""

    def follow(self, server: "Server", primary: "Connection", beat: Beat) -> None:
        """Archive this server's log from now on."""
