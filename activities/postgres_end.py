"""Ending a query that a person has decided against (runbook 6.2 step 5): `tensafe-admin db query kill`.

A PID alone names nobody, since the system uses them again. A session is the PID and its start; a query is that and its
own start. All of it is compared by the statement that sends the signal.
"""

from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import Field

from activities.databases import Connection, OnServer
from activities.effects import Change, Effect
from activities.errors import Refused, Unavailable
from activities.heartbeat import Progress, turns
from activities.postgres_sessions import protection
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
        "pid": request.pid, "backend_start": request.backend_start, "xact_start": request.xact_start,
        "query_start": request.query_start, "active": request.active,
    }  # fmt: skip
    seen = connection.execute(_SEEN, identity).fetchone()
    if seen is None:
        return _ended(request, "gone", "it has ended already")
    why_not = protection(seen["backend_type"], seen["application"], superuser=seen["superuser"], named=request.named)
    if why_not:
        message = f"session {request.pid} is not ended: {why_not}"
        raise Refused(message)
    if request.effect.dry_run:
        return _ended(request, "planned", "")
    if request.active:
        _signal(connection, "pg_cancel_backend", identity)
        if _leaves(connection, identity, request.cancel_within):
            return _ended(request, "cancelled", "")
    _signal(connection, "pg_terminate_backend", identity)
    if _leaves(connection, identity, _GONE_WITHIN):
        return _ended(request, "terminated", f"it did not obey within {request.cancel_within}" * request.active)
    message = f"session {request.pid} was told to end and does not yet: it may wait for its disk or network"
    raise Unavailable(message)


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
