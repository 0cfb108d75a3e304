"""The service's sessions at its database: waited for, and ended where they stay (runbook 7.3 step 1)."""

from datetime import timedelta

from pydantic import Field
from temporalio import activity

from activities.databases import Connection, Databases, OnServer
from activities.effects import Change, Effect, effect
from activities.errors import Unavailable
from activities.heartbeat import Progress, resume, turns
from audit.text import counted, noun

_LOOK_EVERY = timedelta(milliseconds=250)
_ENDED_WITHIN = timedelta(seconds=10)

_OF_THE_SERVICE = """
FROM pg_stat_activity a JOIN pg_roles r ON r.rolname = a.usename
WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.usename <> current_user
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
        for elapsed in turns(progress, within=request.leave_within + _ENDED_WITHIN, every=_LOOK_EVERY):
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
            message = f"{still} still at {request.database}/{request.server}: end {noun(left, 'it', 'them')}"
            raise Unavailable(message)
        return SessionsEnded(
            target=target, after="no sessions of the service", applied=bool(ended), ended=len(ended),
            note=f"{len(ended)} had to be ended" if ended else "",
        )  # fmt: skip


def _count(connection: Connection, roles: tuple[str, ...]) -> int:
    row = connection.execute(f"SELECT count(*) AS sessions {_OF_THE_SERVICE}", {"roles": list(roles)}).fetchone()
    return 0 if row is None else int(row["sessions"])


def _end(connection: Connection, roles: tuple[str, ...]) -> set[int]:
    found = connection.execute(
        f"SELECT a.pid, pg_terminate_backend(a.pid) AS told {_OF_THE_SERVICE}", {"roles": list(roles)}
    )
    return {row["pid"] for row in found if row["told"]}
