"""Backups of a service's database, and restores from them (runbook 7.2 step 2, 7.3 steps 3 and 4).

`tensafe-admin backup list|restore`. Two backends: Barman for PostgreSQL that one runs oneself, and AWS RDS
(`activities.database.backups.system`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import InvalidInput, Refused
from activities.common.heartbeat import pause
from activities.database.backups.exclusive import exclusive
from activities.database.backups.restoring import RestoreBackup, Restoring
from activities.database.backups.system import Backup, BackupSystem, Reach
from activities.database.backups.verdicts import Verdict, Verdicts
from activities.database.servers.servers import Databases, OnServer
from audit.text import counted

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

    from activities.database.servers.hosts import HostControl
    from records_schema.pool import BoundedConnection


class BackupsRequest(BaseModel):
    """Which database's backups."""

    database: str


class BackupCatalogue(BaseModel):
    """All backups, newest first, and the times that can be recovered."""

    items: list[Backup]
    earliest: datetime | None = Field(description="The end of the oldest usable backup; None where there is none.")
    latest: datetime | None = Field(description="What the archived log is known to reach; None where not known.")

    def __str__(self) -> str:
        good = sum(backup.verified is True for backup in self.items)
        count = f"{counted(len(self.items), 'backup')}, {good} verified"
        if self.earliest is None:
            return f"{count}, nothing can be recovered"
        until = f"to {self.latest:%Y-%m-%d %H:%M:%S %Z}" if self.latest else "on"
        return f"{count}, recoverable from {self.earliest:%Y-%m-%d %H:%M:%S %Z} {until}"


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


class Restored(Change):
    """A restored server that takes connections, and writes."""

    server: str
    recovered_to: datetime | None = Field(description="Time of the last transaction that was replayed.")
    timeline: int
    seconds: float


class CreateBackup(BaseModel):
    """Take a backup now."""

    database: str
    server: str | None = Field(
        default=None, description="The primary. Barman takes it from the server whose log it gets, whatever is said."
    )
    effect: Effect


class BackupCreated(Change):
    """The new backup."""

    backup_id: str


class FollowPrimary(BaseModel):
    """Have the log of another server archived from now on: after a restore it is another history."""

    database: str
    server: str
    effect: Effect


class Backups:
    """Lists, checks, takes and restores backups.

    Raises from every method: `Misconfigured` (settings don't have the database or server, or lack something),
    `NotFound` (no such backup), `Unavailable` (the backup system, a server or the records don't answer), `Conflict`
    (another is at it), `Refused` (understood, and refused).
    """

    def __init__(
        self,
        databases: Databases,
        hosts: Mapping[str, "HostControl"],
        systems: Mapping[str, BackupSystem],
        pool: "ConnectionPool[BoundedConnection]",
    ) -> None:
        """Take what stands behind each database, by its name."""
        self._databases = databases
        self._hosts = hosts
        self._systems = systems
        self._verdicts = Verdicts(pool)
        self._pool = pool

    @activity.defn(name="backups.list", no_thread_cancel_exception=True)
    def catalogue(self, request: BackupsRequest) -> BackupCatalogue:
        """`tensafe-admin backup list` (7.3 step 3)."""
        system = self._system(request.database)
        verdicts = self._verdicts.of(request.database)
        items = [_judged(backup, verdicts.get(backup.backup_id)) for backup in system.backups()]
        servers = self._databases[request.database].servers
        for item in items:
            placed = {name: set(server.tablespaces) for name, server in servers.items()}
            without = {name: [one for one in item.tablespaces if one not in known] for name, known in placed.items()}
            item.unplaced = {name: names for name, names in without.items() if names}
        usable = [item.ended_at for item in items if item.status == "done" and item.verified is not False]
        earliest = min((ended_at for ended_at in usable if ended_at), default=None)
        return BackupCatalogue(items=items, earliest=earliest, latest=system.latest(beat))

    @activity.defn(name="backups.verify", no_thread_cancel_exception=True)
    @effect
    def verify(self, request: VerifyBackup) -> BackupVerdict:
        """Check a backup and remember the verdict (7.3 step 3). A failed check is a result and no error.

        In plan mode it is checked, and the verdict is not kept.
        """
        known = self._verdicts.by(request.effect)
        if known is None:
            good, detail = self._system(request.database).verify(request.backup_id, beat)
            known = Verdict(backup_id=request.backup_id, good=good, detail=detail)
        applied = self._verdicts.keep(request.database, known, request.effect)
        return BackupVerdict(
            target=f"backup/{request.backup_id}",
            after="verified" if known.good else "NOT GOOD",
            note=known.detail,
            applied=applied,
            good=known.good,
            detail=known.detail,
        )

    @activity.defn(name="backups.seal", no_thread_cancel_exception=True)
    @effect
    def seal(self, request: SealLog) -> Sealed:
        """Commit a transaction of our own, and have the log up to it archived (before 7.3 step 1).

        PostgreSQL ends a recovery by time at the first transaction after it, so there must be one. It changes no table:
        a message in the log that names the effect. A second attempt commits another one, which harms nobody.

        Raises:
            Refused: the server is a replica.

        """
        database = self._databases[request.database]
        server = database.server(request.server)
        with self._databases.connect(OnServer(database=request.database, server=server.name)) as primary:
            row = primary.execute("SELECT pg_is_in_recovery() AS replica, clock_timestamp() AS now").fetchone() or {}
            if row["replica"]:
                raise Refused(f"{server.name} is a replica: only a primary's log can be sealed")
            at: datetime = row["now"]
            if not request.effect.dry_run:
                # Its commit must not wait for a replica that is away.
                primary.execute("SET synchronous_commit = local")
                row = (
                    primary.execute(
                        "SELECT clock_timestamp() AS now, pg_logical_emit_message(true, 'runbooks', %s)",
                        (request.effect.key,),
                    ).fetchone()
                    or {}
                )
                at = row["now"]
                self._system(request.database).archive(server, primary, at, beat)
        return Sealed(
            target=f"log/{server.name}",
            after=f"archived up to {at:%F %T.%f %Z}",
            applied=not request.effect.dry_run,
            at=at,
        )

    @activity.defn(name="backups.reach", no_thread_cancel_exception=True)
    def reach(self, request: ReachRequest) -> Reach:
        """Look whether the archived log leads from a backup to a time (7.3 step 4, before anything is changed)."""
        _with_offset(request.target)
        return self._system(request.database).reach(request.backup_id, request.target, beat)

    @activity.defn(name="backups.restore", no_thread_cancel_exception=True)
    @effect
    def restore(self, request: RestoreBackup) -> Restored:
        """`tensafe-admin backup restore --point-in-time` (7.3 step 4), beside the data that are there.

        Whatever a killed attempt left is discarded and made anew, unless it was through. Cancelled, it leaves the spare
        server as it is then: discard it. In plan mode it is only looked whether the log reaches the target.

        Raises:
            Refused: the log doesn't reach the target, or the server ended again and again while it recovered; nothing
                keeps running then.

        """
        _with_offset(request.target)
        lock = f"restore/{request.database}/{request.into}"
        with exclusive(self._pool, lock, f"another restore into {request.into}") as check:

            def watched(doing: str) -> None:
                check()
                beat(doing)

            system = self._system(request.database)
            outcome = Restoring(self._databases, self._hosts[request.database], system, request, watched).run()
        return Restored(
            target=f"server/{request.into}",
            after=f"restored from {request.backup_id} to {request.target:%F %T.%f %Z}",
            applied=outcome.applied,
            note=outcome.note,
            server=request.into,
            recovered_to=outcome.recovered_to,
            timeline=outcome.timeline,
            seconds=outcome.seconds,
        )

    @activity.defn(name="backups.create", no_thread_cancel_exception=True)
    @effect
    def create(self, request: CreateBackup) -> BackupCreated:
        """Take a backup now; after a restore the old ones lead to another history."""
        database = self._databases[request.database]
        if request.effect.dry_run:
            return BackupCreated(target=f"database/{database.name}", after="backed up", applied=False, backup_id="")
        server = database.server(request.server) if request.server else None
        with exclusive(self._pool, f"backup/{request.database}", f"another backup of {request.database}"):
            backup_id = self._system(request.database).create(server, request.effect.key, beat)
        return BackupCreated(
            target=f"database/{database.name}", after=f"backed up as {backup_id}", applied=True, backup_id=backup_id
        )

    @activity.defn(name="backups.follow", no_thread_cancel_exception=True)
    @effect
    def follow(self, request: FollowPrimary) -> Change:
        """Make another server's log the one that is archived (7.1, 7.3): until then it can't be restored.

        Raises:
            Refused: the server is a replica.

        """
        database = self._databases[request.database]
        server = database.server(request.server)
        at = OnServer(database=request.database, server=server.name)
        with self._databases.connect(at) as primary:
            row = (
                primary.execute(
                    """
                SELECT pg_is_in_recovery() AS replica,
                       current_setting('archive_mode') <> 'off' AND current_setting('archive_command') = 'false' AS off
                """
                ).fetchone()
                or {}
            )
            if row["replica"]:
                raise Refused(f"{server.name} is a replica: the primary's log is what is archived")
            if not request.effect.dry_run:
                self._system(request.database).follow(server, primary, beat)
        return Change(
            target=f"log/{database.name}",
            after=f"archived from {server.name}",
            applied=not request.effect.dry_run,
            note=f"set archive_command on {server.name}: Barman left it off, and its log fills the disk"
            if row["off"]
            else "",
        )

    def _system(self, name: str) -> BackupSystem:
        return self._systems[self._databases[name].name]


def beat(doing: str) -> None:
    """Be the `Beat` of an activity whose heart beats by itself, as the workers' do.

    Raises:
        CancelledError: the activity was cancelled.
        Unavailable: its worker is shutting down; the attempt that follows does it.

    """
    del doing
    pause(0)


def _judged(backup: Backup, verdict: Verdict | None) -> Backup:
    if verdict is None:
        return backup
    return backup.model_copy(update={"verified": verdict.good, "detail": backup.detail or verdict.detail})


def _with_offset(target: datetime) -> None:
    if target.tzinfo is None:
        raise InvalidInput("target: say its time zone, for example 2026-02-04T12:00:00Z")
