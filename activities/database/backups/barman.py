"""Backups by Barman: its own commands and its own catalogue, which stay what an administrator can use beside us."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from activities.common.errors import Misconfigured, Unavailable
from activities.common.heartbeat import pause
from activities.database.backups.barman_log import BackupInLog, BarmanLog
from activities.database.backups.barman_program import BarmanProgram, errors, failure
from activities.database.backups.system import Backup, Beat, Reach, no_place
from libraries import sql

if TYPE_CHECKING:
    from activities.database.servers.servers import Connection, Server

_ARCHIVED_WITHIN = 300.0
"""Seconds until a segment that was closed must be in the archive."""

_RESETS = 5
_DETAIL_CHARACTERS = 500
_MARK = "runbooks.restored"
_RECOVERY_SETTINGS = (
    "restore_command",
    "recovery_end_command",
    "recovery_target",
    "recovery_target_action",
    "recovery_target_inclusive",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_timeline",
    "recovery_target_xid",
)
_STATUS: dict[str, Literal["done", "failed"]] = {"DONE": "done", "FAILED": "failed"}


@dataclass(frozen=True)
class BarmanOptions:
    """What settings say of Barman."""

    program: Sequence[str]
    server: str
    config: Path | None = None
    remote: str | None = None
    model: str | None = None
    waldump: Sequence[str] = ("pg_waldump",)


class BarmanBackups:
    """One database's backups in Barman; failures as `BarmanProgram` types them."""

    def __init__(self, options: BarmanOptions) -> None:
        self._options = options
        self._barman = BarmanProgram(options.program, options.config, options.server)
        self._log = BarmanLog(self._barman, options.waldump)

    def backups(self) -> list[Backup]:
        """List them, newest first."""
        listed = self._barman.json("list-backups")[self._options.server]
        return [self._backup(entry) for entry in sorted(listed, key=lambda entry: entry["backup_id"], reverse=True)]

    def latest(self, beat: Beat) -> datetime | None:
        """Read the last transaction's time from the end of the archived log."""
        listed = self._barman.json("list-backups")[self._options.server]
        done = max((entry["backup_id"] for entry in listed if entry["status"] == "DONE"), default=None)
        return self._log.reach(self._in_log(done), datetime.now(UTC), beat).latest if done else None

    def verify(self, backup_id: str, beat: Beat) -> tuple[bool, str]:
        """Have pg_verifybackup check every file against the backup's manifest."""
        done = self._barman.tried("verify-backup", backup_id, beat=beat, as_json=True)
        if done.code == 0:
            return True, "pg_verifybackup found every file as it was backed up"
        said = errors(done)
        if "verify backup failure" not in said:
            raise failure("verify-backup", done)
        found = said.partition("; ")[2] or said
        return False, found.replace("pg_verifybackup: error: ", "")[:_DETAIL_CHARACTERS]

    def archive(self, server: "Server", primary: "Connection", at: datetime, beat: Beat) -> None:
        """Close the segment that the log is written to, and wait until Barman has it.

        Raises:
            Unavailable: Barman didn't get it within five minutes.

        """
        del server, at  # both are in the segment
        row = (
            primary.execute(
                "SELECT pg_walfile_name(pg_current_wal_lsn()) AS current, pg_walfile_name(pg_switch_wal()) AS closed"
            ).fetchone()
            or {}
        )
        segment = str(row.get("current"))
        waited = 0.0
        while True:
            # The next segment must begin: only then the one before counts as complete.
            primary.execute("SELECT pg_logical_emit_message(false, 'runbooks', 'the segment before is complete')")
            self._barman.tried("archive-wal", beat=beat)
            if self._log.archived(segment, beat):
                return
            if waited > _ARCHIVED_WITHIN:
                raise Unavailable(
                    f"{segment} is not in Barman's archive yet: see `barman check {self._options.server}`"
                )
            beat(f"waiting for {segment}")
            pause(0.5)
            waited += 0.5

    def reach(self, backup_id: str, target: datetime, beat: Beat) -> Reach:
        """Look whether the archived log leads from a backup to a transaction after the target."""
        return self._log.reach(self._in_log(backup_id), target, beat)

    def begun(self, into: "Server", effect_key: str) -> bool:
        """Tell that what an earlier attempt has copied is of no use: it can't be told how far it got."""
        del into, effect_key
        return False

    def restore(self, backup_id: str, target: datetime, into: "Server", effect_key: str, beat: Beat) -> None:
        """Copy the backup and the log to a spare server's data directory, with the target in its settings.

        Barman switches the copy's `archive_command` off, so that it can't write into the archive that it came from.

        Raises:
            Misconfigured: settings don't say where the spare server's data directory is, or one of its tablespaces.

        """
        del effect_key
        if not into.directory:
            raise Misconfigured(f"settings don't name the data directory of server {into.name}: set its `directory`")
        shown = self._barman.json("show-backup", backup_id)[self._options.server]
        tablespaces = _tablespaces(shown)
        if unplaced := [name for name in tablespaces if name not in into.tablespaces]:
            raise Misconfigured(no_place(into.name, unplaced))
        timeline = "current"
        if self._log.forked(backup_id, beat):
            timeline = str(self._log.timeline(self._in_log(backup_id), target, beat))
        options = [
            "--target-time",
            target.astimezone(UTC).isoformat(timespec="microseconds"),
            "--target-tli",
            timeline,
            "--target-action",
            "promote",
            "--jobs",
            str(os.cpu_count() or 1),
            *(word for name in tablespaces for word in ("--tablespace", f"{name}:{into.tablespaces[name]}")),
        ]
        if self._options.remote:
            remote = self._options.remote.format(host=into.host or "", server=into.name)
            options += ["--remote-ssh-command", remote]
        self._barman.text("recover", backup_id, into.directory, options=options, beat=beat)

    def finish(self, into: "Server", connection: "Connection", mark: str) -> None:
        """Take the recovery's settings out of a restored server, and leave the mark in it.

        As a replica it would else stop at the old target, and promote itself.
        """
        del into
        connection.execute("SET synchronous_commit = local")
        for name in _RECOVERY_SETTINGS:
            connection.execute(sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name)))
        waits = connection.execute("SHOW synchronous_standby_names").fetchone() or {}
        if waits.get("synchronous_standby_names"):
            # It has no replica yet: every commit would wait for ever.
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
        connection.execute("SELECT pg_reload_conf()")
        database = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET {} = {}").format(database, sql.SQL(_MARK), sql.Literal(mark)))

    def mark(self, into: "Server", connection: "Connection") -> str:
        """Give the mark that `finish` has left; it lies in the database, so it goes with its data."""
        del into
        row = connection.execute("SELECT current_setting(%s, true) AS mark", (_MARK,)).fetchone() or {}
        return str(row.get("mark") or "")

    def create(self, server: "Server | None", effect_key: str, beat: Beat) -> str:
        """Take a backup, named after the effect, and wait until its log is archived; gives its ID.

        Raises:
            Conflict: one is being taken.

        """
        del server  # it is the one whose log Barman gets
        name = f"runbooks-{hashlib.sha256(effect_key.encode()).hexdigest()[:20]}"
        if not (found := self._named(name)):
            self._barman.text("backup", options=("--wait", "--name", name), beat=beat)
            found = self._named(name)
        while found and found["status"] == "WAITING_FOR_WALS":
            beat("waiting for the backup's log")
            self._barman.tried("archive-wal", beat=beat)
            pause(1)
            found = self._named(name)
        if not found:
            raise Unavailable("barman took a backup that isn't in its catalogue: see `barman list-backups`")
        return str(found["backup_id"])

    def follow(self, server: "Server", primary: "Connection", beat: Beat) -> None:
        """Receive this server's log from now on, and see a segment of it archived."""
        if self._options.model:
            self._barman.text("config-switch", self._options.model.format(server=server.name), beat=beat)
        slot = self._barman.tried("receive-wal", options=("--create-slot",), beat=beat)
        if slot.code and "already exists" not in errors(slot):
            raise failure("receive-wal --create-slot", slot)
        # It can't be reset while it receives, and `barman cron` may start it again at any moment.
        for attempt in range(_RESETS, 0, -1):
            self._barman.tried("receive-wal", options=("--stop",), beat=beat)
            reset = self._barman.tried("receive-wal", options=("--reset",), beat=beat)
            if reset.code == 0:
                break
            if "still running" not in errors(reset) or attempt == 1:
                raise failure("receive-wal --reset", reset)
        self._barman.maintain(beat)
        self.archive(server, primary, datetime.now(UTC), beat)

    def _named(self, name: str) -> dict[str, Any] | None:
        """Find a backup by its name; one that was broken off doesn't count."""
        listed: list[dict[str, Any]] = self._barman.json("list-backups")[self._options.server]
        found = [entry for entry in listed if entry.get("backup_name") == name]
        return next((entry for entry in found if entry["status"] in {"DONE", "WAITING_FOR_WALS"}), None)

    def _in_log(self, backup_id: str) -> BackupInLog:
        return BackupInLog.of(backup_id, self._barman.json("show-backup", backup_id)[self._options.server])

    def _backup(self, entry: dict[str, Any]) -> Backup:
        backup_id = str(entry["backup_id"])
        shown = self._barman.json("show-backup", backup_id)[self._options.server]
        base = shown.get("base_backup_information") or {}
        return Backup(
            backup_id=backup_id,
            status=_STATUS.get(entry["status"], "running"),
            began_at=_time(base.get("begin_time")),
            ended_at=_time(base.get("end_time")),
            size=int(entry.get("size_bytes") or 0),
            timeline=base.get("timeline"),
            tablespaces=_tablespaces(shown),
            detail=str(shown.get("error") or "")[:_DETAIL_CHARACTERS],
        )


def _tablespaces(shown: dict[str, Any]) -> list[str]:
    return [str(one["name"]) for one in shown.get("tablespaces") or ()]


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
