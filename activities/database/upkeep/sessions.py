"""Who is at work in a database, for how long, and who waits for whom (runbook 6.2 steps 4 and 5).

`tensafe-admin db queries --running`.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, Field

from activities.database.servers.servers import Connection, OnServer
from activities.database.upkeep.sql_redaction import redacted
from audit.text import counted, noun

OURS = "runbooks"
"""What the application names of our own sessions begin with."""

_MOST = 50
_ACTIVE = "active"
_SESSIONS = """
    SELECT a.pid, a.backend_start, a.xact_start, a.query_start, coalesce(a.state, '') AS state, a.backend_type,
           coalesce(a.usename, '') AS user, left(a.application_name, 60) AS application,
           coalesce(r.rolsuper, false) AS superuser,
           coalesce(extract(epoch FROM clock_timestamp() - CASE a.state WHEN 'active' THEN a.query_start
                                                                ELSE a.xact_start END), 0)::float AS seconds,
           coalesce(a.wait_event_type || ': ' || a.wait_event, '') AS waits_for,
           CASE WHEN a.wait_event_type = 'Lock' THEN pg_blocking_pids(a.pid) ELSE '{}' END AS blocked_by,
           coalesce(a.query, '') AS query
    FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid
    WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.leader_pid IS NULL
"""
# Who may not see a session gets no backend_type of it. One with track_activities off says when it began, no more.
_UNSEEN = """
    SELECT coalesce(usename, 'nobody') AS user, current_user AS ours, backend_type IS NULL AS hidden,
           count(*) AS sessions
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND usesysid IS NOT NULL
      AND (backend_type IS NULL OR backend_type = 'client backend' AND state = 'disabled')
    GROUP BY 1, 3 ORDER BY 1, 3
"""


class QueriesRequest(OnServer):
    """Which sessions are looked for."""

    min_duration: timedelta = Field(description="Of a query, or of a transaction that idles.")
    named: list[int] = Field(default_factory=list, description="Backend PIDs to list whatever they do.")


class RunningSession(BaseModel):
    """One session of the database."""

    pid: int
    backend_start: datetime = Field(description="With the PID it names the session; PIDs are used again.")
    xact_start: datetime | None = None
    query_start: datetime | None = None
    state: str = Field(description="As pg_stat_activity says: `active`, `idle in transaction`, …")
    backend_type: str = "client backend"
    user: str
    application: str = ""
    superuser: bool = False
    seconds: float = Field(description="Of its query; of its transaction where that idles.")
    waits_for: str = ""
    blocked_by: list[int] = Field(default_factory=list, description="PIDs; 0 is a prepared transaction.")
    blocks: int = Field(default=0, description="Sessions that wait for it, also through others.")
    query: str = Field(description="The last one, without literals.")
    long: bool = Field(default=False, description="Longer than was asked for.")
    named: bool = Field(default=False, description="The request names it.")

    @property
    def protected(self) -> str:
        """Why it can't be ended; empty where it may be."""
        return protection(self.backend_type, self.application, superuser=self.superuser, named=self.named)

    def __str__(self) -> str:
        what = "query" if self.state == _ACTIVE else self.state
        who = f"{self.user}{f' ({self.application})' if self.application else ''}"
        waits = f", waits for {_who(self.blocked_by)}" if self.blocked_by else ""
        blocks = f", blocks {self.blocks}" if self.blocks else ""
        safe = f" [{self.protected}]" if self.protected else ""
        return f"{self.pid} {who}: {what} for {_seconds(self.seconds)}{waits}{blocks}{safe}: {self.query}"


class RunningQueries(BaseModel):
    """What runs long, what it waits for, and what waits for it; the longest first."""

    items: list[RunningSession]
    missing: list[int] = Field(default_factory=list, description="PIDs of the request that there are none of.")
    more: int = Field(default=0, description="That are not listed.")
    unseen: list[str] = Field(default_factory=list, description="Sessions of which it can't be said, and why.")

    def __str__(self) -> str:
        long = sum(session.long for session in self.items)
        unseen = f"; not seen: {'; '.join(self.unseen)}" if self.unseen else ""
        if not self.items:
            return f"{'of those that are seen, ' * bool(unseen)}nothing runs long, nobody waits{unseen}"
        blocking = sum(session.blocks > 0 for session in self.items)
        return f"{long} long, {blocking} that others wait for{unseen}"

    @property
    def to_end(self) -> list[RunningSession]:
        """Those that a person may choose to end."""
        chosen = (session for session in self.items if session.long or session.blocks or session.named)
        return [session for session in chosen if not session.protected]

    def tree(self) -> list[str]:
        """Give a line each: below a session those that wait for it."""
        return list(_tree(self.items))


def protection(backend_type: str, application: str, *, superuser: bool, named: bool) -> str:
    """Say why a session is never ended by a run; empty where it may be."""
    if backend_type != "client backend":
        return f"a {backend_type}: never ended by a run"
    if application.startswith(OURS):
        return "ours"
    if superuser and not named:
        return "a superuser's: only where the request names it"
    return ""


def running(connection: Connection, request: QueriesRequest) -> RunningQueries:
    """List the long ones, those that others wait for, those that wait, and the named ones."""
    rows = [row for row in connection.execute(_SESSIONS) if row["backend_type"] is not None]
    found = {row["pid"]: _session(row, request) for row in rows}
    waiting = {pid: set(session.blocked_by) for pid, session in found.items() if session.blocked_by}
    for pid, session in found.items():
        session.blocks = len(_behind(pid, waiting))
    told = [
        session for session in found.values() if session.long or session.named or session.blocks or session.blocked_by
    ]
    told.sort(key=lambda session: (not session.named, -session.blocks, -session.seconds))
    missing = [pid for pid in request.named if pid not in found]
    return RunningQueries(
        items=told[:_MOST], missing=missing, more=max(len(told) - _MOST, 0), unseen=unseen(connection)
    )


def unseen(connection: Connection) -> list[str]:
    """Say whose sessions of the database don't tell what they do, how many, and what changes that."""
    told = []
    for row in connection.execute(_UNSEEN):
        sessions = f"{counted(row['sessions'], 'session')} of {row['user']}"
        if row["hidden"]:
            told.append(f"{sessions}: {row['ours']} may not see them (GRANT pg_read_all_stats TO {row['ours']})")
        else:
            told.append(f"{sessions}: track_activities is off for {noun(row['sessions'], 'it', 'them')}")
    return told


def _session(row: dict[str, Any], request: QueriesRequest) -> RunningSession:
    session = RunningSession.model_validate(row | {"query": redacted(row["query"])})
    session.named = session.pid in request.named
    works = session.backend_type == "client backend" and session.state not in {"", "idle"}
    session.long = works and session.seconds >= request.min_duration.total_seconds()
    return session


def _behind(pid: int, waiting: dict[int, set[int]]) -> set[int]:
    """Find all that wait for a session, also through others."""
    behind: set[int] = set()
    ahead = {pid}
    while ahead:
        ahead = {waiter for waiter, on in waiting.items() if on & ahead} - behind - {pid}
        behind |= ahead
    return behind


def _tree(items: Iterable[RunningSession]) -> Iterator[str]:
    by_pid = {session.pid: session for session in items}
    seen: set[int] = set()

    def below(session: RunningSession, depth: int) -> Iterator[str]:
        if session.pid in seen:
            return
        seen.add(session.pid)
        yield f"{'  ' * depth}{session}"
        for waiter in by_pid.values():
            if session.pid in waiter.blocked_by:
                yield from below(waiter, depth + 1)

    roots = [session for session in by_pid.values() if not any(pid in by_pid for pid in session.blocked_by)]
    for session in (*roots, *by_pid.values()):  # those that wait for each other in a circle have no root
        yield from below(session, 0)


def _who(pids: list[int]) -> str:
    return ", ".join(str(pid) if pid else "a prepared transaction" for pid in dict.fromkeys(pids))


def _seconds(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
