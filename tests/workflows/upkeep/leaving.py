"""An incident whose run is gone, and those whom it concerns."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.common.effects import Change, Effect
from activities.holds.holds import LeftHolds, LookForLeft
from activities.holds.left_incidents import Leave, LeftIncident, LeftIncidents, LookForLeftIncidents
from activities.messages.chat.chat import Slack
from activities.messages.chat.records import RecordsChat
from activities.messages.paging.paging import PageOnCall, Paging
from activities.messages.paging.records import RecordsPager
from activities.messages.status_page.records import RecordsStatusPage
from activities.messages.status_page.status_page import StatusPages
from activities.records.incidents import OpenIncident, OpenIncidents, OpenIncidentsRequest
from activities.records.left_incidents import LEFT, OpenEntry
from activities.records.windows import CurrentWindow, CurrentWindowRequest, Window
from tests.workflows.worlds.world import instead
from workers.later import activities_of

AT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


def an_incident(status: str = "open", kind: Any = "incident", *, lately: bool = True) -> LeftIncident:
    entry = OpenEntry(
        kind=kind,
        incident_id="INC-1",
        service="api",
        severity="P1",
        title="" if kind == "security incident" else "API <down>",
        status=status,
        commander="grace",
        opened_at=AT,
        run="p1-incident/api",
        run_id="r",
        first_run="f",
        thread="none",
    )
    return LeftIncident(
        entry=entry,
        how="was terminated at 2026-03-01 03:12:45 UTC by ada@ui: <!channel>",
        lately=lately,
        channel="#incidents",
        rotation="primary",
        levels=3,
        component="api",
        anew="runbooks start p1-incident --set service=api",
    )


class Left:
    """Real pages, messages and public page on the records; the incident's own row, and windows, are as told."""

    def __init__(self, pool: ConnectionPool[Any], sql: psycopg.Connection[Any]) -> None:
        self.pool, self._sql = pool, sql
        self.after, self.window, self.pages_refused, self.records_away = LEFT, False, False, False
        self.open: list[OpenIncident] = []
        """Those of its service, beside it."""

        pager = RecordsPager(pool)
        for level in (1, 2):
            effect = Effect(key=f"p1-incident/api/f/page-{level}", workflow_id="p1", run_id="r", actor="a")
            page = PageOnCall(
                incident_id="INC-1",
                service="api",
                severity="P1",
                rotation="primary",
                level=level,
                summary="down",
                effect=effect,
            )
            pager.page(page)

    def activities(self) -> list[Callable[..., Any]]:
        world = self
        systems = (
            Slack(RecordsChat(self.pool)),
            Paging(RecordsPager(self.pool)),
            StatusPages(RecordsStatusPage(self.pool)),
        )
        real = [
            each
            for system in systems
            for each in activities_of(type(system), lambda system=system: system)  # type: ignore[misc]
        ]

        @activity.defn(name="left_incidents.leave")
        def leave(request: Leave) -> Change:
            return Change(target=request.left.entry.target, after=world.after, applied=world.after == LEFT)

        @activity.defn(name="left_incidents.look")
        def look(request: LookForLeftIncidents) -> LeftIncidents:
            if world.records_away:
                raise ApplicationError("the records don't answer", non_retryable=True)
            return LeftIncidents(items=[an_incident()], open=1)

        @activity.defn(name="holds.left")
        def left(request: LookForLeft) -> LeftHolds:
            return LeftHolds(items=[], held=2)

        @activity.defn(name="windows.current")
        def current(request: CurrentWindowRequest) -> CurrentWindow:
            window = Window(
                window_id="MW-1", title="Upgrade", starts_at=AT, ends_at=AT, held_until=AT, workflow_id="window"
            )
            return CurrentWindow(window=window if world.window else None)

        @activity.defn(name="paging.page")
        def page(request: PageOnCall) -> Change:
            raise ApplicationError("no such rotation", non_retryable=True)

        @activity.defn(name="records.open_incidents")
        def open_incidents(request: OpenIncidentsRequest) -> OpenIncidents:
            return OpenIncidents(items=[one for one in world.open if one.severity in request.severities])

        return instead([*real, open_incidents], leave, look, left, current, *([page] if self.pages_refused else []))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._sql.execute(query).fetchall()

    @property
    def open_pages(self) -> list[tuple[int, str]]:
        return self.rows("SELECT level, summary FROM runbooks.pages WHERE resolved_at IS NULL")

    @property
    def told(self) -> list[str]:
        return [text for (text,) in self.rows("SELECT text FROM runbooks.messages")]
