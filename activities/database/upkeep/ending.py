"""Ending a query that a person has decided against (runbook 6.2 step 5): `tensafe-admin db query kill`.

A PID alone names nobody, since the system uses them again. A session is the PID and its start; a query is that and its
own start. All of it is compared by the statement that sends the signal.
"""

from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import Refused, Unavailable
from activities.common.heartbeat import Progress, resume, turns
from activities.database.servers.servers import Connection, Databases, OnServer
from activities.database.upkeep.sessions import protection
from audit.text import counted, length, noun
from libraries import logger, sql

_log = logger(__name__)
_LOOK_EVERY = timedelta(milliseconds=100)
_GONE_WITHIN = timedelta(seconds=15)

_IS_IT = """
    a.pid = %(pid)s AND a.backend_start = %(backend_start)s AND a.pid <> pg_backend_pid()
    AND a.xact_start IS NOT DISTINCT FROM %(xact_start)s
    AND (NOT %(active)s OR (a.state = 'active' AND a.query_start = %(query_start)s))
"""

_SEEN = f"""
    SELECT a.state, a.backend_type, a.application_name AS application, coalesce(r.rolsuper, false) AS superuser
    FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid WHERE {_IS_IT}
"""  # noqa: S608 - made of constants

_SIGNAL = f"SELECT {{}}(a.pid) FROM pg_stat_activity a WHERE a.backend_type = 'client backend' AND {_IS_IT}"  # noqa: S608


class EndSession(OnServer):
    """End one query or idle transaction, as it was seen."""

    pid: int
    backend_start: datetime
    xact_start: datetime | None
    query_start: datetime | None
    active: bool = Field(description="It ran a query; else its transaction idled.")
    named: bool = Field(default=False, description="The request names it, so a superuser's may be ended.")
    cancel_within: timedelta = Field(description="For the query to obey; then its session is ended.")
    effect: Effect


class Ended(Change):
    """How it ended."""

    how: Literal["cancelled", "terminated", "gone", "planned"] = Field(
        description="`gone`: it had ended by itself, or by an earlier attempt."
    )


def end(connection: Connection, request: EndSession) -> Ended:
    """Cancel, wait, terminate.

    Raises:
        Refused: it may not be ended.
        Unavailable: it doesn't end.
        CancelledError: the activity was cancelled meanwhile.

    """
    identity = {
        "pid": request.pid,
        "backend_start": request.backend_start,
        "xact_start": request.xact_start,
        "query_start": request.query_start,
        "active": request.active,
    }
    seen = connection.execute(_SEEN, identity).fetchone()
    if seen is None:
        return _ended(request, "gone", "it has ended already")
    why_not = protection(seen["backend_type"], seen["application"], superuser=seen["superuser"], named=request.named)
    if why_not:
        raise Refused(f"session {request.pid} is not ended: {why_not}")
    if request.effect.dry_run:
        return _ended(request, "planned", "")
    if request.active:
        _signal(connection, "pg_cancel_backend", identity)
        if _leaves(connection, identity, request.cancel_within):
            return _ended(request, "cancelled", "")
    _signal(connection, "pg_terminate_backend", identity)
    if _leaves(connection, identity, _GONE_WITHIN):
        return _ended(request, "terminated", f"it did not obey within {length(request.cancel_within)}" * request.active)
    raise Unavailable(f"session {request.pid} was told to end and does not yet: it may wait for its disk or network")


def _signal(connection: Connection, function: str, identity: dict[str, Any]) -> None:
    connection.execute(sql.SQL(_SIGNAL).format(sql.Identifier(function)), identity)


def _leaves(connection: Connection, identity: dict[str, Any], within: timedelta) -> bool:
    for _ in turns(Progress(), within=within, every=_LOOK_EVERY):
        if connection.execute(_SEEN, identity).fetchone() is None:
            return True
    return False


def _ended(request: EndSession, how: Literal["cancelled", "terminated", "gone", "planned"], note: str) -> Ended:
    applied = how in {"cancelled", "terminated"}
    _log.info("session ended", pid=request.pid, how=how, effect=request.effect.key)
    before = f"at work since {request.query_start:%H:%M:%S %Z}" if request.active else "idle in transaction"
    after = "ended" if how in {"gone", "planned"} else how
    return Ended(target=f"session/{request.pid}", before=before, after=after, applied=applied, note=note, how=how)


_SESSIONS_EVERY = timedelta(milliseconds=250)
_ENDED_WITHIN = timedelta(seconds=10)

# Without backend_type: one that we may not look at closely. It writes none the less.
_OF_THE_SERVICE = """
FROM pg_stat_activity a JOIN pg_roles r ON r.rolname = a.usename
WHERE a.datname = current_database() AND a.usename <> current_user
  AND (a.backend_type = 'client backend' OR a.backend_type IS NULL)
  AND CASE WHEN cardinality(%(roles)s::text[]) > 0 THEN a.usename = ANY(%(roles)s::text[])
           ELSE NOT (r.rolsuper OR r.rolreplication) END
"""


class EndSessions(OnServer):
    """Wait until the service has left a database, and end what stays."""

    roles: tuple[str, ...] = Field(
        default=(), description="The service's; all but superusers and replication where none is named."
    )
    leave_within: timedelta = Field(description="Before that, sessions end by themselves.")
    effect: Effect


class SessionsEnded(Change):
    """How they left."""

    ended: int = Field(description="How many had to be ended.")


class Sessions:
    """Looks at sessions, and ends them; raises as `Databases.connect` does. Superusers' and our own are let be."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    @activity.defn(name="sessions.end", no_thread_cancel_exception=True)
    @effect
    def end(self, request: EndSessions) -> SessionsEnded:
        """Wait for the sessions' end, and bring it about when the time is up.

        Raises:
            Unavailable: some are still there, though they were told to end.

        """
        target, ended, left = f"database/{request.database}", set[int](), 0
        progress = resume(Progress)
        for elapsed in turns(progress, within=request.leave_within + _ENDED_WITHIN, every=_SESSIONS_EVERY):
            with self._databases.connect(request) as connection:
                left = _count(connection, request.roles)
                if request.effect.dry_run:
                    to_leave = f"{counted(left, 'session')} to leave"
                    return SessionsEnded(target=target, after=to_leave, applied=False, ended=0)
                if not left:
                    break
                if elapsed >= request.leave_within.total_seconds():
                    ended |= _end(connection, request.roles)
        if left:
            still = counted(left, "session of the service is", "sessions of the service are")
            raise Unavailable(f"{still} still at {request.database}/{request.server}: end {noun(left, 'it', 'them')}")
        return SessionsEnded(
            target=target,
            after="no sessions of the service",
            applied=bool(ended),
            ended=len(ended),
            note=f"{len(ended)} had to be ended" if ended else "",
        )


def _count(connection: Connection, roles: tuple[str, ...]) -> int:
    row = connection.execute(f"SELECT count(*) AS sessions {_OF_THE_SERVICE}", {"roles": list(roles)}).fetchone()
    return 0 if row is None else int(row["sessions"])


def _end(connection: Connection, roles: tuple[str, ...]) -> set[int]:
    found = connection.execute(
        f"SELECT a.pid, pg_terminate_backend(a.pid) AS told {_OF_THE_SERVICE}", {"roles": list(roles)}
    )
    return {row["pid"] for row in found if row["told"]}
