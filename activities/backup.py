"""Backups of a service's database, and restores from them (runbook 7.2 step 2, 7.3 steps 3 and 4).

`tensafe-admin backup list|restore`. Two backends: Barman for PostgreSQL that one runs oneself, and AWS RDS.
"""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import BaseModel, Field

from activities.effects import Change, Effect

if TYPE_CHECKING:
    from activities.databases import Server


class BackupsRequest(BaseModel):
    """Which database's backups."""

    database: str


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

    def __str__(self) -> str:
        checked = {True: "verified", False: "NOT GOOD", None: "not verified"}[self.verified]
        ended = f"{self.ended_at:%Y-%m-%d %H:%M:%S %Z}" if self.ended_at else "not ended"
        return f"{self.backup_id} ({self.status}, {checked}, {ended})"


class BackupCatalogue(BaseModel):
    """All backups, newest first, and the times that can be recovered."""

    items: list[Backup]
    earliest: datetime | None = Field(description="The end of the oldest usable backup; None where there is none.")
    latest: datetime | None = Field(description="What the archived log is known to reach; None where not known.")

    def __str__(self) -> str:
        good = sum(backup.verified is True for backup in self.items)
        span = (
            f"{self.earliest:%Y-%m-%d %H:%M:%S} to {self.latest:%H:%M:%S %Z}" if self.earliest and self.latest else "-"
        )
        return f"{len(self.items)} backups, {good} verified, recoverable: {span}"


class VerifyBackup(BaseModel):
    """Check a backup file by file, and remember the verdict."""

    database: str
    backup_id: str
    effect: Effect


class BackupVerdict(Change):
    """Whether a backup is good."""

    good: bool
    detail: str = ""


class SealLog(BaseModel):
    """Commit a transaction of our own and have the log up to it archived: every earlier time can be recovered then."""

    database: str
    server: str = Field(description="The primary.")
    effect: Effect


class Sealed(Change):
    """Up to when the archived log reaches."""

    at: datetime


class ReachRequest(BaseModel):
    """Whether the archived log leads from a backup to a time without a gap."""

    database: str
    backup_id: str
    target: datetime


class Reach(BaseModel):
    """What the dry check says."""

    reaches: bool
    latest: datetime | None = Field(description="The last commit in the archived log.")
    detail: str

    def __str__(self) -> str:
        return self.detail


class RestoreBackup(BaseModel):
    """Restore into a spare server, beside the damaged one, and start it: it is a primary of its own then."""

    database: str
    backup_id: str
    target: datetime = Field(description="The last commit at or before it is in, the first after it is not.")
    into: str = Field(description="Name of the spare server; whatever was on it is gone.")
    effect: Effect


class Restored(Change):
    """A restored server that takes connections, and writes."""

    server: str
    recovered_to: datetime | None = Field(description="Time of the last transaction that was replayed.")
    timeline: int
    seconds: float


class CreateBackup(BaseModel):
    """Take a backup now."""

    database: str
    effect: Effect


class BackupCreated(Change):
    """The new backup."""

    backup_id: str


class FollowPrimary(BaseModel):
    """Have the log of another server archived from now on: after a restore it is another history."""

    database: str
    server: str
    effect: Effect


Beat = Callable[[str], None]
"""Called at least every second with what is going on; heartbeats, and raises where the activity is to end."""


class BackupSystem(Protocol):
    """The backends' side, one for each database. Raises typed failures; `beat` is called while it takes long."""

    def backups(self) -> list[Backup]:
        """List them, newest first; `verified` is None throughout: verdicts are kept in the records."""

    def latest(self) -> datetime | None:
        """Tell what the archived log is known to reach."""

    def verify(self, backup_id: str, beat: Beat) -> tuple[bool, str]:
        """Check all files of a backup: good, and what was found."""

    def archive(self, server: "Server", beat: Beat) -> None:
        """Have all of the server's log until now in the archive."""

    def reach(self, backup_id: str, target: datetime, beat: Beat) -> Reach:
        """Look whether the log is complete from the backup to a commit after the target, or to the last seal."""

    def restore(self, backup_id: str, target: datetime, into: "Server", beat: Beat) -> None:
        """Put data and log on a spare server so that starting it recovers to the target; `discard`ed before."""

    def create(self, beat: Beat) -> str:
        """Take a backup; gives its ID."""

    def follow(self, server: "Server", beat: Beat) -> None:
        """Archive this server's log from now on."""
