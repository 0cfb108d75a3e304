"""One restore into a spare server: discarded, put there, started, watched until it is a primary, and marked as through.

The mark lies in what has been restored, and names the effect. An attempt that finds it has nothing left to do; one that
doesn't discards whatever an earlier one left, and begins anew.
"""

import hashlib
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from activities.common.effects import Effect
from activities.common.errors import ActivityFailure, Refused, Unavailable
from activities.common.heartbeat import pause
from activities.database.backups.system import BackupSystem, Beat, Reach
from activities.database.servers.servers import Databases, OnServer
from audit.text import counted
from libraries import logger, pq, psycopg


class RestoreBackup(BaseModel):
    """Restore into a spare server, beside the damaged one, and start it: it is a primary of its own then."""

    database: str
    backup_id: str
    target: datetime = Field(description="The last commit at or before it is in, the first after it is not.")
    into: str = Field(description="Name of the spare server; whatever was on it is gone.")
    effect: Effect


if TYPE_CHECKING:
    from activities.database.servers.hosts import HostControl

_LOOK_EVERY = 0.1
_DOWN_FOR = 3.0
"""Seconds without a process behind the port until it counts as ended: a start takes its time."""

_STARTS = 4
"""Where a server has ended this often while it recovered, starting it once more helps no better."""

_log = logger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What came of a restore, as its mark keeps it."""

    recovered_to: datetime | None
    timeline: int
    seconds: float
    applied: bool = False
    note: str = ""

    def mark(self, effect: str) -> str:
        """Write the mark of an effect; in characters that a tag of AWS may have as well."""
        at = self.recovered_to.isoformat(timespec="microseconds") if self.recovered_to else "-"
        return f"{effect} {at} {self.timeline} {self.seconds:.3f}"


def read_mark(text: str, effect: str) -> Outcome | None:
    """Read the mark of an effect; None where it is none, or another's."""
    parts = text.split()
    if len(parts) != 4 or parts[0] != effect:  # noqa: PLR2004 - as many as `Outcome.mark` writes
        return None
    _, at, timeline, seconds = parts
    return Outcome(None if at == "-" else datetime.fromisoformat(at), int(timeline), float(seconds))


class Restoring:
    """The steps of one attempt. Nobody else is at this spare server meanwhile: see `exclusive`."""

    def __init__(
        self, databases: Databases, hosts: "HostControl", system: BackupSystem, request: RestoreBackup, beat: Beat
    ) -> None:
        self._databases = databases
        self._hosts = hosts
        self._system = system
        self._request = request
        self._database = databases[request.database]
        self._into = self._database.server(request.into)
        self._at = OnServer(database=request.database, server=request.into)
        self._effect = hashlib.sha256(request.effect.key.encode()).hexdigest()[:32]
        self._beat = beat

    def run(self) -> Outcome:
        """Restore, or find that it has been done."""
        if self._request.effect.dry_run:
            return self._planned()
        done = self._through()
        if done is not None:
            return done
        began = time.monotonic()
        system, request = self._system, self._request
        if not system.begun(self._into, request.effect.key):
            self._beat("discarding")
            self._hosts.discard(self._into)
        system.restore(request.backup_id, request.target, self._into, request.effect.key, self._beat)
        self._recover()
        outcome = self._finish(began)
        _log.info(
            "restored",
            server=self._into.name,
            backup=request.backup_id,
            seconds=round(outcome.seconds, 1),
            effect=request.effect.key,
        )
        return outcome

    def _planned(self) -> Outcome:
        reach = self._reach()
        if not reach.reaches:
            raise Refused(reach.detail)
        return Outcome(self._request.target, timeline=0, seconds=0.0, note=f"plan only: {reach.detail}")

    def _reach(self) -> Reach:
        return self._system.reach(self._request.backup_id, self._request.target, self._beat)

    def _through(self) -> Outcome | None:
        """Look for the mark that an earlier attempt of this very effect left."""
        if self._ping() is not pq.Ping.OK:
            return None
        try:
            with self._databases.connect(self._at) as connection:
                return read_mark(self._system.mark(self._into, connection), self._effect)
        except ActivityFailure:
            return None  # whatever is there can't even be asked

    def _recover(self) -> None:
        """Start the server, and again where it ends, until it has recovered and takes writes.

        Raises:
            Refused: the log doesn't reach the target, or the server ended again and again; it is discarded then.

        """
        starts = 0
        up_at = 0.0  # when something was last seen behind the port
        while True:
            self._beat("recovering")
            ping = self._ping()
            if ping is not pq.Ping.NO_RESPONSE:
                up_at = time.monotonic()
            elif time.monotonic() - up_at > _DOWN_FOR:
                if starts:
                    self._look_into(starts)
                starts += 1
                up_at = time.monotonic() if self._start() else 0.0
            if ping is pq.Ping.OK and self._is_primary():
                return
            pause(_LOOK_EVERY)

    def _start(self) -> bool:
        try:
            self._hosts.start(self._into)
        except Unavailable as error:
            # Some commands wait for it, and call it a failure that it ended, or that a recovery takes long.
            _log.info("a start of a restored server failed", server=self._into.name, error=str(error))
            return False
        return True

    def _look_into(self, starts: int) -> None:
        """Ask what a server may have ended of: killed, it is started again; without its log, that helps nobody."""
        reach = self._reach()
        if reach.reaches and starts < _STARTS:
            return
        self._hosts.discard(self._into)
        raise Refused(
            f"{self._into.name} ended {counted(starts, 'time')} while it recovered from backup "
            f"{self._request.backup_id}, though its log is complete: verify the backup, and look into the server's "
            "own log"
            if reach.reaches
            else reach.detail
        )

    def _is_primary(self) -> bool:
        try:
            with self._databases.connect(self._at) as connection:
                row = connection.execute("SELECT pg_is_in_recovery() AS replica").fetchone()
        except Unavailable:
            return False  # it ended, or lets nobody in yet
        return row is not None and not row["replica"]

    def _finish(self, began: float) -> Outcome:
        with self._databases.connect(self._at) as connection:
            row: dict[str, Any] = (
                connection.execute(
                    """
                SELECT pg_last_xact_replay_timestamp() AS recovered_to,
                       ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int AS timeline
                """
                ).fetchone()
                or {}
            )
            seconds = round(time.monotonic() - began, 3)
            outcome = Outcome(row["recovered_to"], row["timeline"], seconds, applied=True)
            # The last of all, and the proof that it takes writes.
            self._system.finish(self._into, connection, outcome.mark(self._effect))
        return outcome

    def _ping(self) -> "pq.Ping":
        parameters = self._databases.parameters(self._at, statement_timeout=None)
        return pq.Ping(pq.PGconn.ping(psycopg.conninfo.make_conninfo(**parameters).encode()))
