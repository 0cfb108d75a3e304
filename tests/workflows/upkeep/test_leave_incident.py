"""What people hear of an incident that nobody looks after, and who is woken for it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg_pool import ConnectionPool
from temporalio import activity
from temporalio.client import Client
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
from tests.workflows.conftest import Working
from tests.workflows.worlds.world import instead
from workers.later import activities_of
from workflows.upkeep.leave_incident import LeaveIncident, LeaveIncidentRequest
from workflows.upkeep.sweep_holds import SweepHolds, SweepRequest

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


@pytest.fixture
def world(records_pool: ConnectionPool[Any], records_sql: psycopg.Connection[Any]) -> Left:
    return Left(records_pool, records_sql)


async def leave(world: Left, working: Working, client: Client, left: LeftIncident) -> None:
    async with working(world.activities()) as queue:
        request = LeaveIncidentRequest(left=left)
        await client.execute_workflow(LeaveIncident.run, request, id=f"leave-{uuid4()}", task_queue=queue)


async def test_one_page_says_that_nobody_is_at_it_and_how_to_start_anew(
    world: Left, working: Working, client: Client
) -> None:
    await leave(world, working, client, an_incident())
    ((level, summary),) = world.open_pages
    assert level == 1
    assert summary == (
        "API <down>: Nobody looks after INC-1 any more: its run p1-incident/api was terminated at "
        "2026-03-01 03:12:45 UTC by ada@ui: <!channel>. Start anew: runbooks start p1-incident --set service=api"
    )
    (text,) = world.told
    assert text == (
        ":rotating_light: grace: Nobody looks after INC-1 (P1, API &lt;down&gt;) any more: its run p1-incident/api was "
        "terminated at 2026-03-01 03:12:45 UTC by ada@ui: &lt;!channel&gt;. api may still be down: look at it. Its "
        "pages are withdrawn; primary is paged once more. What it has asked can't be answered any more. Start anew: "
        "`runbooks start p1-incident --set service=api`. What the public page says of it stays until the new one is "
        "closed, or somebody ends it there."
    )


@pytest.mark.parametrize(
    ("status", "lately", "window", "says"),
    [
        ("mitigated", True, False, "It was mitigated then."),
        ("stable", True, False, "It was stable then."),
        ("open", False, False, "It was not mitigated then."),
        ("open", True, True, "api may still be down"),
    ],
)
async def test_nobody_is_woken_for_what_was_well_is_long_ago_or_in_maintenance(
    world: Left, working: Working, client: Client, status: str, says: str, *, lately: bool, window: bool
) -> None:
    world.window = window
    await leave(world, working, client, an_incident(status, lately=lately))
    assert world.open_pages == []
    (text,) = world.told
    assert "paged" not in text
    assert says in text


@pytest.mark.parametrize(
    ("severity", "later", "goes_on"), [("P1", True, True), ("P2", True, False), ("P1", False, False)]
)
async def test_where_another_one_is_open_by_now_people_are_sent_there(
    world: Left, working: Working, client: Client, severity: Any, *, later: bool, goes_on: bool
) -> None:
    at = AT + timedelta(minutes=5 if later else -5)
    world.open = [OpenIncident(incident_id="INC-2", severity=severity, title="x", status="open", opened_at=at)]
    await leave(world, working, client, an_incident())
    assert len(world.open_pages) == (0 if goes_on else 1), "it has paged by itself"
    (text,) = world.told
    assert ("Go on with P1 INC-2, which is open" in text, "Start anew" in text) == (goes_on, not goes_on)


async def test_a_security_incident_is_paged_for_also_in_maintenance_and_says_what_stays(
    world: Left, working: Working, client: Client
) -> None:
    world.window = True
    await leave(world, working, client, an_incident(kind="security incident"))
    assert len(world.open_pages) == 1
    (text,) = world.told
    assert "What it has isolated, cordoned or blocked stays so" in text
    assert "public page" not in text


async def test_where_nobody_can_be_paged_the_channel_is_told_all_the_same(
    world: Left, working: Working, client: Client
) -> None:
    world.pages_refused = True
    await leave(world, working, client, an_incident())
    assert (world.open_pages, len(world.told)) == ([], 1)


async def test_what_is_over_by_now_is_left(world: Left, working: Working, client: Client) -> None:
    world.after = "closed"
    await leave(world, working, client, an_incident())
    assert (len(world.open_pages), world.told) == (2, [])


@pytest.mark.parametrize("away", [False, True])
async def test_the_sweep_looks_at_holds_also_where_incidents_cannot_be_looked_at(
    world: Left, working: Working, client: Client, *, away: bool
) -> None:
    world.records_away = away
    async with working(world.activities()) as queue:
        result = await client.execute_workflow(
            SweepHolds.run, SweepRequest(), id=f"sweep-{uuid4()}", task_queue=queue, run_timeout=timedelta(hours=1)
        )
        if not away:
            await client.get_workflow_handle("leave-incident/INC-1").result()
    assert result.held == 2
    if away:
        assert result.unread == ["open incidents: the records don't answer"]
        assert result.incidents == []
    else:
        assert result.incidents == [an_incident().because]
