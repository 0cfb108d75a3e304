"""What stands behind a database's backups: Barman for PostgreSQL that one runs oneself, or AWS RDS."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import BaseModel, Field

from audit.text import noun

if TYPE_CHECKING:
    from activities.database.servers.servers import Connection, Server


def no_place(server: str, tablespaces: list[str]) -> str:
    """Say that settings don't say where tablespaces go."""
    return (
        f"the backup has the {noun(len(tablespaces), 'tablespace')} {', '.join(tablespaces)}, and settings don't say "
        f"where on {server} {noun(len(tablespaces), 'it goes', 'they go')}: set servers.{server}.tablespaces, e.g. "
        f'{{ {tablespaces[0]} = "/srv/{server}/{tablespaces[0]}" }}. In its old place it could write over the original'
    )


class Backup(BaseModel):
    """One backup that can be restored from."""

    backup_id: str
    status: Literal["done", "failed", "running"]
    began_at: datetime | None = None
    ended_at: datetime | None = Field(default=None, description="From here on its database is consistent.")
    size: int = Field(default=0, description="Bytes.")
    timeline: int | None = None
    verified: bool | None = Field(default=None, description="None: nobody has checked it yet.")
    detail: str = Field(default="", description="Why it failed, or failed its check.")
    tablespaces: list[str] = Field(default_factory=list, description="Beside the data directory, by their names.")
    unplaced: dict[str, list[str]] = Field(
        default_factory=dict, description="Those that settings give no place on a server, by the server's name."
    )

    def __str__(self) -> str:
        checked = {True: "verified", False: "NOT GOOD", None: "not verified"}[self.verified]
        ended = f"{self.ended_at:%Y-%m-%d %H:%M:%S %Z}" if self.ended_at else "not ended"
        return f"{self.backup_id} ({self.status}, {checked}, {ended})"


class Reach(BaseModel):
    """What the dry check says."""

    reaches: bool
    latest: datetime | None = Field(description="The last commit in the archived log.")
    detail: str

    def __str__(self) -> str:
        return self.detail


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
