"""What the channel reads in the morning: the most urgent first, and what could not be read is never told as nothing."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from activities.customers.tickets import Ticket, Tickets
from activities.monitoring.prometheus import Fired, FiredAlerts
from activities.monitoring.runs import OpenRun, ScheduleState, ServiceRuns
from activities.records.days import KnownAlert, KnownAlerts
from activities.records.incidents import OpenIncident, OpenIncidents
from tests.workflows.worlds.world import World
from workflows.daily_operations.condition import Condition, Part
from workflows.daily_operations.figures import Stretch
from workflows.daily_operations.local_day import LocalDay
from workflows.daily_operations.morning_summary import Night, listed, summary, to_do

NOW = datetime(2026, 2, 4, 7, tzinfo=UTC)
SERVICE = World().service
DAY = cast("LocalDay", SimpleNamespace(day=NOW.date(), clock=lambda at: f"{at:%H:%M}"))
WELL = Condition(parts=[Part(name=SERVICE.name, colour="GREEN", why="healthy")], held=[], figures={})
DOWN = Condition(parts=[Part(name=SERVICE.name, colour="RED", why="no answer")], held=[], figures={})


def night(**fields: Any) -> Night:
    quiet: dict[str, Any] = {
        "since": NOW - timedelta(hours=9),
        "condition": WELL,
        "fired": FiredAlerts(items=[]),
        "alerts": KnownAlerts(items=[]),
        "figures": Stretch(values={}, missing={}, picture=None, known=1),
        "tickets": Tickets(items=[]),
        "runs": ServiceRuns(items=[], schedules=[]),
        "incidents": OpenIncidents(items=[]),
    }
    return Night(**quiet | fields)


def told(found: Night, became: Any = None, *, asks: bool = False) -> str:
    return summary(SERVICE, DAY, found, to_do(SERVICE, found), became, asks=asks)


def known(name: str) -> KnownAlert:
    return KnownAlert(name=name, severity="P2", incident_id="INC-1", starts_at=NOW, resolved_at=None)


def ticket(priority: Any) -> Ticket:
    return Ticket(
        ticket_id=f"T-{priority}",
        tenant_id="acme",
        priority=priority,
        title="slow",
        status="open",
        assignee="",
        opened_at=NOW,
        update_due_at=None,
        resolution="",
    )


def run(waiting_for: str = "") -> OpenRun:
    return OpenRun(workflow_id="w-1", procedure="Rollback", title="", started_at=NOW, waiting_for=waiting_for)


def test_a_quiet_night_leaves_nothing_to_look_at() -> None:
    assert to_do(SERVICE, night()) == []
    text = told(night())
    assert text.startswith(":large_green_circle:")
    assert "*Alerts since 22:00:* none" in text
    assert "*Support:* 0 P1, 0 P2, 0 open tickets in all" in text
    assert text.endswith("*To look at:* nothing")


def test_what_could_not_be_read_is_to_be_looked_at() -> None:
    found = night(fired=None, alerts=None, tickets=None, runs=None, incidents=None)
    assert len(to_do(SERVICE, found)) == 5
    text = told(found)
    assert "*Alerts since 22:00:* not known" in text
    assert "*Support:* not known" in text
    assert "*Open runs:* not known" in text


def test_the_most_urgent_comes_first() -> None:
    incident = OpenIncident(incident_id="INC-2", severity="P2", title="slow", status="open", opened_at=NOW)
    found = night(
        condition=DOWN,
        incidents=OpenIncidents(items=[incident]),
        tickets=Tickets(items=[ticket("P1"), ticket("P3")]),
        runs=ServiceRuns(items=[run("decide drain-1"), run()], schedules=[]),
    )
    down, open_incident, urgent, waits = to_do(SERVICE, found)
    assert "RED" in down
    assert open_incident == "P2 INC-2 is open (nobody)"
    assert urgent.startswith("ticket T-P1")
    assert "decide drain-1" in waits


def test_an_alert_that_an_incident_has_is_not_told_again() -> None:
    fired = FiredAlerts(
        items=[Fired(name="Slow", severity="P2", firing=True), Fired(name="Full", severity="P2", firing=True)]
    )
    (left,) = to_do(SERVICE, night(fired=fired, alerts=KnownAlerts(items=[known("Slow")])))
    assert left.startswith("Full")


@pytest.mark.parametrize(("condition", "expected"), [(WELL, True), (DOWN, False)])
def test_a_rollback_is_named_for_errors_of_a_service_that_is_up(condition: Condition, *, expected: bool) -> None:
    errors = Part(name="error rate", colour="YELLOW", why="7 %")
    found = night(condition=condition.model_copy(update={"parts": [*condition.parts, errors]}))
    assert any("runbooks start rollback" in line for line in to_do(SERVICE, found)) is expected


def test_alerts_of_the_records_alone_say_that_prometheus_was_not_asked() -> None:
    text = told(night(fired=None, alerts=KnownAlerts(items=[known("Slow")])))
    assert "Slow (P2) → INC-1 still fires (Prometheus could not be asked)" in text


def test_schedules_that_came_too_late_are_counted() -> None:
    late = [ScheduleState(name=name, paused=False, missed=1, upcoming=[]) for name in ("a", "b")]
    assert "2 runs have come too late" in told(night(runs=ServiceRuns(items=[], schedules=late)))


def test_who_is_down_is_told_with_what_becomes_of_it() -> None:
    assert "its incident is at work" in told(night(condition=DOWN), "joined")
    assert "People are asked" in told(night(condition=DOWN), asks=True)


@pytest.mark.parametrize(("count", "last"), [(8, "• 7"), (9, "• and 1 more")])
def test_a_long_list_is_counted(count: int, last: str) -> None:
    assert listed(map(str, range(count)))[-1] == last
