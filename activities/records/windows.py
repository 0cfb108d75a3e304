"""Maintenance windows in the records (runbook 6.1): scheduled, in progress, over.

A window in progress is a hold on its service, kept in one place: whoever pages for the service or mitigates by itself
looks here first. It counts until `held_until`, so that one whose run was terminated ends by itself.
"""

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import Refused
from activities.records.ledger import Ledger, Rows

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

WindowStatus = Literal["scheduled", "in_progress", "completed", "cancelled"]


class ScheduleWindow(BaseModel):
    """`tensafe-admin maintenance create`."""

    window_id: str
    service: str
    title: str
    impact: str
    starts_at: datetime
    ends_at: datetime
    effect: Effect


class StartWindow(BaseModel):
    """`tensafe-admin maintenance start`: from here on it is a hold."""

    window_id: str
    service: str
    at: datetime
    ends_at: datetime
    held_until: datetime
    effect: Effect


class MoveWindow(BaseModel):
    """A window that is in progress ends later."""

    window_id: str
    service: str
    ends_at: datetime
    held_until: datetime
    effect: Effect


class EndWindow(BaseModel):
    """`tensafe-admin maintenance end`; also of one that never began."""

    window_id: str
    status: Literal["completed", "cancelled"]
    at: datetime
    outcome: str
    effect: Effect


class CurrentWindowRequest(BaseModel):
    """Which window is a service in."""

    service: str
    at: datetime


class Window(BaseModel):
    """A window that is in progress; times are UTC."""

    window_id: str
    title: str
    starts_at: datetime
    ends_at: datetime
    held_until: datetime
    workflow_id: str

    def __str__(self) -> str:
        return f"{self.window_id} ({self.title}), until {self.ends_at:%Y-%m-%d %H:%M} UTC"


class CurrentWindow(BaseModel):
    """The window that a service is in, if it is in one."""

    window: Window | None = None

    def __str__(self) -> str:
        return f"in maintenance: {self.window}" if self.window else "no maintenance"


class WindowsRequest(BaseModel):
    """A service's windows that are not over, and touch a stretch of time."""

    service: str
    begin: datetime
    end: datetime


class PlannedWindow(BaseModel):
    """One of them; times are UTC."""

    window_id: str
    title: str
    status: WindowStatus
    starts_at: datetime
    ends_at: datetime


class PlannedWindows(BaseModel):
    """In order of time."""

    items: list[PlannedWindow]

    def __str__(self) -> str:
        return ", ".join(f"{one.window_id} ({one.title})" for one in self.items) or "no windows"


class MaintenanceWindows:
    """Reads and writes windows; fails as `activities.records.activities.Records` does."""

    def __init__(self, pool: "ConnectionPool[Any]") -> None:
        self._ledger = Ledger(pool)

    @activity.defn(name="windows.schedule")
    @effect
    def schedule(self, request: ScheduleWindow) -> Change:
        """Enter a window.

        Raises:
            Refused: it overlaps another window of the service; says which.

        """
        return self._ledger.once(request.effect, "window.schedule", partial(_schedule, request=request))

    @activity.defn(name="windows.start")
    @effect
    def start(self, request: StartWindow) -> Change:
        """Begin it, at another time than was planned if need be.

        Raises:
            Refused: another window of the service is in progress, or overlaps the time; says which.

        """
        return self._ledger.once(request.effect, "window.start", partial(_start, request=request))

    @activity.defn(name="windows.move")
    @effect
    def move(self, request: MoveWindow) -> Change:
        """Move its end.

        Raises:
            Refused: it is not in progress, or it would reach into the next window of the service.

        """
        return self._ledger.once(request.effect, "window.move", partial(_move, request=request))

    @activity.defn(name="windows.end")
    @effect
    def end(self, request: EndWindow) -> Change:
        """End it, and with it the hold; not applied where it has ended, or was never entered."""
        return self._ledger.once(request.effect, "window.end", partial(_end, request=request))

    @activity.defn(name="windows.current")
    def current(self, request: CurrentWindowRequest) -> CurrentWindow:
        """Read the window that the service is in."""
        with self._ledger.read() as rows:
            row = rows.execute(
                """
                SELECT window_id, title, starts_at, ends_at, held_until, workflow_id FROM runbooks.maintenance_windows
                WHERE service = %s AND status = 'in_progress' AND held_until > %s ORDER BY started_at DESC LIMIT 1
                """,
                (request.service, request.at),
            ).fetchone()
        return CurrentWindow(window=Window.model_validate(row) if row else None)

    def open(self, service: str) -> list[Window]:
        """Read the windows of a service that have not ended, also those whose time is over."""
        with self._ledger.read() as rows:
            found = rows.execute(
                """
                SELECT window_id, title, starts_at, ends_at, held_until, workflow_id FROM runbooks.maintenance_windows
                WHERE service = %s AND status IN ('scheduled', 'in_progress') ORDER BY starts_at
                """,
                (service,),
            ).fetchall()
        return [Window.model_validate(row) for row in found]

    @activity.defn(name="windows.between")
    def between(self, request: WindowsRequest) -> PlannedWindows:
        """Read the windows of a stretch of time (1.3); one that overruns goes on until `held_until`."""
        with self._ledger.read() as rows:
            found = rows.execute(
                """
                SELECT window_id, title, status, starts_at, ends_at FROM runbooks.maintenance_windows
                WHERE service = %s AND status IN ('scheduled', 'in_progress')
                      AND tstzrange(starts_at, greatest(ends_at, held_until)) && tstzrange(%s, %s)
                ORDER BY starts_at
                """,
                (request.service, request.begin, request.end),
            ).fetchall()
        return PlannedWindows(items=[PlannedWindow.model_validate(row) for row in found])


def _schedule(rows: Rows, request: ScheduleWindow) -> Change:
    _apart(rows, request.service, request.window_id, request.starts_at, request.ends_at)
    rows.execute(
        """
        INSERT INTO runbooks.maintenance_windows
               (window_id, service, title, impact, starts_at, ends_at, held_until, created_by,
                workflow_id, run_id, effect_key)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            request.window_id,
            request.service,
            request.title,
            request.impact,
            request.starts_at,
            request.ends_at,
            request.ends_at,
            request.effect.actor,
            request.effect.workflow_id,
            request.effect.run_id,
            request.effect.key,
        ),
    )
    return Change(target=f"window/{request.window_id}", after="scheduled", applied=True)


def _start(rows: Rows, request: StartWindow) -> Change:
    known = _known(rows, request.window_id)
    target = f"window/{request.window_id}"
    if known is None and not request.effect.dry_run:
        raise Refused(f"window {request.window_id} is not in the records")
    if known is not None and known["status"] != "scheduled":
        raise Refused(f"window {request.window_id} is {known['status']}: it can't begin")
    _apart(rows, request.service, request.window_id, request.at, request.ends_at)
    other = rows.execute(
        """
        SELECT window_id, workflow_id FROM runbooks.maintenance_windows
        WHERE service = %s AND window_id <> %s AND status = 'in_progress' AND held_until > %s
        """,
        (request.service, request.window_id, request.at),
    ).fetchone()
    if other is not None:
        raise Refused(f"window {other['window_id']} of the service is still in progress (run {other['workflow_id']})")
    rows.execute(
        """
        UPDATE runbooks.maintenance_windows
        SET status = 'in_progress', started_at = %s, starts_at = %s, ends_at = %s, held_until = %s
        WHERE window_id = %s
        """,
        (request.at, request.at, request.ends_at, request.held_until, request.window_id),
    )
    return Change(target=target, before="scheduled", after="in progress", applied=True)


def _move(rows: Rows, request: MoveWindow) -> Change:
    known = _known(rows, request.window_id)
    if known is None or known["status"] != "in_progress":
        raise Refused(
            f"window {request.window_id} is {known['status'] if known else 'unknown'}: its end can't be moved"
        )
    _apart(rows, request.service, request.window_id, known["starts_at"], request.ends_at)
    rows.execute(
        "UPDATE runbooks.maintenance_windows SET ends_at = %s, held_until = %s WHERE window_id = %s",
        (request.ends_at, request.held_until, request.window_id),
    )
    return Change(
        target=f"window/{request.window_id}",
        before=f"until {known['ends_at']:%F %H:%M}Z",
        after=f"until {_utc(rows, request.ends_at):%F %H:%M}Z",
        applied=True,
    )


def _end(rows: Rows, request: EndWindow) -> Change:
    known = _known(rows, request.window_id)
    target = f"window/{request.window_id}"
    if known is None:
        return Change(target=target, after=request.status, applied=False, note="it was never entered")
    if known["status"] in {"completed", "cancelled"}:
        return Change(target=target, after=known["status"], applied=False, note="it has ended already")
    rows.execute(
        "UPDATE runbooks.maintenance_windows SET status = %s, ended_at = %s, outcome = %s WHERE window_id = %s",
        (request.status, request.at, request.outcome, request.window_id),
    )
    return Change(target=target, before=known["status"], after=request.status, applied=True, note=request.outcome)


def _known(rows: Rows, window_id: str) -> dict[str, Any] | None:
    query = "SELECT * FROM runbooks.maintenance_windows WHERE window_id = %s FOR UPDATE"
    found: dict[str, Any] | None = rows.execute(query, (window_id,)).fetchone()
    return found


def _utc(rows: Rows, at: datetime) -> datetime:
    found: datetime = (rows.execute("SELECT %s::timestamptz AS at", (at,)).fetchone() or {})["at"]
    return found


def _apart(rows: Rows, service: str, window_id: str, starts_at: datetime, ends_at: datetime) -> None:
    """Refuse a time that another window of the service has; the table's own rule would not say which."""
    # Two that come at the same moment wait for one another here.
    rows.execute("SELECT pg_advisory_xact_lock(hashtextextended('maintenance of ' || %s, 0))", (service,))
    other = rows.execute(
        """
        SELECT window_id, title, starts_at, ends_at, workflow_id FROM runbooks.maintenance_windows
        WHERE service = %s AND window_id <> %s AND status IN ('scheduled', 'in_progress')
              AND tstzrange(starts_at, ends_at) && tstzrange(%s, %s)
        ORDER BY starts_at LIMIT 1
        """,
        (service, window_id, starts_at, ends_at),
    ).fetchone()
    if other is not None:
        raise Refused(
            f"{service} has another window then: {other['window_id']} ({other['title']}), "
            f"{other['starts_at']:%F %H:%M} to {other['ends_at']:%F %H:%M} UTC, run {other['workflow_id']}"
        )
